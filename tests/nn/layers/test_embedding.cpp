// Padding and given weights of an Embedding; Bilinear.
#include <limpid/limpid.hpp>

#include <cmath>
#include <sstream>

#include <limpid/tests/ops/plain.hpp>

namespace test_embedding {

using namespace limpid;
using plain::thrown;
using plain::values;

TEST_CASE("the padding of an Embedding begins as zeros, is read as it stands and learns nothing") {
  for (const int64_t padding : {int64_t{1}, int64_t{-3}}) {  // the same row
    nn::Embedding embedding(4, 2, {.padding_idx = padding});
    CHECK(values(select(embedding.weight.detach(), 0, 1)) == std::vector<double>{0, 0});
    {
      const NoGradGuard guard;
      select(embedding.weight, 0, 1).fill_(7);
    }
    const Tensor index = tensor({1, 2, 1, 0, 2}, int64), y = embedding(index);
    CHECK(values(select(y.detach(), 0, 2)) == std::vector<double>{7, 7});
    sum(y).backward();
    CHECK(values(embedding.weight.grad()) == std::vector<double>{1, 1, 0, 0, 2, 2, 0, 0});
    // The row by its number from the end.
    embedding.zero_grad();
    sum(embedding(tensor({-3, -2}, int64))).backward();
    CHECK(values(embedding.weight.grad()) == std::vector<double>{0, 0, 0, 0, 1, 1, 0, 0});
  }
  nn::Embedding last(4, 2, {.padding_idx = -1});
  CHECK(values(select(last.weight.detach(), 0, 3)) == std::vector<double>{0, 0});
  std::ostringstream text;
  text << last;
  CHECK(text.str() == "Embedding(4, 2, padding_idx = -1)");
  // The second derivative does not see it either.
  const Tensor d = grad({sum(square(last(tensor({3, 0}, int64))))}, {last.weight}, {}, {.create_graph = true})[0];
  const Tensor second = grad({sum(d)}, {last.weight})[0];
  CHECK(values(second) == std::vector<double>{2, 2, 0, 0, 0, 0, 0, 0});
}

TEST_CASE("an Embedding of a given weight shares it, frozen or not, and leaves the padding as it is") {
  Tensor weight = tensor({1, 2, 3, 4}).reshape({2, 2}).clone();
  const nn::Embedding frozen = nn::Embedding::from_pretrained(weight);
  CHECK_FALSE(frozen.weight.requires_grad());
  CHECK(frozen.weight.shares_storage_with(weight));
  CHECK_FALSE(weight.requires_grad());
  const nn::Embedding learned = nn::Embedding::from_pretrained(weight, {.freeze = false, .padding_idx = -1});
  const Tensor y = learned(tensor({0, 1}, int32));
  CHECK(values(y.detach()) == std::vector<double>{1, 2, 3, 4});
  sum(y).backward();
  CHECK(values(learned.weight.grad()) == std::vector<double>{1, 1, 0, 0});
}

TEST_CASE("an Embedding says what it was given wrong") {
  CHECK(thrown<ValueError>([] { nn::Embedding(3, 2, {.padding_idx = 3}); }) ==
        "Embedding: expected padding_idx in [-3, 3), got 3");
  CHECK(thrown<ValueError>([] { nn::Embedding(3, 2, {.padding_idx = -4}); }) ==
        "Embedding: expected padding_idx in [-3, 3), got -4");
  CHECK(thrown<ValueError>([] {
          nn::Embedding::from_pretrained(zeros({3, 2}), {.padding_idx = 5});
        }) == "Embedding: expected padding_idx in [-3, 3), got 5");
  CHECK(thrown<ShapeError>([] { nn::Embedding::from_pretrained(zeros({3})); }) ==
        "Embedding: expected weight of shape (count, size), got (3,)");
  CHECK(thrown<DTypeError>([] {
          nn::Embedding::from_pretrained(zeros({3, 2}, int64));
        }) == "Embedding: expected weight of a floating-point dtype, got int64");
  CHECK(thrown<ValueError>([] { nn::Embedding::from_pretrained(Tensor()); }) ==
        "Embedding: expected a defined weight, got an undefined tensor");
}

TEST_CASE("Bilinear is the sum over pairs of features") {
  manual_seed(1);
  nn::Bilinear layer(3, 4, 2);
  layer.to(float64);
  const double most = max(abs(layer.weight.detach())).item<double>();
  CHECK(most <= 1 / std::sqrt(3.0));
  CHECK(most > 0.3);
  const Tensor x1 = randn({5, 2, 3}, float64), x2 = randn({5, 2, 4}, float64);
  const Tensor expected =
      stack(Tensors{sum(matmul(x1, select(layer.weight.detach(), 0, 0)) * x2, -1) + select(layer.bias.detach(), 0, 0),
                    sum(matmul(x1, select(layer.weight.detach(), 0, 1)) * x2, -1) + select(layer.bias.detach(), 0, 1)},
            2);
  CHECK(allclose(layer(x1, x2).detach(), expected, 1e-12, 1e-13));
  CHECK(layer(randn({3}, float64), randn({4}, float64)).shape() == Shape{2});
  CHECK(layer(zeros({0, 3}, float64), zeros({0, 4}, float64)).shape() == Shape{0, 2});
  CHECK(gradgradcheck([&](const Tensors& x) { return Tensors{layer(x[0], x[1])}; }, {x1, x2}));
  CHECK_FALSE(nn::Bilinear(3, 4, 2, {.bias = false}).bias.defined());
  std::ostringstream text;
  text << layer;
  CHECK(text.str() == "Bilinear(3, 4, 2)");
  CHECK(thrown<ShapeError>([&] { layer(x2, x2); }) == "Bilinear: expected x1 of shape (..., 3), got (5, 2, 4)");
  CHECK(thrown<ShapeError>([&] { layer(x1, x1); }) ==
        "Bilinear: expected x2 of shape (5, 2, 4) beside x1 of shape (5, 2, 3), got (5, 2, 3)");
  CHECK(thrown<ValueError>([] { nn::Bilinear(0, 4, 2); }) == "Bilinear: expected in1 features in [1, inf), got 0");
  CHECK(thrown<DTypeError>([&] { layer(x1, x2.to(float32)); }) ==
        "Bilinear: expected x1 and x2 of one dtype, got float64 and float32; convert with to()");
  // Half precision is rounded once: not between the products, of which the first is beyond float16.
  for (const DType dtype : {float16, bfloat16}) {
    INFO(dtype);
    nn::Bilinear low(3, 4, 2);
    {
      const NoGradGuard guard;
      low.weight.mul_(1000);
    }
    low.to(dtype);
    nn::Bilinear high = nn::clone(low);
    high.to(float32);
    const Tensor large = full({5, 3}, 1000, dtype), small = (1e-3 * randn({5, 4})).to(dtype);
    CHECK(equal(low(large, small).detach(), high(large.to(float32), small.to(float32)).detach().to(dtype)));
  }
  CHECK(thrown<ValueError>([&] { layer(Tensor(), x2); }) == "Bilinear: expected a defined x1, got an undefined tensor");
  CHECK(thrown<ValueError>([&] { layer(x1, Tensor()); }) == "Bilinear: expected a defined x2, got an undefined tensor");
  CHECK(thrown<ValueError>([] { nn::Embedding(3, 4)(Tensor()); }) ==
        "Embedding: expected a defined index, got an undefined tensor");
  nn::Dropout dropout(0.5);
  for (const bool training : {true, false}) {
    dropout.train(training);
    CHECK(thrown<ValueError>([&] { dropout(Tensor()); }) == "Dropout: expected a defined x, got an undefined tensor");
  }
  CHECK(thrown<ValueError>([] { nn::Dropout2d(0.5)(Tensor()); }) ==
        "Dropout2d: expected a defined x, got an undefined tensor");
}

}  // namespace test_embedding
