#include <cxxabi.h>
#include <limpid/autograd/function.hpp>
#include <limpid/core/detail/message.hpp>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <set>
#include <string>

namespace limpid {

Tensor Context::saved(std::size_t i) const {
  if (i >= saved_.size())
    detail::throw_error<AutogradError>(node_ ? node_->name() : "saved", ": expected an index below ", saved_.size(),
                                       ", the number of saved tensors, got ", i);
  return saved_[i]->x;
}

void FunctionNode::finish(Tensors& ys, const Tensors& xs) {
  start();
  for (Tensor& y : ys) {
    if (!y.defined() || !is_floating_point(y.dtype()))
      detail::throw_error<AutogradError>(name_, ": expected floating-point results from forward, got ",
                                         y.defined() ? to_string(y.dtype()) : "an undefined tensor");
    // A forward may return an argument, which has a history of its own.
    const bool is_argument =
        y.requires_grad() || std::any_of(xs.begin(), xs.end(), [&](const Tensor& x) { return x.is_same(y); });
    if (!is_argument) continue;
    const uint32_t epoch = y.impl().storage->epoch();
    y = y.detach();
    y.impl().is_view = true;
    y.impl().epoch = epoch;
  }
  context.node_ = this;
  for (Tensor& y : ys) attach(y);
  for (const Tensor& x : context.to_save_) {
    context.saved_.emplace_back(new Context::Kept(*this));
    context.saved_.back()->x = x;
  }
  context.to_save_.clear();
}

const char* FunctionNode::type_name(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> readable(abi::__cxa_demangle(type.name(), nullptr, nullptr, &status),
                                                        std::free);
  static std::mutex mutex;
  static std::set<std::string> names;
  const std::lock_guard lock(mutex);
  return names.emplace(status == 0 ? readable.get() : type.name()).first->c_str();
}

}  // namespace limpid
