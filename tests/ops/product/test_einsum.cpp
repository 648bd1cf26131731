// Einstein's summation against a loop over every value of every letter.
#include <limpid/autograd/backward.hpp>
#include <limpid/autograd/gradcheck.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/index.hpp>
#include <limpid/core/random.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

#include <map>
#include <string>
#include <vector>

#include <limpid/tests/ops/plain.hpp>

namespace test_einsum {

using namespace limpid;
using namespace plain;

struct Reference {
  Shape shape;
  std::vector<double> values;
};

/// Of letters alone, "->" written out: adds up the products for each value of each letter.
Reference reference(const std::string& equation, const Tensors& xs) {
  std::vector<std::string> inputs(1);
  std::size_t at = 0;
  for (; equation.substr(at, 2) != "->"; ++at)
    if (equation[at] == ',')
      inputs.emplace_back();
    else
      inputs.back() += equation[at];
  const std::string output = equation.substr(at + 2);
  std::map<char, int64_t> sizes;
  std::vector<std::vector<double>> data;
  for (std::size_t k = 0; k < xs.size(); ++k) {
    data.push_back(values(xs[k]));
    for (std::size_t i = 0; i < inputs[k].size(); ++i) {
      int64_t& size = sizes.emplace(inputs[k][i], 1).first->second;
      if (xs[k].shape()[i] != 1) size = xs[k].shape()[i];
    }
  }
  std::map<char, int64_t> index;
  int64_t all = 1;
  for (const auto& entry : sizes) all *= entry.second;
  Reference y;
  for (const char c : output) y.shape.push_back(sizes.at(c));
  std::vector<long double> sums(static_cast<std::size_t>(y.shape.numel()), 0);
  for (int64_t n = 0; n < all; ++n) {
    int64_t rest = n, to = 0;
    for (const auto& entry : sizes) index[entry.first] = rest % entry.second, rest /= entry.second;
    long double product = 1;
    for (std::size_t k = 0; k < xs.size(); ++k) {
      int64_t from = 0;
      for (std::size_t i = 0; i < inputs[k].size(); ++i) {
        const int64_t size = xs[k].shape()[i];
        from = from * size + (size == 1 ? 0 : index[inputs[k][i]]);
      }
      product *= static_cast<long double>(data[k][static_cast<std::size_t>(from)]);
    }
    for (const char c : output) to = to * sizes[c] + index[c];
    sums[static_cast<std::size_t>(to)] += product;
  }
  for (const long double sum : sums) y.values.push_back(static_cast<double>(sum));
  return y;
}

struct Case {
  std::string equation, plain;  // with and without "..." and what is left out
  std::vector<Shape> shapes;
};

const Case cases[] = {
    {"ij,jk->ik", "ij,jk->ik", {{3, 4}, {4, 5}}},
    {"ij,jk", "ij,jk->ik", {{3, 4}, {4, 5}}},
    {" i j , j k -> k i ", "ij,jk->ki", {{3, 4}, {4, 5}}},
    {"ba", "ba->ab", {{3, 4}}},
    {"aB", "aB->Ba", {{3, 4}}},
    {"ii", "ii->", {{3, 3}}},
    {"ii->i", "ii->i", {{3, 3}}},
    {"ij->", "ij->", {{3, 4}}},
    {"ij->j", "ij->j", {{3, 4}}},
    {"ijk->kji", "ijk->kji", {{2, 3, 4}}},
    {"iii->i", "iii->i", {{3, 3, 3}}},
    {"iii", "iii->", {{3, 3, 3}}},
    {"tiijj->ij", "tiijj->ij", {{2, 3, 3, 4, 4}}},
    {"tiijj->jt", "tiijj->jt", {{2, 3, 3, 4, 4}}},
    {"ijij->ji", "ijij->ji", {{3, 4, 3, 4}}},
    {"i...i", "iai->a", {{3, 4, 3}}},
    {"i...i->...i", "iabi->abi", {{3, 4, 2, 3}}},
    {"i...i->i...", "ii->i", {{3, 3}}},
    {"...ii->...i", "abii->abi", {{2, 4, 3, 3}}},
    {"...ij,...jk", "abij,abjk->abik", {{2, 3, 4, 5}, {2, 3, 5, 2}}},
    {"...ij,...jk->...ik", "abij,bjk->abik", {{2, 3, 4, 5}, {3, 5, 2}}},
    {"...ij,...jk->...ik", "abij,abjk->abik", {{2, 1, 4, 5}, {1, 3, 5, 2}}},
    {"...,...", "ab,b->ab", {{2, 3}, {3}}},
    {"...i->...", "abi->ab", {{2, 3, 4}}},
    {"...i->i", "abi->i", {{2, 3, 4}}},
    {"i...->i", "i->i", {{4}}},
    {"i,j", "i,j->ij", {{3}, {4}}},
    {"i,j->ji", "i,j->ji", {{3}, {4}}},
    {"i,i", "i,i->", {{5}, {5}}},
    {"i,i", "i,i->", {{3}, {1}}},
    {"ij,ij->ij", "ij,ij->ij", {{3, 1}, {1, 4}}},
    {"ij,ij->j", "ij,ij->j", {{3, 1}, {3, 4}}},
    {"i,i->i", "i,i->i", {{1}, {1}}},
    {"ij,kl->", "ij,kl->", {{2, 3}, {4, 2}}},
    {"bij,bjk->bik", "bij,bjk->bik", {{2, 3, 4}, {2, 4, 5}}},
    {"bij,bj->bi", "bij,bj->bi", {{2, 3, 4}, {2, 4}}},
    {"bi,bi->b", "bi,bi->b", {{4, 6}, {4, 6}}},
    {"abcd,cdab->abcd", "abcd,cdab->abcd", {{2, 3, 4, 2}, {4, 2, 2, 3}}},
    {"abcd,cdbe->aeb", "abcd,cdbe->aeb", {{2, 3, 4, 2}, {4, 2, 3, 3}}},
    {"bhqd,bhkd->bhqk", "bhqd,bhkd->bhqk", {{2, 2, 3, 4}, {2, 2, 5, 4}}},
    {"ij,jk,kl->il", "ij,jk,kl->il", {{2, 3}, {3, 4}, {4, 5}}},
    {"ij,ik,il->jkl", "ij,ik,il->jkl", {{3, 2}, {3, 4}, {3, 2}}},
    {"i,i,i", "i,i,i->", {{4}, {4}, {4}}},
    {"i,j,k->kij", "i,j,k->kij", {{2}, {3}, {4}}},
    {"ab,bc,cd,de,ea", "ab,bc,cd,de,ea->", {{2, 3}, {3, 2}, {2, 4}, {4, 3}, {3, 2}}},
    {"pqrs,pA,qB,rC,sD->ABCD", "pqrs,pA,qB,rC,sD->ABCD", {{2, 2, 2, 2}, {2, 3}, {2, 2}, {2, 3}, {2, 2}}},
    {"a,b,c,d,e,f,g,h,i->ai", "a,b,c,d,e,f,g,h,i->ai", {{2}, {2}, {2}, {2}, {2}, {2}, {2}, {2}, {3}}},
    {"ab,bc,cd,de,ef,fg,gh,hi,ij->ja",
     "ab,bc,cd,de,ef,fg,gh,hi,ij->ja",
     {{2, 2}, {2, 3}, {3, 2}, {2, 2}, {2, 2}, {2, 1}, {1, 2}, {2, 2}, {2, 3}}},
    {",i->i", ",i->i", {{}, {3}}},
    {"", "->", {{}}},
    {"->", "->", {{}}},
    {"ij,jk->ik", "ij,jk->ik", {{0, 4}, {4, 5}}},
    {"ij,jk->ik", "ij,jk->ik", {{3, 0}, {0, 5}}},
    {"i,i", "i,i->", {{0}, {1}}},
    {"bij,bjk->bik", "bij,bjk->bik", {{0, 3, 4}, {0, 4, 5}}},
    {"ij,jk,kl->il", "ij,jk,kl->il", {{2, 0}, {0, 4}, {4, 5}}},
};

TEST_CASE("einsum is a sum over letters in any layout") {
  for (const DType dtype : {float32, float64})
    for (const Case& c : cases) {
      if (c.shapes.empty()) continue;
      CAPTURE(c.equation, c.shapes, dtype);
      Tensors xs, apart;
      for (const Shape& shape : c.shapes) {
        xs.push_back(noise(shape, dtype));
        apart.push_back(strided(xs.back()));
      }
      const Reference expected = reference(c.plain, xs);
      const Tensor y = einsum(c.equation, xs);
      CHECK(y.shape() == expected.shape);
      CHECK(y.dtype() == dtype);
      CHECK(error(y, expected.values, 1000) <= 1);
      CHECK(error(einsum(c.equation, apart), expected.values, 1000) <= 1);
    }
}

TEST_CASE("einsum has the derivatives of its sums") {
  for (const Case& c : cases) {
    if (c.shapes.empty() || c.shapes.size() > 5) continue;
    CAPTURE(c.equation, c.shapes);
    Tensors xs;
    bool has_none = false;
    for (const Shape& shape : c.shapes) {
      xs.push_back(noise(shape, float64));
      has_none = has_none || shape.numel() == 0;
    }
    if (has_none) continue;
    const GradcheckReport report = gradcheck([&](const Tensors& x) { return einsum(c.equation, x); }, xs);
    INFO(report);
    CHECK(report);
  }
}

TEST_CASE("einsum gives what NumPy gives") {
  const Tensor x = arange(24).to(float64).reshape({2, 3, 4}), square = arange(9).to(float64).reshape({3, 3});
  CHECK(equal(einsum("ii", {square}), full({}, 12, float64)));
  CHECK(equal(einsum("ii->i", {square}), tensor({0, 4, 8}, float64)));
  CHECK(equal(einsum("ijk->j", {x}), tensor({60, 92, 124}, float64)));
  CHECK(equal(einsum("...j", {x}), x));
  CHECK(equal(einsum("kij,lj->ikl", {x, square.index({Slice(), Slice(0, 1)}).expand({3, 4})}).index({1, 1}),
              tensor({0, 3 * 70, 6 * 70}, float64)));
  CHECK(einsum("i,i", {ones({3}), ones({1})}).item<float>() == 3);
  // One operand is of any dtype, and what needs no sum is a view.
  CHECK(
      equal(einsum("ji", {tensor({1, 2, 3, 4}, int64).reshape({2, 2})}), tensor({1, 3, 2, 4}, int64).reshape({2, 2})));
  CHECK(equal(einsum("ij->i", {tensor({1, 2, 3, 4}, int32).reshape({2, 2})}), tensor({3, 7}, int64)));
  CHECK(einsum("ijk->kij", {x}).shares_storage_with(x));
}

TEST_CASE("einsum takes the cheap way through several operands") {
  // From left to right a first product would have 10^12 elements.
  const int64_t n = 10000;
  const Tensor a = ones({n}), b = ones({n}), c = ones({n});
  CHECK(einsum("i,j,i->", {a, b, c}).item<float>() == 1e8f);
  CHECK(einsum("i,j,k,k,j,i->", {a, b, c, a, b, c}).item<float>() == 1e12f);
  const Tensors twelve{a, b, c, a, b, c, a, b, c, a, b, c};
  CHECK(einsum("i,j,k,l,m,n,n,m,l,k,j,i->", twelve).item<float>() == 1e24f);
  // (a b) c of (n, 1), (1, n), (n, 1): n^2 numbers in between, or 1.
  CHECK(einsum("ai,ib,bc->ac", {ones({n, 1}), ones({1, n}), ones({n, 1})}).shape() == Shape{n, 1});
}

TEST_CASE("einsum refuses what is no sum") {
  const auto value = [](const std::string& equation, const Tensors& xs) {
    return thrown<ValueError>([&] { einsum(equation, xs); });
  };
  const auto shape = [](const std::string& equation, const Tensors& xs) {
    return thrown<ShapeError>([&] { einsum(equation, xs); });
  };
  const Tensor m = zeros({2, 3}), s = zeros({3, 3});
  CHECK(value("i1", {m}) ==
        "einsum: expected letters, '...', ',' between operands and one '->', got '1' in "
        "'i1'");
  CHECK(value("i.j", {m}) == "einsum: expected letters, '...', ',' between operands and one '->', got '.' in 'i.j'");
  CHECK(value("ij->i->j", {m}) ==
        "einsum: expected letters, '...', ',' between operands and one '->', got '-' in 'ij->i->j'");
  CHECK(value("ij->i,j", {m}) ==
        "einsum: expected letters, '...', ',' between operands and one '->', got ',' in 'ij->i,j'");
  CHECK(value("i-j", {m}) == "einsum: expected letters, '...', ',' between operands and one '->', got '-' in 'i-j'");
  CHECK(value("...i...", {m}) == "einsum: expected one '...' for an operand or the result, got two in '...i...'");
  CHECK(value("ij,jk", {m}) == "einsum: expected 2 operands for 'ij,jk', got 1");
  CHECK(value("ij", {m, m}) == "einsum: expected 1 operand for 'ij', got 2");
  CHECK(value("", {}) == "einsum: expected 1 operand for '', got 0");
  CHECK(value("ij->ik", {m}) == "einsum: expected letters of operands behind '->', got k in 'ij->ik'");
  CHECK(value("ij->ii", {m}) == "einsum: expected different letters behind '->', got i twice in 'ij->ii'");
  CHECK(value("ij", {Tensor()}) == "einsum: expected a defined tensor, got an undefined tensor");
  CHECK(shape("ijk,ij", {m, m}) == "einsum: expected operand 0 of 3 axes for 'ijk,ij', got shape (2, 3)");
  CHECK(shape("ij,i", {m, m}) == "einsum: expected operand 1 of 1 axis for 'ij,i', got shape (2, 3)");
  CHECK(shape("ijk...", {m}) == "einsum: expected operand 0 of at least 3 axes for 'ijk...', got shape (2, 3)");
  CHECK(shape("ij,jk", {m, m}) == "einsum: expected axes of one size (or 1) for j, got 3 and 2 for 'ij,jk'");
  CHECK(shape("...i,...i", {m, zeros({4, 3})}) ==
        "einsum: expected axes of one size (or 1) for '...', got 2 and 4 for '...i,...i'");
  // Size 1 broadcasts between operands, not within one.
  CHECK(shape("ii", {zeros({3, 1})}) ==
        "einsum: expected axes of one size for i twice within an operand, got 3 and 1 for 'ii'");
  CHECK(shape("ii,i", {zeros({1, 3}), zeros({3})}) ==
        "einsum: expected axes of one size for i twice within an operand, got 1 and 3 for 'ii,i'");
  CHECK(thrown<DTypeError>([&] {
          einsum("ij,jk", {s, s.to(float64)});
        }) == "einsum: expected operand 0 and an operand of one dtype, got float32 and float64; convert with to()");
  CHECK(thrown<DTypeError>([&] {
          einsum("ij,jk", {s.to(int64), s.to(int64)});
        }) == "einsum: expected operand 0 of a floating-point dtype, got int64; convert with to()");
}

TEST_CASE("einsum is the same for any number of threads") {
  const Tensor a = noise({20, 60, 70}, float32), b = noise({20, 70, 50}, float32), c = noise({50, 60}, float32);
  check_threads([&]() -> Tensors { return {einsum("bij,bjk->bik", {a, b}), einsum("bij,bjk,ki->b", {a, b, c})}; });
}

}  // namespace test_einsum
