// https://github.com/python/cpython/blob/3.11/Lib/pickletools.py describes the opcodes.
#include <limpid/core/io/detail/pickle.hpp>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

namespace limpid::detail {
namespace {

using Kind = Pickle::Kind;
using Role = Pickle::Role;
using Value = Pickle::Value;
using Stored = FileType::Stored;

constexpr uint64_t max_pickle_bytes = 1 << 26;  // 200 and more bytes describe a tensor

constexpr Pickle::Name known_names[] = {
    {"collections", "OrderedDict", Role::dict},
    {"collections", "defaultdict", Role::dict},
    {"collections", "Counter", Role::counter},
    {"torch._utils", "_rebuild_tensor_v2", Role::tensor},
    {"torch._utils", "_rebuild_tensor_v3", Role::typed_tensor},
    {"torch._utils", "_rebuild_parameter", Role::parameter},
    {"torch._utils", "_rebuild_parameter_with_state", Role::parameter},
    {"torch._tensor", "_rebuild_from_type", Role::from_type},
    {"torch._tensor", "_rebuild_from_type_v2", Role::from_type},
    {"torch", "Size", Role::size},
    {"torch", "device", Role::other_value},
    {"torch.nn.parameter", "Parameter", Role::other_value},
    {"torch.serialization", "_get_layout", Role::other_value},
    {"_codecs", "encode", Role::other_value},  // bytes, before protocol 3
    {"torch", "DoubleStorage", Role::storage, false, float64},
    {"torch", "FloatStorage", Role::storage, false, float32},
    {"torch", "HalfStorage", Role::storage, false, float16},
    {"torch", "BFloat16Storage", Role::storage, false, bfloat16},
    {"torch", "LongStorage", Role::storage, false, int64},
    {"torch", "IntStorage", Role::storage, false, int32},
    {"torch", "ShortStorage", Role::storage, false, Stored::int16},
    {"torch", "CharStorage", Role::storage, false, Stored::int8},
    {"torch", "ByteStorage", Role::storage, false, uint8},
    {"torch", "BoolStorage", Role::storage, false, bool_},
    {"torch.storage", "UntypedStorage", Role::storage, false, uint8},
    {"torch", "float64", Role::dtype, false, float64},
    {"torch", "float32", Role::dtype, false, float32},
    {"torch", "float16", Role::dtype, false, float16},
    {"torch", "bfloat16", Role::dtype, false, bfloat16},
    {"torch", "int64", Role::dtype, false, int64},
    {"torch", "int32", Role::dtype, false, int32},
    {"torch", "int16", Role::dtype, false, Stored::int16},
    {"torch", "int8", Role::dtype, false, Stored::int8},
    {"torch", "uint8", Role::dtype, false, uint8},
    {"torch", "uint16", Role::dtype, false, Stored::uint16},
    {"torch", "uint32", Role::dtype, false, Stored::uint32},
    {"torch", "uint64", Role::dtype, false, Stored::uint64},
    {"torch", "bool", Role::dtype, false, bool_},
};

// Python's own types of plain data. Protocol 2 finds them in __builtin__, some by the names that Python 2 had for them.
constexpr std::string_view builtins[] = {"bool",      "bytearray", "bytes", "complex", "dict",  "float",
                                         "frozenset", "int",       "list",  "long",    "range", "set",
                                         "slice",     "str",       "tuple", "unicode", "xrange"};

// PyTorch's own names go on growing, and a new one is no fault of what else is in a file: what is of torch itself is
// some dtype, unless it ends as storages do, and what of torch._utils begins as they do makes a tensor.
std::optional<Role> role_of(std::string_view module, std::string_view name) {
  const auto is_word = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  };
  if (!std::all_of(name.begin(), name.end(), is_word)) return std::nullopt;
  if (module == "torch") return name.ends_with("Storage") ? Role::storage : Role::dtype;
  if (module == "torch._utils" && name.starts_with("_rebuild_")) return Role::other_tensor;
  if ((module == "builtins" || module == "__builtin__") && std::ranges::find(builtins, name) != std::end(builtins))
    return Role::other_value;
  return std::nullopt;
}

constexpr const char* remedy =
    ": load_pt runs nothing and reads tensors alone; in Python, torch.save(model.state_dict(), path) saves those";

Value value_of(Kind kind, uint32_t size = 0) noexcept {
  Value value;
  value.kind = kind;
  value.size = size;
  return value;
}

}  // namespace

// The stack machine that a pickle is a program for. Values are 16 bytes, what has items is a node, and nothing refers
// to a node but by its number: no recursion reads, shares or frees them.
class PickleMachine {
 public:
  // file_bytes: of the file, in which there is a byte for each value at least, and four for each node. Room is made for
  // no more than that, however many bytes they are unpacked to.
  PickleMachine(Pickle& pickle, const Source& source, uint64_t file_bytes)
      : pickle_(pickle),
        source_(source),
        bytes_(pickle.bytes_),
        most_values_(few + file_bytes),
        values_left_(most_values_),
        nodes_left_(few + file_bytes / 4) {}

  void run() {
    if (bytes_.size() < 2 || bytes_[0] != '\x80')
      fail(
          "expected a pickle of protocol 2 to 5, got protocol 0 or 1, or none: in Python, torch.save(..., "
          "pickle_protocol=2)");
    if (bytes_[1] < 2 || bytes_[1] > 5) fail("expected a pickle of protocol 2 to 5, got protocol ", int{bytes_[1]});
    at_ = 2;
    for (;;) {
      op_at_ = at_;
      const auto opcode = number<uint8_t>();
      if (opcode == '.') break;
      step(opcode);
    }
    if (stack_.size() != 1 || !marks_.empty()) fail("expected one value at the end, got ", stack_.size());
    if (at_ != bytes_.size()) fail("expected the end after the value, got ", bytes_.size() - at_, " bytes more");
    pickle_.root_ = stack_.back();
    pickle_.find_holders(tensors_);
  }

 private:
  static constexpr std::size_t few = 1 << 16;

  void step(uint8_t opcode) {
    switch (opcode) {
      case 0x95: {  // FRAME: how many bytes belong together
        const auto length = number<uint64_t>();
        if (length > left()) fail("expected a frame of at most ", left(), " bytes, got ", length);
        return;
      }
      case '(': return push_mark();

      case 'N': return push(value_of(Kind::none));
      case 0x88: return push_integer(1, Kind::boolean);   // NEWTRUE
      case 0x89: return push_integer(0, Kind::boolean);   // NEWFALSE
      case 'J': return push_integer(number<int32_t>());   // BININT
      case 'K': return push_integer(number<uint8_t>());   // BININT1
      case 'M': return push_integer(number<uint16_t>());  // BININT2
      case 0x8a: return push_long(number<uint8_t>());     // LONG1
      case 0x8b: return push_long(number<uint32_t>());    // LONG4
      case 'G': {                                         // BINFLOAT, big-endian
        Value value = value_of(Kind::real);
        value.real = std::bit_cast<double>(__builtin_bswap64(number<uint64_t>()));
        return push(value);
      }
      case 0x8c: return push_text(number<uint8_t>());                // SHORT_BINUNICODE
      case 'X': return push_text(number<uint32_t>());                // BINUNICODE
      case 0x8d: return push_text(number<uint64_t>());               // BINUNICODE8
      case 'U': return push_text(number<uint8_t>());                 // SHORT_BINSTRING: Python 2's text
      case 'T': return push_text(number<uint32_t>());                // BINSTRING
      case 'C': return push_text(number<uint8_t>(), Kind::bytes);    // SHORT_BINBYTES
      case 'B': return push_text(number<uint32_t>(), Kind::bytes);   // BINBYTES
      case 0x8e:                                                     // BINBYTES8
      case 0x96: return push_text(number<uint64_t>(), Kind::bytes);  // BYTEARRAY8

      case ')': return push_node(Kind::tuple, {});             // EMPTY_TUPLE
      case 0x85: return push_node(Kind::tuple, pop(1));        // TUPLE1
      case 0x86: return push_node(Kind::tuple, pop(2));        // TUPLE2
      case 0x87: return push_node(Kind::tuple, pop(3));        // TUPLE3
      case 't': return push_node(Kind::tuple, pop_to_mark());  // TUPLE
      case ']': return push_node(Kind::list, {});              // EMPTY_LIST
      case '}': return push_node(Kind::dict, {});              // EMPTY_DICT
      case 'a': return append(Kind::list, pop(1));             // APPEND
      case 'e': return append(Kind::list, pop_to_mark());      // APPENDS
      case 's': return append(Kind::dict, pop(2));             // SETITEM
      case 'u': return append(Kind::dict, pop_to_mark());      // SETITEMS
      case 0x8f: return push_node(Kind::set, {});              // EMPTY_SET
      case 0x90: return append(Kind::set, pop_to_mark());      // ADDITEMS
      case 0x91: return push_node(Kind::set, pop_to_mark());   // FROZENSET

      case 'q': return put(number<uint8_t>());   // BINPUT
      case 'r': return put(number<uint32_t>());  // LONG_BINPUT
      case 0x94: return put(memo_count_);        // MEMOIZE
      case 'h': return get(number<uint8_t>());   // BINGET
      case 'j': return get(number<uint32_t>());  // LONG_BINGET

      case 'c': {  // GLOBAL
        const std::string_view module = line(), name = line();
        return push_name(module, name);
      }
      case 0x93: {  // STACK_GLOBAL
        const std::vector<Value> pair = pop(2);
        if (!pair[0].is(Kind::text) || !pair[1].is(Kind::text))
          fail("expected a module and a name in text, got others");
        return push_name(pair[0].text(), pair[1].text());
      }
      case 'R': return reduce();
      case 'b': return build();
      case 'Q': return push_node(Kind::persistent, pop(1));  // BINPERSID
      default: break;
    }
    const bool printable_opcode = opcode > 0x20 && opcode < 0x7f;
    fail("expected an opcode for plain data, got ", hex(opcode),
         printable_opcode ? message(" ('", static_cast<char>(opcode), "')") : "", remedy);
  }

  // REDUCE: a call, of which only those of dicts that begin empty, Counter and torch.Size have a value here.
  void reduce() {
    std::vector<Value> pair = pop(2);
    if (!pair[0].is(Kind::name) || !pair[1].is(Kind::tuple)) fail("expected a function and a tuple, got others");
    const Role role = pickle_.name(pair[0]).role;
    const std::vector<Value>& arguments = pickle_.items(pair[1]);
    if (role == Role::dict) {
      // What a defaultdict begins with is not a dict but what makes its values.
      const bool begins_empty = arguments.empty() || (arguments.size() == 1 && arguments[0].kind <= Kind::name);
      if (!begins_empty) fail("expected an OrderedDict that begins empty, got one with arguments");
      return push_node(Kind::dict, {}, true);
    }
    if (role == Role::counter && arguments.size() == 1 && arguments[0].is(Kind::dict)) return push(arguments[0]);
    if (role == Role::size) {
      if (arguments.size() != 1 || !arguments[0].is(Kind::tuple)) fail("expected a torch.Size of a tuple, got another");
      return push(arguments[0]);
    }
    if (role != Role::other_value && role != Role::counter) tensors_.push_back(pickle_.nodes_.size());
    push_node(Kind::call, std::move(pair));
  }

  // BUILD: attributes. An OrderedDict of a module's state has one, _metadata, which holds versions.
  void build() {
    const Value state = pop(1)[0];
    if (stack_.empty() || !stack_.back().is(Kind::dict) || stack_.back().size != 1 || !state.is(Kind::dict))
      fail("expected attributes of an OrderedDict alone, got those of another object", remedy);
  }

  void push_name(std::string_view module, std::string_view name) {
    const auto* found = std::find_if(std::begin(known_names), std::end(known_names),
                                     [&](const Pickle::Name& n) { return n.module == module && n.name == name; });
    if (found == std::end(known_names)) {
      const std::optional<Role> role = role_of(module, name);
      if (!role)
        fail("expected plain data, got ",
             in_quotes(std::string(module.substr(0, 200)).append(".").append(name.substr(0, 200))), remedy);
      found += pickle_.others_.size();
      pickle_.others_.push_back({module, name, *role});
    }
    push_integer(found - std::begin(known_names), Kind::name);
  }

  void spend(std::size_t& left, const char* what) const {
    if (left-- == 0) fail("expected a pickle of no more ", what, " than its file has room for, got more");
  }
  void push(Value value) {
    spend(values_left_, "values");
    stack_.push_back(value);
  }
  void push_mark() {
    spend(values_left_, "values");
    marks_.push_back(stack_.size());
  }
  void push_integer(int64_t integer, Kind kind = Kind::integer) {
    Value value = value_of(kind);
    value.integer = integer;
    push(value);
  }
  void push_long(uint64_t length) {
    if (length > 8) return push_text(length, Kind::big_integer);
    int64_t value = 0;
    const std::string_view bytes = take(length);
    std::memcpy(&value, bytes.data(), length);
    const auto unused = static_cast<int>(8 * (8 - length));
    push_integer(length ? static_cast<int64_t>(static_cast<uint64_t>(value) << unused) >> unused : 0);
  }
  void push_text(uint64_t length, Kind kind = Kind::text) {
    const std::string_view text = take(length);
    Value value = value_of(kind, static_cast<uint32_t>(text.size()));
    value.start = text.data();
    push(value);
  }
  // ordered: whether a dict is an OrderedDict, which alone may have attributes.
  void push_node(Kind kind, std::vector<Value> items, bool ordered = false) {
    spend(nodes_left_, "objects");
    if (kind == Kind::persistent) tensors_.push_back(pickle_.nodes_.size());
    Value value = value_of(kind, ordered);
    value.node = pickle_.nodes_.size();
    pickle_.nodes_.push_back(std::move(items));
    push(value);
  }

  // The topmost values. They are above the last mark, below which lies what is under construction.
  std::vector<Value> pop(std::size_t count) {
    const std::size_t floor = marks_.empty() ? 0 : marks_.back();
    if (stack_.size() - floor < count) fail("expected ", count, " values on the stack, got ", stack_.size() - floor);
    return pop_from(stack_.size() - count);
  }
  std::vector<Value> pop_to_mark() {
    if (marks_.empty()) fail("expected a mark on the stack, got none");
    const std::size_t mark = marks_.back();
    marks_.pop_back();
    return pop_from(mark);
  }
  std::vector<Value> pop_from(std::size_t start) {
    const auto begin = stack_.begin() + static_cast<std::ptrdiff_t>(start);
    std::vector<Value> values(begin, stack_.end());
    stack_.erase(begin, stack_.end());
    return values;
  }

  void append(Kind kind, const std::vector<Value>& values) {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back()) || !stack_.back().is(kind))
      fail("expected a ",
           kind == Kind::list   ? "list"
           : kind == Kind::dict ? "dict"
                                : "set",
           " on the stack, got another value");
    if (kind == Kind::dict) {
      if (values.size() % 2) fail("expected keys and values in pairs, got ", values.size());
      for (std::size_t i = 0; i < values.size(); i += 2)
        if (values[i].is(Kind::list) || values[i].is(Kind::dict) || values[i].is(Kind::set))
          fail("expected keys that Python can have, got ", pickle_.describe(values[i]));
    }
    std::vector<Value>& items = pickle_.nodes_[stack_.back().node];
    items.insert(items.end(), values.begin(), values.end());
  }

  // The memo: numbers that the pickle gives to values. They count up, so none is beyond the bytes there are.
  void put(std::size_t index) {
    if (stack_.empty()) fail("expected a value to remember, got none");
    const std::size_t most = std::min(bytes_.size(), most_values_);
    if (index >= most) fail("expected a memo of at most ", most, " values, got number ", index);
    if (index >= memo_.size()) memo_.resize(std::max(index + 1, std::min(2 * memo_.size(), most)));
    memo_count_ += memo_[index].is(Kind::unset);
    memo_[index] = stack_.back();
  }
  void get(std::size_t index) {
    if (index >= memo_.size() || memo_[index].is(Kind::unset))
      fail("expected a value in the memo, got none as ", index);
    push(memo_[index]);
  }

  std::size_t left() const noexcept { return bytes_.size() - at_; }
  std::string_view take(uint64_t length) {
    if (length > left()) fail("expected ", length, " more bytes, got ", left());
    at_ += length;
    return std::string_view(bytes_).substr(at_ - length, length);
  }
  template <class T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::string_view line() {
    const std::size_t end = bytes_.find('\n', at_);
    if (end == std::string::npos) fail("expected a name that ends with its line, got none");
    const std::string_view text = take(end - at_);
    ++at_;
    return text;
  }

  template <class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    source_.fail_at(op_at_, parts...);
  }

  Pickle& pickle_;
  const Source& source_;
  const std::string& bytes_;
  const std::size_t most_values_;
  std::size_t values_left_, nodes_left_, at_ = 0, op_at_ = 0;
  std::vector<Value> stack_, memo_;
  std::vector<std::size_t> marks_;
  std::vector<std::size_t> tensors_;  // nodes that are tensors and storages, or may be
  std::size_t memo_count_ = 0;
};

const Pickle::Name& Pickle::name(Value value) const noexcept {
  const auto index = static_cast<std::size_t>(value.integer);
  return index < std::size(known_names) ? known_names[index] : others_[index - std::size(known_names)];
}

Pickle::Pickle(Source& source, uint64_t file_bytes) {
  // Deflated, what describes tensors takes a tenth, and each of them takes room elsewhere in the file.
  const uint64_t most = std::min(max_pickle_bytes, (1 << 20) + 16 * file_bytes);
  if (source.size() > most)
    source.fail("expected a pickle of at most ", most, " bytes in a file of ", file_bytes, ", got ", source.size());
  bytes_ = source.read_string(source.size(), "a pickle");
  PickleMachine(*this, source, file_bytes).run();
}

// From the tensors to what holds them, and on to what holds that: a dict may hold what is filled after it, or itself.
void Pickle::find_holders(const std::vector<std::size_t>& tensors) {
  std::vector<std::vector<std::size_t>> held_by(nodes_.size());
  for (std::size_t node = 0; node < nodes_.size(); ++node)
    for (const Value value : nodes_[node])
      if (value.kind >= Kind::tuple) held_by[value.node].push_back(node);
  holders_.resize(nodes_.size());
  std::vector<std::size_t> open = tensors;
  for (const std::size_t node : tensors) holders_[node] = true;
  while (!open.empty()) {
    const std::size_t node = open.back();
    open.pop_back();
    for (const std::size_t holder : held_by[node])
      if (!holders_[holder]) holders_[holder] = true, open.push_back(holder);
  }
}

std::string Pickle::describe(Value value) const {
  switch (value.kind) {
    case Kind::unset: break;
    case Kind::none: return "None";
    case Kind::boolean: return value.integer ? "True" : "False";
    case Kind::integer: return message("the whole number ", value.integer);
    case Kind::big_integer: return "a whole number beyond 64 bits";
    case Kind::real: return message("the number ", value.real);
    case Kind::text: return "the text " + in_quotes(value.text().substr(0, 200));
    case Kind::bytes: return "bytes";
    case Kind::name: return printable(message(name(value).module, '.', name(value).name));
    case Kind::tuple: return "a tuple";
    case Kind::list: return "a list";
    case Kind::dict: return "a dict";
    case Kind::set: return "a set";
    case Kind::call: return describe(items(value)[0]) + "(...)";
    case Kind::persistent: return "a storage";
  }
  return "nothing";
}

}  // namespace limpid::detail
