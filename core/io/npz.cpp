// https://numpy.org/doc/stable/reference/generated/numpy.savez.html
#include <limpid/core/io/detail/entries.hpp>
#include <limpid/core/io/detail/npy.hpp>
#include <limpid/core/io/detail/zip.hpp>
#include <limpid/core/io/npy.hpp>

namespace limpid {

using namespace detail;

namespace {

constexpr const char* npz_op = "load_npz";
constexpr std::string_view suffix = ".npy";

// As in NumPy an array is called as its member, without .npy.
std::string key_of(const ZipMember& member) {
  return is_array(member.name) ? member.name.substr(0, member.name.size() - suffix.size()) : member.name;
}

Tensor read_member(const FileSource& file, const ZipMember& member) {
  MemberSource source(file, member);
  if (!is_array(member.name))
    source.fail<NotOurs>("expected an array, whose name ends in .npy, got ",
                         member.name.ends_with('/') ? "a folder" : "another file");
  Tensor x = read_npy(source);
  source.finish();
  return x;
}

void read_npz(const std::string& path, Entries& entries) {
  const FileSource file(npz_op, path);
  const std::vector<ZipMember> members = read_zip_directory(file);
  if (holds(members, is_pickle_of_torch) && !holds(members, is_array))
    file.fail_at(0, "expected NumPy's arrays, got a file of PyTorch's: load_pt reads it");
  for (const ZipMember& member : members) entries.add(key_of(member), [&] { return read_member(file, member); });
}

}  // namespace

TensorMap load_npz(const std::string& path) { return load_entries(npz_op, path, read_npz); }
TensorMap load_npz(const std::string& path, LeftOut& left_out) { return load_entries(path, read_npz, left_out); }
Tensor load_npz(const std::string& path, const std::string& name) { return load_entry(npz_op, path, read_npz, name); }

void save_npz(const std::string& path, const TensorMap& tensors) {
  const std::string who = message_name("save_npz", path);
  const auto header_of = [&](const std::string& key, const Tensor& x) {
    return npy_header(message(who, ": ", in_quotes(key)), x);
  };
  for (const auto& [key, x] : tensors) {
    if (const char* bad = bad_member_name(key + std::string(suffix)))
      throw_error<ValueError>(who, ": expected names that a zip archive can have, got ", bad, ": ", in_quotes(key));
    if (!x.defined())
      throw_error<ValueError>(who, ": expected defined tensors, got an undefined one as ", in_quotes(key));
    header_of(key, x);
  }
  FileWriter file("save_npz", path);
  ZipWriter zip(file);
  for (const auto& [key, x] : tensors) {
    const Tensor data = tensor_to_write("save_npz", path, x);
    zip.add(key + std::string(suffix), bytes_of(header_of(key, data)), bytes_of(data));
  }
  zip.finish();
  file.commit();
}

}  // namespace limpid
