#!/bin/bash
# The first process of a cell (cell.sh): furnishes it and runs the command. It stays as process 1
# so that orphans have a parent; a command that is told to end gets time to show its logs.
set -euo pipefail
ip link set lo up
mkdir -p "$CELL"/{home,tmp,cell}
mount -t tmpfs -o mode=755 tmpfs /run
# A copy-on-write /etc: hosts, certificates and runtime configuration are the cell's own.
mount -t tmpfs -o mode=755 tmpfs "$CELL/cell"
mkdir "$CELL"/cell/{upper,work}
mount -t overlay -o "lowerdir=/etc,upperdir=$CELL/cell/upper,workdir=$CELL/cell/work" overlay /etc
export HOME=$CELL/home TMPDIR=$CELL/tmp DOCKER_CONFIG=$CELL/home/docker
# Skopeo as root keeps what it learns in /var/lib/containers, unless it takes itself for a user.
export _CONTAINERS_ROOTLESS_UID=1
# Python's compiled files would stay in the tree.
export PYTHONDONTWRITEBYTECODE=1
unset http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY all_proxy
unset JOURNAL_STREAM NOTIFY_SOCKET LISTEN_FDS LISTEN_PID MAKEFLAGS MFLAGS
"$@" &
command=$!
trap 'kill -TERM "$command" 2>/dev/null || true' TERM
code=0
wait "$command" || code=$?
# A trapped signal ends the wait early: wait again for the real end.
while kill -0 "$command" 2>/dev/null; do
    code=0
    wait "$command" || code=$?
done
exit "$code"
