// A whole training run, whatever the number of threads.
#include <limpid/core/parallel.hpp>
#include <limpid/limpid.hpp>

#include "../ops/plain.hpp"

namespace test_threads {

using namespace limpid;

TEST_CASE("one seed trains to the same bits for any number of threads") {
  for (MemoryFormat format : {MemoryFormat::contiguous, MemoryFormat::channels_last})
    plain::check_threads([&] {
      manual_seed(7);
      nn::Sequential net{nn::Conv2d(3, 16, 3, {.padding = 1}),
                         nn::InstanceNorm2d(16, {.affine = true}),
                         nn::ReLU(),
                         nn::MaxPool2d(2),
                         nn::Flatten(),
                         nn::Linear(16 * 14 * 14, 10)};
      const Tensor x = randn({16, 3, 28, 28}).contiguous(format), labels = randint(0, 10, {16});
      optim::Adam adam(net.parameters());
      Tensors result;
      for (int step = 0; step < 5; ++step) {
        adam.zero_grad();
        const Tensor loss = cross_entropy(net(x), labels);
        loss.backward();
        adam.step();
        result.push_back(loss.detach());
      }
      for (const Tensor& parameter : net.parameters()) result.push_back(parameter.detach().clone());
      return result;
    });
}

}  // namespace test_threads
