// Transposed convolutions against plain loops in double, and as the adjoints of convolutions.
#include <limpid/autograd/backward.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/ops/shaping.hpp>

#include <limpid/tests/ops/window/plain_convolution.hpp>

namespace test_transposed {

using namespace limpid;
using namespace plain;

// The places that a transposed convolution adds x to, one by one.
struct TransposeCase {
  int64_t n, c;
  Shape size;
  int64_t o;
  Shape kernel;
  ConvTransposeOptions options;

  Shape x() const { return joined({n, c}, size); }
  Shape weight() const { return joined({c, o / options.groups}, kernel); }
};

const TransposeCase transposes[] = {
    {2, 3, {7}, 4, {3}, {.stride = 2, .padding = 1, .output_padding = 1}},
    {2, 4, {5}, 6, {2}, {.stride = 3, .groups = 2}},  // places that nothing is added to
    {1, 3, {6}, 2, {3}, {.stride = 2, .padding = 2, .dilation = 3}},
    {1, 3, {6}, 2, {3}, {.stride = 2, .output_padding = 2, .dilation = 4}},  // more at the end than a stride
    {1, 3, {6}, 2, {3}, {.stride = 3, .padding = 4, .output_padding = 3, .dilation = 4}},
    {2, 3, {4, 5}, 4, {3, 3}, {.stride = 2, .padding = 1}},
    {2, 8, {7, 7}, 16, {2, 2}, {.stride = 2}},
    {2, 6, {5, 4}, 9, {3, 2}, {.stride = {1, 3}, .padding = {0, 1}, .groups = 3, .dilation = {2, 1}}},
    {2, 5, {6, 5}, 5, {3, 3}, {.stride = 2, .padding = 1, .output_padding = 1, .groups = 5}},
    {1, 2, {3, 4}, 3, {2, 2}, {.stride = {3, 1}, .output_padding = {2, 1}, .dilation = {1, 2}}},
    {1, 16, {1, 1}, 8, {4, 4}, {}},
    {1, 3, {2, 3, 4}, 2, {3, 2, 2}, {.stride = {1, 2, 3}, .padding = {1, 0, 0}, .output_padding = {0, 1, 2}}},
    {2, 4, {3, 3, 2}, 6, {2, 2, 2}, {.stride = 2, .groups = 2}},
};

Tensor conv_transpose(const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvTransposeOptions& options) {
  return (x.dim() == 3   ? conv_transpose1d
          : x.dim() == 4 ? conv_transpose2d
                         : conv_transpose3d)(x, weight, bias, options);
}

std::vector<double> plain_transpose(const TransposeCase& k, const Tensor& x, const Tensor& weight, const Tensor& bias,
                                    const Shape& ys) {
  const auto vx = values(x), vw = values(weight), vb = values(bias);
  const int64_t rank = k.size.dim(), in = k.c / k.options.groups, out = k.o / k.options.groups;
  const Numbers size(k.size), kernel(k.kernel), y_size(Shape(ys.begin() + 2, ys.end())),
      stride(k.options.stride, rank, 1), dilation(k.options.dilation, rank, 1), padding(k.options.padding, rank, 0);
  std::vector<double> y(static_cast<std::size_t>(ys.numel()));
  for (int64_t n = 0; n < k.n; ++n)
    for (int64_t o = 0; o < k.o; ++o) {
      for (int64_t p = 0; p < y_size.count(); ++p)
        y[static_cast<std::size_t>((n * k.o + o) * y_size.count() + p)] = vb[static_cast<std::size_t>(o)];
      for (int64_t c = o / out * in; c < (o / out + 1) * in; ++c)
        for (int64_t i = 0; i < size.count(); ++i)
          for (int64_t t = 0; t < kernel.count(); ++t) {
            const auto from = size.place(i), tap = kernel.place(t);
            int64_t at = n * k.o + o;
            bool inside = true;
            for (std::size_t a = 0; a < 3; ++a) {
              const int64_t p = from[a] * stride.of[a] - padding.of[a] + tap[a] * dilation.of[a];
              inside = inside && p >= 0 && p < y_size.of[a];
              at = at * y_size.of[a] + p;
            }
            if (inside)
              y[static_cast<std::size_t>(at)] += vx[static_cast<std::size_t>((n * k.c + c) * size.count() + i)] *
                                                 vw[static_cast<std::size_t>((c * out + o % out) * kernel.count() + t)];
          }
    }
  return y;
}

TEST_CASE("values of transposed convolutions, in either format and dtype") {
  for (DType dtype : {float32, float64})
    for (const TransposeCase& k : transposes)
      for (MemoryFormat format : formats) {
        const Tensor x = noise(k.x(), dtype, format), weight = noise(k.weight(), dtype), bias = noise({k.o}, dtype);
        CAPTURE(k.x(), k.weight(), dtype, x.strides());
        const Tensor y = conv_transpose(x, weight, bias, k.options);
        const auto& o = k.options;
        for (int64_t a = 0; a < k.size.dim(); ++a)
          CHECK(y.size(a + 2) == (x.size(a + 2) - 1) * o.stride[a] - 2 * o.padding[a] +
                                     o.dilation[a] * (weight.size(a + 2) - 1) + o.output_padding[a] + 1);
        CHECK(y.is_contiguous(x.memory_format()));
        const double scale = 2 * static_cast<double>(k.c * k.kernel.numel() + 4) * (1 + largest(x, weight));
        CHECK(error(y, plain_transpose(k, x, weight, bias, y.shape()), scale) <= 1);
      }
}

TEST_CASE("gradients of transposed convolutions are its adjoints, and those of float32 like those of float64") {
  for (const TransposeCase& k : transposes)
    for (MemoryFormat format : formats) {
      CAPTURE(k.x(), k.weight());
      const auto gradients = [&](const Tensors& at) {
        Tensors xs;
        for (std::size_t i = 0; i < 3; ++i) xs.push_back(at[i].detach().set_requires_grad());
        Tensor y = conv_transpose(xs[0], xs[1], xs[2], k.options);
        Tensors all = grad({y}, xs, {at[3]});
        all.push_back(y.detach());
        return all;
      };
      Tensors narrow{noise(k.x(), float32, format), noise(k.weight(), float32), noise({k.o}, float32)}, wide;
      narrow.push_back(noise(conv_transpose(narrow[0], narrow[1], narrow[2], k.options).shape(), float32, format));
      for (const Tensor& x : narrow) wide.push_back(detail::as_dtype(x, float64));
      const Tensors dx = gradients(narrow), exact = gradients(wide);
      for (std::size_t i = 0; i < dx.size(); ++i) CHECK(error(dx[i], values(exact[i]), 4e4) <= 1);
      const double form = plain::dot(exact[3], wide[3]) - plain::dot(wide[2], exact[2]);
      CHECK(plain::dot(wide[0], exact[0]) == Approx(form));
      CHECK(plain::dot(wide[1], exact[1]) == Approx(form));
      check_threads([&] { return gradients(narrow); });
    }
}

TEST_CASE("transposed convolutions of hand-made numbers") {
  // By PyTorch: stride and dilation both, and a kernel shorter than the stride.
  const Tensor x = tensor({1, 2, 3}, float64), ones1 = ones({1, 1, 2}, float64);
  CHECK(equal(conv_transpose1d(reshape(x, {1, 1, 3}), ones1, {}, {.stride = 3, .dilation = 2}),
              reshape(tensor({1, 0, 1, 2, 0, 2, 3, 0, 3}, float64), {1, 1, 9})));
  CHECK(equal(conv_transpose1d(reshape(x, {1, 3}), ones1, {}, {.stride = 4}),
              reshape(tensor({1, 1, 0, 0, 2, 2, 0, 0, 3, 3}, float64), {1, 10})));
  // What output_padding adds stands at the end alone: 0, or the bias.
  CHECK(equal(conv_transpose1d(reshape(x, {1, 3}), ones1, tensor({5}, float64), {.stride = 2, .output_padding = 1}),
              reshape(tensor({6, 6, 7, 7, 8, 8, 5}, float64), {1, 7})));
  // Groups: weight (in, out / groups, k), and the channels of a group one after the other.
  const Tensor channels = reshape(arange(1, 5, 1, float64), {1, 4, 1}),
               weight = reshape(arange(1, 9, 1, float64), {4, 2, 1});
  CHECK(equal(conv_transpose1d(channels, weight, {}, {.groups = 2}),
              reshape(tensor({1 * 1 + 2 * 3, 1 * 2 + 2 * 4, 3 * 5 + 4 * 7, 3 * 6 + 4 * 8}, float64), {1, 4, 1})));
}

TEST_CASE("transposed convolutions say what does not fit") {
  const auto conv = [](const Shape& x, const Shape& weight, const ConvTransposeOptions& options = {}) {
    return [=] { conv_transpose2d(zeros(x), zeros(weight), {}, options); };
  };
  CHECK(thrown<ShapeError>(conv({8, 8}, {3, 4, 3, 3})) ==
        "conv_transpose2d: expected x of shape (N, C, H, W) or (C, H, W), got (8, 8)");
  CHECK(thrown<ShapeError>(conv({1, 3, 8, 8}, {3, 4, 3})) ==
        "conv_transpose2d: expected weight of shape (C, O / groups, KH, KW), got (3, 4, 3)");
  CHECK(thrown<ShapeError>(conv({1, 3, 8, 8}, {4, 3, 3, 3})) ==
        "conv_transpose2d: expected x of shape (N, 4, H, W) for weight of shape (4, 3, 3, 3) and groups = 1, got "
        "(1, 3, 8, 8)");
  CHECK(thrown<ValueError>(conv({1, 3, 8, 8}, {3, 4, 3, 3}, {.groups = 4})) ==
        "conv_transpose2d: expected groups from 1 to the number of input channels, got weight of shape (3, 4, 3, 3) "
        "and groups = 4");
  CHECK(thrown<ShapeError>(conv({1, 3, 8, 8}, {3, 4, 3, 3}, {.groups = 2})) ==
        "conv_transpose2d: expected input channels divisible by groups, got weight of shape (3, 4, 3, 3) and groups = "
        "2");
  CHECK(thrown<ValueError>(conv({1, 3, 8, 8}, {3, 4, 3, 3}, {.stride = 2, .output_padding = {1, 2}})) ==
        "conv_transpose2d: expected output_padding below stride or dilation, got output_padding = (1, 2), stride = "
        "(2, 2) and dilation = (1, 1)");
  CHECK(thrown<ShapeError>(conv({1, 3, 1, 8}, {3, 4, 3, 3}, {.padding = {2, 0}})) ==
        "conv_transpose2d: expected a result of at least one element along each axis, got x of shape (1, 3, 1, 8), "
        "weight of shape (3, 4, 3, 3), stride = (1, 1), padding = (2, 0) and dilation = (1, 1)");
  CHECK(thrown<ShapeError>(conv({1, 3, 0, 8}, {3, 4, 3, 3})).find("at least one element") != std::string::npos);
  CHECK(thrown<ValueError>(conv({1, 3, 8, 8}, {3, 4, 3, 3}, {.output_padding = -1})) ==
        "conv_transpose2d: expected output_padding of at least 0 and below 2^31, got (-1, -1)");
  CHECK(thrown<ShapeError>([] {
          conv_transpose1d(zeros({1, 2, 8}), zeros({2, 3, 3}), zeros({2}), {.groups = 2});
        }) == "conv_transpose1d: expected bias of shape (6,), got (2,)");
  CHECK(thrown<ValueError>([] {
          conv_transpose1d(Tensor(), zeros({2, 3, 3}));
        }) == "conv_transpose1d: expected a defined x, got an undefined tensor");
  CHECK(thrown<DTypeError>([] {
          conv_transpose3d(zeros({1, 1, 1, 1, 1}, int64), zeros({1, 1, 1, 1, 1}));
        }) == "conv_transpose3d: expected x of a floating-point dtype, got int64; convert with to()");
}

}  // namespace test_transposed
