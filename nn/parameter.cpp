#include <limpid/nn/parameter.hpp>

#include <limpid/core/detail/message.hpp>
#include <limpid/nn/detail/derivation.hpp>
#include <limpid/nn/detail/state.hpp>
#include <limpid/nn/module.hpp>
#include <limpid/ops/reduce.hpp>

namespace limpid {

using detail::throw_error;

const Tensor& Parameter::none() noexcept {
  static const Tensor undefined;
  return undefined;
}

Parameter::Parameter(const Parameter& other) noexcept : slot_(nn::detail::Copying::slot_for(other)) {}
Parameter::~Parameter() = default;

Selection Parameter::max(int64_t axis, bool keepdims) const { return tensor().max(axis, keepdims); }
Selection Parameter::min(int64_t axis, bool keepdims) const { return tensor().min(axis, keepdims); }

Parameter& Parameter::operator=(NewParameter&& made) {
  if (slot_)
    throw_error<ValueError>("nn::Parameter: expected a member that holds no parameter yet, for it cannot hold another");
  slot_ = made.slot_;
  return *this;
}

Parameter& Parameter::operator=(const Parameter& other) {
  if (slot_ == other.slot_) return *this;
  if (!nn::detail::Assignments::take(slot_.get(), other.slot_.get()))
    throw_error<ValueError>(
        "nn::Parameter: expected an assigned module, got an assigned member, which its module would not see; copy "
        "values by x.copy_(y), share one tensor by nn::tie(x, y)");
  slot_ = other.slot_;
  return *this;
}

void nn::tie(const Parameter& x, const Parameter& y) {
  if (!x.defined() || !y.defined())
    throw_error<ValueError>("tie: expected two parameters, got ", x.defined() ? "a second" : "a first",
                            " that is none");
  for (const Parameter* p : {&x, &y})
    if (p->slot_->derivation) p->refuse_change();
  if (x.is_same(y)) return;
  if (x.slot_->learned != y.slot_->learned)
    throw_error<ValueError>("tie: expected two parameters or two buffers, got one of each");
  if (x.shape() != y.shape())
    throw_error<ShapeError>("tie: expected tensors of one shape, got ", x.shape(), " and ", y.shape());
  if (x.dtype() != y.dtype())
    throw_error<DTypeError>("tie: expected tensors of one dtype, got ", x.dtype(), " and ", y.dtype());
  const Tensor& own = x.slot_->tensor;
  const char* got = nn::detail::held_elsewhere(own);
  if (!got && own.impl().storage->use_count() > 1)
    got = "whose memory another Tensor has as well: a view, a detach(), a state_dict()";
  if (got)
    throw_error<ValueError>("tie: expected a first parameter that only its modules hold, got one ", got,
                            "; tie before that");
  x.slot_->tensor = y.slot_->tensor;
}

}  // namespace limpid
