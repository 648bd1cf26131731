// Elements left out at random.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/random.hpp>
#include <limpid/nn/module.hpp>

namespace LIMPID_API limpid {
namespace nn {

struct DropoutOptions {
  Generator* generator =
      nullptr;  ///< draws what is left out, and must live as long as the layer; none: the default one
};

/// While training, sets each element to 0 with probability p and scales the others by 1 / (1 - p) (Srivastava et al.,
/// 2014); else gives x itself. Throws ValueError where p is not from 0 to 1.
struct Dropout : Module {
  explicit Dropout(double p = 0.5, const DropoutOptions& options = {});
  Tensor operator()(const Tensor& x) const;

 private:
  double p_;
  DropoutOptions options_;
};

/// The same for whole channels of x (N, C, *spatial), or (C, *spatial) without a batch, with as many spatial axes as
/// the class says (Tompson et al., 2015).
class ChannelDropout : public Module {
 public:
  Tensor operator()(const Tensor& x) const;

 protected:
  ChannelDropout(const char* type, int64_t axes, double p, const DropoutOptions& options);

 private:
  const char* type_;
  int64_t axes_;
  double p_;
  DropoutOptions options_;
};

struct Dropout1d : ChannelDropout {
  explicit Dropout1d(double p = 0.5, const DropoutOptions& options = {}) : ChannelDropout("Dropout1d", 1, p, options) {}
};
struct Dropout2d : ChannelDropout {
  explicit Dropout2d(double p = 0.5, const DropoutOptions& options = {}) : ChannelDropout("Dropout2d", 2, p, options) {}
};
struct Dropout3d : ChannelDropout {
  explicit Dropout3d(double p = 0.5, const DropoutOptions& options = {}) : ChannelDropout("Dropout3d", 3, p, options) {}
};

}  // namespace nn
}  // namespace limpid
