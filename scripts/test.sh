#!/bin/sh
# Builds limpid with its benchmarks and runs its tests, as released, then with a library under the address and
# undefined-behaviour sanitizers (built once for these and the fuzzers, which go first for ten seconds each), then those of
# the tape under the thread sanitizer. --quick leaves out the benchmarks, the fuzzers, the sanitizers and the tests that
# are labelled thorough. The last lines printed are ctest's summary.
. "$(dirname "$0")/stages.sh"

quick=
case ${1-} in
  "") ;;
  --quick) quick=yes ;;
  *)
    echo "test: expected --quick or nothing, got $1" >&2
    exit 2
    ;;
esac

# check PRESET [FOLDER]: builds and runs all tests, or those of one folder of tests/.
check() {
  preset=$1
  folder=${2-}
  build "$preset" ${folder:+--target limpid_test_$folder}
  echo "test $preset${folder:+ $folder}"
  log=build/$preset/ctest.log
  # From a pass, the summary is shown; from a failure, all but the lines of the tests that passed.
  if ctest --preset "$preset" --no-label-summary ${folder:+--tests-regex "^$folder/"} ${quick:+--label-exclude thorough} \
    >"$log" 2>&1 </dev/null; then
    sed -n '/% tests passed/,$p' "$log"
  else
    grep -vE '^ *(Start +[0-9]+:|[0-9]+/[0-9]+ Test +#.* Passed )' "$log"
    exit 1
  fi
}

scripts/setup.sh
check release
if [ -z "$quick" ]; then
  stage "build the benchmarks" cmake --build --preset release --target limpid_benches
  if can_fuzz; then
    scripts/fuzz.sh  # ten seconds of each reader and of the ops
    check asan
    check tsan autograd  # on one OpenMP thread: the sanitizer does not see OpenMP's barriers
  else
    check asan-gcc
    check tsan-gcc autograd
  fi
fi
