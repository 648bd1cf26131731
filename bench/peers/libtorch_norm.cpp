// LibTorch's instance_norm over the shape table of bench_norm.cpp, in the same columns.
#include <torch/torch.h>

#include <cstdio>
#include <limpid/bench/timing.hpp>
#include <string>

int main() {
  namespace F = torch::nn::functional;
  const std::vector<std::vector<std::int64_t>> shapes = {{1, 4, 8, 8},        {4, 3, 64, 64},    {8, 64, 56, 56},
                                                         {4, 128, 128, 128},  {1, 64, 512, 512}, {6, 128, 6, 7, 7},
                                                         {2, 32, 64, 64, 64}, {16, 512, 4, 4}};
  for (const auto& shape : shapes)
    for (const int threads : {1, 2})
      for (const bool last : {false, true}) {
        torch::set_num_threads(threads);
        const auto format = !last               ? at::MemoryFormat::Contiguous
                            : shape.size() == 4 ? at::MemoryFormat::ChannelsLast
                                                : at::MemoryFormat::ChannelsLast3d;
        const auto x = torch::randn(shape).contiguous(format), dy = torch::randn(shape).contiguous(format);
        const auto leaf = [](const torch::Tensor& t) { return t.detach().clone().requires_grad_(); };
        const auto w = leaf(torch::rand({shape[1]})), b = leaf(torch::rand({shape[1]})), x_leaf = leaf(x);
        const auto norm = [&](const torch::Tensor& t) {
          return F::instance_norm(t, F::InstanceNormFuncOptions().weight(w).bias(b));
        };
        auto y = torch::empty_like(x), z = torch::empty_like(x);
        const auto us = limpid::median_us({[&] { y.copy_(x); }, [&] { torch::add_out(z, x, dy); },
                                           [&] {
                                             torch::NoGradGuard no_grad;
                                             norm(x);
                                           },
                                           [&] {
                                             torch::autograd::grad({norm(x_leaf)}, {x_leaf, w, b}, {dy});
                                           }},
                                          0.5);
        std::string name;
        for (const auto n : shape) name.append(name.empty() ? 0 : 1, 'x').append(std::to_string(n));
        std::printf("libtorch,%s,%s,%d,%.3f,%.3f,%.3f,%.3f\n", name.c_str(), last ? "channels_last" : "contiguous",
                    threads, us[2], us[3], us[0], us[1]);
        std::fflush(stdout);
      }
}
