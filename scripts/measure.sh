#!/bin/sh
# Reports what limpid costs: compile time of a user's file, size of the library, time of a clean build.
. "$(dirname "$0")/stages.sh"
scripts/setup.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# timed COMMAND...: its wall time in seconds.
timed() { { LC_ALL=C /usr/bin/env bash -c 'TIMEFORMAT=%2R; time "$@" >/dev/null 2>&1' timed "$@"; } 2>&1; }

build release
cp -L build/release/liblimpid.so "$work/liblimpid.so"
strip "$work/liblimpid.so"

cat >"$work/user.cpp" <<'END'
#include <limpid/limpid.hpp>
int main() {
  limpid::Tensor y = limpid::instance_norm(limpid::randn({4, 3, 64, 64}));
  return y.shape() == limpid::Shape{4, 3, 64, 64} ? 0 : 1;
}
END
compile="g++ -std=c++20 -O2 -Ibuild/release/include -c $work/user.cpp -o $work/user.o"
$compile
echo "a user's file, g++ -O2 (best of 3)   $(for i in 1 2 3; do timed $compile; done | sort -n | head -n 1) s"
echo "liblimpid.so, stripped               $(stat -c %s "$work/liblimpid.so") bytes"

export CCACHE_DISABLE=1
cmake --preset release -B "$work/build" >/dev/null
echo "clean build of library, $jobs jobs       $(timed cmake --build "$work/build" --target limpid) s"
echo "then of tests and examples           $(timed cmake --build "$work/build") s"
