// Zip archives as NumPy writes them: stored or deflated members, sizes of 64 bits.
#pragma once
#include <limpid/core/io/detail/file.hpp>
#include <limpid/core/io/detail/inflate.hpp>

#include <algorithm>
#include <optional>
#include <vector>

namespace limpid::detail {

struct ZipMember {
  std::string name;
  std::string not_ours;  ///< why it cannot be read, as "a stored or deflated member, got an encrypted one"; else empty
  bool deflated;
  uint32_t crc;
  uint64_t packed_size, size;  ///< in the archive, and unpacked
  uint64_t begin;              ///< where the packed bytes start
};

/// The members, from the directory at the end. Places, and what is said twice, are checked; a name or a size that makes
/// a member alone unfit is no matter before that is read.
std::vector<ZipMember> read_zip_directory(const FileSource& file);

/// The unpacked bytes of a member: never more than its directory entry says.
class MemberSource final : public Source {
 public:
  /// Throws where the member cannot be read.
  MemberSource(const FileSource& file, const ZipMember& member);

  /// To be called when all is read: checks the CRC, and that the packed bytes end where they should.
  void finish();

 private:
  void fill(std::byte* to, uint64_t bytes) override;

  const FileSource& file_;
  const ZipMember member_;
  std::optional<Inflater> inflater_;
  uint32_t crc_ = 0;
};

/// Whether torch.save() puts its pickle under such a name: NAME/data.pkl.
inline bool is_pickle_of_torch(std::string_view name) noexcept {
  constexpr std::string_view pickle = "/data.pkl";
  return name.ends_with(pickle) && name.find('/') == name.size() - pickle.size();
}

inline bool is_array(std::string_view name) noexcept { return name.ends_with(".npy"); }
inline bool holds(const std::vector<ZipMember>& members, bool (*such)(std::string_view name)) {
  return std::any_of(members.begin(), members.end(), [&](const ZipMember& m) { return such(m.name); });
}

/// Why an archive must not have a member of this name; null where it may.
const char* bad_member_name(std::string_view name) noexcept;

/// Writes stored members, then the directory.
class ZipWriter {
 public:
  /// Sizes, places and counts from these limits on are written in 64 bits.
  struct Limits {
    uint64_t bytes = 0xffffffff, members = 0xffff;
  };

  explicit ZipWriter(FileWriter& file) : ZipWriter(file, Limits{}) {}
  ZipWriter(FileWriter& file, Limits limits) : file_(file), limits_(limits) {}
  /// A member that holds head, then body. The name must be good and new.
  void add(const std::string& name, std::span<const std::byte> head, std::span<const std::byte> body);
  void finish();

 private:
  FileWriter& file_;
  Limits limits_;
  std::string directory_;
  uint64_t members_ = 0;
};

}  // namespace limpid::detail
