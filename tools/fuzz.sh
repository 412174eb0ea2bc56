#!/bin/sh
# Fuzzes every target for a while: tools/fuzz.sh SECONDS [TARGET...]. Installs cargo-fuzz, and fetches the voice that
# `speech_text` needs. Needs a nightly toolchain (rustup toolchain install nightly). fuzz/README.md has the targets.
set -eu
cd "$(dirname "$0")/.."

seconds="$1"
shift
tools/install.sh fuzz
if [ $# = 0 ]; then
    for file in fuzz/fuzz_targets/*.rs; do
        set -- "$@" "$(basename "$file" .rs)"
    done
fi
case " $* " in
    *" speech_text "*)
        if [ -z "${MYNAH_FUZZ_VOICE:-}" ]; then
            MYNAH_FUZZ_VOICE=$(cargo run --release --quiet -- --quiet pull hibari)
            export MYNAH_FUZZ_VOICE
        fi
        ;;
esac
fuzz/run "$seconds" "$@"
