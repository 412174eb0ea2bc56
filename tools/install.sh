#!/bin/sh
# Installs what checks and tests need, on Debian or Ubuntu with Rust: tools/install.sh system|typos|deny|fuzz...
#   system  programs of the tests: Python with venv and pip, Node with npm, curl, openssl, ffmpeg, a C compiler
#   typos   the spelling check, in a virtual environment below the target folder
#   deny    cargo-deny
#   fuzz    cargo-fuzz; it needs a nightly toolchain as well
# What is there already is not installed again.
set -eu
cd "$(dirname "$0")/.."
. tools/versions.sh

system() {
    missing=""
    for program in python3:python3 curl:curl openssl:openssl ffmpeg:ffmpeg node:nodejs npm:npm cc:build-essential; do
        command -v "${program%%:*}" >/dev/null || missing="$missing ${program#*:}"
    done
    python3 -c 'import venv, ensurepip' 2>/dev/null || missing="$missing python3-venv"
    python3 -m pip --version >/dev/null 2>&1 || missing="$missing python3-pip"
    [ -n "$missing" ] || return 0
    sudo=""
    [ "$(id -u)" = 0 ] || sudo="sudo"
    $sudo apt-get update -qq
    # shellcheck disable=SC2086
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
}

typos() {
    if [ "$("$TYPOS" --version 2>/dev/null)" != "typos-cli $TYPOS_VERSION" ]; then
        python3 -m venv "$TOOLS/typos"
        "$TOOLS/typos/bin/python" -m pip install --quiet --disable-pip-version-check "typos==$TYPOS_VERSION"
    fi
}

deny() {
    command -v cargo-deny >/dev/null || cargo install cargo-deny --locked --quiet
}

fuzz() {
    command -v cargo-fuzz >/dev/null || cargo install cargo-fuzz --locked --quiet
}

[ $# -gt 0 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
for name in "$@"; do
    case "$name" in
        system | typos | deny | fuzz) "$name" ;;
        *) echo "tools/install.sh: unknown: $name" >&2; exit 2 ;;
    esac
done
