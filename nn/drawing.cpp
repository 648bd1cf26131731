#include <limpid/nn/detail/drawing.hpp>

#include <limpid/autograd/detail/checkpoint_run.hpp>

namespace limpid::nn::detail {

using limpid::detail::CheckpointRun;

CallDrawing::CallDrawing(Generator* generator) : Drawing(generator), generator_(generator) {
  if (!generator || generator == &default_generator() || !CheckpointRun::innermost()) return;
  if (const Tensor* noted = CheckpointRun::recall(generator)) {
    before_ = *generator;
    const auto number = [&](int64_t i) { return static_cast<uint64_t>(noted->data<int64_t>()[i]); };
    generator->set_state({number(0), number(1)});
  }
  const Tensor now = empty({2}, int64);
  now.data<int64_t>()[0] = static_cast<int64_t>(generator->state().seed);
  now.data<int64_t>()[1] = static_cast<int64_t>(generator->state().position);
  CheckpointRun::note(generator, now);
}

CallDrawing::~CallDrawing() {
  if (before_) *generator_ = *before_;
}

}  // namespace limpid::nn::detail
