// Python's pickles of plain data and of PyTorch's tensors, read without running anything: what a pickle would call is
// kept as a value. A name is never looked up: those of modules that are not on a list, and opcodes that are not, are
// refused.
#pragma once
#include <limpid/core/io/detail/file.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace limpid::detail {

class Pickle {
 public:
  enum class Kind : uint8_t {
    unset,
    none,
    boolean,
    integer,
    big_integer,  ///< beyond 64 bits: its bytes as text
    real,
    text,
    bytes,
    name,   ///< a class or a function: name() has it
    tuple,  ///< from here on a node with items
    list,
    dict,  ///< key, value, key, value, ...
    set,
    call,        ///< a name and a tuple of arguments
    persistent,  ///< what stands for bytes outside the pickle: its id
  };

  struct Value {
    Kind kind = Kind::unset;
    uint32_t size = 0;  ///< of text
    union {
      int64_t integer = 0;
      double real;
      const char* start;
      std::size_t node;
    };

    std::string_view text() const noexcept { return {start, size}; }
    bool is(Kind other) const noexcept { return kind == other; }
  };

  /// What the classes and functions that a pickle may name are.
  enum class Role : uint8_t {
    dict,  ///< which begins empty
    counter,
    size,
    tensor,
    typed_tensor,
    parameter,
    from_type,  ///< a tensor of a class of its own
    other_tensor,
    storage,
    dtype,  ///< or another of torch's names, which dtypes are among
    other_value
  };
  struct Name {
    std::string_view module, name;
    Role role;
    /// Of a storage's or dtype's elements; other where limpid lacks it.
    bool other = true;
    FileType type = float32;
  };
  const Name& name(Value value) const noexcept;

  /// Reads all of source, which must be one pickle of protocol 2 to 5, within a file of file_bytes. What it makes takes
  /// no more memory and time than a small multiple of those: a pickle may be deflated.
  Pickle(Source& source, uint64_t file_bytes);

  Value root() const noexcept { return root_; }
  /// Of a tuple, list, dict, set, call or persistent id.
  const std::vector<Value>& items(Value value) const noexcept { return nodes_[value.node]; }
  /// Whether a tensor or a storage is in it, or may be: what holds none is plain data.
  bool holds_tensors(Value value) const noexcept { return value.kind >= Kind::tuple && holders_[value.node]; }

  /// As messages show it: the whole number 3.
  std::string describe(Value value) const;

 private:
  friend class PickleMachine;
  void find_holders(const std::vector<std::size_t>& tensors);

  std::string bytes_;         // which text refers to
  std::vector<Name> others_;  // names that are not on the list
  std::vector<std::vector<Value>> nodes_;
  std::vector<bool> holders_;  // of nodes: whether they hold tensors
  Value root_;
};

}  // namespace limpid::detail
