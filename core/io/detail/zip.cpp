// https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
#include <limpid/core/io/detail/zip.hpp>

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <set>

namespace limpid::detail {
namespace {

constexpr uint32_t local_signature = 0x04034b50, central_signature = 0x02014b50, end_signature = 0x06054b50,
                   end64_signature = 0x06064b50, locator_signature = 0x07064b50, descriptor_signature = 0x08074b50;
constexpr uint64_t local_bytes = 30, central_bytes = 46, end_bytes = 22, end64_bytes = 56, locator_bytes = 20;
constexpr uint32_t in_64_bits = 0xffffffff;  // "look in the zip64 extra field"
constexpr uint16_t stored = 0, deflated = 8;
constexpr uint16_t encrypted_flag = 1, sizes_behind_flag = 8, utf8_flag = 0x800;
constexpr uint16_t known_flags = 2 | 4 | sizes_behind_flag | utf8_flag;  // 2 and 4: how hard the packer tried

// Little-endian fields, front to back.
class Fields {
 public:
  /// length bytes of the file, from offset.
  Fields(const FileSource& file, uint64_t offset, uint64_t length, const char* what) : file_(file), offset_(offset) {
    if (offset > file.size() || length > file.size() - offset)
      file.fail_at(std::min(offset, file.size()), "expected ", length, " bytes of ", what, ", got the end of the file");
    if (length > max_header_bytes)
      file.fail_at(offset, "expected at most ", max_header_bytes, " bytes of ", what, ", got ", length);
    bytes_.resize(length);
    file.read_at(offset, bytes_.data(), length);
  }

  std::size_t left() const noexcept { return bytes_.size() - at_; }
  uint64_t offset() const noexcept { return offset_ + at_; }

  template <class T>
  T next() {
    require(sizeof(T));
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::string_view text(std::size_t length) {
    require(length);
    const std::string_view result = std::string_view(bytes_).substr(at_, length);
    at_ += length;
    return result;
  }
  void skip(std::size_t length) { text(length); }
  void signature(uint32_t expected, const char* what) {
    const uint64_t at = offset();
    if (next<uint32_t>() != expected) file_.fail_at(at, "expected ", what, ", got other bytes");
  }

 private:
  void require(std::size_t length) const {
    if (length > left()) file_.fail_at(offset(), "expected ", length, " more bytes of zip structure, got ", left());
  }

  const FileSource& file_;
  uint64_t offset_;
  std::string bytes_;
  std::size_t at_ = 0;
};

// Replaces each of values that stands for "in 64 bits", in order, by what the zip64 extra field says.
void read_zip64(const FileSource& file, uint64_t at, std::string_view extra, std::initializer_list<uint64_t*> values) {
  std::string_view wide;
  while (!extra.empty()) {
    uint16_t id = 0, length = 0;
    if (extra.size() >= 4) {
      std::memcpy(&id, extra.data(), 2);
      std::memcpy(&length, extra.data() + 2, 2);
    }
    if (extra.size() < 4 || extra.size() - 4 < length)
      file.fail_at(at, "expected extra fields that fill their room, got one cut short");
    if (id == 1) wide = extra.substr(4, length);
    extra.remove_prefix(4 + std::size_t{length});
  }
  for (uint64_t* value : values) {
    if (*value != in_64_bits) continue;
    if (wide.size() < 8) file.fail_at(at, "expected a size of 64 bits in the extra field, got none");
    std::memcpy(value, wide.data(), 8);
    wide.remove_prefix(8);
  }
}

struct Directory {
  uint64_t members, offset, size;
};

Directory find_directory(const FileSource& file) {
  if (file.size() < end_bytes) file.fail_at(file.size(), "expected a zip archive, got the end of the file");
  // The end record closes the file, but for a comment of up to 64 KiB.
  const uint64_t tail = std::min<uint64_t>(file.size(), end_bytes + 0xffff), tail_at = file.size() - tail;
  std::string bytes(tail, '\0');
  file.read_at(tail_at, bytes.data(), tail);
  uint64_t end_at = file.size();
  for (std::size_t i = tail - end_bytes + 1; i-- > 0 && end_at == file.size();) {
    uint32_t signature;
    uint16_t comment;
    std::memcpy(&signature, &bytes[i], sizeof signature);
    std::memcpy(&comment, &bytes[i + 20], sizeof comment);
    if (signature == end_signature && i + end_bytes + comment == tail) end_at = tail_at + i;
  }
  if (end_at == file.size()) file.fail_at(tail_at, "expected a zip archive's end record, got none", first_bytes(file));

  Fields end(file, end_at, end_bytes, "the end record");
  end.signature(end_signature, "an end record");
  uint64_t disk = end.next<uint16_t>(), directory_disk = end.next<uint16_t>(), here = end.next<uint16_t>();
  Directory directory{.members = end.next<uint16_t>(), .offset = 0, .size = end.next<uint32_t>()};
  directory.offset = end.next<uint32_t>();
  uint64_t directory_end = end_at;

  // A zip64 locator counts even where 32 bits would do, as for Python's zipfile.
  const bool must_be_wide =
      directory.members == 0xffff || directory.size == in_64_bits || directory.offset == in_64_bits;
  uint32_t before_end = 0;
  if (end_at >= locator_bytes) file.read_at(end_at - locator_bytes, &before_end, sizeof before_end);
  if (must_be_wide && before_end != locator_signature)
    file.fail_at(end_at, "expected a zip64 locator before the end record, got none");
  if (before_end == locator_signature) {
    Fields locator(file, end_at - locator_bytes, locator_bytes, "the zip64 locator");
    locator.skip(4);  // the signature
    locator.skip(4);  // the disk
    directory_end = locator.next<uint64_t>();
    Fields end64(file, directory_end, end64_bytes, "the zip64 end record");
    end64.signature(end64_signature, "a zip64 end record");
    if (end64.next<uint64_t>() != end64_bytes - 12 || directory_end + end64_bytes != end_at - locator_bytes)
      file.fail_at(directory_end, "expected a zip64 end record just before its locator, got one elsewhere");
    end64.skip(4);  // versions
    disk = end64.next<uint32_t>();
    directory_disk = end64.next<uint32_t>();
    here = end64.next<uint64_t>();
    directory.members = end64.next<uint64_t>();
    directory.size = end64.next<uint64_t>();
    directory.offset = end64.next<uint64_t>();
  }
  if (disk != 0 || directory_disk != 0 || here != directory.members)
    file.fail_at(end_at, "expected an archive in one piece, got one of several");
  if (directory.offset > directory_end || directory.size != directory_end - directory.offset)
    file.fail_at(end_at, "expected a directory that ends at byte ", directory_end, ", got ", directory.size,
                 " bytes from ", directory.offset);
  if (directory.members > directory.size / central_bytes)
    file.fail_at(end_at, "expected a directory of at least ", central_bytes, " bytes per member, got ", directory.size,
                 " bytes for ", directory.members);
  return directory;
}

// What the directory and a member's own header both say of it.
struct Entry {
  uint16_t flags, method;
  uint32_t crc;
  uint64_t packed_size, size;
  std::string name;
};

// The fields that both headers have in the same order, from flags to the lengths of name and extra field.
Entry read_common(Fields& fields, uint16_t& name_length, uint16_t& extra_length) {
  Entry entry{};
  entry.flags = fields.next<uint16_t>();
  entry.method = fields.next<uint16_t>();
  fields.skip(4);  // time and date
  entry.crc = fields.next<uint32_t>();
  entry.packed_size = fields.next<uint32_t>();
  entry.size = fields.next<uint32_t>();
  name_length = fields.next<uint16_t>();
  extra_length = fields.next<uint16_t>();
  return entry;
}

// Whether what lies behind the data, with a signature or without one, says of them what the directory says.
bool sizes_follow(const FileSource& file, const Entry& entry, uint64_t at, uint64_t directory_at) {
  const auto follows = [&](std::initializer_list<std::pair<uint64_t, int>> fields) {
    for (uint64_t place = at; const auto& [value, bytes] : fields) {
      uint64_t got = 0;
      if (directory_at - place < static_cast<uint64_t>(bytes)) return false;
      file.read_at(place, &got, static_cast<uint64_t>(bytes));
      if (got != value) return false;
      place += static_cast<uint64_t>(bytes);
    }
    return true;
  };
  const uint64_t crc = entry.crc, packed = entry.packed_size, size = entry.size;
  return follows({{descriptor_signature, 4}, {crc, 4}, {packed, 4}, {size, 4}}) ||
         follows({{descriptor_signature, 4}, {crc, 4}, {packed, 8}, {size, 8}}) ||
         follows({{crc, 4}, {packed, 4}, {size, 4}}) || follows({{crc, 4}, {packed, 8}, {size, 8}});
}

// What keeps a member from us that is sound.
std::string why_not_ours(const Entry& entry) {
  const auto is_ascii = [](unsigned char c) { return c < 0x80; };
  if (const char* bad = bad_member_name(entry.name)) return message("a plain UTF-8 name, got ", bad);
  if (!(entry.flags & utf8_flag) && !std::all_of(entry.name.begin(), entry.name.end(), is_ascii))
    return "a name in ASCII or marked as UTF-8, got neither";
  if (entry.flags & encrypted_flag) return "a stored or deflated member, got an encrypted one";
  if (entry.flags & ~known_flags) return message("only flags that NumPy sets, got flags ", entry.flags);
  if (entry.method != stored && entry.method != deflated)
    return message("a stored or deflated member, got compression method ", entry.method);
  return "";
}

// Checks the member's own header, which must agree with the directory, and finds its bytes.
ZipMember locate(const FileSource& file, const Entry& entry, uint64_t local_at, uint64_t directory_at) {
  const auto member = [&] { return "member " + in_quotes(entry.name) + ": "; };
  if (local_at > directory_at || directory_at - local_at < local_bytes)
    file.fail_at(local_at, member(), "expected its header before the directory, got the offset ", local_at);
  Fields fixed(file, local_at, local_bytes, "a member's header");
  fixed.signature(local_signature, "a member's header");
  fixed.skip(2);  // version
  uint16_t name_length, extra_length;
  Entry local = read_common(fixed, name_length, extra_length);
  Fields rest(file, local_at + local_bytes, uint64_t{name_length} + extra_length, "a member's header");
  local.name = rest.text(name_length);
  read_zip64(file, rest.offset(), rest.text(extra_length), {&local.size, &local.packed_size});
  if (local.name != entry.name)
    file.fail_at(local_at, member(), "expected the name that the directory has, got ", in_quotes(local.name));
  if (local.flags != entry.flags || local.method != entry.method)
    file.fail_at(local_at, member(), "expected the flags and method that the directory has, got others");
  const bool sizes_behind = entry.flags & sizes_behind_flag;
  // With the sizes behind the data the header has none, or, from some packers, the same.
  const auto differs = [&](uint64_t here, uint64_t there) { return here != there && !(sizes_behind && here == 0); };
  if (differs(local.crc, entry.crc) || differs(local.packed_size, entry.packed_size) || differs(local.size, entry.size))
    file.fail_at(local_at, member(), "expected the sizes and CRC that the directory has, got others");

  const uint64_t begin = rest.offset();
  if (begin > directory_at || entry.packed_size > directory_at - begin)
    file.fail_at(begin, member(), "expected ", entry.packed_size, " bytes before the directory, got ",
                 directory_at - std::min(begin, directory_at));
  const uint64_t end = begin + entry.packed_size;
  if (sizes_behind && !sizes_follow(file, entry, end, directory_at))
    file.fail_at(end, member(), "expected the sizes and CRC that the directory has behind the data, got others");
  return {entry.name, why_not_ours(entry), entry.method == deflated, entry.crc, entry.packed_size, entry.size, begin};
}

}  // namespace

const char* bad_member_name(std::string_view name) noexcept {
  if (name.size() > 0xffff) return "a name of more than 65535 bytes";
  if (name.find('\0') != std::string_view::npos) return "a name with a NUL character";
  if (!is_utf8(name)) return "a name that is not UTF-8";
  if (name.starts_with('/') || name.starts_with('\\')) return "an absolute name";
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find_first_of("/\\", begin), name.size());
    if (name.substr(begin, end - begin) == "..") return "a name that climbs out with '..'";
    begin = end + 1;
  }
  return nullptr;
}

std::vector<ZipMember> read_zip_directory(const FileSource& file) {
  const Directory directory = find_directory(file);
  Fields fields(file, directory.offset, directory.size, "the zip directory");
  std::vector<ZipMember> members;
  std::set<std::string> names;
  std::vector<std::pair<uint64_t, uint64_t>> extents;
  for (uint64_t i = 0; i < directory.members; ++i) {
    const uint64_t at = fields.offset();
    fields.signature(central_signature, "a directory entry");
    fields.skip(4);  // versions
    uint16_t name_length, extra_length;
    Entry entry = read_common(fields, name_length, extra_length);
    const uint16_t comment_length = fields.next<uint16_t>();
    const uint16_t disk = fields.next<uint16_t>();
    fields.skip(6);  // attributes
    uint64_t local_at = fields.next<uint32_t>();
    entry.name = fields.text(name_length);
    read_zip64(file, fields.offset(), fields.text(extra_length), {&entry.size, &entry.packed_size, &local_at});
    fields.skip(comment_length);

    const auto expect = [&](bool good, const char* expected) {
      if (!good) file.fail_at(at, "member ", in_quotes(entry.name), ": expected ", expected);
    };
    expect(names.insert(entry.name).second, "names that differ, got this one twice");
    expect(disk == 0, "an archive in one piece, got one of several");
    members.push_back(locate(file, entry, local_at, directory.offset));
    extents.emplace_back(local_at, members.back().begin + members.back().packed_size);
  }
  if (fields.left())
    file.fail_at(fields.offset(), "expected the end of the directory, got ", fields.left(), " bytes more");
  // Members that share bytes are how a small archive unpacks to a huge one.
  std::sort(extents.begin(), extents.end());
  for (std::size_t i = 1; i < extents.size(); ++i)
    if (extents[i].first < extents[i - 1].second)
      file.fail_at(extents[i].first, "expected members that do not overlap, got one that starts inside another");
  return members;
}

MemberSource::MemberSource(const FileSource& file, const ZipMember& member)
    : Source(file.name() + ": member " + in_quotes(member.name), member.size),
      file_(file),
      member_(member) {
  if (!member.not_ours.empty()) fail<NotOurs>("expected ", member.not_ours);
  const bool honest =
      member.deflated ? member.size / max_inflation <= member.packed_size : member.size == member.packed_size;
  if (!honest) fail("expected a size that ", member.packed_size, " packed bytes can hold, got ", member.size);
  if (member.deflated) inflater_.emplace(file, member.begin, member.packed_size, Inflater::Wrapper::none);
}

void MemberSource::fill(std::byte* to, uint64_t bytes) {
  if (inflater_) {
    const uint64_t done = inflater_->read(*this, to, bytes);
    if (done < bytes) fail("expected ", bytes - done, " more bytes, got the end of the deflated data");
  } else {
    file_.read_at(member_.begin + offset(), to, bytes);
  }
  crc_ = static_cast<uint32_t>(crc32_z(crc_, reinterpret_cast<const Bytef*>(to), bytes));
}

void MemberSource::finish() {
  if (remaining()) fail("expected the end, got ", remaining(), " bytes more");
  if (inflater_) {
    // The mark of the end may still be ahead; another byte must not be.
    std::byte extra;
    if (inflater_->read(*this, &extra, 1)) fail("expected at most ", size(), " bytes, got more in the deflated data");
    if (inflater_->unused()) fail("expected deflated data that ends where the member does, got an earlier end");
  }
  if (crc_ != member_.crc) fail("expected the CRC ", member_.crc, ", got ", crc_);
}

namespace {

template <class T>
void put(std::string& bytes, T value) {
  bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

void ZipWriter::add(const std::string& name, std::span<const std::byte> head, std::span<const std::byte> body) {
  const uint64_t at = file_.offset(), size = head.size() + body.size();
  uLong crc = crc32_z(0, reinterpret_cast<const Bytef*>(head.data()), head.size());
  if (!body.empty()) crc = crc32_z(crc, reinterpret_cast<const Bytef*>(body.data()), body.size());
  const bool wide_size = size >= limits_.bytes, wide_at = at >= limits_.bytes;

  const auto header = [&](uint32_t signature, bool central) {
    const bool wide = wide_size || (central && wide_at);
    std::string extra;
    if (wide) {
      put(extra, uint16_t{1});
      put(extra, static_cast<uint16_t>(16 * wide_size + 8 * (central && wide_at)));
      if (wide_size) put(extra, size), put(extra, size);
      if (central && wide_at) put(extra, at);
    }
    const uint16_t version = wide ? 45 : 20;
    std::string bytes;
    put(bytes, signature);
    if (central) put(bytes, static_cast<uint16_t>(3 << 8 | version));  // 3: made on Unix
    put(bytes, version);
    put(bytes, utf8_flag);
    put(bytes, stored);
    put(bytes, uint16_t{0});     // midnight
    put(bytes, uint16_t{0x21});  // on 1 January 1980: equal tensors give equal files
    put(bytes, static_cast<uint32_t>(crc));
    put(bytes, wide_size ? in_64_bits : static_cast<uint32_t>(size));
    put(bytes, wide_size ? in_64_bits : static_cast<uint32_t>(size));
    put(bytes, static_cast<uint16_t>(name.size()));
    put(bytes, static_cast<uint16_t>(extra.size()));
    if (central) {
      bytes.append(6, '\0');  // no comment, disk 0, internal attributes
      put(bytes, uint32_t{0100644u << 16});
      put(bytes, wide_at ? in_64_bits : static_cast<uint32_t>(at));
    }
    return bytes + name + extra;
  };

  file_.write(bytes_of(header(local_signature, false)));
  file_.write(head);
  file_.write(body);
  directory_ += header(central_signature, true);
  ++members_;
}

void ZipWriter::finish() {
  const uint64_t at = file_.offset(), size = directory_.size();
  std::string end;
  const bool wide = members_ >= limits_.members || size >= limits_.bytes || at >= limits_.bytes;
  if (wide) {
    put(end, end64_signature);
    put(end, uint64_t{end64_bytes - 12});
    put(end, uint16_t{3 << 8 | 45});
    put(end, uint16_t{45});
    put(end, uint64_t{0});  // both disks
    put(end, members_);
    put(end, members_);
    put(end, size);
    put(end, at);
    put(end, locator_signature);
    put(end, uint32_t{0});
    put(end, at + size);
    put(end, uint32_t{1});
  }
  put(end, end_signature);
  put(end, uint32_t{0});
  put(end, wide ? uint16_t{0xffff} : static_cast<uint16_t>(members_));
  put(end, wide ? uint16_t{0xffff} : static_cast<uint16_t>(members_));
  put(end, wide ? in_64_bits : static_cast<uint32_t>(size));
  put(end, wide ? in_64_bits : static_cast<uint32_t>(at));
  put(end, uint16_t{0});
  file_.write(bytes_of(directory_));
  file_.write(bytes_of(end));
}

}  // namespace limpid::detail
