#!/usr/bin/env bash
# One ThinkPHP-style application over three real php-fpm pools, behind cornac.
#   scripts/demo.sh           shows a tour and serves until Ctrl-C
#   scripts/demo.sh --check   sends the tour's requests itself, fails if anything is wrong, ends
# CORNAC_BIN names a cornac that is built already.
# Everything it starts is gone when it ends.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"

# As config/demo.toml has them.
site=127.0.0.1:8080
members=(one two three)
ports=(9701 9702 9703)
weights=(2 1 1)

mode=serve
case "${1-}" in
    "")      ;;
    --check) mode=check ;;
    *)       echo "usage: scripts/demo.sh [--check]" >&2; exit 2 ;;
esac

say()  { printf '%s\n' "$*"; }
bold() { if [ -t 1 ]; then printf '\n\033[1m%s\033[0m\n' "$*"; else printf '\n%s\n' "$*"; fi; }
die()  { printf 'demo: %s\n' "$*" >&2; exit 3; }

folder=""
cornac=""
logs=""
fpms=()

# By process id, gently first; php-fpm's master takes its workers along.
end() {
    local pid=$1 i
    kill -TERM "$pid" 2>/dev/null || return 0
    for ((i = 0; i < 50; i++)); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

clean_up() {
    local status=$? pid
    trap - EXIT INT TERM HUP
    for pid in $logs $cornac ${fpms[@]+"${fpms[@]}"}; do end "$pid"; done
    if [ -n "$folder" ]; then rm -rf "$folder"; fi
    exit "$status"
}
trap clean_up EXIT
interrupted=130
trap 'echo; exit "$interrupted"' INT
trap 'exit 143' TERM HUP

accepts() { (exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null; }

# Until it accepts, its process ends, or the time is over.
wait_for() {
    local pid=$1 address=$2 log=$3 i
    for ((i = 0; i < 200; i++)); do
        accepts "$address" && return 0
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.05
    done
    cat "$log" >&2
    die "nobody listens on $address; what was said is above"
}

start_fpm() {
    local i=$1 name=${members[$1]} fpm user=""
    fpm=$(compgen -c php-fpm | grep -E '^php-fpm([0-9.]+)?$' | sort -rV | sed -n 1p)
    # As root, workers are root too: other users don't reach everybody's folders. For this demo on 127.0.0.1 only.
    [ "$(id -u)" -ne 0 ] || user=$'user = root\ngroup = root'
    cat >"$folder/$name.conf" <<CONF
[global]
daemonize = no
error_log = $folder/$name.log
[$name]
listen = 127.0.0.1:${ports[$i]}
listen.allowed_clients = 127.0.0.1
$user
pm = static
pm.max_children = 4
pm.status_path = /fpm-status
ping.path = /fpm-ping
env[FIXTURE_MEMBER] = $name
env[COUNTER_DIR] = $folder
php_admin_value[session.save_path] = $folder/sessions
php_admin_value[post_max_size] = 64M
php_admin_value[upload_max_filesize] = 64M
CONF
    "$fpm" --nodaemonize --fpm-config "$folder/$name.conf" ${user:+--allow-to-run-as-root} >>"$folder/$name.log" 2>&1 &
    fpms[i]=$!
    wait_for "${fpms[$i]}" "127.0.0.1:${ports[$i]}" "$folder/$name.log"
}

prepare() {
    if [ -n "${CORNAC_BIN-}" ]; then
        scripts/install-deps.sh php demo
    else
        scripts/install-deps.sh build php demo
        say "Building cornac (the first time takes minutes) …"
        cargo build --release --quiet
        CORNAC_BIN="${CARGO_TARGET_DIR:-target}/release/cornac"
    fi
    local address
    for address in "$site" "${ports[@]/#/127.0.0.1:}"; do
        if accepts "$address"; then
            die "$address is taken by another program (config/demo.toml names it). Stop that program and try again: ss -ltnp 'sport = :${address##*:}'"
        fi
    done
}

start() {
    folder=$(mktemp -d "${TMPDIR:-/tmp}/cornac-demo.XXXXXX")
    mkdir "$folder/sessions"
    local i
    for i in "${!members[@]}"; do start_fpm "$i"; done
    "$CORNAC_BIN" run -c config/demo.toml >"$folder/cornac.log" 2>&1 &
    cornac=$!
    wait_for "$cornac" "$site" "$folder/cornac.log"
}

# --- The tour. Each stop prints what was asked and what came back, and counts what was wrong.

wrong=0

# fetch OUT [curl arguments]: the body to OUT, "STATUS MEMBER" to stdout.
fetch() {
    local out=$1; shift
    curl --silent --show-error --max-time 30 --path-as-is --dump-header "$folder/head" --output "$out" --write-out '%{http_code} ' "$@" \
        || echo "curl failed with $? "
    sed -n 's/^x-fixture-member: *\([^\r]*\)\r*$/\1/Ip' "$folder/head"
}

verdict() {
    if [ "$1" = ok ]; then printf '  ok     %s\n' "$2"; else printf '  WRONG  %s\n' "$2"; wrong=$((wrong + 1)); fi
}

# stop STATUS PATTERN URL-PATH [curl arguments]: the status and a text that must stand in head or body.
stop() {
    local status=$1 pattern=$2 path=$3 came member; shift 3
    came=$(fetch "$folder/body" "$@" "http://$site$path" | tr '\n' ' ')
    member=$(cut -d ' ' -f 2- <<<"$came" | tr -d ' ')
    local line="$path → ${came%% *}${member:+ by member $member}, ${pattern//\\/}"
    if [ "${came%% *}" = "$status" ] && cat "$folder/head" "$folder/body" | tr -d '\r' | grep -aiE -- "$pattern" >/dev/null; then
        verdict ok "$line"
    else
        verdict wrong "$line: expected $status. It was:"
        { cat "$folder/head"; head -c 600 "$folder/body"; echo; } | sed 's/^/         /'
    fi
}

pages() {
    bold "Pages, scripts and files"
    stop 200 'Answered by pool member' /
    stop 200 '"PATH_INFO":"/echo/show/id/7"' '/index.php/echo/show/id/7?q=1'
    stop 200 '"SCRIPT_NAME":"/index.php"' /echo/show/id/7
    stop 200 '"id":"7"' '/index.php?s=/echo/show/id/7'
    stop 200 '"entry":"admin.php"' /admin.php/user/list
    stop 200 '"SCRIPT_NAME":"/中文/页面.php"' /%E4%B8%AD%E6%96%87/%E9%A1%B5%E9%9D%A2.php
    stop 200 '这是一个静态文件' /%E4%B8%AD%E6%96%87/%E8%AF%B4%E6%98%8E.txt
    stop 200 'content-type: text/css' /style.css
    stop 206 ':root' /style.css --range 0-4
    stop 302 'location: .*/index\.php/json' /redirect
    stop 200 'chunk 3 of 3' '/stream/index/chunks/3/ms/50?unbuffered=1'
    stop 500 'thrown on purpose' /error
    stop 404 'No controller for' /nowhere
}

refusals() {
    bold "What must not be served or run"
    local path body
    for path in /.env /uploads/photo.jpg/a.php /index.php~ /../../README.md; do
        body=$(fetch "$folder/body" "http://$site$path" | sed -n '1s/ .*//p')
        if [[ "$body" == 4* ]] && ! grep -aqE 'made-up-secret|PHOTO RAN|<\?php' "$folder/body"; then
            verdict ok "$path → $body"
        else
            verdict wrong "$path → $body, expected to be refused"
        fi
    done
}

bodies() {
    bold "Bodies, up and down"
    local bytes=5000000 expected up down
    curl --silent --max-time 30 --output "$folder/big" "http://$site/big/$bytes" || true
    down=$(sha256sum "$folder/big" | cut -d ' ' -f 1)
    expected=$(curl --silent --max-time 30 "http://$site/big/digest/bytes/$bytes" | grep -oE '[0-9a-f]{64}' || true)
    up=$(curl --silent --max-time 30 --form "file=@$folder/big" "http://$site/upload" | grep -oE '"size":[0-9]+,"sha256":"[0-9a-f]{64}"' || true)
    verdict "$([ "$down" = "$expected" ] && echo ok)" "/big/$bytes → sha256 ${down:0:16}…"
    verdict "$([ "$up" = "\"size\":$bytes,\"sha256\":\"$expected\"" ] && echo ok)" "the same as a file to /upload → $(cut -c 1-48 <<<"$up")…"
}

sessions() {
    bold "One session, whoever answers"
    local visit
    for visit in 1 2 3; do
        stop 200 "\"visits\":$visit" /session --cookie "$folder/jar" --cookie-jar "$folder/jar"
    done
}

# count_members N: N requests, then "name times" a line.
count_members() {
    local i
    for ((i = 0; i < $1; i++)); do fetch "$folder/body" "http://$site/json" | tr '\n' ' '; echo; done >"$folder/answers"
    awk '{ print ($1 == "200" ? $2 : "status-" $1) }' "$folder/answers" | sort | uniq -c | awk '{ print $2, $1 }'
}

shares() {
    bold "The weights at work: 20 requests over members with weights 2, 1, 1"
    local counts i got want
    counts=$(count_members 20)
    say "  in order: $(awk '{ printf "%s ", $2 }' "$folder/answers")"
    for i in "${!members[@]}"; do
        got=$(awk -v name="${members[$i]}" '$1 == name { print $2 }' <<<"$counts")
        want=$((20 * weights[i] / 4))
        verdict "$([ "${got:-0}" -eq "$want" ] && echo ok)" "member ${members[$i]} answered ${got:-0} of 20"
    done
}

one_lost() {
    bold "Member three is stopped: nobody notices; and it comes back"
    end "${fpms[2]}"
    local counts served=0 i
    counts=$(count_members 12 | tr '\n' ' ')
    verdict "$([[ "$counts" != *status* && "$counts" != *three* ]] && echo ok)" "12 requests without it: $counts"
    start_fpm 2
    for ((i = 0; i < 15 && served == 0; i++)); do
        sleep 1
        [[ "$(count_members 4)" == *three* ]] && served=1
    done
    verdict "$([ "$served" = 1 ] && echo ok)" "started again: it answers after $i s"
}

tour() {
    pages; refusals; bodies; sessions; shares; one_lost
}

invitation() {
    bold "cornac serves on http://$site/ over ${#members[@]} php-fpm pools (config/demo.toml)"
    cat <<TEXT

  Open        http://$site/                       which member answered; reload
              http://$site/index.php/echo/a/b?q=1  all params that php received
              http://$site/stream/index/chunks/10/ms/300?unbuffered=1

  Copy        curl -i http://$site/json
              curl -F file=@README.md http://$site/upload
              for i in 1 2 3 4 5 6 7 8; do curl -si http://$site/json | grep -i member; done

  Stop one    kill ${fpms[2]}     (php-fpm "three"; the others go on)

  Ctrl-C ends everything. Each request from here on:

TEXT
}

prepare
start
tour
if [ "$mode" = check ]; then
    bold "demo-check: $wrong wrong"
    if [ "$wrong" -ne 0 ]; then
        say "--- cornac said:"
        tail -n 60 "$folder/cornac.log"
        exit 1
    fi
    exit 0
fi
invitation
interrupted=0       # from here on Ctrl-C is the way to end it
tail -n 0 -f "$folder/cornac.log" &
logs=$!
wait "$cornac" || { tail -n 20 "$folder/cornac.log" >&2; die "cornac ended by itself; what it said is above"; }
