#include <limpid/core/detail/message.hpp>
#include <limpid/nn/sequential.hpp>

#include <memory>
#include <vector>

namespace limpid::nn {

struct Sequential::Layers final : RefCounted<Layers>, std::vector<std::unique_ptr<const Callable>> {
  void dispose() noexcept { delete this; }
};

namespace {

// Stands for what is no module, in the tree and in the count of names.
struct Function : Module {
  Function() : Module("Function") {}
};

}  // namespace

Sequential::Sequential() : Module("Sequential"), layers_(new Layers) {}
Sequential::Sequential(const Sequential& other) noexcept = default;
Sequential& Sequential::operator=(const Sequential& other) noexcept = default;
Sequential::~Sequential() = default;

std::size_t Sequential::size() const noexcept { return layers_->size(); }

void Sequential::append(const Module* module, const std::type_info& type, Callable* layer) {
  std::unique_ptr<const Callable> owner(layer);
  const std::string name = limpid::detail::message(size());
  if (module)
    adopt(name, *module, type);
  else
    add(name, Function());
  layers_->push_back(std::move(owner));
}

Tensor Sequential::operator()(const Tensor& x) const {
  Tensor y = x;
  for (const auto& layer : *layers_) y = layer->call(y);
  return y;
}

}  // namespace limpid::nn
