#!/bin/sh
# The workspace compiles with the oldest Rust that Cargo.toml promises (rust-version).
set -eu
cd "$(dirname "$0")/.."

version=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
echo "oldest Rust: $version"
# The pinned toolchain serves where it is that version.
case "$(rustc --version)" in
    "rustc $version"*) toolchain="" ;;
    *)
        rustup toolchain install "$version" --profile minimal
        toolchain="+$version"
        ;;
esac
# shellcheck disable=SC2086
cargo $toolchain check --release --locked --workspace --all-targets
