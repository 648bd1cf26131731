#include <limpid/core/detail/fork.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/nn/module.hpp>

#include <algorithm>
#include <mutex>

namespace limpid {

using detail::throw_error;

const Tensor& Parameter::none() noexcept {
  static const Tensor undefined;
  return undefined;
}

Parameter::Parameter(const Parameter& other) noexcept : slot_(nn::detail::Copying::slot_for(other)) {}
Parameter::~Parameter() = default;

Parameter& Parameter::operator=(NewParameter&& made) {
  if (slot_)
    throw_error<ValueError>("nn::Parameter: expected a member that holds no parameter yet, for it cannot hold another");
  slot_ = made.slot_;
  return *this;
}

namespace {

std::atomic<uint64_t> last_owner = 0;
detail::ForkMutex successors_lock(1);

// Of an address that no other thread of now has.
const void* this_thread() noexcept {
  thread_local constinit char here = 0;
  return &here;
}

}  // namespace

Parameter::Owner::Owner() noexcept : id_(++last_owner) {}

void Parameter::Owner::replace_by(Owner& other) {
  const std::lock_guard lock(successors_lock);
  const auto mine = std::find_if(successors_.begin(), successors_.end(),
                                 [](const Successor& s) { return s.thread == this_thread(); });
  if (mine == successors_.end())
    successors_.push_back({this_thread(), other.id_});
  else
    mine->id = other.id_;
  other.has_replaced_ = true;
}

bool Parameter::Owner::is_replaced_by(const Owner* other) const noexcept {
  const std::lock_guard lock(successors_lock);
  return std::any_of(successors_.begin(), successors_.end(),
                     [&](const Successor& s) { return s.thread == this_thread() && (!other || s.id == other->id_); });
}

// An assigned module has taken the state of the other before its members are assigned (see Module's assignment). Of a
// member that holds none it is not known whose it is.
Parameter& Parameter::operator=(const Parameter& other) {
  if (slot_ == other.slot_) return *this;
  const Owner* after = other.slot_ ? other.slot_->owner.get() : nullptr;
  if (!(slot_ ? slot_->owner->is_replaced_by(after) : after->has_replaced()))
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
  if (x.is_same(y)) return;
  if (x.slot_->learned != y.slot_->learned)
    throw_error<ValueError>("tie: expected two parameters or two buffers, got one of each");
  if (x.shape() != y.shape())
    throw_error<ShapeError>("tie: expected tensors of one shape, got ", x.shape(), " and ", y.shape());
  if (x.dtype() != y.dtype())
    throw_error<DTypeError>("tie: expected tensors of one dtype, got ", x.dtype(), " and ", y.dtype());
  const Ref<GradHandle>& gradient = x.impl().grad;  // a graph holds on to that
  if (x.impl().use_count() > 1 || (gradient && gradient->use_count() > 1))
    throw_error<ValueError>(
        "tie: expected a first parameter that only its modules hold, got one that an optimiser, a graph or a Tensor "
        "holds "
        "as well; tie before they are made");
  x.slot_->tensor = y.slot_->tensor;
}

}  // namespace limpid
