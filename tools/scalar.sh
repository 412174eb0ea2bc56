#!/bin/sh
# Tests without any instruction set's kernels: tools/scalar.sh [kernels|models]...; without names, both.
set -eu
cd "$(dirname "$0")/.."

[ $# -gt 0 ] || set -- kernels models
for name in "$@"; do
    MYNAH_ISA=scalar cargo test --release --locked -p "mynah-$name"
done
