#!/bin/sh
# Every crate compiles by itself, with each of its features and without. In the whole workspace one crate's features are
# switched on for all others, so that a missing one is not noticed.
set -eu
cd "$(dirname "$0")/.."

packages=$(sed -n 's/^name = "\(mynah[a-z-]*\)"$/\1/p' crates/*/Cargo.toml | sort -u)
for package in $packages; do
    echo "features: $package"
    cargo check --release --quiet --locked -p "$package"
done
for combination in "mynah otel" "mynah-testkit families"; do
    echo "features: $combination"
    # shellcheck disable=SC2086
    set -- $combination
    cargo check --release --quiet --locked -p "$1" --no-default-features --features "$2"
done
