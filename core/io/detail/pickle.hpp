// Python's pickles of plain data and of PyTorch's tensors, read without running anything: what a pickle would call is
// kept as a value, and a name or an opcode that is not on a list is refused.
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
    name,   ///< a class or a function: an index into names
    tuple,  ///< from here on a node with items
    list,
    dict,        ///< key, value, key, value, ...
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

  /// The classes and functions that a pickle may name.
  enum class Role : uint8_t {
    ordered_dict,
    tensor,
    typed_tensor,
    parameter,
    other_tensor,
    storage,
    size,
    dtype,
    other_value
  };
  struct Name {
    std::string_view module, name;
    Role role;
    /// Of a storage's or dtype's elements; other where limpid lacks it.
    bool other = true;
    FileType type = float32;
  };
  static const Name& name(Value value) noexcept;

  /// Reads all of source, which must be one pickle of protocol 2 to 5. What it makes takes no more memory than a small
  /// multiple of its size.
  explicit Pickle(Source& source);

  Value root() const noexcept { return root_; }
  /// Of a tuple, list, dict, call or persistent id.
  const std::vector<Value>& items(Value value) const noexcept { return nodes_[value.node]; }
  std::size_t size() const noexcept { return bytes_.size(); }

  /// As messages show it: the whole number 3.
  std::string describe(Value value) const;

 private:
  friend class PickleMachine;
  std::string bytes_;  // which text refers to
  std::vector<std::vector<Value>> nodes_;
  Value root_;
};

}  // namespace limpid::detail
