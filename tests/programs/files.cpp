// What is written is read again, of every type; what is cut short is refused.
#include <limpid/limpid.hpp>

#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

using namespace limpid;

int main() {
  Tensor f = randn({3, 1, 5}), d = randn({7}, float64), i = arange(4, int64), none = zeros({0, 3});
  for (const Tensor& x : {f, d, i, none}) {
    save_npy("one.npy", x);
    if (!equal(load_npy("one.npy"), x)) return 1;
  }
  save_npz("all.npz", {{"f", f}, {"d", d}, {"i", i}});
  auto arrays = load_npz("all.npz");
  if (arrays.size() != 3 || !equal(arrays.at("d"), d)) return 2;
  save_safetensors("all.safetensors", {{"f", f}, {"d", d}, {"i", i}});
  auto tensors = load_safetensors("all.safetensors");
  if (tensors.size() != 3 || !equal(tensors.at("f"), f)) return 3;

  // A file cut in half.
  std::ifstream whole("all.safetensors", std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(whole), {}};
  std::ofstream("half.safetensors", std::ios::binary) << bytes.substr(0, bytes.size() / 2);
  try {
    load_safetensors("half.safetensors");
    return 4;
  } catch (const IOError& error) {
    std::cout << error.what() << '\n';
  }
  try {
    load_npy("no such file.npy");
    return 5;
  } catch (const IOError& error) {
    std::cout << error.what() << '\n';
  }
}
