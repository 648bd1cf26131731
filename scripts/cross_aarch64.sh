#!/bin/sh
# Builds limpid and its tests for aarch64 from nothing, runs them under QEMU's user mode, and compares bits with AVX2's.
# cross_aarch64.sh [--install | --full] [ARGUMENT OF CTEST...]
#   --install  only installs the cross compiler, the emulator and what makes the sysroot
#   --full     runs the slowest tests whole: without it they do less where LIMPID_THIN_TESTS is set, as it is here
# build/aarch64 holds all that is made; a second run makes what has changed.
. "$(dirname "$0")/stages.sh"

folder=build/aarch64
sysroot=$folder/sysroot
export LIMPID_THIN_TESTS=1
case ${1-} in
  --full)
    unset LIMPID_THIN_TESTS
    shift
    ;;
esac

scripts/setup.sh g++-12-aarch64-linux-gnu mmdebstrap qemu-user
[ "${1-}" != --install ] || exit 0

# The headers and libraries of Debian's arm64 packages, unpacked from where apt has this machine's own. Their links to
# absolute paths, which would lead out of the sysroot, are made relative.
make_sysroot() {
  rm -rf "$sysroot" && mkdir -p "$folder" || return
  apt-get indextargets --format 'deb $(SITE) $(RELEASE) $(COMPONENT) # $(ORIGIN)' 'Created-By: Packages' |
    sed -n 's/ # Debian$//p' | sort -u >"$folder/debian.list"
  apt-config dump Acquire | grep -E '^Acquire::(https?|Check|Retries)' >"$folder/apt.conf" || true
  mmdebstrap --variant=extract --architectures=arm64 --include="$(echo "$libraries" | tr ' ' ,)" \
    --aptopt="$folder/apt.conf" bookworm "$sysroot" "$folder/debian.list" || return
  find "$sysroot" -type l -lname '/*' ! -path "$sysroot/dev/*" | while read -r link; do
    ln -sfn --relative "$sysroot$(readlink "$link")" "$link"
  done
  echo "$libraries" >"$sysroot/packages"
}

libraries=$(scripts/setup.sh --libraries)
if [ "$libraries" != "$(cat "$sysroot/packages" 2>/dev/null)" ]; then
  stage "unpack Debian's arm64 packages" make_sysroot
fi
build aarch64

# The same results by AVX2 here and by NEON under the emulator.
if grep -qw avx2 /proc/cpuinfo && grep -qw fma /proc/cpuinfo; then
  build release --target limpid_bits
  echo "compare bits with AVX2"
  LIMPID_ISA=avx2 build/release/tests/limpid_bits >"$folder/avx2.bits"
  qemu-aarch64 -L "$sysroot" "$folder/tests/limpid_bits" --against "$folder/avx2.bits" || failed=bits
else
  echo "no AVX2 here: no comparison of bits"
fi

echo "test aarch64${LIMPID_THIN_TESTS:+, the slowest tests thinned (LIMPID_THIN_TESTS; --full runs them whole)}"
log=$folder/ctest.log
if ctest --preset aarch64 --no-label-summary "$@" >"$log" 2>&1 </dev/null; then
  sed -n '/% tests passed/,$p' "$log"
else
  grep -vE '^ *(Start +[0-9]+:|[0-9]+/[0-9]+ Test +#.* Passed )' "$log"
  failed=tests
fi
echo "$(grep -cE 'Test +#.* Passed ' "$log") passed, $(grep -cE 'Test +#.*\*\*\*Skipped' "$log") skipped"
[ -z "${failed-}" ] || exit 1
