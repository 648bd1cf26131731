// Borders added to signals, images and volumes.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/nn/module.hpp>
#include <limpid/ops/shaping.hpp>

#include <concepts>
#include <cstddef>

namespace LIMPID_API limpid {
namespace nn {

/// One number for all sides, or (before, after) for the last axis, then for the one before it, as PyTorch's.
template <std::size_t axes>
class PadAmounts {
 public:
  constexpr PadAmounts(int64_t all) {  // NOLINT: ZeroPad2d(1) is meant to work
    for (int64_t& amount : amounts_) amount = all;
  }
  template <std::convertible_to<int64_t>... Numbers>
  requires(sizeof...(Numbers) == 2 * axes) constexpr PadAmounts(Numbers... numbers)
      : amounts_{static_cast<int64_t>(numbers)...} {}
  constexpr const int64_t* data() const noexcept { return amounts_; }

 private:
  int64_t amounts_[2 * axes];
};

/// pad() of x (N, C, *spatial), or (C, *spatial) without a batch, with as many spatial axes as the class says. Arrays
/// of one stand for {1}, as pools have it.
class SpatialPad : public Module {
 public:
  Tensor operator()(const Tensor& x) const;

 protected:
  struct Settings {
    const char* type;
    int64_t axes;
    PadMode mode;
    double value = 0;
  };
  SpatialPad(const Settings& settings, const int64_t* amounts);

 private:
  SpatialPad(const Settings& settings, const Shape& amounts);

  Settings settings_;
  Shape amounts_;
};

/// A value on all sides; amounts below 0 crop.
struct ConstantPad1d : SpatialPad {
  explicit ConstantPad1d(const PadAmounts<1>& padding, double value)
      : SpatialPad({"ConstantPad1d", 1, PadMode::constant, value}, padding.data()) {}
  explicit ConstantPad1d(const int64_t (&padding)[1], double value) : ConstantPad1d(PadAmounts<1>(padding[0]), value) {}
};
struct ConstantPad2d : SpatialPad {
  explicit ConstantPad2d(const PadAmounts<2>& padding, double value)
      : SpatialPad({"ConstantPad2d", 2, PadMode::constant, value}, padding.data()) {}
  explicit ConstantPad2d(const int64_t (&padding)[1], double value) : ConstantPad2d(PadAmounts<2>(padding[0]), value) {}
};
struct ConstantPad3d : SpatialPad {
  explicit ConstantPad3d(const PadAmounts<3>& padding, double value)
      : SpatialPad({"ConstantPad3d", 3, PadMode::constant, value}, padding.data()) {}
  explicit ConstantPad3d(const int64_t (&padding)[1], double value) : ConstantPad3d(PadAmounts<3>(padding[0]), value) {}
};

/// Zeros on all sides; amounts below 0 crop.
struct ZeroPad1d : SpatialPad {
  explicit ZeroPad1d(const PadAmounts<1>& padding) : SpatialPad({"ZeroPad1d", 1, PadMode::constant}, padding.data()) {}
  explicit ZeroPad1d(const int64_t (&padding)[1]) : ZeroPad1d(PadAmounts<1>(padding[0])) {}
};
struct ZeroPad2d : SpatialPad {
  explicit ZeroPad2d(const PadAmounts<2>& padding) : SpatialPad({"ZeroPad2d", 2, PadMode::constant}, padding.data()) {}
  explicit ZeroPad2d(const int64_t (&padding)[1]) : ZeroPad2d(PadAmounts<2>(padding[0])) {}
};
struct ZeroPad3d : SpatialPad {
  explicit ZeroPad3d(const PadAmounts<3>& padding) : SpatialPad({"ZeroPad3d", 3, PadMode::constant}, padding.data()) {}
  explicit ZeroPad3d(const int64_t (&padding)[1]) : ZeroPad3d(PadAmounts<3>(padding[0])) {}
};

/// x mirrored beyond its border, which is not repeated.
struct ReflectionPad1d : SpatialPad {
  explicit ReflectionPad1d(const PadAmounts<1>& padding)
      : SpatialPad({"ReflectionPad1d", 1, PadMode::reflect}, padding.data()) {}
  explicit ReflectionPad1d(const int64_t (&padding)[1]) : ReflectionPad1d(PadAmounts<1>(padding[0])) {}
};
struct ReflectionPad2d : SpatialPad {
  explicit ReflectionPad2d(const PadAmounts<2>& padding)
      : SpatialPad({"ReflectionPad2d", 2, PadMode::reflect}, padding.data()) {}
  explicit ReflectionPad2d(const int64_t (&padding)[1]) : ReflectionPad2d(PadAmounts<2>(padding[0])) {}
};
struct ReflectionPad3d : SpatialPad {
  explicit ReflectionPad3d(const PadAmounts<3>& padding)
      : SpatialPad({"ReflectionPad3d", 3, PadMode::reflect}, padding.data()) {}
  explicit ReflectionPad3d(const int64_t (&padding)[1]) : ReflectionPad3d(PadAmounts<3>(padding[0])) {}
};

/// x's border repeated.
struct ReplicationPad1d : SpatialPad {
  explicit ReplicationPad1d(const PadAmounts<1>& padding)
      : SpatialPad({"ReplicationPad1d", 1, PadMode::replicate}, padding.data()) {}
  explicit ReplicationPad1d(const int64_t (&padding)[1]) : ReplicationPad1d(PadAmounts<1>(padding[0])) {}
};
struct ReplicationPad2d : SpatialPad {
  explicit ReplicationPad2d(const PadAmounts<2>& padding)
      : SpatialPad({"ReplicationPad2d", 2, PadMode::replicate}, padding.data()) {}
  explicit ReplicationPad2d(const int64_t (&padding)[1]) : ReplicationPad2d(PadAmounts<2>(padding[0])) {}
};
struct ReplicationPad3d : SpatialPad {
  explicit ReplicationPad3d(const PadAmounts<3>& padding)
      : SpatialPad({"ReplicationPad3d", 3, PadMode::replicate}, padding.data()) {}
  explicit ReplicationPad3d(const int64_t (&padding)[1]) : ReplicationPad3d(PadAmounts<3>(padding[0])) {}
};

/// What is at the other end of x.
struct CircularPad1d : SpatialPad {
  explicit CircularPad1d(const PadAmounts<1>& padding)
      : SpatialPad({"CircularPad1d", 1, PadMode::circular}, padding.data()) {}
  explicit CircularPad1d(const int64_t (&padding)[1]) : CircularPad1d(PadAmounts<1>(padding[0])) {}
};
struct CircularPad2d : SpatialPad {
  explicit CircularPad2d(const PadAmounts<2>& padding)
      : SpatialPad({"CircularPad2d", 2, PadMode::circular}, padding.data()) {}
  explicit CircularPad2d(const int64_t (&padding)[1]) : CircularPad2d(PadAmounts<2>(padding[0])) {}
};
struct CircularPad3d : SpatialPad {
  explicit CircularPad3d(const PadAmounts<3>& padding)
      : SpatialPad({"CircularPad3d", 3, PadMode::circular}, padding.data()) {}
  explicit CircularPad3d(const int64_t (&padding)[1]) : CircularPad3d(PadAmounts<3>(padding[0])) {}
};

}  // namespace nn
}  // namespace limpid
