// xsimd, with the same operations on NEON as on AVX2. Included by kernel sources instead of xsimd's own header.
//
// On aarch64 xsimd 8 to 14 divide floats and take their roots by estimates that are refined, as 32-bit ARM has to, and
// round twice in -x * y + z. x86's minimum and maximum are the second operand where either is NaN, or both are zeros.
#pragma once
#include <xsimd/xsimd.hpp>

#if defined(__aarch64__)

namespace xsimd::kernel {

#if XSIMD_VERSION_MAJOR < 14
using without_arch = generic;
#else
using without_arch = common;
#endif
using floats = batch<float, neon64>;
using doubles = batch<double, neon64>;

template <>
inline floats div<neon64>(const floats& x, const floats& y, requires_arch<neon>) noexcept {
  return vdivq_f32(x, y);
}
template <>
inline floats sqrt<neon64>(const floats& x, requires_arch<neon>) noexcept {
  return vsqrtq_f32(x);
}

template <>
inline floats fnma<neon64, float>(const floats& x, const floats& y, const floats& z,
                                  requires_arch<without_arch>) noexcept {
  return vfmsq_f32(z, x, y);
}
template <>
inline doubles fnma<neon64, double>(const doubles& x, const doubles& y, const doubles& z,
                                    requires_arch<without_arch>) noexcept {
  return vfmsq_f64(z, x, y);
}

template <>
inline floats min<neon64>(const floats& x, const floats& y, requires_arch<neon>) noexcept {
  return vbslq_f32(vcltq_f32(x, y), x, y);
}
template <>
inline floats max<neon64>(const floats& x, const floats& y, requires_arch<neon>) noexcept {
  return vbslq_f32(vcgtq_f32(x, y), x, y);
}
template <>
inline doubles min<neon64>(const doubles& x, const doubles& y, requires_arch<neon64>) noexcept {
  return vbslq_f64(vcltq_f64(x, y), x, y);
}
template <>
inline doubles max<neon64>(const doubles& x, const doubles& y, requires_arch<neon64>) noexcept {
  return vbslq_f64(vcgtq_f64(x, y), x, y);
}

}  // namespace xsimd::kernel

#endif

namespace limpid::kernels {
namespace {

/// x y + z, rounded once where the instruction set has it: xsimd 8 rounds twice with AVX-512.
template <class B>
inline B fused(const B& x, const B& y, const B& z) noexcept {
#if defined(__AVX512F__)
  if constexpr (sizeof(B) == 64) {
    if constexpr (sizeof(typename B::value_type) == 4)
      return _mm512_fmadd_ps(x, y, z);
    else
      return _mm512_fmadd_pd(x, y, z);
  }
#endif
  return xsimd::fma(x, y, z);
}

}  // namespace
}  // namespace limpid::kernels
