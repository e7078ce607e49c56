#!/bin/sh
# run.sh FOLDER NAME SECONDS: fuzzes one parser, starting from its corpus and what earlier runs
# found; prints one line, and the end of the log when something was found.
set -eu
folder=$1 name=$2 seconds=$3
mkdir -p "$folder/corpus/$name" "$folder/found"
dict=tests/fuzz/dict/$name
set -- "$folder/corpus/$name" "tests/fuzz/corpus/$name" -max_total_time="$seconds" -timeout=10 \
    -max_len=4096 -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$folder/found/$name-"
if [ -f "$dict" ]; then
    set -- "$@" -dict="$dict"
fi
if ! "$folder/fuzz_$name" "$@" >"$folder/$name.log" 2>&1; then
    echo "fuzz $name: FOUND, see $folder/found and $folder/$name.log"
    grep -v "^#[0-9]" "$folder/$name.log" | tail -n 40
    exit 1
fi
runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$folder/$name.log")
cover=$(sed -n 's/.*cov: \([0-9]*\).*/\1/p' "$folder/$name.log" | tail -n 1)
echo "fuzz $name: ok, $runs inputs in $seconds s, $cover edges"
