#include <limpid/limpid.hpp>
#include <limpid/tests/coverage/properties.hpp>
#include <test_paths.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <set>

namespace properties {

using namespace limpid;

namespace {

bool is_floating(const Tensor& x) { return x.defined() && is_floating_point(x.dtype()); }

/// x, where it is floating point, as dtype.
Tensors floating_as(Tensors xs, DType dtype) {
  for (Tensor& x : xs)
    if (is_floating(x)) x = x.to(dtype);
  return xs;
}

/// x in reverse order of memory, with gaps between the elements.
Tensor strided(const Tensor& x) {
  Axes reversed;
  for (int64_t axis = x.dim(); axis-- > 0;) reversed.push_back(axis);
  const Tensor y = permute(x, reversed);
  return permute(select(stack({y, y}, y.dim()), y.dim(), 1), reversed);
}

Tensor first_everywhere(const Tensor& x) { return x.dim() ? expand(slice(x, 0, 0, 1), x.shape()) : x; }

bool is_image(const Tensor& x) { return x.dim() >= 3 && is_floating(x); }

/// Largest |a - b| over the larger of |b| and `floor` of the largest |b|; NaN and infinities have to be the same.
double error_of(const Tensor& a_any, const Tensor& b_any, double floor) {
  if (a_any.shape() != b_any.shape()) return INFINITY;
  const Tensor a = a_any.detach().to(float64).contiguous(), b = b_any.detach().to(float64).contiguous();
  const double *p = a.data<double>(), *q = b.data<double>();
  double largest = 0, worst = 0;
  for (int64_t i = 0; i < b.numel(); ++i)
    if (std::isfinite(q[i])) largest = std::max(largest, std::abs(q[i]));
  for (int64_t i = 0; i < b.numel(); ++i) {
    const bool alike = p[i] == q[i] || (std::isnan(p[i]) && std::isnan(q[i]));
    if (alike) continue;
    const double error = std::abs(p[i] - q[i]) / std::max(std::abs(q[i]), floor * largest);
    worst = std::isnan(error) ? INFINITY : std::max(worst, error);
  }
  return worst;
}
double error_of(const Tensors& as, const Tensors& bs, double floor) {
  if (as.size() != bs.size()) return INFINITY;
  double worst = 0;
  for (std::size_t k = 0; k < as.size(); ++k) worst = std::max(worst, error_of(as[k], bs[k], floor));
  return worst;
}

bool same_bits(const Tensors& as, const Tensors& bs) {
  if (as.size() != bs.size()) return false;
  for (std::size_t k = 0; k < as.size(); ++k) {
    if (as[k].defined() != bs[k].defined()) return false;
    if (as[k].defined() && (as[k].dtype() != bs[k].dtype() || error_of(as[k], bs[k], 1) != 0)) return false;
  }
  return true;
}

std::string written(double number) {
  char text[32];
  std::snprintf(text, sizeof text, number == 0 ? "%.0f" : "%.0e", number);
  return text;
}

/// f(), or what it says where it refuses; anything else that it throws is a fault.
template <class F>
std::string refused(F f, Finding& finding, const std::string& what) {
  try {
    f();
    return "";
  } catch (const Error& error) {
    const std::string text = error.what();
    if (text.find(": expected ") == std::string::npos && text.find(": ") == std::string::npos)
      finding.faults.push_back(what + " is refused by \"" + text + '"');
    return text;
  } catch (const std::exception& error) {
    finding.faults.push_back(what + " throws another exception: " + error.what());
    return error.what();
  }
}

/// Results that have gradients, the inputs that get them, and cotangents.
struct Recorded {
  Tensors leaves, ys, roots, dys;

  template <class F>
  Recorded(F f, Tensors xs) {
    for (Tensor& x : xs)
      if (is_floating(x)) leaves.push_back(x = x.detach().clone().set_requires_grad());
    ys = f(xs);
    Generator generator(6);
    for (const Tensor& y : ys) {
      if (!y.requires_grad()) continue;
      roots.push_back(y);
      dys.push_back(randn(y.shape(), float64, generator).to(y.dtype()));
    }
  }
  Tensors gradients(bool create_graph = false) const {
    if (roots.empty()) return {};
    return grad(roots, leaves, dys, {.create_graph = create_graph, .allow_unused = true});
  }
  /// Of the gradients, weighed.
  Tensors second() const {
    Generator generator(7);
    Tensors again, weights;
    for (const Tensor& dx : gradients(true)) {
      if (!dx.defined() || !dx.requires_grad()) continue;
      again.push_back(dx);
      weights.push_back(randn(dx.shape(), float64, generator).to(dx.dtype()));
    }
    return again.empty() ? Tensors() : grad(again, leaves, weights, {.allow_unused = true});
  }
};

/// Rows that PyTorch gives no vector for, and why.
const std::map<std::string, std::string>& without_vectors() {
  static const std::map<std::string, std::string> reasons = {};
  return reasons;
}

struct Vectors {
  std::map<std::string, Tensor> of;

  Vectors() {
    const TensorMap file = load_npz(LIMPID_TEST_DATA "/ops.npz");
    const Tensor &names = file.at("names"), &counts = file.at("counts"), &values = file.at("values");
    int64_t row = 0, begin = 0;
    std::string name;
    for (int64_t i = 0; i <= names.numel(); ++i) {
      const char c = i < names.numel() ? static_cast<char>(names.data<uint8_t>()[i]) : '\n';
      if (c != '\n') {
        name += c;
        continue;
      }
      const int64_t end = begin + counts.data<int64_t>()[row++];
      of[name] = slice(values, 0, begin, end);
      begin = end;
      name.clear();
    }
  }
};
const Vectors& all_vectors() {
  static const Vectors vectors;
  return vectors;
}

/// cos(i) for the elements of ts, in a row from `start` on.
Tensor cosines(const Shape& shape, int64_t& start) {
  const Tensor y = empty(shape, float64);
  for (int64_t i = 0; i < y.numel(); ++i) y.data<double>()[i] = std::cos(static_cast<double>(start++));
  return y;
}

}  // namespace

Tensors inputs_of_vectors(const OpRow& row) {
  Tensors xs = row.draw();
  for (Tensor& x : xs)
    if (is_floating(x)) x = x.to(float32).to(float64);
  return xs;
}

Finding vectors(const OpRow& row) {
  Finding finding;
  const auto reason = without_vectors().find(row.name());
  const auto found = all_vectors().of.find(row.name());
  if (reason != without_vectors().end()) {
    finding.cell = reason->second;
    if (found != all_vectors().of.end()) finding.faults.push_back("has vectors and a reason to have none");
    return finding;
  }
  if (found == all_vectors().of.end()) {
    finding.faults.push_back("has neither vectors (tests/reference/op_vectors.py) nor a reason in without_vectors()");
    return finding;
  }
  const Tensors given = inputs_of_vectors(row);
  double sum_of_inputs = 0;
  int64_t start = 0;
  for (const Tensor& x : given) sum_of_inputs += sum(x.to(float64) * cosines(x.shape(), start)).item<double>();
  const double* expected = found->second.data<double>();
  const double* end = expected + found->second.numel();
  if (std::abs(sum_of_inputs - *expected) > 1e-9 * (1 + std::abs(*expected))) {
    finding.faults.push_back(
        "draws other inputs than the vectors were made of: run tests/reference/op_vectors.py again");
    return finding;
  }
  for (const DType dtype : {float64, float32}) {
    const double* next = expected + 1;
    const auto compare = [&](const Tensor& y, double& worst) {
      if (end - next < y.numel()) {
        worst = INFINITY;
        return;
      }
      const Tensor b = empty(y.shape(), float64);
      std::copy(next, next + y.numel(), b.data<double>());
      next += y.numel();
      worst = std::max(worst, error_of(y, b, 0.1));
    };
    double of_values = 0, of_gradients = 0;
    Recorded recorded(row.f, floating_as(given, dtype));
    for (const Tensor& y : recorded.ys) compare(y, of_values);
    start = 0;
    recorded.dys.clear();
    for (const Tensor& y : recorded.ys) {
      if (!is_floating(y)) continue;
      const Tensor dy = cosines(y.shape(), start).to(y.dtype());
      if (y.requires_grad()) recorded.dys.push_back(dy);
    }
    const Tensors dxs = recorded.gradients();
    for (std::size_t i = 0; i < recorded.leaves.size(); ++i) {
      const bool none = dxs.empty() || !dxs[i].defined();
      compare(none ? zeros_like(recorded.leaves[i]) : dxs[i], of_gradients);
    }
    if (next != end) finding.faults.push_back("has other numbers of results or gradients than the vectors");
    const double worst = std::max(of_values, of_gradients), allowed = dtype == float64 ? 1e-10 : 1e-5;
    if (!(worst <= allowed))
      finding.faults.push_back(std::string(to_string(dtype)) + ": values " + written(of_values) + ", gradients " +
                               written(of_gradients) + " from PyTorch's");
    finding.cell += (dtype == float64 ? "" : " / ") + written(worst);
  }
  return finding;
}

std::vector<std::string> strays() {
  std::set<std::string> rows;
  for (const OpRow& row : op_table()) rows.insert(row.name());
  std::vector<std::string> strays;
  if (rows.size() != op_table().size()) strays.push_back("one of two rows of one name");
  for (const auto& entry : all_vectors().of)
    if (!rows.count(entry.first)) strays.push_back(entry.first);
  for (const auto& entry : without_vectors())
    if (!rows.count(entry.first)) strays.push_back(entry.first);
  return strays;
}

Finding dtypes(const OpRow& row) {
  Finding finding;
  const Tensors xs = row.draw();
  if (std::none_of(xs.begin(), xs.end(), is_floating)) {
    finding.cell = std::string(to_string(xs[0].dtype()));
    return finding;
  }
  finding.cell = "f64";
  struct Kind {
    DType dtype;
    const char* name;
    double tolerance;
  };
  for (const Kind kind : {Kind{float32, "f32", 1e-4}, Kind{float16, "f16", 2e-2}, Kind{bfloat16, "bf16", 1e-1},
                          Kind{int64, "i64", 1e-4}}) {
    const Tensors narrow = floating_as(xs, kind.dtype);
    Tensors as_float64 = narrow;
    for (std::size_t i = 0; i < xs.size(); ++i)
      if (is_floating(xs[i])) as_float64[i] = narrow[i].to(float64);
    Tensors ys;
    const std::string words = refused([&] { ys = row.f(narrow); }, finding, kind.name);
    if (!words.empty()) {
      if (kind.dtype == float32) finding.faults.push_back("f32 is refused: " + words);
      continue;
    }
    Tensors expected;
    try {
      expected = row.f(as_float64);
    } catch (const Error&) {
      finding.faults.push_back(std::string(kind.name) + " is taken where its numbers in float64 are refused");
      continue;
    }
    const double error = error_of(ys, expected, 1);
    // Bounds have whole numbers between them.
    const bool rounds = kind.dtype == int64 && row.op.rfind("clamp", 0) == 0;
    if (!(error <= kind.tolerance) && !rounds)
      finding.faults.push_back(std::string(kind.name) + " is " + written(error) + " from float64");
    if (kind.dtype != int64)
      for (const Tensor& y : ys)
        if (is_floating(y) && row.op != "to" && y.dtype() != (row.wide ? float64 : kind.dtype))
          finding.faults.push_back(std::string(kind.name) + " gives " + std::string(to_string(y.dtype())));
    finding.cell += std::string(" ") + kind.name;
  }
  return finding;
}

Finding layouts(const OpRow& row) {
  Finding finding;
  const Tensors xs = row.draw(), expected = row.f(xs);
  const auto expect = [&](const char* layout, const Tensors& others, const Tensors& of) {
    const double error = error_of(row.f(others), of, 1);
    if (!(error <= 1e-12))
      finding.faults.push_back(std::string(layout) + " inputs give results " + written(error) + " off");
  };
  Tensors others = xs, first = xs;
  bool has_image = false;
  for (Tensor& x : others)
    if (is_image(x)) has_image = true, x = x.contiguous(MemoryFormat::channels_last);
  if (has_image) {
    expect("channels-last", others, expected);
    const Tensors ys = row.f(others);
    if (row.keeps_format && is_image(xs[0]) && ys[0].dim() >= 3 && !ys[0].is_contiguous(MemoryFormat::channels_last))
      finding.faults.push_back("channels-last inputs give results of another layout");
  }
  for (std::size_t i = 0; i < xs.size(); ++i) others[i] = strided(xs[i]);
  expect("strided", others, expected);
  for (std::size_t i = 0; i < xs.size(); ++i) {
    others[i] = first_everywhere(xs[i]);
    first[i] = others[i].contiguous();
  }
  expect("expanded", others, row.f(first));
  finding.cell = has_image ? "all three" : "strided, expanded";
  return finding;
}

Finding broadcasting(const OpRow& row) {
  Finding finding;
  // Where one element along an axis is another input, not one that is repeated.
  static const std::map<std::string, std::string> other_meaning = {
      {"conv2d", "a kernel of another size"},
      {"conv3d", "a kernel of another size"},
      {"einsum", "an axis that is summed in one operand alone"},
      {"grid_sample", "an image of another size, with zeros beyond it"},
      {"merge", "another sample"},
      {"scatter", "an index that names fewer elements"},
      {"scatter_add", "an index that names fewer elements"},
      {"searchsorted", "other boundaries"},
  };
  const Tensors xs = row.draw();
  if (xs.size() < 2) {
    finding.cell = "one operand";
    return finding;
  }
  int broadcasts = 0;
  std::vector<Shape> shapes;
  for (const Tensor& y : row.f(xs)) shapes.push_back(y.shape());
  for (std::size_t i = 0; i < xs.size(); ++i)
    for (int64_t axis = 0; axis < xs[i].dim(); ++axis) {
      if (xs[i].size(axis) == 1) continue;
      const std::string what = "input " + std::to_string(i) + " of size 1 along axis " + std::to_string(axis);
      Tensors small = xs, whole = xs;
      small[i] = narrow(xs[i], axis, 0, 1);
      whole[i] = expand(small[i], xs[i].shape()).contiguous();
      Tensors ys, expected;
      if (!refused([&] { ys = row.f(small); }, finding, what).empty()) continue;
      bool alike = ys.size() == shapes.size();
      for (std::size_t k = 0; alike && k < ys.size(); ++k) alike = ys[k].shape() == shapes[k];
      if (!alike) continue;
      if (!refused([&] { expected = row.f(whole); }, finding, what + ", repeated,").empty()) continue;
      const double error = error_of(ys, expected, 1);
      if (error <= 1e-12)
        ++broadcasts;
      else if (!other_meaning.count(row.op))
        finding.faults.push_back(what + " is " + written(error) + " from its repetition");
    }
  const bool is_given_so = row.variant.find("broadcast") != std::string::npos;  // vectors and differences prove it
  finding.cell = broadcasts || is_given_so ? "yes" : "no";
  return finding;
}

Finding empty_inputs(const OpRow& row) {
  Finding finding;
  int taken = 0, tried = 0;
  const auto attempt = [&](const Tensors& xs, const std::string& what) {
    return refused(
        [&] {
          const Recorded recorded(row.f, xs);
          for (const Tensor& y : recorded.ys)
            if (!row.differentiable && y.requires_grad()) finding.faults.push_back(what + " makes it differentiable");
          const Tensors dxs = recorded.gradients();
          for (std::size_t i = 0; i < dxs.size(); ++i)
            if (dxs[i].defined() && dxs[i].shape() != recorded.leaves[i].shape())
              finding.faults.push_back(what + " gives gradients of another shape");
        },
        finding, what);
  };
  const Tensors whole = row.draw();
  for (std::size_t axis = 0; axis < row.inputs[0].shape.size(); ++axis) {
    Tensors xs = whole;
    for (Tensor& x : xs)
      if (x.shape() == whole[0].shape()) x = slice(x, static_cast<int64_t>(axis), 0, 0).contiguous();
    ++tried;
    taken += attempt(xs, "axis " + std::to_string(axis) + " of size 0").empty();
  }
  // Beside operands that have elements.
  for (std::size_t i = 0; i < whole.size(); ++i)
    for (int64_t axis = 0; axis < whole[i].dim(); ++axis) {
      Tensors xs = whole;
      xs[i] = slice(xs[i], axis, 0, 0).contiguous();
      attempt(xs, "axis " + std::to_string(axis) + " of size 0 of input " + std::to_string(i) + " alone");
    }
  finding.cell = tried == 0 ? "no axis" : taken == tried ? "taken" : taken ? "by axis" : "refused";
  return finding;
}

Finding bad_inputs(const OpRow& row) {
  Finding finding;
  // Functions that rows call before the op, which then see the misuse first; and another name of the same function.
  static const std::map<std::string, std::set<std::string>> before = {
      {"hardswish", {"mul"}},
      {"relu6", {"mul"}},
      {"hardsigmoid", {"mul"}},
      {"unique", {"floor"}},
      {"bincount", {"allocate"}},  // asks for as much memory as the largest number wants
      {"searchsorted", {"sort"}},
      {"merge", {"moments"}},
      {"nonzero", {"lt"}},
      {"margin_ranking_loss", {"mul"}},
      {"hinge_embedding_loss", {"mul"}},
      {"cosine_embedding_loss", {"mul"}},
      {"ctc_loss", {"log_softmax"}},
      {"broadcast_to", {"expand"}},
      {"inv", {"add"}},
      {"solve", {"add"}},
      {"det", {"add"}},
      {"slogdet", {"add"}},
      {"cholesky", {"add", "matmul"}},
      {"cholesky_solve", {"add"}},
      {"triangular_solve", {"add"}},
      {"qr", {"transpose"}},
      {"eigh", {"add", "transpose"}},
      {"eigvalsh", {"add", "transpose"}},
      {"svdvals", {"transpose"}},
  };
  int refusals = 0;
  const Tensors xs = row.draw();
  const auto attempt = [&](std::size_t i, const char* kind, const Tensor& x, std::optional<bool> refuses) {
    Tensors others = xs;
    others[i] = x;
    const std::string what = "input " + std::to_string(i) + ' ' + kind;
    const std::string words = refused([&] { row.f(others); }, finding, what);
    if (words.empty()) {
      if (refuses == true) finding.faults.push_back(what + " is taken");
      return;
    }
    ++refusals;
    if (refuses == false) finding.faults.push_back(what + " is refused by \"" + words + '"');
    const std::string name = words.substr(0, words.find(": "));
    const auto others_of_row = before.find(row.op);
    // Members of an undefined tensor, which rows use as well, say "tensor".
    const bool is_named = name == row.op || name == "linalg::" + row.op || (!x.defined() && name == "tensor") ||
                          (others_of_row != before.end() && others_of_row->second.count(name));
    if (!is_named) finding.faults.push_back(what + " is refused by \"" + words + '"');
  };
  for (std::size_t i = 0; i < xs.size(); ++i) {
    const Tensor& x = xs[i];
    const bool is_optional = (row.optional >> i & 1) != 0;
    attempt(i, "undefined", Tensor(), !is_optional);
    attempt(i, "of bool", x.to(bool_), {});
    if (!is_floating(x)) attempt(i, "of float64", x.to(float64), {});
    if (x.dtype() == int64)
      for (const double number : {1e12, -1e12})
        attempt(i, "far out of range",
                where(arange(x.numel()).reshape(x.shape()) == x.numel() - 1, number, x).to(int64), {});
    attempt(i, "of another axis", unsqueeze(x, 0), {});
    if (x.dim()) attempt(i, "of an axis less", select(x, 0, 0), {});
    for (int64_t axis = 0; axis < x.dim(); ++axis) attempt(i, "one longer", cat({x, narrow(x, axis, 0, 1)}, axis), {});
  }
  finding.cell = std::to_string(refusals) + " refused";
  return finding;
}

Finding in_checkpoint(const OpRow& row) {
  Finding finding;
  const Tensors xs = row.draw();
  const auto kept = [&](const Tensors& at) { return checkpoint(row.f, at); };
  const Recorded plain(row.f, xs), again(kept, xs);
  if (!same_bits(again.ys, plain.ys)) finding.faults.push_back("values differ within a checkpoint");
  if (row.differentiable) {
    if (!same_bits(again.gradients(), plain.gradients()))
      finding.faults.push_back("gradients differ within a checkpoint");
    const Tensors second = Recorded(kept, xs).second(), expected = Recorded(row.f, xs).second();
    bool alike = second.size() == expected.size();
    for (std::size_t i = 0; alike && i < second.size(); ++i) {
      if (second[i].defined() && expected[i].defined())
        alike = error_of(second[i], expected[i], 1) <= 1e-12;
      else  // what is not reached is 0
        for (const Tensor& d : {second[i], expected[i]})
          alike = alike && (!d.defined() || max(abs(d)).item<double>() == 0);
    }
    if (!alike) finding.faults.push_back("second derivatives differ within a checkpoint");
  }
  finding.cell = "same";
  return finding;
}

}  // namespace properties
