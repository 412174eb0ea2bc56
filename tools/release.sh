#!/bin/sh
# Builds what is released for a target: tools/release.sh TARGET [FOLDER]. FOLDER (default: target/packages) gets
# mynah-VERSION-TARGET.tar.gz with the program, completions, manual pages and licences, and its SHA-256 beside it.
# For musl and other machines the compiler and linker must be there; packaging/README.md says which.
set -eu
cd "$(dirname "$0")/.."

target="$1"
folder="${2:-${CARGO_TARGET_DIR:-target}/packages}"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
name="mynah-$version-$target"
build="${CARGO_TARGET_DIR:-target}/$target/dist"

if command -v rustup >/dev/null && ! rustup target list --installed | grep -qx "$target"; then
    rustup target add "$target"
fi
cargo build --locked --profile dist -p mynah --target "$target"

# Another machine's program cannot run here, hence the host's for completions and manual pages.
program="$build/mynah"
if ! "$program" --version >/dev/null 2>&1; then
    cargo build --locked --release -p mynah
    program="${CARGO_TARGET_DIR:-target}/release/mynah"
fi

staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
mkdir -p "$staging/$name/completions" "$folder"
install -m 755 "$build/mynah" "$staging/$name/mynah"
for shell in bash zsh fish; do
    "$program" completions "$shell" >"$staging/$name/completions/mynah.$shell"
done
"$program" man --output-dir "$staging/$name/man"
cp README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT packaging/mynah.service "$staging/$name/"
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$(git log -1 --format=%ct)" \
    -C "$staging" -cf - "$name" | gzip -9n >"$folder/$name.tar.gz"
(cd "$folder" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256" && cat "$name.tar.gz.sha256")
