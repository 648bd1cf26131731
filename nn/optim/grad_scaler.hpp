// Scaled losses, for gradients of half precision.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/nn/optim/optimizer.hpp>

#include <cstdint>

namespace LIMPID_API limpid {
namespace optim {

struct GradScalerOptions {
  double init_scale = 65536, growth_factor = 2, backoff_factor = 0.5;
  int64_t growth_interval = 2000;  ///< steps without an overflow before the scale grows; at least 1
  bool enabled = true;             ///< if not, losses and gradients stay as they are, and step() is the optimiser's
};

/// Keeps gradients of float16 within its range, which ends at 6e-8 below and at 65504 above: the loss is multiplied by
/// a scale, and gradients by its inverse before a step (Micikevicius and others, 2018). The scale falls where a
/// gradient overflowed, whose step is left out, and grows where none has for long. PyTorch's torch.cuda.amp.GradScaler,
/// for models converted by to(float16):
///
///     optim::GradScaler scaler;
///     for (...) {
///       optimizer.zero_grad();
///       const Tensor y = net(x.to(float16)).to(float32);  // a loss in float32, which the scale does not overflow
///       scaler.scale(mse_loss(y, target)).backward();
///       scaler.unscale_(optimizer);                       // only where gradients are looked at, or clipped
///       optim::clip_grad_norm_(net.parameters(), 1.0);
///       if (scaler.step(optimizer)) schedule.step();
///       scaler.update();
///     }
///
/// step() alone loses nothing: gradients of half precision are divided on their way to float32, and stay scaled where
/// they are. unscale_() rounds them in their own dtype, float16's below 6e-5 to fewer digits, those below 6e-8 to
/// zeros; clipping scaled gradients by max_norm * get_scale() avoids it.
///
/// A handle, whose copies share the scale. Calls in another order throw ValueError.
class GradScaler {
 public:
  /// Throws ValueError for options out of range.
  explicit GradScaler(const GradScalerOptions& options = {});
  // Copied rather than moved from: no scaler is ever without state.
  GradScaler(const GradScaler& other) noexcept;
  GradScaler& operator=(const GradScaler& other) noexcept;
  ~GradScaler();

  /// loss times the scale, in float32 where loss is of half precision. Throws DTypeError where it is not floating
  /// point.
  Tensor scale(const Tensor& loss) const;
  /// Divides the gradients of an optimiser by the scale, in place: once between updates, and before step(). All memory
  /// is had before any is changed.
  void unscale_(const Optimizer& optimizer);
  /// The optimiser's step with gradients divided by the scale (those of float32 and float64 in place, unless unscale_()
  /// has done it), and whether it was made: not where one of them is infinite or NaN. Once between updates.
  bool step(Optimizer optimizer);
  /// Ends an iteration: sets the scale for the next by what steps have found since the last.
  void update();
  /// The same with a scale of one's own, from 1.2e-38 to 3.4e38 (the normal numbers of float32).
  void update(double new_scale);

  double get_scale() const noexcept;  ///< 1 where it is not enabled
  bool is_enabled() const noexcept;

  /// "scale", "growth_factor", "backoff_factor", "growth_interval" and "_growth_tracker"; nothing where it is not
  /// enabled.
  TensorMap state_dict() const;
  /// Takes all five, and so the options saved; numbers may be of any dtype that holds them as they are. Throws
  /// ValueError, before anything is changed, where state is not an enabled scaler's. Does nothing where this is not
  /// enabled.
  void load_state_dict(const TensorMap& state);

 private:
  struct State;
  Ref<State> state_;
};

}  // namespace optim
}  // namespace limpid
