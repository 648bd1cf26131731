// https://huggingface.co/docs/safetensors: the length of a JSON header in 8 bytes, the header, then the data.
#include <limpid/core/io/safetensors.hpp>

#include <limpid/core/io/detail/entries.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <exception>
#include <vector>

namespace limpid {

using namespace detail;

namespace {

using Metadata = std::map<std::string, std::string>;
using Json = nlohmann::json;

constexpr std::string_view metadata_key = "__metadata__";

struct Name {
  FileType type;
  std::string_view name;
};
using Stored = FileType::Stored;
constexpr Name names[] = {{float64, "F64"},       {float32, "F32"},        {float16, "F16"},
                          {bfloat16, "BF16"},     {int64, "I64"},          {int32, "I32"},
                          {uint8, "U8"},          {bool_, "BOOL"},         {Stored::int8, "I8"},
                          {Stored::int16, "I16"}, {Stored::uint16, "U16"}, {Stored::uint32, "U32"},
                          {Stored::uint64, "U64"}};

struct Entry {
  FileType type = float32;
  std::string dtype;  // as the file has it
  Shape shape;
  std::array<uint64_t, 2> offsets{};  // of the first byte and the one past the last, in the data section
  std::exception_ptr fault;           // why it cannot be read, where its dtype or shape tell
};

struct SafetensorsHeader {
  std::map<std::string, Entry> entries;
  Metadata metadata;
};

// Tells how far the parser has come, for messages.
struct Cursor {
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  const char* at;
  const char** farthest;

  reference operator*() const { return *at; }
  Cursor& operator++() {
    *farthest = ++at;
    return *this;
  }
  Cursor operator++(int) {
    const Cursor before = *this;
    ++*this;
    return before;
  }
  friend bool operator==(const Cursor& a, const Cursor& b) { return a.at == b.at; }
};

// Takes the header's JSON event by event: what is not of the one shape allowed is refused where it begins, so that
// neither nesting nor size can hurt.
class HeaderReader final : public nlohmann::json_sax<Json> {
 public:
  HeaderReader(const Source& source, const std::string& text)
      : source_(source),
        text_(text),
        start_(source.offset() - text.size()) {}

  SafetensorsHeader read() {
    if (!text_.starts_with('{')) fail("expected a header that begins with '{', got ", in_quotes(text_.substr(0, 12)));
    // The parser would take a NUL for the end of the text.
    if (const std::size_t nul = text_.find('\0'); nul != std::string::npos) {
      position_ += nul;
      fail("expected JSON, got a NUL character");
    }
    const char* const end = text_.data() + text_.size();
    Json::sax_parse(Cursor{text_.data(), &position_}, Cursor{end, &position_},
                    static_cast<nlohmann::json_sax<Json>*>(this));
    return std::move(header_);
  }

 private:
  // Where the parser is: at what level, and within an entry at which of its members.
  enum class Level { outside, top, metadata, entry };
  enum class Field { none, dtype, shape, offsets };

  bool start_object(std::size_t) override {
    if (level_ == Level::outside)
      level_ = Level::top;
    else if (level_ == Level::top && key_ == metadata_key)
      level_ = Level::metadata;
    else if (level_ == Level::top)
      begin_entry();
    else
      unexpected("an object");
    return true;
  }

  bool key(std::string& name) override {
    if (level_ == Level::entry) {
      field_ = name == "dtype" ? Field::dtype : name == "shape" ? Field::shape : Field::offsets;
      if (field_ == Field::offsets && name != "data_offsets")
        fail(tensor(), "expected dtype, shape and data_offsets, got ", in_quotes(name));
      bool& seen = seen_[static_cast<std::size_t>(field_) - 1];
      if (std::exchange(seen, true)) fail(tensor(), "expected each key once, got ", in_quotes(name), " again");
    } else if (level_ == Level::metadata) {
      metadata_name_ = name;
      if (header_.metadata.contains(name)) fail("metadata: expected each key once, got ", in_quotes(name), " again");
    } else {
      key_ = name;
      const bool again = name == metadata_key ? std::exchange(has_metadata_, true) : header_.entries.contains(name);
      if (again) fail("expected each name once, got ", in_quotes(name), " again");
    }
    return true;
  }

  bool string(std::string& text) override {
    if (level_ == Level::metadata) {
      header_.metadata.emplace(metadata_name_, text);
    } else if (level_ == Level::entry && field_ == Field::dtype) {
      const auto* found =
          std::find_if(std::begin(names), std::end(names), [&](const Name& n) { return n.name == text; });
      entry_->dtype = text;
      if (found != std::end(names))
        entry_->type = found->type;
      else
        blame<NotOurs>("expected a dtype that limpid has, got ", in_quotes(text),
                       ": in Python, save the tensor as .float()");
    } else {
      unexpected("a string");
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (level_ != Level::entry || in_array_ || (field_ != Field::shape && field_ != Field::offsets))
      unexpected("an array");
    in_array_ = true;
    return true;
  }

  bool number_unsigned(uint64_t value) override {
    if (!in_array_) unexpected("a number");
    if (field_ == Field::shape) {
      if (entry_->shape.size() == max_rank)
        blame<NotOurs>("expected at most ", max_rank, " axes, got more");
      else if (value > uint64_t{INT64_MAX})
        blame("expected sizes below 2^63, got ", value);
      else
        entry_->shape.push_back(static_cast<int64_t>(value));
    } else {
      if (offset_count_ == 2) fail(tensor(), "expected two data_offsets, got more");
      entry_->offsets[offset_count_++] = value;
    }
    return true;
  }

  bool end_array() override {
    if (field_ == Field::offsets && offset_count_ != 2)
      fail(tensor(), "expected two data_offsets, got ", offset_count_);
    in_array_ = false;
    return true;
  }

  bool end_object() override {
    if (level_ == Level::entry) {
      constexpr const char* fields[] = {"dtype", "shape", "data_offsets"};
      for (std::size_t i = 0; i < seen_.size(); ++i)
        if (!seen_[i]) fail(tensor(), "expected a ", fields[i], ", got none");
    }
    level_ = level_ == Level::top ? Level::outside : Level::top;
    return true;
  }

  bool number_integer(int64_t value) override { return no_size("of at least 0", message(value)); }
  bool number_float(double, const std::string&) override {
    return no_size("that are whole and have 64 bits", "another number");
  }
  // In a shape that is the tensor's own fault; where the data lie must be known of all.
  bool no_size(const char* expected, const std::string& got) {
    if (!in_array_) unexpected("a number");
    if (field_ == Field::offsets) fail(tensor(), "expected offsets ", expected, ", got ", got);
    blame("expected sizes ", expected, ", got ", got);
    return true;
  }
  bool null() override { unexpected("null"); }
  bool boolean(bool value) override { unexpected(value ? "true" : "false"); }
  bool binary(Json::binary_t&) override { unexpected("binary data"); }

  bool parse_error(std::size_t, const std::string&, const Json::exception& error) override {
    // "[json.exception.parse_error.101] parse error at ...": our message has its own beginning.
    const std::string_view text = error.what();
    const std::size_t begin = text.find("] ");
    fail("expected JSON, got ", printable(begin == std::string_view::npos ? text : text.substr(begin + 2), 200));
  }

  void begin_entry() {
    entry_ = &header_.entries[key_];
    level_ = Level::entry;
    field_ = Field::none;
    seen_ = {};
    offset_count_ = 0;
  }

  [[noreturn]] void unexpected(const char* got) const {
    if (level_ == Level::outside) fail("expected an object, got ", got);
    if (level_ == Level::metadata) fail("metadata ", in_quotes(metadata_name_), ": expected a string, got ", got);
    if (level_ == Level::top) fail(tensor(), "expected an object, got ", got);
    const char* expected = in_array_                ? "whole numbers"
                           : field_ == Field::dtype ? "a string"
                           : field_ == Field::none  ? "a key"
                                                    : "an array";
    fail(tensor(), "expected ", expected, ", got ", got);
  }
  std::string tensor() const { return "tensor " + in_quotes(key_) + ": "; }
  template <class E = Malformed, class... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    source_.fail_at<E>(start_ + static_cast<uint64_t>(position_ - text_.data()), parts...);
  }
  // Keeps for when the entry is read what concerns no other.
  template <class E = Malformed, class... Parts>
  void blame(const Parts&... parts) {
    if (entry_->fault) return;
    try {
      fail<E>(tensor(), parts...);
    } catch (const E&) {
      entry_->fault = std::current_exception();
    }
  }

  const Source& source_;
  const std::string& text_;
  uint64_t start_;  // of the header in the file
  const char* position_ = text_.data();
  SafetensorsHeader header_;
  Level level_ = Level::outside;
  Field field_ = Field::none;
  bool in_array_ = false, has_metadata_ = false;
  std::string key_, metadata_name_;
  Entry* entry_ = nullptr;
  std::array<bool, 3> seen_{};
  std::size_t offset_count_ = 0;
};

SafetensorsHeader read_safetensors_header(FileSource& source) {
  const uint64_t length = source.read_value<uint64_t>("header length");
  if (length > max_header_bytes)
    source.fail_at(0, "expected a safetensors file, whose header has at most ", max_header_bytes, " bytes, got ",
                   length, first_bytes(source));
  const std::string text = source.read_string(length, "header");
  return HeaderReader(source, text).read();
}

using Placed = std::pair<const std::string, Entry>;

// The entries in the order of their data, which they must fill without hole or overlap.
std::vector<const Placed*> check_layout(const Source& source, const SafetensorsHeader& header) {
  std::vector<const Placed*> order;
  for (const Placed& placed : header.entries) order.push_back(&placed);
  std::stable_sort(order.begin(), order.end(),
                   [](const Placed* a, const Placed* b) { return a->second.offsets < b->second.offsets; });
  const uint64_t start = source.offset();
  uint64_t end = 0;
  for (const Placed* placed : order) {
    const auto& [name, entry] = *placed;
    const auto [begin, stop] = entry.offsets;
    const auto expect = [&, &n = name](bool good, const auto&... parts) {
      if (!good) source.fail_at(start, "tensor ", in_quotes(n), ": expected ", parts...);
    };
    expect(stop <= source.remaining() && begin <= stop, "data_offsets that rise and end by ", source.remaining(),
           ", got [", begin, ", ", stop, "]");
    expect(begin == end, "data that follow the ", end, " bytes before them, got data_offsets [", begin, ", ", stop,
           "]");
    end = stop;
  }
  if (end != source.remaining())
    source.fail_at(start + end, "expected the end of the file, got ", source.remaining() - end, " bytes more");
  return order;
}

void read_safetensors(const std::string& path, Entries& entries) {
  FileSource file("load_safetensors", path);
  const SafetensorsHeader header = read_safetensors_header(file);
  for (const Placed* placed : check_layout(file, header)) {
    const auto& [name, entry] = *placed;
    const uint64_t begin = file.offset(), size = entry.offsets[1] - entry.offsets[0];
    entries.add(name, [&, &n = name, &e = entry] {
      if (e.fault) std::rethrow_exception(e.fault);
      const std::string who = message("tensor ", in_quotes(n), ": ");
      const uint64_t bytes = tensor_bytes(file, begin, e.shape, e.type, who);
      if (bytes != size)
        file.fail(who, "expected ", bytes, " bytes for shape ", e.shape, " and dtype ", e.dtype, ", got data_offsets [",
                  e.offsets[0], ", ", e.offsets[1], "]");
      return read_tensor(file, e.shape, e.type, false, who);
    });
    file.skip(begin + size - file.offset(), "data");
  }
}

}  // namespace

TensorMap load_safetensors(const std::string& path) { return load_entries("load_safetensors", path, read_safetensors); }
TensorMap load_safetensors(const std::string& path, LeftOut& left_out) {
  return load_entries(path, read_safetensors, left_out);
}
Tensor load_safetensors(const std::string& path, const std::string& name) {
  return load_entry("load_safetensors", path, read_safetensors, name);
}

Metadata load_safetensors_metadata(const std::string& path) {
  FileSource file("load_safetensors_metadata", path);
  SafetensorsHeader header = read_safetensors_header(file);
  check_layout(file, header);
  return std::move(header.metadata);
}

void save_safetensors(const std::string& path, const TensorMap& tensors, const Metadata& metadata) {
  constexpr const char* op = "save_safetensors";
  const std::string who = message_name(op, path);
  const auto check_text = [&](const std::string& text) {
    if (!is_utf8(text)) throw_error<ValueError>(who, ": expected names and metadata in UTF-8, got ", in_quotes(text));
  };
  for (const auto& [key, value] : metadata) check_text(key), check_text(value);
  std::vector<const TensorMap::value_type*> order;
  for (const auto& item : tensors) {
    check_text(item.first);
    if (item.first == metadata_key)
      throw_error<ValueError>(who, ": expected tensors not named ", metadata_key,
                              ", which the format keeps for itself");
    if (!item.second.defined())
      throw_error<ValueError>(who, ": expected defined tensors, got an undefined one as ", in_quotes(item.first));
    order.push_back(&item);
  }
  // Wide elements first: each tensor is then aligned to its element in the file.
  std::stable_sort(order.begin(), order.end(),
                   [](const auto* a, const auto* b) { return a->second.itemsize() > b->second.itemsize(); });

  // Of strings alone: the destructor of another Json value needs memory, and ends the process where there is none.
  const auto quoted = [](const std::string& text) { return Json(text).dump(); };
  std::string header = "{";
  for (const auto& [key, value] : metadata) {
    header += header.size() == 1 ? message('"', metadata_key, "\":{") : ",";
    header += quoted(key) + ':' + quoted(value);
  }
  if (!metadata.empty()) header += '}';
  uint64_t end = 0;
  for (const auto* item : order) {
    const Tensor& x = item->second;
    const auto* name =
        std::find_if(std::begin(names), std::end(names), [&](const Name& n) { return n.type.dtype == x.dtype(); });
    const uint64_t begin = std::exchange(end, end + static_cast<uint64_t>(x.numel()) * x.itemsize());
    if (header.size() > 1) header += ',';
    header += quoted(item->first) +
              message(":{\"data_offsets\":[", begin, ',', end, "],\"dtype\":\"", name->name, "\",\"shape\":[");
    for (std::size_t i = 0; i < x.shape().size(); ++i) header += message(i ? "," : "", x.shape()[i]);
    header += "]}";
  }
  header += '}';
  header.append((8 - header.size() % 8) % 8, ' ');
  if (header.size() > max_header_bytes)
    throw_error<ValueError>(who, ": expected a header of at most ", max_header_bytes, " bytes, got ", header.size());

  FileWriter file(op, path);
  const uint64_t length = header.size();
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(bytes_of(header));
  for (const auto* item : order) file.write(bytes_of(tensor_to_write(op, path, item->second)));
  file.commit();
}

}  // namespace limpid
