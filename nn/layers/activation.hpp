// Activations as layers: limpid's functions of the same names.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/nn/module.hpp>

#include <concepts>
#include <cstddef>

namespace LIMPID_API limpid {
namespace nn {

struct ReLU : Module {
  ReLU() : Module("ReLU") {}
  Tensor operator()(const Tensor& x) const;
};
struct GELU : Module {
  GELU() : Module("GELU") {}
  Tensor operator()(const Tensor& x) const;
};
struct SiLU : Module {
  SiLU() : Module("SiLU") {}
  Tensor operator()(const Tensor& x) const;
};
struct Sigmoid : Module {
  Sigmoid() : Module("Sigmoid") {}
  Tensor operator()(const Tensor& x) const;
};
struct Tanh : Module {
  Tanh() : Module("Tanh") {}
  Tensor operator()(const Tensor& x) const;
};

// An option that stands alone may be given as a number: LeakyReLU(0.2) is LeakyReLU({.negative_slope = 0.2}). A null
// pointer is what {} is taken for, which to a compiler could be a layer to copy as well.

struct LeakyReLUOptions {
  double negative_slope = 0.01;
};
struct LeakyReLU : Module {
  explicit LeakyReLU(const LeakyReLUOptions& options = {});
  template <class Number>
  requires std::convertible_to<Number, double>
  explicit LeakyReLU(Number slope) : LeakyReLU(LeakyReLUOptions{static_cast<double>(slope)}) {}
  explicit LeakyReLU(std::nullptr_t) : LeakyReLU(LeakyReLUOptions{}) {}
  Tensor operator()(const Tensor& x) const;

 private:
  LeakyReLUOptions options_;
};

struct ELUOptions {
  double alpha = 1;
};
struct ELU : Module {
  explicit ELU(const ELUOptions& options = {});
  template <class Number>
  requires std::convertible_to<Number, double>
  explicit ELU(Number alpha) : ELU(ELUOptions{static_cast<double>(alpha)}) {}
  explicit ELU(std::nullptr_t) : ELU(ELUOptions{}) {}
  Tensor operator()(const Tensor& x) const;

 private:
  ELUOptions options_;
};

struct SoftplusOptions {
  double beta = 1;
};
struct Softplus : Module {
  explicit Softplus(const SoftplusOptions& options = {});
  template <class Number>
  requires std::convertible_to<Number, double>
  explicit Softplus(Number beta) : Softplus(SoftplusOptions{static_cast<double>(beta)}) {}
  explicit Softplus(std::nullptr_t) : Softplus(SoftplusOptions{}) {}
  Tensor operator()(const Tensor& x) const;

 private:
  SoftplusOptions options_;
};

struct Softmax : Module {
  explicit Softmax(int64_t axis);
  Tensor operator()(const Tensor& x) const;

 private:
  int64_t axis_;
};
struct LogSoftmax : Module {
  explicit LogSoftmax(int64_t axis);
  Tensor operator()(const Tensor& x) const;

 private:
  int64_t axis_;
};

}  // namespace nn
}  // namespace limpid
