#include <limpid/core/io/detail/inflate.hpp>

#include <zlib.h>

#include <algorithm>
#include <array>
#include <new>

namespace limpid::detail {

struct Inflater::State {
  z_stream stream{};
  bool ended = false;
  const bool gzip;
  std::array<unsigned char, 1 << 16> buffer;

  explicit State(Wrapper wrapper) : gzip(wrapper == Wrapper::gzip) {
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
    if (stream.avail_in == 0 && !refill()) source.fail("expected more deflated data, got its end");
    const auto room = static_cast<uInt>(std::min<uint64_t>(bytes - done, 1u << 30));
    stream.next_out = reinterpret_cast<Bytef*>(to + done);
    stream.avail_out = room;
    const int result = inflate(&stream, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR)
      source.fail("expected deflated data, got ", stream.msg ? stream.msg : "something else");
    done += room - stream.avail_out;
    if (result == Z_STREAM_END) state_->ended = !state_->gzip || !next_member(source);
  }
  return done;
}

bool Inflater::next_member(const Source& source) {
  z_stream& stream = state_->stream;
  for (;;) {
    if (stream.avail_in == 0 && !refill()) return false;
    if (*stream.next_in) break;
    ++stream.next_in, --stream.avail_in;
  }
  if (*stream.next_in != 0x1f) source.fail("expected the end of the file, or more gzip data, got other bytes");
  if (inflateReset(&stream) != Z_OK) throw std::bad_alloc();
  return true;
}

bool Inflater::refill() {
  const uint64_t count = std::min<uint64_t>(state_->buffer.size(), left_);
  if (count == 0) return false;
  file_.read_at(at_, state_->buffer.data(), count);
  at_ += count, left_ -= count;
  state_->stream.next_in = state_->buffer.data();
  state_->stream.avail_in = static_cast<uInt>(count);
  return true;
}

uint64_t Inflater::unused() const noexcept { return left_ + state_->stream.avail_in; }

}  // namespace limpid::detail
