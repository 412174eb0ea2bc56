#!/bin/sh
# Static checks: tools/check.sh [format|clippy|words|docs|dependencies|advisories]...; without names, all but advisories,
# which need the network.
set -eu
cd "$(dirname "$0")/.."
. tools/versions.sh
export RUSTDOCFLAGS="${RUSTDOCFLAGS:-} -D warnings"

[ $# -gt 0 ] || set -- format words clippy docs dependencies
for check in "$@"; do
    echo "check: $check"
    case "$check" in
        format) cargo fmt --all --check ;;
        words)
            tools/install.sh typos
            "$TYPOS" --format brief
            ;;
        clippy)
            cargo clippy --release --workspace --all-targets --quiet -- -D warnings
            cargo clippy --release -p mynah --features otel --quiet -- -D warnings
            ;;
        docs) cargo doc --release --workspace --no-deps --document-private-items --quiet ;;
        dependencies)
            tools/install.sh deny
            cargo deny --log-level error check bans licenses sources
            ;;
        advisories)
            tools/install.sh deny
            cargo deny --log-level error check advisories
            ;;
        *) echo "tools/check.sh: no such check: $check" >&2; exit 2 ;;
    esac
done
