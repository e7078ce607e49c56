#!/bin/bash
# lab.sh [PATTERN]: the scenarios swarm-* (or those that the glob picks) at full size, one after the
# other, then the table of what they measured. make lab calls it; BUILD and PEERSYNC say what to run.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
export LAB=full STRETCH=4
out=$(mktemp)
trap 'rm -f "$out"' EXIT
bad=0
count=0
for scenario in "$here"/../scenarios/swarm-${1:-*}; do
    [ -e "$scenario" ] || { echo "lab: no scenario swarm-$1 in tests/scenarios" >&2; exit 2; }
    echo "${scenario##*/}"
    count=$((count + 1))
    "$scenario" 2>&1 | tee -a "$out" || bad=$((bad + 1))
done
cat <<'END'

| what | pulls | T* s | min / median / max s | / T* | WAN copies | LAN copies | first byte s | stall s | failed | late |
|---|---|---|---|---|---|---|---|---|---|---|
END
sed -n 's/^row //p' "$out"
echo "$count scenarios, $bad failed"
[ "$bad" = 0 ]
