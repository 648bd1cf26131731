// The MLPs of bench_steps.cpp, written by hand: sizes known to the compiler, no tape, no allocation, products by
// OpenBLAS. It is what a static framework compiles to, the floor for a tape. Compiled with -ffast-math, its tanh is
// looser than limpid's; its derivative of tanh, 1 - y^2, is as loose wherever it is compiled.
#include <cblas.h>

#include <limpid/bench/peer_cases.hpp>
#include <limpid/bench/step_cases.hpp>

#include <cmath>
#include <memory>
#include <random>
#include <utility>

namespace {

using Run = std::function<void()>;
constexpr auto plain = CblasNoTrans, turned = CblasTrans;

// y (batch, out) = x (batch, in) w^T + b, weight and bias in one piece for Adam.
template <int batch, int in, int out>
struct Linear {
  static constexpr int weights = out * in, parameters = weights + out;
  alignas(64) float w[parameters], gradient[parameters], mean[parameters]{}, square[parameters]{};
  alignas(64) float x[batch * in], y[batch * out], dx[batch * in];

  explicit Linear(std::mt19937& random) {
    const float bound = 1 / std::sqrt(static_cast<float>(in));
    std::uniform_real_distribution<float> draw(-bound, bound);
    for (float& each : w) each = draw(random);
  }
  void forward() {
    for (int i = 0; i < batch; ++i)
      for (int j = 0; j < out; ++j) y[i * out + j] = w[weights + j];
    if constexpr (batch == 1)
      cblas_sgemv(CblasRowMajor, plain, out, in, 1, w, in, x, 1, 1, y, 1);
    else
      cblas_sgemm(CblasRowMajor, plain, turned, batch, out, in, 1, x, in, w, in, 1, y, out);
  }
  void backward(const float* dy, bool wants_dx) {
    float* db = gradient + weights;
    for (int j = 0; j < out; ++j) db[j] = 0;
    for (int i = 0; i < batch; ++i)
      for (int j = 0; j < out; ++j) db[j] += dy[i * out + j];
    if constexpr (batch == 1) {
      for (int j = 0; j < out; ++j)
        for (int k = 0; k < in; ++k) gradient[j * in + k] = dy[j] * x[k];
      if (wants_dx) cblas_sgemv(CblasRowMajor, turned, out, in, 1, w, in, dy, 1, 0, dx, 1);
    } else {
      cblas_sgemm(CblasRowMajor, turned, plain, out, in, batch, 1, dy, out, x, in, 0, gradient, in);
      if (wants_dx) cblas_sgemm(CblasRowMajor, plain, plain, batch, in, out, 1, dy, out, w, in, 0, dx, in);
    }
  }
  void adam(float mean_scale, float square_scale) {
    for (int i = 0; i < parameters; ++i) {
      const float g = gradient[i];
      mean[i] = 0.9f * mean[i] + 0.1f * g;
      square[i] = 0.999f * square[i] + 0.001f * g * g;
      w[i] -= 1e-3f * mean[i] * mean_scale / (std::sqrt(square[i] * square_scale) + 1e-8f);
    }
  }
};

template <int batch, int in, int hidden, int out>
struct Mlp {
  std::mt19937 random{1};
  Linear<batch, in, hidden> a{random};
  Linear<batch, hidden, hidden> b{random};
  Linear<batch, hidden, out> c{random};
  float target[batch * out], dy[batch * out];
  float mean_decay = 1, square_decay = 1;

  Mlp() {
    std::normal_distribution<float> draw;
    for (float& each : a.x) each = draw(random);
    for (float& each : target) each = draw(random);
  }
  void forward() {
    a.forward();
    for (int i = 0; i < batch * hidden; ++i) b.x[i] = std::tanh(a.y[i]);
    b.forward();
    for (int i = 0; i < batch * hidden; ++i) c.x[i] = std::tanh(b.y[i]);
    c.forward();
  }
  void step() {
    forward();
    for (int i = 0; i < batch * out; ++i) dy[i] = 2.0f / (batch * out) * (c.y[i] - target[i]);
    c.backward(dy, true);
    for (int i = 0; i < batch * hidden; ++i) c.dx[i] *= 1 - c.x[i] * c.x[i];
    b.backward(c.dx, true);
    for (int i = 0; i < batch * hidden; ++i) b.dx[i] *= 1 - b.x[i] * b.x[i];
    a.backward(b.dx, false);
    mean_decay *= 0.9f, square_decay *= 0.999f;
    const float mean_scale = 1 / (1 - mean_decay), square_scale = 1 / (1 - square_decay);
    a.adam(mean_scale, square_scale), b.adam(mean_scale, square_scale), c.adam(mean_scale, square_scale);
  }
};

}  // namespace

int main(int argc, char** argv) {
  limpid::PeerBench bench(argc, argv);
  openblas_set_num_threads(bench.threads());
  limpid::for_mlps([&]<int... sizes>(const char* name, limpid::Size<sizes>...) {
    bench.add(name, [] {
      const auto net = std::make_shared<Mlp<sizes...>>();
      return std::pair<Run, Run>([net] { net->forward(); }, [net] { net->step(); });
    });
  });
  return bench.result();
}
