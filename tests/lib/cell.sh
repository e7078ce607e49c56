#!/bin/bash
# cell.sh NAME SECONDS COMMAND...: runs a command as in a small machine of its own and leaves
# nothing of it.
#
#   processes   a PID namespace: when the command ends or the time is over, all that it started dies
#   network     a net namespace that has only loopback: every port is free, nothing can leave
#   files       mounts of its own: /run empty, /etc a copy that may be written
#   cgroups     CELL_CGROUP names the parent for containers; removed at the end
#
# In the cell: CELL is its folder (on the machine's disk), HOME is below it. TMPDIR says where the
# folder is made. KEEP_CELL=1 keeps the folder. The exit code is the command's, 124 when out of time.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
name=$1
seconds=$2
shift 2

CELL=$(mktemp -d "${TMPDIR:-/tmp}/peersync-$name.XXXXXX")
export CELL CELL_CGROUP=/peersync-cell-$$
root=()
[ "$(id -u)" = 0 ] || root=(--map-root-user --user)
child=
clock=

# The command may show its logs; then process 1 of the cell dies and takes all others along.
end_child() {
    local init
    init=$(pgrep -P "$child") || true
    [ -z "$init" ] || kill -TERM "$init" 2>/dev/null || true
    for _ in {1..50}; do
        kill -0 "$child" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "$child" 2>/dev/null || true
    wait "$child" 2>/dev/null || true
}
leave() {
    trap '' INT TERM EXIT
    [ -z "$clock" ] || kill "$clock" 2>/dev/null || true
    [ -z "$child" ] || end_child
    for controller in /sys/fs/cgroup/*"$CELL_CGROUP" /sys/fs/cgroup"$CELL_CGROUP"; do
        if [ -d "$controller" ]; then
            find "$controller" -depth -type d -exec rmdir {} + 2>/dev/null || true
        fi
    done
    if [ -z "${KEEP_CELL:-}" ]; then
        # The last mounts go with the last process, a moment after it was killed.
        for _ in {1..20}; do
            rm -rf "$CELL" 2>/dev/null && break
            sleep 0.1
        done
    fi
}
trap leave EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

unshare "${root[@]}" --net --mount --pid --ipc --fork --kill-child --mount-proc --propagation private \
    "$here/cell-init.sh" "$@" </dev/null &
child=$!
sleep "$seconds" >/dev/null 2>&1 &
clock=$!
code=0
wait -n -p ended "$child" "$clock" || code=$?
if [ "$ended" = "$clock" ]; then
    clock=
    echo "WRONG: more than $seconds s"
    exit 124
fi
child=
exit "$code"
