# What the scripts beside it share: quiet stages, each one line with its time, its output shown only when it fails.
set -eu
cd "$(dirname "$0")/.."
jobs=$(nproc)
# One test more than there are cores, for some wait.
export CMAKE_BUILD_PARALLEL_LEVEL="$jobs" CTEST_PARALLEL_LEVEL="$((jobs + 1))"

# stage TEXT COMMAND...: runs the command with its output in a log.
stage() {
  text=$1
  shift
  log=$(mktemp)
  started=$(date +%s)
  printf '%s ... ' "$text"
  if "$@" >"$log" 2>&1 </dev/null; then
    echo "$(($(date +%s) - started)) s"
    rm -f "$log"
  else
    echo "failed after $(($(date +%s) - started)) s"
    cat "$log" >&2
    rm -f "$log"
    echo "failed: $*" >&2
    exit 1
  fi
}

# build PRESET [--target TARGET]: build/PRESET, configured and built.
build() {
  preset=$1
  shift
  stage "configure $preset" cmake --preset "$preset"
  stage "build $preset" cmake --build --preset "$preset" "$@"
}

# Whether clang and its runtime of libFuzzer are here.
can_fuzz() {
  echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
    clang++ -x c++ -fsanitize=fuzzer,address - -o /dev/null 2>/dev/null
}
