// Initial values. Each fills x in place, unrecorded; those that are random draw from the default generator or the one
// given. Throws ValueError, before anything is drawn, where elements of x share a place (an expanded tensor), or x's
// dtype does not hold what may be drawn: normal draws go as far as 6.67 standard deviations, of float64 9.42.
#pragma once
#include <limpid/core/export.hpp>
#include <limpid/core/random.hpp>

namespace LIMPID_API limpid {
namespace nn {
namespace init {

void constant_(const Tensor& x, Scalar value);
inline void zeros_(const Tensor& x) { constant_(x, 0); }
inline void ones_(const Tensor& x) { constant_(x, 1); }
/// In [low, high): rounding to x's dtype does not reach high.
void uniform_(const Tensor& x, double low = 0, double high = 1, Generator& generator = default_generator());
void normal_(const Tensor& x, double mean = 0, double stddev = 1, Generator& generator = default_generator());

struct Fans {
  int64_t in, out;
};
/// How many inputs reach an output of a weight (out, in, *kernel), and how many outputs an input.
/// Throws ShapeError below rank 2.
Fans fans(const Tensor& weight);

enum class Fan { in, out };
struct KaimingOptions {
  double a = 0;       ///< slope of the leaky ReLU that follows; 0 for a ReLU
  Fan fan = Fan::in;  ///< which to keep the variance of: activations (in) or gradients (out)
};
/// Standard deviation sqrt(2 / (1 + a^2) / fan) (He, Zhang, Ren, Sun, 2015).
void kaiming_uniform_(const Tensor& weight, const KaimingOptions& options = {},
                      Generator& generator = default_generator());
void kaiming_normal_(const Tensor& weight, const KaimingOptions& options = {},
                     Generator& generator = default_generator());
/// Standard deviation gain * sqrt(2 / (in + out)) (Glorot and Bengio, 2010).
void xavier_uniform_(const Tensor& weight, double gain = 1, Generator& generator = default_generator());
void xavier_normal_(const Tensor& weight, double gain = 1, Generator& generator = default_generator());
/// Orthonormal rows or columns, whichever are fewer, of weight (out, in * kernel), times gain (Saxe, McClelland,
/// Ganguli, 2014).
void orthogonal_(const Tensor& weight, double gain = 1, Generator& generator = default_generator());

}  // namespace init
}  // namespace nn
}  // namespace limpid
