// Archives as tests want them, sound or not.
#pragma once
#include <limpid/core/io/detail/npy.hpp>

#include <cstdint>
#include <string>
#include <vector>

#include <limpid/tests/core/io/file_tests.hpp>

inline uint32_t crc_of(const std::string& bytes) {
  return static_cast<uint32_t>(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

inline std::string deflate_raw(const std::string& bytes) { return deflated(bytes, -MAX_WBITS); }

// The bytes of an .npy file.
inline std::string npy(const limpid::Tensor& x) {
  const auto body = limpid::detail::bytes_of(x);
  return limpid::detail::npy_header("test", x) + std::string(reinterpret_cast<const char*>(body.data()), body.size());
}

// A member as an archive states it, true or not.
struct Member {
  std::string name = "x.npy", content = npy(counting({3})), packed = content;
  uint16_t flags = 0, method = 0;
  uint32_t crc = crc_of(content), packed_size = static_cast<uint32_t>(packed.size()),
           size = static_cast<uint32_t>(content.size());
  std::string local_name = name, extra = {};
  uint16_t disk = 0;
  int64_t shift = 0;          // of the place that the directory gives
  bool sizes_behind = false;  // the member's own header has none
  int local_change = 0;       // of the size in the member's own header
};

inline Member deflated(Member member = {}) {
  member.method = 8;
  member.packed = deflate_raw(member.content);
  member.packed_size = static_cast<uint32_t>(member.packed.size());
  return member;
}

template <class F>
Member changed(Member member, F&& change) {
  change(member);
  return member;
}

struct End {
  int members = 0, size = 0, offset = 0;  // added to the truth
  uint16_t disk = 0;
  std::string between = {}, comment = {}, behind = {};
};

inline std::string zip(const std::vector<Member>& members, const End& end = {}) {
  std::string bytes, directory;
  for (const Member& m : members) {
    const auto at = static_cast<uint32_t>(static_cast<int64_t>(bytes.size()) + m.shift);
    const auto fields = [&](const std::string& name, bool none, int change) {
      return raw(uint16_t{20}) + raw(m.flags) + raw(m.method) + raw(uint32_t{0}) + raw(none ? 0 : m.crc) +
             raw(none ? 0 : m.packed_size) + raw(none ? 0 : m.size + static_cast<uint32_t>(change)) +
             raw(static_cast<uint16_t>(name.size())) + raw(static_cast<uint16_t>(m.extra.size()));
    };
    bytes += raw(0x04034b50) + fields(m.local_name, m.sizes_behind, m.local_change) + m.local_name + m.extra + m.packed;
    if (m.sizes_behind) bytes += raw(0x08074b50) + raw(m.crc) + raw(m.packed_size) + raw(m.size);
    directory += raw(0x02014b50) + raw(uint16_t{20}) + fields(m.name, false, 0) + raw(uint16_t{0}) + raw(m.disk) +
                 std::string(6, '\0') + raw(at) + m.name + m.extra;
  }
  const auto count = static_cast<uint16_t>(static_cast<int>(members.size()) + end.members);
  return bytes + directory + end.between + raw(0x06054b50) + raw(end.disk) + raw(uint16_t{0}) + raw(count) +
         raw(count) + raw(static_cast<int>(directory.size()) + end.size) +
         raw(static_cast<int>(bytes.size()) + end.offset) + raw(static_cast<uint16_t>(end.comment.size())) +
         end.comment + end.behind;
}
