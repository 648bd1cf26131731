// What the readers of files of many tensors share: how an entry that cannot be read is told from a file that cannot be,
// and the three ways to ask for what a file holds.
#pragma once
#include <limpid/core/io/detail/file.hpp>
#include <limpid/core/io/left_out.hpp>
#include <limpid/core/tensor_map.hpp>

namespace limpid::detail {

/// Takes what a file holds, entry by entry. A reader checks what all entries rest on (the directory of an archive, the
/// places of the data) before it adds any, and throws; what is wrong with one entry alone it throws within add().
class Entries {
 public:
  /// wanted: the name of the one entry to read; the others are then left out without a reason. Null for all.
  /// with_malformed: whether an entry that is malformed is left out too, for a caller who asked what is.
  Entries(const std::string* wanted, bool with_malformed) : wanted_(wanted), with_malformed_(with_malformed) {}

  /// Takes what read() gives under this name; what it throws of the entry is the reason why it is left out.
  template <class F>
  void add(const std::string& name, F&& read) {
    if (wanted_ && name != *wanted_) {
      left_out.emplace(name, "");
      return;
    }
    try {
      tensors.insert_or_assign(name, read());
    } catch (const NotOurs& error) {
      left_out.insert_or_assign(name, error.what());
    } catch (const Malformed& error) {
      if (!with_malformed_) throw;
      left_out.insert_or_assign(name, error.what());
    }
  }
  bool contains(const std::string& name) const { return tensors.contains(name) || left_out.contains(name); }

  TensorMap tensors;
  LeftOut left_out;

 private:
  const std::string* wanted_;
  bool with_malformed_;
};

/// Adds the entries of the file at path, in any order.
using EntryReader = void (*)(const std::string& path, Entries& entries);

/// All tensors. Throws where an entry is malformed, and warns of what is sound but no tensor here.
TensorMap load_entries(const char* op, const std::string& path, EntryReader read);
/// All that can be read; left_out becomes the list of the rest.
TensorMap load_entries(const std::string& path, EntryReader read, LeftOut& left_out);
/// The tensor of this name; else an IOError with why it cannot be read, or which names there are.
Tensor load_entry(const char* op, const std::string& path, EntryReader read, const std::string& name);

}  // namespace limpid::detail
