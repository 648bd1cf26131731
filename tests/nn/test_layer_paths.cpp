// Errors and anomalies name the layer that they come from, by its path in the model.
#include <limpid/limpid.hpp>

#include <string>
#include <thread>
#include <vector>

#include "../catch.hpp"
#include "scaled.hpp"

namespace test_layer_paths {

using namespace limpid;
using test::Scaled;

struct Net : nn::Module {
  nn::Sequential features;
  nn::Linear head;
  Net()
      : features(
            add("features", nn::Sequential{nn::Conv2d(3, 4, 3), nn::ReLU(), nn::Sequential{nn::Flatten(), Scaled()}})),
        head(add("head", nn::Linear(3, 2))) {}
  Tensor operator()(const Tensor& x) const { return head(features(x)); }
};

template <class E, class F>
std::string error_of(const F& f) {
  try {
    f();
  } catch (const E& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("errors carry the path of the layer, and stay what they are") {
  const Net net;
  CHECK(error_of<ShapeError>([&] {
          net(ones({1, 2, 5, 5}));
        }) == "features.0: Conv2d: expected x of shape (N, 3, H, W), got (1, 2, 5, 5)");
  CHECK(error_of<ShapeError>([&] {
          net(ones({1, 3, 5, 5}));
        }) == "features.2.1.linear: Linear: expected x of shape (..., 3), got (1, 36)");
  CHECK(error_of<ShapeError>([&] {
          net.features(ones({1, 3, 5, 5}));
        }) == "features.2.1.linear: Linear: expected x of shape (..., 3), got (1, 36)");
  CHECK(error_of<ShapeError>([&] {
          net.head(ones({1, 4}));
        }) == "head: Linear: expected x of shape (..., 3), got (1, 4)");
  CHECK(error_of<ShapeError>([] {
          nn::Linear(4, 5)(ones({1, 3}));
        }) == "Linear: expected x of shape (..., 4), got (1, 3)");
  CHECK_THAT(error_of<ShapeError>([&] {
               nn::Sequential{nn::ReLU(), [](const Tensor& x) { return x + ones({7}); }}(ones({2}));
             }),
             StartsWith("1: add: "));
  CHECK_THAT(error_of<DTypeError>([&] { nn::Sequential{nn::Linear(2, 2)}(ones({1, 2}, int64)); }), StartsWith("0: "));
  // An error of one's own class keeps its class; what is no Error of limpid's passes as it is.
  struct OwnError : ValueError {
    using ValueError::ValueError;
  };
  CHECK(error_of<OwnError>([] { nn::Sequential{[](const Tensor&) -> Tensor { throw OwnError("no"); }}(ones({1})); }) ==
        "0: no");
  CHECK_THROWS_AS(nn::Sequential{[](const Tensor&) -> Tensor { throw 7; }}(ones({1})), int);
}

TEST_CASE("a path names all places of a layer, and none that is gone") {
  const nn::Linear linear(2, 2);
  {
    const nn::Sequential net{linear, nn::ReLU(), linear};
    CHECK_THAT(error_of<ShapeError>([&] { net(ones({3})); }), StartsWith("0 or 2: Linear: "));
    const nn::Sequential copy = net, outer{nn::ReLU(), nn::clone(net)};
    CHECK_THAT(error_of<ShapeError>([&] { outer(ones({3})); }), StartsWith("1.0 or 2: Linear: "));
  }
  CHECK_THAT(error_of<ShapeError>([&] { linear(ones({3})); }), StartsWith("Linear: "));
  // A layer that holds another model has its own path before that model's.
  const nn::Sequential inner{linear};
  const nn::Sequential outer{nn::ReLU(), [&inner](const Tensor& x) { return inner(x); }};
  CHECK_THAT(error_of<ShapeError>([&] { outer(ones({3})); }), StartsWith("1: 0: Linear: "));
}

TEST_CASE("layers blame what they were given") {
  CHECK(error_of<ShapeError>([] { nn::Linear(4, 5)(ones({})); }) == "Linear: expected x of shape (..., 4), got ()");
  CHECK(error_of<ShapeError>([] {
          nn::Conv2d(4, 6, 3, {.groups = 2})(ones({1, 2, 5, 5}));
        }) == "Conv2d: expected x of shape (N, 4, H, W), got (1, 2, 5, 5)");
  CHECK(error_of<ValueError>([] {
          nn::Embedding(5, 2)(full({2, 2}, 5, int64));
        }) == "Embedding: expected indices in [-5, 5), got 5 at element 0 of an index of shape (2, 2)");
  CHECK(error_of<ValueError>([] { nn::Embedding(5, 2)(full({1}, -6, int32)); }) ==
        "Embedding: expected indices in [-5, 5), got -6 at element 0 of an index of shape (1,)");
  CHECK(error_of<DTypeError>([] { nn::Embedding(5, 2)(ones({2})); }) ==
        "Embedding: expected int64 or int32 indices, got float32");
}

TEST_CASE("anomalies carry the path of the layer") {
  const nn::Sequential net{nn::Linear(2, 2), nn::Sequential{[](const Tensor& x) { return sqrt(x); }}};
  const Tensor x = ones({1, 2});
  {
    NoGradGuard no_grad;
    net.parameters()[0].detach().fill_(-1);
  }
  const DetectAnomaly detect;
  const std::string forward = error_of<AutogradError>([&] { net(x); });
  CHECK_THAT(forward, StartsWith("1.0: sqrt: expected finite values"));
  {
    NoGradGuard no_grad;
    net.parameters()[0].detach().fill_(0);
    net.parameters()[1].detach().fill_(0);
  }
  const std::string backward = error_of<AutogradError>([&] { sum(net(x)).backward(); });
  CHECK_THAT(backward, StartsWith("backward of sqrt: "));
  CHECK_THAT(backward, EndsWith(" in 1.0"));
}

TEST_CASE("models that share a layer are made and let go of on several threads") {
  const nn::Linear shared(2, 2);
  const auto work = [&] {
    for (int i = 0; i < 200; ++i) {
      const nn::Sequential net{shared, nn::ReLU()};
      error_of<ShapeError>([&] { net(ones({3})); });
    }
  };
  std::thread a(work), b(work);
  a.join();
  b.join();
  CHECK_THAT(error_of<ShapeError>([&] { shared(ones({3})); }), StartsWith("Linear: "));
}

}  // namespace test_layer_paths
