// Borders added to images.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/nn/module.hpp>
#include <limpid/ops/window.hpp>

namespace LIMPID_API limpid {
namespace nn {

/// Mirrors the last two axes beyond the border, which is not repeated.
struct ReflectionPad2d : Module {
  explicit ReflectionPad2d(Spatial padding);
  explicit ReflectionPad2d(const int64_t (&padding)[1]) : ReflectionPad2d(padding[0]) {}  // {1}, as pools have it
  Tensor operator()(const Tensor& x) const;

 private:
  Spatial padding_;
};

}  // namespace nn
}  // namespace limpid
