// instance_norm against PyTorch's numbers: tests/reference/norm_vectors.py made them.
#include <limpid/limpid.hpp>
#include <test_paths.hpp>

#include <set>
#include <string>

#include <limpid/tests/catch.hpp>

namespace test_vectors {

using namespace limpid;

class Vectors {
 public:
  Vectors() : members_(load_npz(LIMPID_TEST_DATA "/instance_norm.npz")) {}

  std::set<std::string> cases() const {
    std::set<std::string> names;
    for (const auto& [name, tensor] : members_) names.insert(name.substr(0, name.find('/')));
    return names;
  }
  /// Undefined where PyTorch had none.
  Tensor get(const std::string& name, const std::string& member) const {
    const auto it = members_.find(name + "/" + member);
    return it == members_.end() ? Tensor() : it->second;
  }

 private:
  TensorMap members_;
};

const Vectors& vectors() {
  static const Vectors instance;
  return instance;
}

bool agrees(const Tensor& got, const Tensor& expected) {
  return got.defined() == expected.defined() && (!got.defined() || allclose(got, expected, 1e-11, 1e-12));
}

bool contains(const std::string& name, const char* part) { return name.find(part) != std::string::npos; }

TEST_CASE("PyTorch's vectors cover what they should") { CHECK(vectors().cases().size() == 88); }

TEST_CASE("values and gradients are PyTorch's") {
  for (const std::string& name : vectors().cases()) {
    CAPTURE(name);
    const auto get = [&](const char* member) { return vectors().get(name, member); };
    Tensor x = get("x"), weight = get("weight"), bias = get("bias");
    Tensors inputs;
    for (Tensor* t : {&x, &weight, &bias})
      if (t->defined()) inputs.push_back(t->set_requires_grad());
    const Tensor y = instance_norm(x, get("mean"), get("var"), weight, bias, !contains(name, ".buffers."), 0.1,
                                   contains(name, "eps1e-5") ? 1e-5 : 1.0);
    CHECK(agrees(y.detach(), get("y")));
    y.backward(get("dy"));
    CHECK(agrees(x.grad(), get("dx")));
    if (weight.defined()) CHECK(agrees(weight.grad(), get("dweight")));
    if (bias.defined()) CHECK(agrees(bias.grad(), get("dbias")));
  }
}

TEST_CASE("update_running_stats gives PyTorch's running statistics") {
  int updates = 0;
  for (const std::string& name : vectors().cases()) {
    if (!contains(name, ".update.")) continue;
    CAPTURE(name);
    const Tensor mean = vectors().get(name, "mean").clone(), var = vectors().get(name, "var").clone();
    update_running_stats(vectors().get(name, "x"), mean, var, 0.1);
    CHECK(agrees(mean, vectors().get(name, "new_mean")));
    CHECK(agrees(var, vectors().get(name, "new_var")));
    ++updates;
  }
  CHECK(updates == 24);
}

}  // namespace test_vectors
