// https://numpy.org/doc/stable/reference/generated/numpy.savez.html
#include <limpid/core/io/detail/npy.hpp>
#include <limpid/core/io/detail/zip.hpp>
#include <limpid/core/io/npy.hpp>

namespace limpid {

using namespace detail;

namespace {

constexpr std::string_view suffix = ".npy";

}  // namespace

TensorMap load_npz(const std::string& path) {
  const FileSource file("load_npz", path);
  TensorMap tensors;
  for (const ZipMember& member : read_zip_directory(file)) {
    if (!member.name.ends_with(suffix))
      file.fail_at(member.begin, "member ", in_quotes(member.name), ": expected a name that ends in .npy, got another");
    MemberSource source(file, member);
    Tensor x = read_npy(source);
    source.finish();
    tensors.emplace(member.name.substr(0, member.name.size() - suffix.size()), std::move(x));
  }
  return tensors;
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
