// What PyTorch's modules and optimisers did with given numbers: tests/reference/module_vectors.py.
#pragma once
#include <limpid/limpid.hpp>
#include <test_paths.hpp>

#include <set>
#include <string>

/// The members whose names begin with prefix, by the rest of their names.
inline limpid::TensorMap members_of(const limpid::TensorMap& all, const std::string& prefix) {
  limpid::TensorMap members;
  for (const auto& [name, tensor] : all)
    if (name.compare(0, prefix.size(), prefix) == 0) members[name.substr(prefix.size())] = tensor;
  return members;
}
inline limpid::TensorMap torch_vectors(const std::string& prefix) {
  static const limpid::TensorMap all = limpid::load_npz(LIMPID_TEST_DATA "/modules.npz");
  return members_of(all, prefix);
}

inline std::set<std::string> names(const limpid::TensorMap& map) {
  std::set<std::string> set;
  for (const auto& entry : map) set.insert(entry.first);
  return set;
}
