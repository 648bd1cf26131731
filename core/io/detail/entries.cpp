#include <limpid/core/io/detail/entries.hpp>

#include <limpid/core/detail/log.hpp>

namespace limpid::detail {
namespace {

std::string listed(const LeftOut& entries) {
  Listing names;
  for (const auto& [name, reason] : entries) names.add(in_quotes(name));
  return names.text();
}

}  // namespace

TensorMap load_entries(const char* op, const std::string& path, EntryReader read) {
  Entries entries(nullptr, false);
  read(path, entries);
  if (!entries.left_out.empty())
    log_message(LogLevel::warning, message_name(op, path),
                ": left out what is no tensor of limpid's: ", listed(entries.left_out));
  return std::move(entries.tensors);
}

TensorMap load_entries(const std::string& path, EntryReader read, LeftOut& left_out) {
  Entries entries(nullptr, true);
  read(path, entries);
  left_out = std::move(entries.left_out);
  return std::move(entries.tensors);
}

Tensor load_entry(const char* op, const std::string& path, EntryReader read, const std::string& name) {
  Entries entries(&name, true);
  read(path, entries);
  if (const auto found = entries.tensors.find(name); found != entries.tensors.end()) return found->second;
  if (const auto found = entries.left_out.find(name); found != entries.left_out.end()) throw IOError(found->second);
  throw_error<IOError>(message_name(op, path), ": expected the name of a tensor that it holds (",
                       entries.left_out.empty() ? "it holds none" : listed(entries.left_out), "), got ",
                       in_quotes(name));
}

}  // namespace limpid::detail
