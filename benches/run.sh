#!/usr/bin/env bash
# make bench: the options of the side-by-side run may be given after --, or by ARGS="--quick --all", and rows by ONLY=hello,tls.
set -euo pipefail
cd "$(dirname "$0")/.."

# What answers for php-fpm where php itself is not the question; `cargo bench` builds no examples.
cargo build --release --example null-responder
# shellcheck disable=SC2086
exec cargo bench --bench side_by_side -- ${ARGS:-} "$@"
