#!/usr/bin/env bash
# Installs what the named groups need, through apt, and only what is missing.
#   scripts/install-deps.sh build php nginx tls etcd demo bench peers pgo docker ha
# Without root or apt it says what to install, and ends with 1.
set -euo pipefail

# The extensions that php-fixtures/ uses and that Debian does not build into php-fpm itself.
php_extensions="mbstring posix session curl"

# sbin is not in everybody's PATH.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

have() { command -v "$1" >/dev/null 2>&1; }

# The newest php-fpm that is there: Debian names it php-fpm8.2, others php-fpm.
php_fpm() {
    compgen -c php-fpm | grep -E '^php-fpm([0-9.]+)?$' | sort -rV | sed -n 1p
}

lacks_php() {
    local fpm modules extension
    fpm=$(php_fpm || true)
    [ -n "$fpm" ] || return 0
    modules=$("$fpm" -m 2>/dev/null)
    for extension in $php_extensions; do
        grep -qix "$extension" <<<"$modules" || return 0
    done
    return 1
}

packages_for() {
    case "$1" in
        php)   if lacks_php; then echo php-fpm php-mbstring php-curl; fi ;;
        nginx) have nginx || echo nginx-light ;;
        tls)   have curl || echo curl
               have openssl || echo openssl ;;
        etcd)  have etcd || echo etcd-server ;;
        # Rust links by cc, and mimalloc is C.
        build) have cc || echo gcc libc6-dev ;;
        demo)  have curl || echo curl ;;
        bench) have wrk || echo wrk
               have h2load || echo nghttp2-client
               have haproxy || echo haproxy
               have strace || echo strace
               have nginx || echo nginx-light
               # brotli is no part of nginx; without the module its row is told without nginx.
               [ -e /usr/lib/nginx/modules/ngx_http_brotli_filter_module.so ] || echo libnginx-mod-http-brotli-filter ;;
        # The further peers of `make bench ARGS=--all`.
        peers) have caddy || echo caddy
               have lighttpd || echo lighttpd
               have apache2 || echo apache2-bin ;;
        pgo)   compgen -c llvm-profdata- | grep -qE '^llvm-profdata-(19|[2-9][0-9])$' || echo llvm-19 ;;
        # objcopy (binutils) comes with gcc. With a Docker of another maker, only what is missing is taken from Debian.
        docker) have dockerd || docker info >/dev/null 2>&1 || echo docker.io iptables
               have docker || echo docker.io
               have docker-compose || docker compose version >/dev/null 2>&1 || echo docker-compose
               have debootstrap || echo debootstrap ;;
        ha)    have keepalived || echo keepalived
               have ip || echo iproute2
               have curl || echo curl ;;
        *)     echo "install-deps: unknown group '$1' (build, php, nginx, tls, etcd, demo, bench, peers, pgo, docker, ha)" >&2; exit 2 ;;
    esac
}

# Debian starts a service when its package is installed. We start our own processes on our own sockets: while apt runs, a policy
# says no (https://people.debian.org/~hmh/invokerc.d-policyrc.d-specification.txt), and then what was there is back.
policy=/usr/sbin/policy-rc.d
policy_kept=""

forbid_services() {
    if [ -e "$policy" ] || [ -L "$policy" ]; then
        policy_kept=$(mktemp -u "$policy.kept.XXXXXX")
        mv "$policy" "$policy_kept"
    fi
    trap restore_services EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
}

restore_services() {
    rm -f "$policy"
    if [ -n "$policy_kept" ]; then mv "$policy_kept" "$policy"; fi
}

apt_install() {
    local options="--yes --quiet --no-install-recommends"
    export DEBIAN_FRONTEND=noninteractive
    # The lists are fetched only when they don't know a package, or know a version that is gone.
    # shellcheck disable=SC2086
    if ! apt-cache show "$@" >/dev/null 2>&1 || ! apt-get install $options "$@"; then
        apt-get update --quiet
        apt-get install $options "$@"
    fi
}

main() {
    local groups=("$@") packages=() group package listing
    [ ${#groups[@]} -gt 0 ] || groups=(build php nginx tls etcd demo bench)
    # Debian's cargo is too old for us, so this one is not ours to install; said before anything else is.
    if [[ " ${groups[*]} " == *" build "* ]] && ! have cargo; then
        echo "install-deps: cargo is missing: see https://rustup.rs" >&2
        return 1
    fi
    for group in "${groups[@]}"; do
        listing=$(packages_for "$group")
        for package in $listing; do
            [[ " ${packages[*]-} " == *" $package "* ]] || packages+=("$package")
        done
    done
    [ ${#packages[@]} -gt 0 ] || return 0

    if ! have apt-get; then
        echo "install-deps: missing: ${packages[*]} (Debian's names)." >&2
        echo "There is no apt-get here: please install them by your system's package manager, then run this again." >&2
        return 1
    fi
    if [ "$(id -u)" -ne 0 ]; then
        echo "install-deps: missing: ${packages[*]}. As root:" >&2
        echo "    apt-get update && apt-get install ${packages[*]}" >&2
        return 1
    fi
    echo "install-deps: installing ${packages[*]}" >&2
    forbid_services
    apt_install "${packages[@]}" >&2
}

main "$@"
