#include "input_file.hpp"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>

namespace digits {

struct InputFile::Inflater {
  z_stream stream{};
  bool finished = false;

  Inflater() {
    if (inflateInit2(&stream, 15 + 16) != Z_OK) throw std::bad_alloc();  // 15 + 16: the gzip wrapper alone
  }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;
  ~Inflater() { inflateEnd(&stream); }
};

InputFile::InputFile(const std::string& path) : path_(path), stored_size_(0), file_(nullptr, &std::fclose) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) throw FileError(path + ": expected a file, found nothing there");
  if (!std::filesystem::is_regular_file(status))  // a pipe would wait for ever
    throw FileError(path + ": expected a file, found a directory or device");
  stored_size_ = std::filesystem::file_size(path, error);
  file_.reset(std::fopen(path.c_str(), "rb"));
  if (error || !file_) throw FileError(path + ": cannot open: " + (error ? error.message() : std::strerror(errno)));
  refill();
  if (pending_.size() >= 2 && pending_[0] == 0x1f && pending_[1] == 0x8b) inflater_ = std::make_unique<Inflater>();
}

InputFile::~InputFile() = default;

void InputFile::refill() {
  const std::size_t n = std::fread(buffer_.data(), 1, buffer_.size(), file_.get());
  if (n == 0 && std::ferror(file_.get())) throw FileError(path_ + ": cannot read: " + std::strerror(errno));
  pending_ = std::span(buffer_).first(n);
  stored_offset_ += n;
}

std::size_t InputFile::read(std::span<std::uint8_t> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    std::size_t n;
    if (inflater_) {
      n = inflate(out.subspan(done));
    } else {
      if (pending_.empty()) refill();
      n = std::min(pending_.size(), out.size() - done);
      std::copy_n(pending_.begin(), n, out.begin() + static_cast<std::ptrdiff_t>(done));
      pending_ = pending_.subspan(n);
    }
    if (n == 0) break;
    done += n;
  }
  offset_ += done;
  return done;
}

/// At least one byte, or none at the stream's proper end.
std::size_t InputFile::inflate(std::span<std::uint8_t> out) {
  const auto fail = [&](const std::string& expectation) {
    throw FileError(path_ + ": offset " + std::to_string(stored_offset_ - pending_.size()) +
                    " of the gzip file: " + expectation);
  };
  z_stream& stream = inflater_->stream;
  const auto room = static_cast<uInt>(std::min<std::size_t>(out.size(), 1u << 30));
  stream.next_out = out.data();
  stream.avail_out = room;
  while (stream.avail_out == room && !inflater_->finished) {
    if (pending_.empty()) refill();
    if (pending_.empty()) fail("expected more compressed data, found the end of the file");
    stream.next_in = const_cast<Bytef*>(pending_.data());  // zlib reads it only
    stream.avail_in = static_cast<uInt>(pending_.size());
    const int result = ::inflate(&stream, Z_NO_FLUSH);
    pending_ = pending_.last(stream.avail_in);
    if (result == Z_STREAM_END) {
      inflater_->finished = true;
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      fail(std::string("expected a valid gzip stream, found ") + (stream.msg ? stream.msg : "a broken one"));
    }
  }
  if (inflater_->finished) {
    if (pending_.empty()) refill();
    if (!pending_.empty()) fail("expected the end of the file after the gzip stream, found more bytes");
  }
  return room - stream.avail_out;
}

}  // namespace digits
