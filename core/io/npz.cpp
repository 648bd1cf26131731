// https://numpy.org/doc/stable/reference/generated/numpy.savez.html
#include <limpid/core/io/detail/npy.hpp>
#include <limpid/core/io/detail/zip.hpp>
#include <limpid/core/io/npy.hpp>

namespace limpid {

using namespace detail;

namespace {

constexpr const char* op = "load_npz";
constexpr std::string_view suffix = ".npy";

// As in NumPy an array is called as its member, without .npy.
std::string key_of(const ZipMember& member) {
  const bool array = member.name.ends_with(suffix);
  return array ? member.name.substr(0, member.name.size() - suffix.size()) : member.name;
}

Tensor read_member(const FileSource& file, const ZipMember& member) {
  MemberSource source(file, member);
  if (!member.name.ends_with(suffix))
    source.fail<NotOurs>("expected an array, whose name ends in .npy, got ",
                         member.name.ends_with('/') ? "a folder" : "another file");
  Tensor x = read_npy(source);
  source.finish();
  return x;
}

// All, or those of one name alone: the others are then among left_out, without a reason.
TensorMap load(const std::string& path, LeftOut& left_out, const std::string* name = nullptr) {
  const FileSource file(op, path);
  const std::vector<ZipMember> members = read_zip_directory(file);
  for (const ZipMember& member : members)
    if (is_pickle_of_torch(member.name))
      file.fail_at(0, "expected NumPy's arrays, got a file of PyTorch's: load_pt reads it");
  TensorMap tensors;
  for (const ZipMember& member : members) {
    const std::string key = key_of(member);
    if (name && key != *name)
      left_out.emplace(key, "");
    else
      take(tensors, left_out, key, [&] { return read_member(file, member); });
  }
  return tensors;
}

}  // namespace

TensorMap load_npz(const std::string& path) {
  LeftOut left_out;
  TensorMap tensors = load(path, left_out);
  warn_of_left_out(op, path, left_out);
  return tensors;
}

TensorMap load_npz(const std::string& path, LeftOut& left_out) {
  LeftOut found;
  TensorMap tensors = load(path, found);
  left_out = std::move(found);
  return tensors;
}

Tensor load_npz(const std::string& path, const std::string& name) {
  LeftOut left_out;
  const TensorMap tensors = load(path, left_out, &name);
  return named_tensor(op, path, name, tensors, left_out);
}

void save_npz(const std::string& path, const TensorMap& tensors) {
  for (const auto& [key, x] : tensors) {
    if (const char* bad = bad_member_name(key + std::string(suffix)))
      throw_error<ValueError>("save_npz: expected names that a zip archive can have, got ", bad, ": ", in_quotes(key));
    if (!x.defined())
      throw_error<ValueError>("save_npz: expected defined tensors, got an undefined one as ", in_quotes(key));
    npy_header("save_npz", x);
  }
  FileWriter file("save_npz", path);
  ZipWriter zip(file);
  for (const auto& [key, x] : tensors) {
    const Tensor data = tensor_to_write("save_npz", path, x);
    zip.add(key + std::string(suffix), bytes_of(npy_header("save_npz", data)), bytes_of(data));
  }
  zip.finish();
  file.commit();
}

}  // namespace limpid
