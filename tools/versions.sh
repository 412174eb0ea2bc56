# Read by the scripts beside it: versions of tools, and where they are.
# shellcheck shell=sh disable=SC2034
TYPOS_VERSION=1.52.0
TOOLS="${CARGO_TARGET_DIR:-target}/tools"
TYPOS="$TOOLS/typos/bin/typos"
