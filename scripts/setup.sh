#!/bin/sh
# Installs what limpid needs to build, from Debian 12's own packages. Says and does nothing when nothing is missing.
# setup.sh [--all] [PACKAGE...]: these as well. --all: and what only limpid's own checks and benchmarks need, clang-format,
# second compilers, the runtime of fuzzers, locales and Google Benchmark; what lacks its own says so.
# setup.sh --libraries: prints those of the packages that limpid is built against.
set -eu

libraries="
  libxtensor-dev libxsimd-dev xtl-dev libspdlog-dev libdnnl-dev libopenblas-openmp-dev liblapacke-dev zlib1g-dev
  nlohmann-json3-dev libstb-dev libcli11-dev catch2
"
own="
  clang clang-14 libclang-rt-14-dev clang-19 clang-format libomp-dev libbenchmark-dev locales
"
if [ "$*" = --libraries ]; then
  echo $libraries
  exit
fi
if [ "${1-}" = --all ]; then
  shift
else
  own=
fi
packages="
  g++ cmake ninja-build ccache pkg-config git python3
  $libraries
  $own $*
"

fail() {
  echo "setup: $*" >&2
  exit 1
}

command -v apt-get >/dev/null && command -v dpkg-query >/dev/null ||
  fail "expected a Debian system with apt-get; elsewhere install the equivalents of:" $packages

missing=
for package in $packages; do
  status=$(dpkg-query --show --showformat='${db:Status-Abbrev}' "$package" 2>/dev/null) || status=
  case $status in
    ?i*) ;;
    *) missing="$missing $package" ;;
  esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
  root=
elif command -v sudo >/dev/null; then
  root=sudo
else
  fail "expected root or sudo to install:$missing"
fi

echo "setup: installing$missing"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
  $root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 "$@" >"$log" 2>&1 </dev/null || {
    tail -n 20 "$log" >&2
    fail "apt-get $1 failed (its last lines are above); missing:$missing"
  }
}
apt update
apt install --no-install-recommends $missing
