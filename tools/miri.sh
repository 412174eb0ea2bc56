#!/bin/sh
# Miri, which finds undefined behaviour, on the thread pool and the packing of weights, without vector instructions; and
# loom's model of the pool, in all interleavings within its bounds. Needs a nightly toolchain with Miri
# (rustup toolchain install nightly --component miri,rust-src).
set -eu
cd "$(dirname "$0")/.."

# Its threads end with the process.
MIRIFLAGS="-Zmiri-disable-isolation -Zmiri-ignore-leaks" \
    cargo +nightly miri test --locked -p mynah-kernels --lib -- pool:: panels::
RUSTFLAGS="--cfg loom" LOOM_LOG=0 \
    cargo test --release --locked -p mynah-kernels --lib --target-dir target/loom -- pool::model
