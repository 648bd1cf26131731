#!/bin/sh
# Builds limpid and all its tests with other versions of what it is built on than Debian's, and runs the tests:
#     scripts/try_versions.sh NAME=DIR...
# DIR holds the sources of catch2, xtl, xtensor, xsimd or onednn, as their projects publish them. What is not named is
# Debian's. Everything is made in build/versions; limpid with the flags of a release, so that the compiler cache has what
# the other versions do not touch. TESTS in the environment is a regular expression of the tests to run (all but the checks
# of the repository, unless it says so).
. "$(dirname "$0")/stages.sh"

work=$PWD/build/versions
usage() {
  echo "try_versions: expected catch2=DIR, xtl=DIR, xtensor=DIR, xsimd=DIR or onednn=DIR, got ${1:-nothing}" >&2
  exit 2
}

# The options by which each becomes quick to build; all but catch2 and onednn are headers alone.
options() {
  case $1 in
    catch2) echo "-DCATCH_INSTALL_DOCS=OFF -DCATCH_INSTALL_EXTRAS=ON" ;;
    onednn)
      echo "-DDNNL_BUILD_TESTS=OFF -DDNNL_BUILD_EXAMPLES=OFF -DDNNL_BUILD_DOC=OFF -DONEDNN_BUILD_GRAPH=OFF
        -DDNNL_ENABLE_PRIMITIVE=CONVOLUTION;INNER_PRODUCT;MATMUL;POOLING;REORDER" ;;
    *) ;;
  esac
}

[ $# -gt 0 ] || usage
for given in "$@"; do
  case $given in
    catch2=?* | xtl=?* | xtensor=?* | xsimd=?* | onednn=?*) ;;
    *) usage "$given" ;;
  esac
  [ -f "${given#*=}/CMakeLists.txt" ] || usage "$given, where no CMakeLists.txt is"
done

# One prefix per choice, so that nothing is left of another; what is found is printed below.
rm -rf "$work/prefix"
for name in catch2 xtl xsimd xtensor onednn; do  # xtensor asks for the two before it
  for given in "$@"; do
    [ "${given%%=*}" = "$name" ] || continue
    stage "configure $name" cmake -S "${given#*=}" -B "$work/$name" -G Ninja -DCMAKE_BUILD_TYPE=Release \
      -DCMAKE_INSTALL_PREFIX="$work/prefix" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_CXX_FLAGS_RELEASE=-O1 \
      -DCMAKE_CXX_COMPILER_LAUNCHER=ccache -DCMAKE_C_COMPILER_LAUNCHER=ccache $(options "$name")
    stage "build $name" cmake --build "$work/$name" --target install
  done
done

rm -rf "$work/limpid"  # what CMake found before
stage "configure limpid" cmake --preset release -B "$work/limpid" -DCMAKE_PREFIX_PATH="$work/prefix"
grep -E '^(Catch2|xtl|xtensor|xsimd)_DIR|^onednn_INCLUDE_DIR' "$work/limpid/CMakeCache.txt"
stage "build limpid and its tests" cmake --build "$work/limpid"
ctest --test-dir "$work/limpid" --no-label-summary --output-on-failure --progress \
  --tests-regex "${TESTS:-^(core|autograd|ops|norm|kernels|nn|examples)/}" </dev/null
