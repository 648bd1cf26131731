#!/bin/sh
# Builds limpid and runs its tests, as released and then under the address and undefined-behaviour sanitizers.
# --quick leaves the sanitizers out. The last lines printed are ctest's summary.
. "$(dirname "$0")/stages.sh"

presets="release asan"
case ${1-} in
  "") ;;
  --quick) presets=release ;;
  *)
    echo "test: expected --quick or nothing, got $1" >&2
    exit 2
    ;;
esac

scripts/setup.sh
for preset in $presets; do
  build "$preset"
  echo "test $preset"
  log=build/$preset/ctest.log
  # From a pass, the summary is shown; from a failure, all but the lines of the tests that passed.
  if ctest --preset "$preset" --no-label-summary >"$log" 2>&1 </dev/null; then
    sed -n '/% tests passed/,$p' "$log"
  else
    grep -vE '^ *(Start +[0-9]+:|[0-9]+/[0-9]+ Test +#.* Passed )' "$log"
    exit 1
  fi
done
