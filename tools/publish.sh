#!/bin/sh
# Makes a draft release on GitHub: tools/publish.sh TAG FOLDER. FOLDER has what tools/release.sh made. The tag must be the
# version of Cargo.toml, and CHANGELOG.md must have a section for it, which becomes the text. Needs gh and GH_TOKEN;
# without GH_TOKEN the text is printed and nothing is published.
set -eu
cd "$(dirname "$0")/.."

tag="$1"
folder="$2"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
[ "$tag" = "v$version" ] || { echo "tag $tag, but Cargo.toml has version $version" >&2; exit 1; }

notes=$(mktemp)
trap 'rm -f "$notes"' EXIT
# From the version's heading, with or without brackets around it, to the next heading of that level.
awk -v version="$version" '
    /^## / { shown = index($0, version) > 0; next }
    shown { print }
' CHANGELOG.md >"$notes"
grep -q '[^[:space:]]' "$notes" || { echo "CHANGELOG.md has no section for $version" >&2; exit 1; }

(cd "$folder" && sha256sum --check --quiet ./*.sha256)
if [ -z "${GH_TOKEN:-}" ]; then
    cat "$notes"
    exit 0
fi
gh release create "$tag" --draft --title "Mynah $version" --notes-file "$notes" "$folder"/*
