#!/bin/bash
# The demo (make demo). One node: real dockerd, containerd and skopeo pull a real image through peersync,
# then a second dockerd does so with the registry switched off. A swarm (swarm.py): six nodes in two
# sites behind thin WANs pull at once. All of it lives in a cell (tests/lib/cell.sh), a network with
# processes and mounts of its own, and goes with it.
#
#   demo.sh         runs it; with KEEP=1 it stays up afterwards
#   demo.sh enter   a shell in the demo that was kept
#   demo.sh stop    ends the demo that was kept
set -euo pipefail
DEMO=$(readlink -f "$0")
HERE=$(dirname "$DEMO")
KEPT=/var/lib/peersync-demo
LIMIT_S=900
LAB=$(dirname "$HERE")/netlab/netlab
KEPT_LIMIT_S=86400

kept_pid() { cat "$KEPT/pid" 2>/dev/null; }
kept_cell() { echo "$KEPT"/peersync-demo.*; }
kept_ready() { [ -e "$(kept_cell)/ready" ]; }
kept_runs() { [ -n "$(kept_pid)" ] && kill -0 "$(kept_pid)" 2>/dev/null; }
kept_stop() {
    if ! kept_runs; then
        rm -rf "$KEPT"
        return 0
    fi
    kill -TERM "$(kept_pid)"
    while kept_runs; do sleep 0.1; done
    rm -rf "$KEPT"
    echo 'The demo is over; nothing of it is left.'
}
# The child of the cell's unshare is its first process.
kept_enter() {
    kept_runs || {
        echo 'No demo runs: make demo KEEP=1' >&2
        exit 1
    }
    local init
    init=$(pgrep -P "$(pgrep -P "$(kept_pid)" -x unshare)")
    cd "$(kept_cell)"
    CELL=$(kept_cell) HOME=$(kept_cell)/home exec nsenter -t "$init" -n -m -p -i --wd="$(kept_cell)" \
        "${@:-bash}"
}
keep() {
    kept_stop
    mkdir -m 700 "$KEPT"
    : >"$KEPT/screen"
    DEMO_KEEP=1 TMPDIR=$KEPT setsid "$HERE/../lib/cell.sh" demo "$KEPT_LIMIT_S" "$DEMO" inside \
        >"$KEPT/screen" 2>&1 </dev/null &
    echo $! >"$KEPT/pid"
    trap 'kept_stop; exit 130' INT TERM
    tail -f --pid="$(kept_pid)" -s 0.2 "$KEPT/screen" &
    local screen=$!
    until kept_ready || ! kept_runs; do sleep 0.2; done
    sleep 0.5 # the last lines come up
    kill "$screen" 2>/dev/null || true
    if ! kept_runs; then
        rm -rf "$KEPT"
        exit 1
    fi
    trap - INT TERM
    cat <<END

It is all still running, in network, mount and PID namespaces of its own. To look around:
  sudo $DEMO enter                       a shell in there, then for example
    $PEERSYNC status
    $PEERSYNC explain demo:v1
    curl -s http://127.0.0.1:5001/metrics | grep body_bytes
    docker -H unix://\$CELL/second/sock images
    ctr -a \$CELL/ctr/sock -n demo images ls
    less \$CELL/peersync.log
    $LAB exec north-1 $PEERSYNC peers     the swarm: north-1 .. 3, south-1 .. 3
    $LAB exec south-2 $PEERSYNC top
    $LAB links                            bytes over the WANs
  sudo $DEMO stop                        ends it and leaves nothing behind
END
}

if [ "${1:-}" != inside ]; then
    if [ "$(id -u)" != 0 ]; then
        echo 'The demo needs root: dockerd and containerd mount file systems. sudo make demo' >&2
        exit 1
    fi
    PEERSYNC=$(readlink -m "${PEERSYNC:-$HERE/../../build/peersync}")
    export PEERSYNC WANEM=${WANEM:-$(dirname "$PEERSYNC")/release/tests/netlab/wanem}
    if [ -t 1 ]; then export DEMO_TTY=1; fi
    case ${1:-run} in
    run)
        if [ -n "${KEEP:-}" ]; then
            keep
            exit 0
        fi
        exec "$HERE/../lib/cell.sh" demo "$LIMIT_S" "$DEMO" inside
        ;;
    enter)
        shift
        kept_enter "$@"
        ;;
    stop) kept_stop ;;
    *)
        sed -n '2,/^set/p' "$DEMO" | sed '$d; s/^# \{0,1\}//' >&2
        exit 2
        ;;
    esac
    exit 0
fi

# ---- in the cell -----------------------------------------------------------------------------
# shellcheck source=tests/lib/lib.sh
. "$HERE/../lib/lib.sh"
IMAGE=library/demo:v1
STEPS=14
step=0
rows=()

title() {
    step=$((step + 1))
    printf '\n[%d/%d] %s\n' $step $STEPS "$*"
}
mib() { awk -v n="$1" 'BEGIN {printf "%.1f MB", n / 1e6}'; }
seconds() { awk -v n="$1" 'BEGIN {printf "%.1f s", n / 1000}'; }
# Bytes that the runtimes got from the hub themselves; 0 when all went through peersync.
past_us() { hub_bytes '^(docker|containerd|skopeo)/'; }

# watch PID BEFORE: one line that grows, on a terminal; the image's bytes that the node has sent.
watch() {
    local total
    total=$(image_get 'i["bytes"]')
    while kill -0 "$1" 2>/dev/null; do
        if [ -n "${DEMO_TTY:-}" ]; then
            printf '\r  %s of %s   ' "$(mib $(($(metric peersync_served_bytes_total) - $2)))" "$(mib "$total")"
        fi
        sleep 0.2
    done
    if [ -n "${DEMO_TTY:-}" ]; then printf '\r%40s\r' ''; fi
}
# pull WHO COMMAND...: runs it with progress and keeps a row of the table.
pull() {
    local who=$1 begun upstream cache past code=0
    shift
    printf '  $ %s\n' "$SHOWN"
    begun=$(now_ms) upstream=$(upstream_bytes) cache=$(cache_bytes) past=$(past_us)
    "$@" &
    local pid=$!
    watch $pid "$(metric peersync_served_bytes_total)"
    wait $pid || code=$?
    [ $code = 0 ] || die "$who could not pull"
    local took=$(($(now_ms) - begun))
    node_settle
    upstream=$(($(upstream_bytes) - upstream)) cache=$(($(cache_bytes) - cache)) past=$(($(past_us) - past))
    [ $past = 0 ] || die "$who took $past bytes past peersync"
    printf '  pulled in %s: %s from upstream, %s from the cache\n' "$(seconds $took)" \
        "$(mib $upstream)" "$(mib $cache)"
    rows+=("$who|$(seconds $took)|$(mib $upstream)|$(mib $cache)")
}
run() { # SHOWN COMMAND...
    printf '  $ %s\n' "$1"
    shift
    "$@" | sed 's/^/  > /'
}
table() {
    printf '\n%-46s %9s %15s %14s\n' 'who pulled' seconds 'from upstream' 'from cache'
    printf '%.0s-' {1..87}
    printf '\n'
    for row in "${rows[@]}"; do
        IFS='|' read -r who took upstream cache <<<"$row"
        printf '%-46s %9s %15s %14s\n' "$who" "$took" "$upstream" "$cache"
    done
}

need_root
echo "peersync demo, in a network of its own that has only loopback (below $CELL, removed at the end)"

title 'the registry: docker-registry answers as registry-1.docker.io, with a test certificate'
hub_start
title 'an image, made of the Debian packages on this machine'
image $IMAGE --layers demo
image_get '"\n".join("  layer %-4s %12s bytes  %s" % ("gzip" if "gzip" in l["mediaType"] else "tar",
    format(l["size"], ","), l["digest"][:19]) for l in i["layers"])'
total=$(image_get 'i["bytes"]')
echo "  $IMAGE: $(mib "$total") in $(image_get 'len(i["layers"])') layers"
[ "$total" -ge 100000000 ] || die 'the image is too small; are docker.io and containerd installed?'

title 'peersync, with this configuration'
mkdir -p /run/peersync/cache "$CELL/cache"
mount --bind "$CELL/cache" /run/peersync/cache
cp "$HERE/config.yaml" "$CELL/config.yaml"
sed 's/^/  | /' "$CELL/config.yaml"
node_start
echo "  $("$PEERSYNC" version | head -1) is ready"

title 'dockerd ("registry-mirrors") pulls and runs it'
docker_start first
SHOWN='docker pull demo:v1' pull 'dockerd, nothing cached yet' docker_pull first demo:v1
run 'docker run --network none demo:v1' docker_run first demo:v1

title 'containerd (hosts.toml) pulls and runs it'
containerd_start
SHOWN='ctr images pull --hosts-dir certs.d docker.io/library/demo:v1' \
    pull containerd ctr_pull demo docker.io/library/demo:v1
run 'ctr run docker.io/library/demo:v1' ctr_run demo docker.io/library/demo:v1

title 'skopeo (path prefix) pulls it'
skopeo_conf
SHOWN='skopeo copy docker://127.0.0.1:5000/docker.io/library/demo:v1 oci:out' \
    pull skopeo skopeo_pull 127.0.0.1:5000/docker.io/library/demo:v1 out --src-tls-verify=false
rm -rf "$CELL/out"

title 'the registry is switched off'
docker_stop first
hub_stop
refuse 'registry-1.docker.io refuses connections' listens 127.0.1.1 443

title 'a second dockerd with an empty store pulls and runs the same image'
docker_start second
SHOWN='docker pull demo:v1' pull 'second dockerd, registry switched off' docker_pull second demo:v1
run 'docker run --network none demo:v1' docker_run second demo:v1

title 'who got what from where'
table

# ---- the swarm -------------------------------------------------------------------------------
swarm() { "$HERE/swarm.py" $((step + 1)) $STEPS; }
swarm_ready() { [ -e "$CELL/swarm-ready" ]; }
if [ -n "${DEMO_KEEP:-}" ]; then
    swarm &
    until swarm_ready || ! kill -0 $! 2>/dev/null; do sleep 0.2; done
    : >"$CELL/ready"
    wait "${PID[peersync]}"
else
    docker_stop second
    node_stop
    swarm
fi
