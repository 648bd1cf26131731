// What each member of the family is called in graphs, profiles and messages: by its own name, derivatives included.
#include <limpid/limpid.hpp>

#include <regex>
#include <set>
#include <string>
#include <vector>

#include <limpid/tests/catch.hpp>
#include <limpid/tests/message_of.hpp>

namespace test_names {

using namespace limpid;

struct Kind {
  std::string name;
  Tensor (*f)(const Tensor& x, const Tensor& w, const Tensor& b);
  bool relu = false;
  Shape affine{4};
};

const std::vector<Kind> kinds = {
    {"instance_norm",
     [](const Tensor& x, const Tensor& w, const Tensor& b) { return instance_norm(x, {.weight = w, .bias = b}); }},
    {"group_norm", [](const Tensor& x, const Tensor& w, const Tensor& b) { return group_norm(x, 2, w, b); }},
    {"layer_norm",
     [](const Tensor& x, const Tensor& w, const Tensor& b) { return layer_norm(x, {5}, w, b); },
     false,
     {5}},
    {"rms_norm", [](const Tensor& x, const Tensor& w, const Tensor&) { return rms_norm(x, {5}, w); }, false, {5}},
    {"batch_norm", [](const Tensor& x, const Tensor& w, const Tensor& b) { return batch_norm(x, {}, {}, w, b, true); }},
    {"instance_norm",
     [](const Tensor& x, const Tensor& w, const Tensor& b) {
       return instance_norm(x, {.weight = w, .bias = b, .relu = true});
     },
     true},
    {"group_norm",
     [](const Tensor& x, const Tensor& w, const Tensor& b) {
       return group_norm(x, 2, {.weight = w, .bias = b, .relu = true});
     },
     true},
    {"batch_norm",
     [](const Tensor& x, const Tensor& w, const Tensor& b) {
       return batch_norm(x, {.weight = w, .bias = b, .training = true, .relu = true});
     },
     true}};

struct Inputs {
  Tensor x, w, b;

  explicit Inputs(const Kind& kind, DType dtype = float64)
      : x(randn({2, 4, 3, 5}).to(dtype)),
        w(rand(kind.affine).to(dtype)),
        b(randn(kind.affine).to(dtype)) {
    x.set_requires_grad(), w.set_requires_grad(), b.set_requires_grad();
  }
};

/// The words of a text that name a normalisation: what `pattern` captures, where it has "norm" in it.
std::set<std::string> norms_in(const std::string& text, const char* pattern) {
  const std::regex name(pattern);
  std::set<std::string> names;
  for (std::sregex_iterator match(text.begin(), text.end(), name), end; match != end; ++match)
    if (const std::string found = (*match)[1]; found.find("norm") != std::string::npos) names.insert(found);
  return names;
}

std::string node_of(const Tensor& y) { return grad_node(y)->name(); }

Tensor loss_of(const Tensor& y) { return sum(y * y * y); }

TEST_CASE("the nodes of a normalisation and of its derivatives carry its name") {
  const Kind kind = GENERATE(from_range(kinds));
  CAPTURE(kind.name, kind.relu);
  manual_seed(1);
  const Inputs in(kind);
  const Tensor y = kind.f(in.x, in.w, in.b);
  CHECK(node_of(y) == kind.name);

  const Tensors first = grad({loss_of(y)}, {in.x, in.w}, {}, {.create_graph = true});
  CHECK(node_of(first[0]) == kind.name + "_backward");
  const Tensors second = grad({loss_of(first[0])}, {in.x}, {}, {.create_graph = true});
  const Tensors third = grad({loss_of(second[0])}, {in.x}, {}, {.create_graph = true});

  std::set<std::string> expected{kind.name, kind.name + "_backward", kind.name + "_double_backward",
                                 kind.name + "_rstd"};
  if (kind.relu) expected.insert(kind.name + "_relu_backward");
  CHECK(norms_in(to_dot(third), R"(label = "(\w+))") == expected);
}

TEST_CASE("a recorded tangent of a normalisation carries its name") {
  const Kind kind = GENERATE(from_range(kinds));
  CAPTURE(kind.name, kind.relu);
  const Inputs in(kind);
  const auto f = [&](const Tensor& x) { return kind.f(x, in.w, in.b); };
  const Tensor dy = jvp(f, {in.x}, {randn(in.x.shape(), float64)}).dys[0];
  const std::set<std::string> names = norms_in(to_dot(dy), R"(label = "(\w+))");
  CHECK(names.count(kind.name + "_tangent") == 1);
  for (const std::string& name : names) CHECK(name.rfind(kind.name, 0) == 0);
}

TEST_CASE("half precision has the same names") {
  const Kind kind = GENERATE(from_range(kinds));
  CAPTURE(kind.name, kind.relu);
  const Inputs in(kind, float16);
  const Tensor y = kind.f(in.x, in.w, in.b);
  const Tensors first = grad({sum(y * y)}, {in.x}, {}, {.create_graph = true});
  for (const std::string& name : norms_in(to_dot(first), R"(label = "(\w+))")) CHECK(name.rfind(kind.name, 0) == 0);
}

TEST_CASE("running statistics in place of the input's own keep the name") {
  const Tensor x = randn({2, 4, 3, 5}), mean = randn({4}), var = rand({4}) + 1;
  Tensor leaf = x.detach();
  leaf.set_requires_grad();
  CHECK(node_of(instance_norm(leaf, mean, var, {}, {}, false)) == "instance_norm");
  CHECK(node_of(batch_norm(leaf, mean, var)) == "batch_norm");
  const Tensor y =
      instance_norm(leaf, {.running_mean = mean, .running_var = var, .use_input_stats = false, .relu = true});
  const Tensors dx = grad({sum(y * y)}, {leaf}, {}, {.create_graph = true});
  CHECK(norms_in(to_dot(dx), R"(label = "(\w+))") ==
        std::set<std::string>{"instance_norm", "instance_norm_relu_backward"});
}

TEST_CASE("a profile of a normalisation and its derivatives names it alone") {
  const Kind kind = GENERATE(from_range(kinds));
  CAPTURE(kind.name, kind.relu);
  const Inputs in(kind);
  Profiler profiler;
  const Tensors first = grad({loss_of(kind.f(in.x, in.w, in.b))}, {in.x}, {}, {.create_graph = true});
  const Tensors second = grad({loss_of(first[0])}, {in.x, in.w}, {});
  jvp([&](const Tensor& x) { return kind.f(x, in.w, in.b); }, {in.x}, {randn(in.x.shape(), float64)});
  profiler.stop();
  bool found = false;
  for (const Profiler::Row& row : profiler.table())
    if (row.op == kind.name) {
      found = true;
      CHECK(row.calls >= 2);
      CHECK(row.backward_calls >= 2);
    }
  CHECK(found);
  const std::set<std::string> names = norms_in(profiler.chrome_trace(), R"("name": ?"(\w+)\")");
  CHECK(names.count(kind.name) == 1);
  CHECK(names.count(kind.name + "_backward") == 1);
  CHECK(names.count(kind.name + "_tangent") == 1);
  for (const std::string& name : names) CHECK(name.rfind(kind.name, 0) == 0);
}

TEST_CASE("a message about a used graph names the normalisation, or its backward") {
  const Kind kind = GENERATE(from_range(kinds));
  CAPTURE(kind.name, kind.relu);
  const Inputs in(kind);
  const Tensor y = kind.f(in.x, in.w, in.b);
  const auto run = [&](const Tensors& ys) { return grad(ys, {in.x}, {ones_like(ys[0])}); };
  run({y});
  CHECK(message_of([&] { run({y}); }).find("got one whose op " + kind.name + ' ') != std::string::npos);
  const Inputs fresh(kind);
  const Tensor dx = grad({sum(kind.f(fresh.x, fresh.w, fresh.b))}, {fresh.x}, {}, {.create_graph = true})[0];
  const auto again = [&] { return grad({dx}, {fresh.w}, {ones_like(dx)}); };
  again();
  CHECK(message_of(again).find("got one whose op " + kind.name + "_backward ") != std::string::npos);
}

}  // namespace test_names
