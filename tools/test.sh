#!/bin/sh
# The stages of `make test` (under 20 minutes on two cores, builds included) and of `make test-all`, and the time that
# each took. One that fails does not keep the others from running; the exit status tells.
#
# usage: test.sh quick|all
set -u
cd "$(dirname "$0")/.."

cores=$(nproc)
times=
failed=
rooms="wire plane tcp stack device control sim"
began=$(date +%s)

# stage NAME COMMAND...
stage() {
  printf '\n=== %s\n' "$1"
  name=$1
  start=$(date +%s)
  shift
  if "$@"; then result=ok; else result=FAILED failed=1; fi
  times="$times$(printf '%-44s %5d s  %s' "$name" $(($(date +%s) - start)) "$result")
"
  [ $result = ok ]
}

# build PRESET [TARGET...]; a target that does not exist is an error, so that no test can be missing unseen.
build() {
  preset=$1
  shift
  cmake --preset "$preset" > "build-$preset.log" 2>&1 || { cat "build-$preset.log"; return 1; }
  rm "build-$preset.log"
  cmake --build --preset "$preset" -j "$cores" ${1:+--target "$@"}
}

# One more than there are cores: many tests wait for a real kernel's clocks.
run() {
  preset=$1
  shift
  ctest --preset "$preset" -j $((cores + 1)) --no-tests=error "$@"
}

# simulate COUNT: worlds beyond the seeds of sim_tests
simulate() {
  build/adieu-sim --seed 1000001 --seeds "$1" > build/adieu-sim.log && tail -n 1 build/adieu-sim.log && return
  grep -A 20 FAILED build/adieu-sim.log || tail build/adieu-sim.log
  return 1
}

test_programs() { for room in $1; do echo "${room}_tests"; done; }
only() { echo "^($(echo "$1" | tr ' ' '|'))\$"; }

stage "build: release" build release &&
  stage "tests: release" run release

if [ "$1" = quick ]; then
  # Where octets and hostile memory are read, and the simulation, under address and undefined; where threads and shared
  # memory are, under thread. Both over everything: `make test-all`.
  # 2,000 seeds and the two longest stories ran above; here each takes ten times as long.
  export ADIEU_SIM_SEEDS=300 GTEST_FILTER=-Worlds.ReachTheSameVerdicts*:HalfClosed.ThirtyPercentLoss*
  stage "build: address, undefined" build asan $(test_programs "$rooms") &&
    stage "tests: address, undefined" run asan -R "$(only "$rooms")"
  unset ADIEU_SIM_SEEDS GTEST_FILTER
  stage "build: thread" build tsan $(test_programs "plane host") &&
    stage "tests: thread" run tsan -R "$(only "plane host")"
  stage "build: fuzz" build fuzz wire_fuzz connection_fuzz commands_fuzz filter_fuzz policy_fuzz &&
    stage "fuzz: 30 s each" tools/fuzz.sh 30
else
  stage "simulation: 20,000 more seeds" simulate 20000
  for preset in dev clang asan tsan; do
    stage "build: $preset" build $preset &&
      stage "tests: $preset" run $preset
  done
  stage "build and lint: tidy" build tidy
  stage "build: fuzz" build fuzz wire_fuzz connection_fuzz commands_fuzz filter_fuzz policy_fuzz &&
    stage "fuzz: 600 s each" tools/fuzz.sh 600
fi

printf '\n%s%-44s %5d s\n' "$times" "all" $(($(date +%s) - began))
[ -z "$failed" ] && echo "everything passed" || { echo "SOMETHING FAILED, see above"; exit 1; }
