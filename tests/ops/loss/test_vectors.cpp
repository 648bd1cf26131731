// Losses against PyTorch's: tests/reference/loss_vectors.py.
#include <limpid/limpid.hpp>
#include <test_paths.hpp>

#include <limpid/tests/ops/plain.hpp>

namespace test_vectors {

using namespace limpid;
using namespace plain;

struct Case {
  const char* name;
  Tensor (*loss)(const Tensors& x, Reduction r);
};

Tensor whole(std::initializer_list<Scalar> values, const Shape& shape) { return reshape(tensor(values, int64), shape); }
Tensor real(std::initializer_list<Scalar> values, const Shape& shape) {
  return reshape(tensor(values, float64), shape);
}
Tensor class_weights() { return real({0.5, 2, 1.5}, {3}); }
Tensor classes() { return whole({2, 0, 1, 2}, {4}); }
Tensor element_weights() { return real({1, 2, 0.5}, {3}); }
Tensor counts() { return real({0, 1, 2, 3, 5, 0, 1, 7}, {2, 4}); }
Tensor signs() { return whole({1, -1, 1, -1, -1, 1, 1, -1}, {2, 4}); }

const Case cases[] = {
    {"cross_entropy",
     [](const Tensors& x, Reduction r) {
       return cross_entropy(x[0], classes(),
                            {.weight = class_weights(), .ignore_index = 1, .label_smoothing = 0.1, .reduction = r});
     }},
    {"cross_entropy images",
     [](const Tensors& x, Reduction r) {
       return cross_entropy(x[0], whole({2, 0, 1, 2}, {2, 2}), {.label_smoothing = 0.25, .reduction = r});
     }},
    {"cross_entropy probabilities",
     [](const Tensors& x, Reduction r) {
       return cross_entropy(x[0], x[1], {.weight = class_weights(), .label_smoothing = 0.1, .reduction = r});
     }},
    {"nll_loss",
     [](const Tensors& x, Reduction r) {
       return nll_loss(x[0], classes(), {.weight = class_weights(), .ignore_index = 1, .reduction = r});
     }},
    {"binary_cross_entropy",
     [](const Tensors& x, Reduction r) {
       return binary_cross_entropy(x[0], x[1], {.weight = element_weights(), .reduction = r});
     }},
    {"bce_with_logits",
     [](const Tensors& x, Reduction r) {
       return bce_with_logits(x[0], real({0, 1, 0.25, 1, 0.5, 0.75}, {2, 3}),
                              {.weight = element_weights(), .pos_weight = real({3, 1, 0.25}, {3}), .reduction = r});
     }},
    {"kl_div",
     [](const Tensors& x, Reduction r) {
       return kl_div(x[0], real({0, 0.25, 0.75, 0.5, 0.5, 0}, {2, 3}), r);
     }},
    {"kl_div logs",
     [](const Tensors& x, Reduction r) { return kl_div(x[0], x[1], {.log_target = true, .reduction = r}); }},
    {"smooth_l1_loss", [](const Tensors& x, Reduction r) { return smooth_l1_loss(x[0], x[1], 0.6, r); }},
    {"smooth_l1_loss 0", [](const Tensors& x, Reduction r) { return smooth_l1_loss(x[0], x[1], 0, r); }},
    {"gaussian_nll_loss",
     [](const Tensors& x, Reduction r) {
       return gaussian_nll_loss(x[0], x[1], x[2], {.full = true, .eps = 0.01, .reduction = r});
     }},
    {"gaussian_nll_loss plain",
     [](const Tensors& x, Reduction r) { return gaussian_nll_loss(x[0], x[1], x[2], {.reduction = r}); }},
    {"poisson_nll_loss",
     [](const Tensors& x, Reduction r) { return poisson_nll_loss(x[0], counts(), {.full = true, .reduction = r}); }},
    {"poisson_nll_loss rates",
     [](const Tensors& x, Reduction r) {
       return poisson_nll_loss(x[0], counts().to(int64), {.log_input = false, .reduction = r});
     }},
    {"margin_ranking_loss",
     [](const Tensors& x, Reduction r) {
       return margin_ranking_loss(x[0], x[1], signs(), {.margin = 0.3, .reduction = r});
     }},
    {"hinge_embedding_loss",
     [](const Tensors& x, Reduction r) {
       return hinge_embedding_loss(x[0], signs(), {.margin = 0.8, .reduction = r});
     }},
    {"cosine_embedding_loss",
     [](const Tensors& x, Reduction r) {
       return cosine_embedding_loss(x[0], x[1], whole({1, -1}, {2}), {.margin = -0.9, .reduction = r});
     }},
    {"triplet_margin_loss",
     [](const Tensors& x, Reduction r) {
       return triplet_margin_loss(x[0], x[1], x[2], {.margin = 2.5, .p = 3, .swap = true, .reduction = r});
     }},
    {"triplet_margin_loss plain",
     [](const Tensors& x, Reduction r) { return triplet_margin_loss(x[0], x[1], x[2], {.reduction = r}); }},
    {"ctc_loss",
     [](const Tensors& x, Reduction r) {
       return ctc_loss(log_softmax(x[0], 2), whole({1, 1, 2, 3, 2, 0, 0, 0, 0}, {3, 3}), whole({5, 4, 3}, {3}),
                       whole({3, 2, 0}, {3}), {.reduction = r});
     }},
    {"ctc_loss row",
     [](const Tensors& x, Reduction r) {
       return ctc_loss(log_softmax(x[0], 2), whole({2, 2, 1, 0, 3}, {5}), whole({5, 5, 5}, {3}), whole({2, 1, 2}, {3}),
                       {.blank = 4, .reduction = r});
     }},
    {"ctc_loss infinite",
     [](const Tensors& x, Reduction r) {
       return ctc_loss(log_softmax(x[0], 2), whole({1, 1, 2, 1, 1, 2, 1, 1, 2}, {3, 3}), whole({3, 4, 5}, {3}),
                       whole({3, 3, 3}, {3}), {.reduction = r, .zero_infinity = true});
     }},
};

TEST_CASE("losses have PyTorch's values and gradients under each reduction") {
  const TensorMap vectors = load_npz(LIMPID_TEST_DATA "/losses.npz");
  std::size_t seen = 0;
  const std::pair<const char*, Reduction> reductions[] = {{"none", Reduction::none},
                                                          {"mean", Reduction::mean},
                                                          {"sum", Reduction::sum},
                                                          {"batchmean", Reduction::batchmean}};
  for (const Case& c : cases)
    for (const auto& reduction : reductions) {
      const std::string prefix = std::string(c.name) + ' ' + reduction.first + '/';
      CAPTURE(prefix);
      const bool is_there = vectors.count(prefix + 'y') == 1;
      if (reduction.second != Reduction::batchmean) REQUIRE(is_there);
      if (!is_there) continue;
      Tensors xs, given;
      for (int i = 0; vectors.count(prefix + 'x' + std::to_string(i)); ++i) {
        given.push_back(vectors.at(prefix + 'x' + std::to_string(i)));
        xs.push_back(given.back().clone().set_requires_grad());
      }
      const Tensor y = c.loss(xs, reduction.second), expected = vectors.at(prefix + 'y');
      INFO(y << "\nfor\n" << expected);
      CHECK(allclose(y.detach(), expected, 1e-9, 1e-12));
      CHECK(equal(c.loss(given, reduction.second), y.detach()));
      const Tensor dy = reshape(arange(1, y.numel() + 1), y.shape()).to(float64);
      const Tensors dx = grad({y}, xs, {dy}, {.allow_unused = true});
      for (std::size_t i = 0; i < xs.size(); ++i) {
        const auto at = vectors.find(prefix + 'g' + std::to_string(i));
        if (at == vectors.end()) continue;
        INFO(dx[i] << "\nfor\n" << at->second);
        CHECK(allclose(dx[i], at->second, 1e-7, 1e-9));
      }
      ++seen;
    }
  CHECK(seen == 3 * std::size(cases) + 1);
}

}  // namespace test_vectors
