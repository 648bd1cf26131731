// What the tests of the file formats share.
#pragma once
#include <limpid/core/allocator.hpp>
#include <limpid/core/detail/array.hpp>
#include <limpid/core/io/npy.hpp>
#include <limpid/core/io/safetensors.hpp>
#include <limpid/tests/catch.hpp>
#include <limpid/tests/examples/folder.hpp>

#include <zlib.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

inline const std::vector<limpid::DType> all_dtypes = {limpid::bool_,   limpid::uint8,   limpid::int32,
                                                      limpid::int64,   limpid::float16, limpid::bfloat16,
                                                      limpid::float32, limpid::float64};

/// 0, 1, 2, ... in row-major order; 0, 1, 0, ... where bool. As tests/reference/make_numpy_files.py counts.
inline limpid::Tensor counting(const limpid::Shape& shape, limpid::DType dtype = limpid::float32) {
  limpid::Tensor x = limpid::empty(shape, limpid::int64);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<int64_t>()[i] = dtype == limpid::bool_ ? i % 2 : i;
  return limpid::detail::as_dtype(x, dtype);
}

/// Same dtype, shape and, in row-major order, the same bytes.
inline bool same_bits(const limpid::Tensor& a, const limpid::Tensor& b) {
  if (a.dtype() != b.dtype() || a.shape() != b.shape()) return false;
  const limpid::Tensor x = limpid::detail::as_contiguous(a), y = limpid::detail::as_contiguous(b);
  return std::memcmp(x.raw_data(), y.raw_data(), static_cast<std::size_t>(x.numel()) * x.itemsize()) == 0;
}

inline std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  REQUIRE(file);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

/// As zlib packs bytes, in the wrapping that window_bits says: a bare stream below 0, gzip's from 16.
inline std::string deflated(const std::string& bytes, int window_bits) {
  z_stream stream{};
  REQUIRE(deflateInit2(&stream, 9, Z_DEFLATED, window_bits, 9, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string packed(deflateBound(&stream, bytes.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  stream.avail_in = static_cast<uInt>(bytes.size());
  stream.next_out = reinterpret_cast<Bytef*>(packed.data());
  stream.avail_out = static_cast<uInt>(packed.size());
  REQUIRE(deflate(&stream, Z_FINISH) == Z_STREAM_END);
  packed.resize(stream.total_out);
  deflateEnd(&stream);
  return packed;
}

/// The bytes of a value as they lie in memory.
template <class T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

/// The message with which f is refused, which must be one line of an E.
template <class E = limpid::IOError, class F>
std::string refusal(F&& f) {
  try {
    f();
  } catch (const E& error) {
    const std::string text = error.what();
    CHECK(text.find('\n') == std::string::npos);
    return text;
  }
  FAIL("expected a refusal, got none");
  return {};
}

/// Reads a file of many tensors, and throws the reason of the first that was left out, if any: for tables of what is to
/// be refused, of the file or of an entry of it.
template <class F>
void load_strictly(F&& load, const std::string& path) {
  limpid::LeftOut left_out;
  load(path, left_out);
  if (!left_out.empty()) throw limpid::IOError(left_out.begin()->second);
}

/// Loads a file of these bytes; the tensors' memory must stay near the size of the file.
template <class F>
void load_bytes(const Folder& folder, const std::string& bytes, F&& load) {
  const std::string path = folder / "file";
  write_bytes(path, bytes);
  limpid::reset_peak_memory_stats();
  const int64_t before = limpid::memory_stats().in_use;
  const auto check = [&] {
    const int64_t most = limpid::memory_stats().peak_in_use - before;
    if (most > int64_t{1} << 23) FAIL("took " << most << " bytes for a file of " << bytes.size());
  };
  try {
    load(path);
  } catch (...) {
    check();
    throw;
  }
  check();
}

/// A file that lies, and what must be said of it.
struct Malformed {
  std::string name, bytes, message;
};

template <class F>
void check_malformed(const std::vector<Malformed>& table, F&& load) {
  const Folder folder;
  for (const Malformed& row : table) {
    DYNAMIC_SECTION(row.name) {
      const std::string text = refusal([&] { load_bytes(folder, row.bytes, load); });
      CHECK_THAT(text, ContainsSubstring(folder / "file: ") && ContainsSubstring("offset "));
      CHECK_THAT(text, ContainsSubstring(row.message));
    }
  }
}

/// Every proper prefix of a valid file is refused.
template <class F>
void check_truncations(const std::string& bytes, F&& load) {
  const Folder folder;
  load_bytes(folder, bytes, load);
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    INFO("cut after " << length << " of " << bytes.size() << " bytes");
    const std::string text = refusal([&] { load_bytes(folder, bytes.substr(0, length), load); });
    // No reader sends to itself.
    CHECK_THAT(text, !ContainsSubstring(text.substr(0, text.find(':')) + " reads"));
  }
}

/// Random changes of a valid file: it loads or is refused, and nothing else happens.
template <class F>
void check_mutations(const std::string& bytes, F&& load, int rounds = 3000) {
  const Folder folder;
  std::mt19937 random(20240229);
  const auto below = [&](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  int refused = 0;
  for (int round = 0; round < rounds; ++round) {
    std::string mutant = bytes;
    for (std::size_t flips = 1 + below(4); flips > 0; --flips) {
      const std::size_t at = below(mutant.size());
      switch (below(4)) {
        case 0: mutant[at] = static_cast<char>(mutant[at] ^ (1 << below(8))); break;
        case 1: mutant[at] = static_cast<char>(below(256)); break;
        case 2: mutant.erase(at, 1 + below(4)); break;
        default: mutant.insert(at, 1 + below(4), static_cast<char>(below(2) ? 0xff : below(256))); break;
      }
      if (mutant.empty()) break;
    }
    try {
      load_bytes(folder, mutant, load);
    } catch (const limpid::Error& error) {
      ++refused;
      if (std::strchr(error.what(), '\n')) FAIL("more than one line: " << error.what());
    }
  }
  CHECK(refused > rounds / 2);
}
