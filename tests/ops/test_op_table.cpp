// What every op owes its user, checked for each row of the table.
#include <limpid/core/detail/array.hpp>
#include <limpid/limpid.hpp>
#include <test_paths.hpp>

#include <algorithm>
#include <cctype>
#include <cfenv>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/ops/op_table.hpp>
#include <limpid/tests/ops/plain.hpp>
#include <limpid/tests/settings.hpp>
#include <limpid/tests/thinned.hpp>

namespace test_op_table {

using namespace limpid;

template <class F>
void for_each_op(F f) {
  for (const OpRow& row : op_table()) DYNAMIC_SECTION(row.name()) {
      f(row);
    }
}

bool all_finite(const Tensor& y) {
  const Tensor wide = detail::as_contiguous(detail::as_dtype(y.detach(), float64));
  return std::all_of(wide.data<double>(), wide.data<double>() + wide.numel(),
                     [](double v) { return std::isfinite(v); });
}

// How often "Tensor name(" or "Tensors name(" begins a line of a header of
// ops/, by name.
std::map<std::string, int> declared_ops() {
  std::map<std::string, int> count;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(LIMPID_SOURCE_DIR) + "/ops")) {
    if (entry.path().extension() != ".hpp") continue;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);)
      for (const std::string type : {"Tensor ", "Tensors "}) {
        if (line.rfind(type, 0) != 0) continue;
        const std::size_t open = line.find('(');
        const std::string name = line.substr(type.size(), open == std::string::npos ? 0 : open - type.size());
        const auto in_a_name = [](unsigned char c) { return std::isalnum(c) || c == '_'; };
        if (!name.empty() && std::all_of(name.begin(), name.end(), in_a_name)) ++count[name];
      }
  }
  return count;
}

TEST_CASE("every op declared in ops/ has a row for each overload") {
  const std::map<std::string, int> declared = declared_ops();
  REQUIRE(declared.size() > 80);
  for (const auto& entry : declared) {
    const std::string& op = entry.first;  // clang 14 captures no structured bindings
    const int overloads = entry.second;
    INFO(op);
    CHECK(std::count_if(op_table().begin(), op_table().end(), [&](const OpRow& row) { return row.op == op; }) >=
          overloads);
  }
}

TEST_CASE("ops give finite results of the right shape, and the same ones again") {
  for_each_op([](const OpRow& row) {
    const Tensors xs = row.draw(), ys = row.f(xs), again = row.f(xs);
    REQUIRE_FALSE(ys.empty());
    CHECK(ys[0].shape() == row.shape);
    for (std::size_t k = 0; k < ys.size(); ++k) {
      CHECK(all_finite(ys[k]));
      CHECK(equal(ys[k], again[k]));
    }
    const Tensors before = row.draw();
    for (std::size_t i = 0; i < xs.size(); ++i) CHECK(equal(xs[i], before[i]));
  });
}

TEST_CASE("ops have the gradients that differences give") {
  for_each_op([](const OpRow& row) {
    if (!row.differentiable) {
      Tensors xs = row.draw();
      for (std::size_t i = 0; i < xs.size(); ++i)
        if (is_floating_point(xs[i].dtype())) xs[i].set_requires_grad();
      CHECK_FALSE(row.f(xs)[0].requires_grad());
      return;
    }
    const GradcheckReport report = gradcheck(row.f, row.draw(), {.rtol = row.rtol, .allow_vacuous = row.vacuous});
    INFO(report);
    CHECK(report);
    CHECK(report.vacuous == row.vacuous);
  });
}

TEST_CASE("ops have the second derivatives that differences give") {
  for_each_op([](const OpRow& row) {
    const auto number = static_cast<int>(&row - op_table().data());
    if (!row.differentiable || test::is_thinned_out(number, 3)) return;
    const GradcheckReport report = gradgradcheck(row.f, row.draw(), {.rtol = row.rtol, .allow_vacuous = row.vacuous});
    INFO(report);
    CHECK(report);
  });
}

TEST_CASE("ops take operands and cotangents from inference mode, or refuse them in words") {
  const auto in_words = [](const auto& work) {
    try {
      work();
    } catch (const Error& error) {
      CHECK_THAT(error.what(), ContainsSubstring("from inference mode; clone() it first"));
      CHECK_THAT(error.what(), ContainsSubstring(": expected "));
    }
  };
  const auto from_inference = [](const Tensor& x) {
    const InferenceMode inference;
    return x.clone();
  };
  for_each_op([&](const OpRow& row) {
    if (!row.differentiable) return;
    const Tensors plain = row.draw();
    const auto leaves = [&] {
      Tensors xs = plain;
      for (Tensor& x : xs)
        if (is_floating_point(x.dtype())) x = x.clone().set_requires_grad();
      return xs;
    };
    for (std::size_t i = 0; i < plain.size(); ++i) {
      Tensors xs = leaves();
      xs[i] = from_inference(plain[i]);
      in_words([&] { row.f(xs); });
    }
    const Tensors xs = leaves(), ys = row.f(xs);
    if (!ys[0].requires_grad()) return;
    const Tensor dy = from_inference(ones_like(ys[0]));
    Tensors wanted;
    for (const Tensor& x : xs)
      if (x.requires_grad()) wanted.push_back(x);
    in_words([&] { grad({ys[0]}, wanted, {dy}, {.create_graph = true, .allow_unused = true}); });
  });
}

TEST_CASE("ops push forward what they pull back") {
  const auto inner = [](const Tensors& a, const Tensors& b) {
    double total = 0;
    for (std::size_t k = 0; k < a.size(); ++k) total += sum(a[k] * b[k]).item<double>();
    return total;
  };
  for_each_op([&](const OpRow& row) {
    if (!row.differentiable) return;
    Generator generator(5);
    const Tensors all = row.draw();
    Tensors xs, dxs, dys;
    for (const Tensor& x : all)
      if (is_floating_point(x.dtype())) {
        xs.push_back(x);
        dxs.push_back(randn(x.shape(), float64, generator));
      }
    const auto f = [&](const Tensors& at) {
      Tensors whole = all, floating;
      for (std::size_t i = 0, j = 0; i < all.size(); ++i)
        if (is_floating_point(all[i].dtype())) whole[i] = at[j++];
      for (const Tensor& y : row.f(whole))
        if (is_floating_point(y.dtype())) floating.push_back(y);
      return floating;
    };
    const Jvp forward = jvp(f, xs, dxs);
    for (const Tensor& y : forward.ys) dys.push_back(randn(y.shape(), float64, generator).to(y.dtype()));
    const double pushed = inner(dys, forward.dys), pulled = inner(vjp(f, xs, dys).dxs, dxs);
    INFO(pushed << " forward, " << pulled << " reverse");
    CHECK(std::abs(pushed - pulled) <= (row.op == "to" ? 1e-6 : 1e-11) * (1 + std::abs(pushed)));
    if (!row.vacuous) CHECK(pushed != 0);
  });
}

TEST_CASE("ops record the same gradients of cotangents in any layout") {
  for_each_op([](const OpRow& row) {
    if (!row.differentiable) return;
    Generator generator(6);
    Tensors xs = row.draw(), leaves, ys, dense, apart;
    for (Tensor& x : xs)
      if (is_floating_point(x.dtype())) leaves.push_back(x.set_requires_grad());
    for (const Tensor& y : row.f(xs)) {
      if (!y.requires_grad()) continue;
      ys.push_back(y);
      dense.push_back(randn(y.shape(), float64, generator).to(y.dtype()));
      apart.push_back(plain::strided(dense.back()));
    }
    const auto gradients = [&](const Tensors& dys) {
      return grad(ys, leaves, dys, {.create_graph = true, .allow_unused = true});
    };
    const Tensors got = gradients(apart), expected = gradients(dense);
    for (std::size_t i = 0; i < got.size(); ++i) {
      REQUIRE(got[i].defined() == expected[i].defined());
      if (got[i].defined()) CHECK(allclose(got[i].detach(), expected[i].detach(), 1e-12, 1e-13));
    }
  });
}

// What f gives, and whether an invalid operation was signalled though that has
// no NaN.
struct Watched {
  Tensors ys;
  bool has_nan, is_false_alarm;
};
template <class F>
Watched watched(F f) {
  std::feclearexcept(FE_ALL_EXCEPT);
  Watched w{f(), false, false};
  const bool raised = std::fetestexcept(FE_INVALID) != 0;
  for (const Tensor& y : w.ys) w.has_nan = w.has_nan || (y.defined() && any(isnan(y.detach())).template item<bool>());
  w.is_false_alarm = raised && !w.has_nan;
  return w;
}

// x with value as its i-th element.
Tensor planted(const Tensor& x, int64_t i, double value) {
  const Tensor y = x.clone();
  detail::fill(detail::make_view(y, {}, {}, i), value);
  return y;
}

void check_exceptions(const OpRow& row, DType dtype, std::size_t input, double value, bool is_first) {
  Tensors xs = row.draw(), leaves;
  if (!is_floating_point(xs[input].dtype()) || xs[input].numel() == 0) return;
  for (Tensor& x : xs)
    if (is_floating_point(x.dtype())) x = x.to(dtype);
  xs[input] = planted(xs[input], is_first ? 0 : xs[input].numel() - 1, value);
  bool is_false_alarm = false;
  try {
    is_false_alarm = watched([&] { return row.f(xs); }).is_false_alarm;
  } catch (const ValueError&) {
    return;  // of a target that is no probability
  }
  CHECK_FALSE(is_false_alarm);
  if (!row.differentiable) return;
  for (Tensor& x : xs)
    if (is_floating_point(x.dtype())) leaves.push_back(x.set_requires_grad());
  // Compositions have intermediate results, which may be NaN.
  if (row.op == "triplet_margin_loss" || row.name() == "cross_entropy (options)") return;
  const std::set<std::string> composed = {"huber_loss", "vector_norm", "smooth_l1_loss", "kl_div"};
  const bool is_composed = composed.count(row.op) == 1;
  for (const double dy : {1.0, 0.0, static_cast<double>(INFINITY)}) {
    if (is_composed && dy != 1) continue;
    CAPTURE(dy);
    const Watched forward = watched([&] { return row.f(xs); });
    if (forward.has_nan) return;
    Tensors dys;
    for (const Tensor& y : forward.ys)
      dys.push_back(y.numel() == 0 ? y.detach() : planted(ones(y.shape(), y.dtype()), y.numel() / 2, dy));
    CHECK_FALSE(watched([&] { return grad(forward.ys, leaves, dys, {.allow_unused = true}); }).is_false_alarm);
  }
}

TEST_CASE(
    "ops signal no invalid operation at infinity, nor do their "
    "gradients, where no result is NaN") {
  const test::WithThreads one(1);  // flags belong to a thread
  // Of others' libraries, which multiply what pads their blocks.
  const auto of_library = [](const std::string& op) {
    return op == "matmul" || op == "linear" || op.rfind("conv", 0) == 0;
  };
  for_each_op([&](const OpRow& row) {
    if (row.of_library || of_library(row.op)) return;
    for (const Isa level : isa_levels()) {
      if (test::thinned() && level != best_isa()) continue;
      const test::WithIsa with(level);
      for (const DType dtype : {float32, float64})
        for (std::size_t input = 0; input < row.inputs.size(); ++input)
          for (const double value : {INFINITY, -INFINITY})
            for (const bool is_first : {true, false}) {
              CAPTURE(to_string(level), dtype, input, value, is_first);
              check_exceptions(row, dtype, input, value, is_first);
            }
    }
  });
}

}  // namespace test_op_table
