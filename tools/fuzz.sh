#!/bin/sh
# Runs the fuzz targets side by side for so many seconds each. What they find new is kept in build-fuzz/corpus/, what
# breaks them in build-fuzz/.
#
# usage: fuzz.sh SECONDS [TARGET...]
set -u
cd "$(dirname "$0")/.."

seconds=$1
shift
[ $# -gt 0 ] || set -- wire_fuzz connection_fuzz commands_fuzz filter_fuzz policy_fuzz

running=
for target; do
  corpus=build-fuzz/corpus/$target
  mkdir -p "$corpus"
  seeds=fuzz/corpus/$target
  [ -d "$seeds" ] || seeds=
  "build-fuzz/fuzz/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build-fuzz/$target-" "$corpus" $seeds > "build-fuzz/$target.log" 2>&1 &
  running="$running $target:$!"
done

failed=0
for entry in $running; do
  target=${entry%:*}
  wait "${entry#*:}"
  status=$?
  printf '%s: %s\n' "$target" "$(grep -E '^Done ' "build-fuzz/$target.log" || echo "broke, exit status $status")"
  if [ $status -ne 0 ]; then
    tail -n 60 "build-fuzz/$target.log"
    failed=1
  fi
done
exit $failed
