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
struct GELUOptions {
  bool approximate = false;  ///< gelu_tanh() in place of gelu()
};
struct GELU : Module {
  explicit GELU(const GELUOptions& options = {});
  explicit GELU(std::nullptr_t) : GELU(GELUOptions{}) {}  ///< what {} is taken for, see below
  Tensor operator()(const Tensor& x) const;

 private:
  GELUOptions options_;
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

struct ReLU6 : Module {
  ReLU6() : Module("ReLU6") {}
  Tensor operator()(const Tensor& x) const;
};
struct Hardswish : Module {
  Hardswish() : Module("Hardswish") {}
  Tensor operator()(const Tensor& x) const;
};
struct Hardsigmoid : Module {
  Hardsigmoid() : Module("Hardsigmoid") {}
  Tensor operator()(const Tensor& x) const;
};
struct Mish : Module {
  Mish() : Module("Mish") {}
  Tensor operator()(const Tensor& x) const;
};
struct SELU : Module {
  SELU() : Module("SELU") {}
  Tensor operator()(const Tensor& x) const;
};
struct Softsign : Module {
  Softsign() : Module("Softsign") {}
  Tensor operator()(const Tensor& x) const;
};
struct LogSigmoid : Module {
  LogSigmoid() : Module("LogSigmoid") {}
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

struct CELUOptions {
  double alpha = 1;
};
struct CELU : Module {
  explicit CELU(const CELUOptions& options = {});
  template <class Number>
  requires std::convertible_to<Number, double>
  explicit CELU(Number alpha) : CELU(CELUOptions{static_cast<double>(alpha)}) {}
  explicit CELU(std::nullptr_t) : CELU(CELUOptions{}) {}
  Tensor operator()(const Tensor& x) const;

 private:
  CELUOptions options_;
};

struct HardtanhOptions {
  double min_val = -1, max_val = 1;
};
struct Hardtanh : Module {
  explicit Hardtanh(const HardtanhOptions& options = {});
  explicit Hardtanh(double min_val, double max_val) : Hardtanh(HardtanhOptions{min_val, max_val}) {}
  Tensor operator()(const Tensor& x) const;

 private:
  HardtanhOptions options_;
};

struct PReLUOptions {
  int64_t num_parameters = 1;  ///< 1, or as many as x has channels
  double init = 0.25;
};
/// x where x > 0, else weight * x, for a weight that is learned.
struct PReLU : Module {
  explicit PReLU(const PReLUOptions& options = {});
  explicit PReLU(int64_t num_parameters) : PReLU(PReLUOptions{.num_parameters = num_parameters}) {}
  Tensor operator()(const Tensor& x) const;
  Parameter weight;
};

struct GLU : Module {
  explicit GLU(int64_t axis = -1);
  Tensor operator()(const Tensor& x) const;

 private:
  int64_t axis_;
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
