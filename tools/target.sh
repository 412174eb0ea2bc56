#!/bin/sh
# The program compiles for another machine: tools/target.sh TARGET, such as aarch64-unknown-linux-gnu.
# Dependencies with code in C need a compiler for TARGET (CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc).
set -eu
cd "$(dirname "$0")/.."

target="$1"
rustup target list --installed | grep -qx "$target" || rustup target add "$target"
cargo check --release --locked -p mynah --target "$target"
cargo check --release --locked -p mynah-kernels --all-targets --target "$target"
