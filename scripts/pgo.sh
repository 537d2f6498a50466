#!/usr/bin/env bash
# A cornac whose machine code is laid out by what it does under load (profile-guided optimisation): built with counters, loaded
# with rows of `make bench`, and built anew by what was counted. The binary is target/pgo/cornac.
# The profile belongs to this source and this rustc, so it is made anew each time and not kept in the repository.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/install-deps.sh build nginx bench

# What most requests are: scripts and files, with short and with long heads, over each protocol. Without php: it would only take time.
rows=hello,cookies,churn,reply-64k,upload-1k,static-1k,static-100k,static-304,static-404,gzip,tls,http2

sysroot=$(rustc --print sysroot)
host=$(rustc -vV | sed -n 's/^host: //p')

# Of the toolchain (rustup component add llvm-tools), or else the newest of the system's: an older one reads the counters of a newer
# compiler as long as their format stays (LLVM 19 to 22 have the same).
merge="$sysroot/lib/rustlib/$host/bin/llvm-profdata"
if [ ! -x "$merge" ]; then
    scripts/install-deps.sh pgo
    merge=$(compgen -c llvm-profdata- | grep -E '^llvm-profdata-(19|[2-9][0-9])$' | sort -V | tail -n 1)
fi

folder=$PWD/target/pgo
counters=$folder/counters
rm -rf "$counters"
mkdir -p "$counters"

# With --target the flags are the program's alone: build scripts that count too would be in the profile.
build() { RUSTFLAGS="${RUSTFLAGS-} $1" cargo build --release --bin cornac --target "$host" --target-dir "$folder/$2"; }

build "-Cprofile-generate=$counters" counting
CORNAC="$folder/counting/$host/release/cornac" ARGS="" ONLY=$rows benches/run.sh --quick --rounds 1
"$merge" merge --output "$folder/cornac.profdata" "$counters"
build "-Cprofile-use=$folder/cornac.profdata" guided
cp "$folder/guided/$host/release/cornac" "$folder/cornac"
echo "target/pgo/cornac; beside nginx: make bench CORNAC=target/pgo/cornac"
