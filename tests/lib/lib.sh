# shellcheck shell=bash disable=SC2034,SC2119,SC2120
# lib.sh: what scenarios with real clients share. Source it first in a scenario:
#
#   #!/bin/bash
#   # What this scenario proves, in a sentence.
#   # test: seconds=90 alone
#   . "$(dirname "$0")/../lib/lib.sh"
#
# It runs itself again in a cell (cell.sh): a loopback network, a writable /etc, processes that all
# die with it. So fixed ports and names are free, and nothing has to be cleaned up by hand. The house:
#
#   registry-1.docker.io:443  nginx with TLS by a test CA (127.0.1.1), in front of  } one docker-registry,
#   registry.test:5050        docker-registry, plain http (127.0.1.2)               } "the hub"
#   127.0.0.1:5000, :5001     peersync under test: registry API and admin
#
# Exit codes: 0 passed, 1 failed, 77 skipped. Every wait is for something observable and bounded.
set -Eeuo pipefail
LIB=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
TESTS=$(dirname "$LIB")
PEERSYNC=${PEERSYNC:-$(readlink -f "$TESTS/..")/build/peersync}
export PEERSYNC

if [ -z "${CELL:-}" ]; then
    seconds=$(sed -n 's/^# test:.*seconds=\([0-9]*\).*/\1/p' "$0" | head -1)
    exec "$LIB/cell.sh" "$(basename "$0")" "${seconds:-60}" "$0" "$@"
fi

HUB=https://registry-1.docker.io
MIRROR=http://127.0.0.1:5000
ADMIN=http://127.0.0.1:5001
PLAIN=http://127.0.1.2:5050

say() { echo "  $*"; }
skip() {
    echo "SKIP: $*"
    exit 77
}
die() {
    WRONG="WRONG: $*"
    exit 1
}
WRONG=
trap 'WRONG="WRONG: line $LINENO: $BASH_COMMAND"' ERR
# The logs of a scenario that failed are its explanation.
show_logs() {
    local code=$?
    if [ "$code" != 0 ] && [ "$code" != 77 ]; then
        for log in "$CELL"/*.log; do
            echo "--- ${log##*/}"
            grep -vE 'unknown to registry|level=info msg="\[core\]' "$log" | tail -n 15 | cut -c1-400 || true
        done
        echo "${WRONG:-WRONG: exit code $code}"
    fi
}
trap show_logs EXIT
trap 'exit 143' TERM

need() { # PROGRAM...
    for program in "$@"; do
        command -v "$program" >/dev/null || skip "$program is not installed"
    done
}
need_root() {
    # In a cell uid 0 may be a mapped user, who may not mount what dockerd mounts.
    [ "$(awk '{print $2; exit}' /proc/self/uid_map)" = 0 ] || skip 'needs root'
}

# expect WHAT COMMAND...: the command must succeed.
expect() {
    local what=$1
    shift
    "$@" || die "$what (failed: $*)"
    say "right: $what"
}
# refuse WHAT COMMAND...: the command must fail.
refuse() {
    local what=$1
    shift
    ! "$@" || die "$what (succeeded: $*)"
    say "right: $what"
}
same() { # WHAT GOT WANTED
    [ "$2" = "$3" ] || die "$1: got '$2', wanted '$3'"
    say "right: $1 ($2)"
}
at_least() { # WHAT GOT LEAST
    [ "$2" -ge "$3" ] || die "$1: got $2, wanted at least $3"
    say "right: $1 ($2 >= $3)"
}
at_most() { # WHAT GOT MOST
    [ "$2" -le "$3" ] || die "$1: got $2, wanted at most $3"
    say "right: $1 ($2 <= $3)"
}
# wait_for SECONDS WHAT COMMAND...: asks again until the command succeeds.
wait_for() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ $SECONDS -lt $end ] || die "waited in vain: $what"
        sleep 0.05
    done
}
now_ms() { date +%s%3N; }

# ---- processes -------------------------------------------------------------------------------
declare -A PID
start() { # NAME COMMAND...: in the background, its output in $CELL/NAME.log
    local name=$1
    shift
    "$@" >>"$CELL/$name.log" 2>&1 </dev/null &
    PID[$name]=$!
}
alive() { kill -0 "${PID[$1]}" 2>/dev/null; }
stop() { # NAME [SIGNAL]: ends it and returns its exit code
    local pid=${PID[$1]:-} code=0
    [ -n "$pid" ] || return 0
    kill "-${2:-TERM}" "$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || code=$?
    unset "PID[$1]"
    return "$code"
}
# ready NAME SECONDS COMMAND...: waits until a started process answers; at once an error when it ended.
ready() {
    local name=$1 end=$((SECONDS + $2))
    shift 2
    until "$@" >/dev/null 2>&1; do
        alive "$name" || die "$name ended at its start"
        [ $SECONDS -lt $end ] || die "$name does not answer"
        sleep 0.05
    done
}
listens() { # HOST PORT
    (exec 3<>"/dev/tcp/$1/$2") 2>/dev/null
}

# ---- the hub ---------------------------------------------------------------------------------
hub_names() {
    echo '127.0.1.1 registry-1.docker.io docker.io index.docker.io auth.docker.io' >>/etc/hosts
    echo '127.0.1.2 registry.test' >>/etc/hosts
}
hub_certificate() {
    local dir=$CELL/hub
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=test CA' \
        -keyout "$dir/ca.key" -out "$dir/ca.pem" 2>/dev/null
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=registry-1.docker.io' \
        -keyout "$dir/hub.key" -out "$dir/hub.csr" 2>/dev/null
    printf 'subjectAltName=DNS:registry-1.docker.io,DNS:docker.io,DNS:index.docker.io,DNS:registry.test\n' \
        >"$dir/names"
    openssl x509 -req -in "$dir/hub.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -CAcreateserial -days 2 \
        -extfile "$dir/names" -out "$dir/hub.pem" 2>/dev/null
    # The cell's /etc is its own: every client in it trusts the test CA.
    cat "$dir/ca.pem" >>/etc/ssl/certs/ca-certificates.crt
}
registry_config() { # FOLDER ADDRESS
    cat <<END
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $1}, delete: {enabled: true}}
http: {addr: $2}
END
}
# Both faces of the hub; one log line per request: face, user agent, method, uri, status, body bytes.
nginx_config() {
    cat <<END
worker_processes 1;
user root;
daemon off;
pid $CELL/hub/nginx.pid;
error_log stderr warn;
events { worker_connections 1024; }
http {
    log_format hub '\$server_addr|\$http_user_agent|\$request_method|\$request_uri|'
                   '\$status|\$body_bytes_sent|\$http_range';
    access_log $CELL/hub/access hub;
    client_max_body_size 0;
    client_body_temp_path $CELL/hub/b; proxy_temp_path $CELL/hub/p; fastcgi_temp_path $CELL/hub/f;
    uwsgi_temp_path $CELL/hub/u; scgi_temp_path $CELL/hub/s;
    proxy_max_temp_file_size 0; proxy_request_buffering off; proxy_http_version 1.1;
    proxy_set_header Host \$http_host; proxy_set_header X-Forwarded-Proto \$scheme;
    keepalive_timeout 30s;
    server {
        listen 127.0.1.1:443 ssl;
        ssl_certificate $CELL/hub/hub.pem; ssl_certificate_key $CELL/hub/hub.key;
        include $CELL/hub/rules.al*;
        location / { proxy_pass http://127.0.1.9:5999; }
    }
    server {
        listen 127.0.1.2:5050;
        include $CELL/hub/rules.al*;
        location / { proxy_pass http://127.0.1.9:5999; }
    }
}
END
}
hub_start() {
    need docker-registry nginx openssl python3 curl
    mkdir -p "$CELL/hub"
    [ -e "$CELL/hub/ca.pem" ] || {
        hub_names
        hub_certificate
        registry_config "$CELL/hub/store" 127.0.1.9:5999 >"$CELL/hub/registry.yml"
        nginx_config >"$CELL/hub/nginx.conf"
        : >"$CELL/hub/access"
    }
    start registry docker-registry serve "$CELL/hub/registry.yml"
    ready registry 20 listens 127.0.1.9 5999
    hub_open
}
# The hub is unreachable (refused) between hub_close and hub_open; docker-registry goes on.
hub_open() {
    start hub nginx -e stderr -c "$CELL/hub/nginx.conf"
    ready hub 10 listens 127.0.1.1 443
}
# Transfers in flight are cut.
hub_close() { stop hub || true; }
# hub_rule URI DIRECTIVES: for peersync only, the hub does this to what the regular expression names
# (on both faces); everybody else is served as before. hub_clear ends all rules.
hub_rule() {
    hub_close
    cat >>"$CELL/hub/rules.all" <<END
location ~ $1 {
    if (\$http_user_agent ~ ^peersync) { $2 }
    proxy_pass http://127.0.1.9:5999;
}
END
    hub_open
}
hub_clear() {
    hub_close
    rm -f "$CELL/hub/rules.all"
    hub_open
}
# A server that takes connections and says nothing, for rules: proxy_pass $SILENT.
SILENT=http://127.0.1.9:5998
silent_start() {
    start silent python3 -c '
import socket, time
s = socket.create_server(("127.0.1.9", 5998), backlog=64)
kept = []
while True:
    kept.append(s.accept())'
    ready silent 10 listens 127.0.1.9 5998
}
hub_stop() {
    hub_close
    stop registry || true
}
# What the hub was asked: lines of its log by user agent and request, both regular expressions.
hub_asked() { # AGENT REQUEST
    awk -F'|' -v agent="$1" -v request="$2" '$2 ~ agent && ($3 " " $4) ~ request' "$CELL/hub/access"
}
hub_count() { hub_asked "$1" "$2" | wc -l; }
hub_bytes() { hub_asked "$1" "${2:-^GET .*/blobs/}" | awk -F'|' '{n += $6} END {print n + 0}'; }
hub_forget() { : >"$CELL/hub/access"; }

# image NAME [ARGUMENT OF make.py...]: pushes one; its JSON is printed and kept for image_get.
image() {
    local name=$1
    shift
    python3 "$TESTS/images/make.py" --to http://127.0.1.9:5999 --name "$name" "$@" >"$CELL/image.json"
}
image_get() { # PYTHON EXPRESSION over the image: image_get 'i["digest"]'
    python3 -c 'import json, sys; i = json.load(open(sys.argv[1])); print(eval(sys.argv[2]))' \
        "$CELL/image.json" "$1"
}

# ---- peersync --------------------------------------------------------------------------------
# node_config [LINE...]: the configuration of the node under test, further lines appended.
node_config() {
    {
        cat <<END
listen: 127.0.0.1:5000
admin: 127.0.0.1:5001
log: {level: debug}
cache: {dir: $CELL/cache, size: 4GiB, min_free: 64MiB}
registries:
  - {host: docker.io, url: "https://registry-1.docker.io"}
  - {host: registry.test, url: "http://registry.test:5050"}
default_registry: docker.io
END
        [ $# = 0 ] || printf '%s\n' "$@"
    } >"$CELL/config.yaml"
}
node_ready() { curl -sf -o /dev/null --max-time 2 "$ADMIN/readyz"; }
node_start() {
    [ -x "$PEERSYNC" ] || die "no program at $PEERSYNC: make it first, or set PEERSYNC"
    [ -e "$CELL/config.yaml" ] || node_config
    start peersync "$PEERSYNC" serve --config "$CELL/config.yaml"
    ready peersync 15 node_ready
}
node_stop() { stop peersync "$@"; }
# metric NAME [LABEL TEXT]: the sum over the lines that match; whole numbers.
metric() {
    curl -sf --max-time 5 "$ADMIN/metrics" | awk -v name="$1" -v labels="${2:-}" '
        index($0, name "{") == 1 || index($0, name " ") == 1 {
            if (labels == "" || index($0, labels)) n += $NF
        } END { printf "%d\n", n }'
}
upstream_bytes() { metric peersync_body_bytes_total 'source="upstream"'; }
upstream_has() { [ "$(upstream_bytes)" -ge "$1" ]; }
cache_bytes() { metric peersync_body_bytes_total 'source="cache"'; }
settled() { [ "$(metric peersync_transfers)" = 0 ]; }
# The node has nothing more to fetch.
node_settle() { wait_for 30 'no transfer is running' settled; }
# What the hub was asked for blobs and manifests by others than the node: 0 when all went through it.
bypassed() { hub_count '^(docker|containerd|skopeo)/' '(GET|HEAD) /v2/.*/(blobs|manifests)/'; }
# Access lines of the node by a regular expression.
node_asked() { grep -E 'event=access' "$CELL/peersync.log" | grep -E "$1" || true; }
status_of() { curl -s -o /dev/null -w '%{http_code}' --max-time 20 "$@"; }

# ---- dockerd ---------------------------------------------------------------------------------
# docker_start NAME: a dockerd with an empty store of its own, mirrored by the node.
docker_start() {
    need_root
    need dockerd docker runc
    local dir=$CELL/$1
    mkdir -p "$dir"
    cat >"$dir/daemon.json" <<END
{"registry-mirrors": ["${2:-$MIRROR}"], "bridge": "none", "iptables": false, "ip6tables": false,
 "ip-forward": false, "ip-masq": false, "userland-proxy": false, "log-driver": "none",
 "cgroup-parent": "${CELL_CGROUP:-/peersync-cell}", "exec-opts": ["native.cgroupdriver=cgroupfs"],
 "max-download-attempts": 2}
END
    # containerd keeps its sockets in /run/containerd: each dockerd gets a /run of its own.
    start "$1" unshare --mount bash -c 'mount -t tmpfs tmpfs /run && exec "$@"' - dockerd \
        --config-file "$dir/daemon.json" --data-root "$dir/root" --exec-root "$dir/exec" \
        --host "unix://$dir/sock" --pidfile "$dir/pid"
    ready "$1" 30 docker_in "$1" version
}
docker_in() { # NAME ARGUMENT...
    local name=$1
    shift
    docker --host "unix://$CELL/$name/sock" "$@"
}
docker_pull() { # NAME IMAGE
    docker_in "$1" pull "$2" >>"$CELL/$1-pull.log" 2>&1
}
docker_run() { # NAME IMAGE: runs its own check and prints what it says
    docker_in "$1" run --rm --network none "$2"
}
docker_stop() { stop "$1" || true; }

# ---- containerd ------------------------------------------------------------------------------
containerd_start() {
    need_root
    need containerd ctr
    local dir=$CELL/ctr
    mkdir -p "$dir" /etc/containerd
    cat >/etc/containerd/config.toml <<END
version = 2
root = "$dir/root"
state = "/run/ctr-state"
[grpc]
  address = "$dir/sock"
[ttrpc]
  address = "$dir/ttrpc"
[plugins."io.containerd.internal.v1.opt"]
  path = "$dir/opt"
[plugins."io.containerd.grpc.v1.cri".registry]
  config_path = "$dir/certs.d"
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "native"
END
    # overlayfs, where the folder is on a file system that can carry it.
    mkdir -p "$dir"/try/{lower,upper,work,merged}
    SNAPSHOTTER=native
    if mount -t overlay -o "lowerdir=$dir/try/lower,upperdir=$dir/try/upper,workdir=$dir/try/work" \
        overlay "$dir/try/merged" 2>/dev/null; then
        umount "$dir/try/merged"
        SNAPSHOTTER=overlayfs
    fi
    hosts_toml docker.io https://registry-1.docker.io
    hosts_toml registry.test http://registry.test:5050
    start containerd containerd --config /etc/containerd/config.toml --log-level warn
    ready containerd 20 ctr_in version
}
hosts_toml() { # HOST SERVER [CAPABILITIES]
    mkdir -p "$CELL/ctr/certs.d/$1"
    cat >"$CELL/ctr/certs.d/$1/hosts.toml" <<END
server = "$2"
[host."$MIRROR"]
  capabilities = ${3:-[\"pull\", \"resolve\"]}
END
}
ctr_in() { ctr --address "$CELL/ctr/sock" "$@"; }
ctr_pull() { # NAMESPACE IMAGE [ARGUMENT...]
    local space=$1 image=$2
    shift 2
    ctr_in --namespace "$space" images pull --hosts-dir "$CELL/ctr/certs.d" --snapshotter "$SNAPSHOTTER" "$@" "$image" \
        >>"$CELL/ctr-pull.log" 2>&1
}
ctr_run() { # NAMESPACE IMAGE
    ctr_in --namespace "$1" run --rm --snapshotter "$SNAPSHOTTER" --runc-binary runc \
        --cgroup "${CELL_CGROUP:-/peersync-cell}/$1" "$2" "check-$1"
}

# ---- skopeo ----------------------------------------------------------------------------------
skopeo_conf() { # MIRROR LOCATION
    cat >"$CELL/registries.conf" <<END
[[registry]]
prefix = "docker.io"
location = "docker.io"
[[registry.mirror]]
location = "${1:-127.0.0.1:5000/docker.io}"
insecure = true
END
}
skopeo_in() { skopeo --insecure-policy --registries-conf "$CELL/registries.conf" --registries.d "$CELL/home" "$@"; }
skopeo_pull() { # REFERENCE OUT [ARGUMENT...]
    local from=$1 to=$2
    shift 2
    skopeo_in copy --quiet "$@" "docker://$from" "oci:$CELL/$to:x" >>"$CELL/skopeo.log" 2>&1
}
