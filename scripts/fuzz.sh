#!/bin/sh
# Builds the fuzzers of tests/fuzz under the address and undefined-behaviour sanitizers, runs them, and prints how many
# inputs each took. fuzz.sh [--seconds S | --runs N] [NAME...]: 10 seconds of each without it; NAME as in
# tests/fuzz/fuzz_NAME.cpp. An input that fails is kept in build/asan/failures, and shown again by
# build/asan/tests/fuzz/fuzz_NAME FILE. What a run found worth keeping is in build/asan/corpus, for the next.
. "$(dirname "$0")/stages.sh"

limit=-max_total_time=10
case ${1-} in
  --seconds | --runs)
    case ${2-} in
      "" | *[!0-9]*)
        echo "fuzz: expected a number after $1, got '${2-}'" >&2
        exit 2
        ;;
    esac
    if [ "$1" = --runs ]; then limit=-runs=$2; else limit=-max_total_time=$2; fi
    shift 2
    ;;
esac

all=$(for source in tests/fuzz/fuzz_*.cpp; do basename "$source" .cpp | sed 's/^fuzz_//'; done)
names=${*:-$all}
for name in $names; do
  if [ ! -f "tests/fuzz/fuzz_$name.cpp" ]; then
    echo "fuzz: expected names among $(echo $all), got '$name'" >&2
    exit 2
  fi
done

if ! can_fuzz; then
  echo "fuzz: skipped, for there is no clang++ here that links libFuzzer (Debian's clang and libclang-rt-14-dev)"
  exit 0
fi

stage "configure asan" cmake --preset asan
stage "build asan" cmake --build --preset asan --target $(for name in $names; do echo "fuzz_$name"; done)
python3 -B tests/fuzz/seeds.py build/asan/seeds
mkdir -p build/asan/failures
export OMP_NUM_THREADS=1 LIMPID_LOG=off ASAN_OPTIONS=quarantine_size_mb=2:thread_local_quarantine_size_kb=64:malloc_context_size=4

# What runs one fuzzer and prints its line; as many at once as there are cores.
one='
  name=$1 limit=$2 log=build/asan/$1.log corpus=build/asan/corpus/$1 result=clean
  mkdir -p "$corpus"
  build/asan/tests/fuzz/fuzz_$name "$limit" -max_len=768 -entropic=0 -timeout=60 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix=build/asan/failures/$name- "$corpus" build/asan/seeds/$name >"$log" 2>&1 </dev/null ||
    result="FAILED, see $log"
  inputs=$(sed -n "s/^stat::number_of_executed_units: *//p" "$log")
  rate=$(sed -n "s/^stat::average_exec_per_sec: *//p" "$log")
  edges=$(sed -n "s/.* cov: \([0-9]*\) .*/\1/p" "$log" | tail -n 1)
  printf "%-12s %12s %9s %9s  %s\n" "$name" "${inputs:--}" "${rate:--}" "${edges:--}" "$result"
  [ "$result" = clean ] || { grep -m 5 -E "ERROR|SUMMARY|after op|runtime error|#[0-9] " "$log" >&2; exit 1; }
'
printf '%-12s %12s %9s %9s  %s\n' fuzzer inputs "a second" edges result
for name in $names; do echo "$name" "$limit"; done | xargs -n 2 -P "$jobs" sh -c "$one" one
