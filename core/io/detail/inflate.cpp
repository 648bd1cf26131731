#include <limpid/core/io/detail/inflate.hpp>

#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>

namespace limpid::detail {

struct Inflater::State {
  z_stream stream{};
  bool ended = false;
  std::array<unsigned char, 1 << 16> buffer;

  explicit State(Wrapper wrapper) {
    // zlib's own coding: negative for deflate without a wrapper, 16 more for gzip's.
    const int window = wrapper == Wrapper::none ? -MAX_WBITS : MAX_WBITS + 16;
    if (inflateInit2(&stream, window) != Z_OK) throw std::bad_alloc();
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { inflateEnd(&stream); }
};

Inflater::Inflater(const FileSource& file, uint64_t begin, uint64_t size, Wrapper wrapper)
    : file_(file),
      at_(begin),
      left_(size),
      state_(std::make_unique<State>(wrapper)) {}

Inflater::~Inflater() = default;

uint64_t Inflater::read(const Source& source, std::byte* to, uint64_t bytes) {
  z_stream& stream = state_->stream;
  uint64_t done = 0;
  while (done < bytes && !state_->ended) {
    if (stream.avail_in == 0) {
      const uint64_t count = std::min<uint64_t>(state_->buffer.size(), left_);
      if (count == 0) source.fail("expected more deflated data, got its end");
      file_.read_at(at_, state_->buffer.data(), count);
      at_ += count, left_ -= count;
      stream.next_in = state_->buffer.data();
      stream.avail_in = static_cast<uInt>(count);
    }
    const auto room = static_cast<uInt>(std::min<uint64_t>(bytes - done, 1u << 30));
    stream.next_out = reinterpret_cast<Bytef*>(to + done);
    stream.avail_out = room;
    const int result = inflate(&stream, Z_NO_FLUSH);
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
      source.fail("expected deflated data, got ", stream.msg ? stream.msg : "something else");
    state_->ended = result == Z_STREAM_END;
    done += room - stream.avail_out;
  }
  return done;
}

uint64_t Inflater::unused() const noexcept { return left_ + state_->stream.avail_in; }

}  // namespace limpid::detail
