#!/usr/bin/env bash
# Runs a command with what the tests of docker/ need: a Docker engine, compose, and the rig's images.
#   scripts/with-docker.sh cargo test --test containers -- --ignored
# An engine that runs is used as it is. Where none runs, a private one is started (root only) with a folder, a socket and a pid file
# of its own, and is gone at the end with all it made. Images that cannot be pulled are made here: Debian by debootstrap; cornac from
# the binary that cargo builds on this machine, if the Rust image cannot be had. CORNAC_BIN names one that is built already.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# As docker/Dockerfile has them.
debian=debian:bookworm-slim
rust=rust:1-slim-bookworm
# Of our own, so that nobody's `cornac:latest` is replaced.
export CORNAC_TAG=test-$$

say() { printf 'with-docker: %s\n' "$*" >&2; }
die() { say "$*"; exit 3; }

folder=""
engine=""           # the private engine's process id
debian_is_ours=""
started=$SECONDS

wait_for_end() {
    local pid=$1 i
    for ((i = 0; i < 300; i++)); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    return 1
}

# The kernel keeps what an engine did to the network; as it was before is as it shall be.
restore_network() {
    ip link delete docker0 2>/dev/null || true
    iptables-restore <"$folder/iptables" || say "cannot restore iptables"
    echo "$forwarding" >/proc/sys/net/ipv4/ip_forward || true
}

clean_up() {
    local status=$? image
    trap - EXIT INT TERM HUP
    for image in cornac-static cornac-fpm cornac; do
        docker image rm --force "$image:$CORNAC_TAG" >/dev/null 2>&1 || true
    done
    [ -z "$debian_is_ours" ] || docker image rm "$debian" >/dev/null 2>&1 || true
    if [ -n "$engine" ]; then
        kill -TERM "$engine" 2>/dev/null || true
        wait_for_end "$engine" || kill -KILL "$engine" 2>/dev/null || true
        restore_network
    fi
    rm -f docker/cornac
    if [ -n "$folder" ]; then rm -rf "$folder"; fi
    say "all in all $((SECONDS - started)) s"
    exit "$status"
}

answers() { docker info >/dev/null 2>&1; }

start_engine() {
    answers && return 0
    [ "$(id -u)" -eq 0 ] || die "no Docker engine answers, and only root may start one: start it, or join its group (usermod -aG docker $USER)"
    say "starting a private Docker engine"
    iptables-save >"$folder/iptables"
    forwarding=$(cat /proc/sys/net/ipv4/ip_forward)
    export DOCKER_HOST="unix://$folder/docker.sock"
    dockerd --host "$DOCKER_HOST" --data-root "$folder/data" --exec-root "$folder/exec" --pidfile "$folder/dockerd.pid" \
        >"$folder/dockerd.log" 2>&1 &
    engine=$!
    local i
    for ((i = 0; i < 150; i++)); do
        answers && return 0
        kill -0 "$engine" 2>/dev/null || break
        sleep 0.2
    done
    tail -n 30 "$folder/dockerd.log" >&2
    die "the Docker engine does not start; what it said is above"
}

has_image() { docker image inspect "$1" >/dev/null 2>&1 || timeout 120 docker pull --quiet "$1" >/dev/null 2>&1; }

base_image() {
    has_image "$debian" && return 0
    [ "$(id -u)" -eq 0 ] || die "$debian cannot be pulled, and only root may make it by debootstrap"
    say "$debian cannot be pulled: making it by debootstrap"
    debootstrap --variant=minbase bookworm "$folder/debian" >"$folder/debootstrap.log" 2>&1 \
        || { tail -n 30 "$folder/debian/debootstrap/debootstrap.log" "$folder/debootstrap.log" >&2; die "debootstrap failed; what it said is above"; }
    tar -C "$folder/debian" --exclude='./var/cache/apt/archives/*.deb' -c . | docker import - "$debian" >/dev/null
    rm -rf "$folder/debian"
    debian_is_ours=yes
}

build() {
    docker build --quiet "$@" . >"$folder/build.log" 2>&1 || { cat "$folder/build.log" >&2; die "docker build $* failed"; }
}

cornac_image() {
    if [ -z "${CORNAC_BIN-}" ] && has_image "$rust"; then
        say "building cornac in its image"
        build --file docker/Dockerfile --tag "cornac:$CORNAC_TAG"
        return
    fi
    if [ -z "${CORNAC_BIN-}" ]; then
        say "$rust cannot be pulled: the image gets the binary that is built here"
        cargo build --release --quiet
        CORNAC_BIN="${CARGO_TARGET_DIR:-target}/release/cornac"
    fi
    objcopy --strip-debug "$CORNAC_BIN" docker/cornac
    build --file docker/Dockerfile --target prebuilt --tag "cornac:$CORNAC_TAG"
    docker run --rm "cornac:$CORNAC_TAG" --version >&2 \
        || die "the binary built here does not run on Debian 12 (a newer glibc?): build it there and name it by CORNAC_BIN"
}

images() {
    base_image
    build --file docker/fpm/Dockerfile --tag "cornac-fpm:$CORNAC_TAG"
    cornac_image
    build --file docker/static/Dockerfile --build-arg "CORNAC=cornac:$CORNAC_TAG" --tag "cornac-static:$CORNAC_TAG"
}

[ $# -gt 0 ] || { echo "usage: scripts/with-docker.sh COMMAND …" >&2; exit 2; }
scripts/install-deps.sh build docker
folder=$(mktemp -d "${TMPDIR:-/tmp}/cornac-docker.XXXXXX")
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
start_engine
images
say "engine and images are there after $((SECONDS - started)) s"
"$@"
