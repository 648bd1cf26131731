// The normalisation family by its documented identities, on an image batch and on a sequence.
#include <limpid/limpid.hpp>

#include <cstdlib>
#include <iostream>
#include <string_view>

using namespace limpid;

static void require(bool ok, const char* what) {
  if (ok) return;
  std::cerr << "failed: " << what << '\n';
  std::exit(1);
}

int main() {
  manual_seed(11);

  // A sequence: three axes are enough, two are an error that shows the shape.
  Tensor sequence = randn({2, 5, 33});
  require(equal(instance_norm(sequence), group_norm(sequence, 5)), "one group per channel is instance_norm");
  require(instance_norm(sequence).shape() == sequence.shape(), "the shape is kept");
  try {
    instance_norm(randn({2, 5}));
    require(false, "two axes are refused");
  } catch (const ShapeError& error) {
    require(std::string_view(error.what()).find("(2, 5)") != std::string_view::npos, "the message shows the shape");
  }

  // Channels-last in, channels-last out, the same numbers.
  Tensor image = randn({2, 6, 7, 9});
  Tensor last = image.contiguous(MemoryFormat::channels_last);
  require(instance_norm(last).is_contiguous(MemoryFormat::channels_last), "the memory format is kept");
  require(equal(instance_norm(last), instance_norm(image)), "the layout does not change the result");

  // Affine with a weight alone: y is zero where the slice is constant, whatever the weight.
  Tensor weight = full({6}, 3.0);
  require(equal(instance_norm(full({2, 6, 4, 4}, 7.0), {.weight = weight}), zeros({2, 6, 4, 4})), "a constant slice");

  // The function reads running statistics, update_running_stats writes them.
  Tensor mean = zeros({6}), var = ones({6});
  instance_norm(image, mean, var, {}, {}, true, 0.5);
  require(equal(mean, zeros({6})), "the function leaves the buffers alone");
  update_running_stats(image, mean, var, 0.5);
  require(!equal(mean, zeros({6})), "update_running_stats writes them");

  // y does not change when x is shifted, so dx sums to zero over each slice.
  image.set_requires_grad();
  instance_norm(image).backward(randn({2, 6, 7, 9}));
  require(allclose(sum(image.grad(), {2, 3}), zeros({2, 6}), 1e-4, 1e-4), "dx sums to zero");
}
