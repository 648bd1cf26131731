#include <limpid/autograd/detail/source.hpp>

#include <limpid/core/detail/demangle.hpp>
#include <limpid/core/detail/fork.hpp>
#include <limpid/core/detail/message.hpp>

#include <dlfcn.h>

#include <mutex>
#include <string_view>

#ifdef LIMPID_HAS_LIBBACKTRACE
#include <backtrace.h>
#endif

namespace limpid::detail {
namespace {

// Mangled names of limpid and std, their nested and their local entities, and what a sanitizer puts in backtrace()'s
// place.
bool is_library_function(std::string_view name) {
  if (name == "backtrace") return true;
  for (const std::string_view prefix : {"_ZN6limpid", "_ZNK6limpid", "_ZZN6limpid", "_ZZNK6limpid", "_ZNSt", "_ZNKSt",
                                        "_ZSt", "_ZZNSt", "_ZGVN6limpid", "__interceptor_"})
    if (name.substr(0, prefix.size()) == prefix) return true;
  return false;
}

struct Place {
  std::string text;
  bool is_library = false;      // all of what is inlined there
  bool within_library = false;  // what is inlined there is so into a function of limpid or std
};

#ifdef LIMPID_HAS_LIBBACKTRACE

void ignore_error(void*, const char*, int) {}

backtrace_state* state() {
  static backtrace_state* const state = backtrace_create_state(nullptr, 1, ignore_error, nullptr);
  return state;
}

ForkMutex mutex{2};  // libbacktrace may run on several threads, but the thread sanitizer cannot see how

// Called for each function inlined at an address, from the inside out: the first that is the program's own counts.
int take_line(void* data, uintptr_t, const char* file, int line, const char* function) {
  Place& place = *static_cast<Place*>(data);
  if (!file) return 0;
  const std::string_view name = function ? function : "";
  // A function without linkage, such as a template's instance for a type of an unnamed namespace, is known here by a
  // name that is not mangled: it is judged by what it is inlined into.
  place.is_library = is_library_function(name) || (place.within_library && name.substr(0, 2) != "_Z");
  if (place.is_library) return 0;
  TextStream text;
  text << file << ':' << line;
  if (function) text << " (" << demangled(function) << ')';
  place.text = text.str();
  return 1;
}

void find_line(uintptr_t call, Place& place) {
  const std::lock_guard lock(mutex);
  if (state()) backtrace_pcinfo(state(), call, take_line, ignore_error, &place);
}

void take_symbol(void* data, uintptr_t, const char* name, uintptr_t address, uintptr_t) {
  Dl_info& info = *static_cast<Dl_info*>(data);
  info.dli_sname = name;
  info.dli_saddr = reinterpret_cast<void*>(address);
}

// The table of all symbols, where the file has not been stripped of it: dladdr knows those that are exported, and a
// program that limpid is linked into exports none.
void find_hidden_symbol(uintptr_t call, Dl_info& info) {
  const std::lock_guard lock(mutex);
  if (state()) backtrace_syminfo(state(), call, take_symbol, ignore_error, &info);
}

#else

void find_line(uintptr_t, Place&) {}
void find_hidden_symbol(uintptr_t, Dl_info&) {}

#endif

void find_symbol(uintptr_t call, Place& place) {
  Dl_info info{};
  if (!dladdr(reinterpret_cast<void*>(call), &info)) return;
  if (!info.dli_sname) find_hidden_symbol(call, info);
  std::string_view file = info.dli_fname ? info.dli_fname : "?";
  file.remove_prefix(file.rfind('/') + 1);
  place.is_library = info.dli_sname && is_library_function(info.dli_sname);
  TextStream text;
  text << std::hex;
  if (info.dli_sname)
    text << demangled(info.dli_sname) << " + 0x" << call - reinterpret_cast<uintptr_t>(info.dli_saddr) << " in "
         << file;
  else
    text << file << " + 0x" << call - reinterpret_cast<uintptr_t>(info.dli_fbase);
  place.text = text.str();
}

// Where the shared library of limpid begins; null where it is linked statically, and told from the program by names.
const void* own_image() {
  Dl_info info{};
  if (!dladdr(reinterpret_cast<void*>(&describe_calls), &info) || !info.dli_fname) return nullptr;
  return std::string_view(info.dli_fname).find("liblimpid") != std::string_view::npos ? info.dli_fbase : nullptr;
}

bool is_in(const void* image, uintptr_t code) {
  Dl_info info{};
  return image && dladdr(reinterpret_cast<void*>(code), &info) && info.dli_fbase == image;
}

}  // namespace

std::string describe_calls(const Origin& source) {
  static const void* const own = own_image();
  for (std::size_t i = 0; i < source.count; ++i) {
    const uintptr_t call = reinterpret_cast<uintptr_t>(source.calls[i]) - 1;  // the call, not what follows it
    if (is_in(own, call)) continue;
    Place symbol, place;
    find_symbol(call, symbol);
    place.within_library = symbol.is_library;
    find_line(call, place);
    if (place.text.empty() && !place.is_library) place = symbol;
    if (!place.is_library && !place.text.empty()) return place.text;
  }
  return {};
}

}  // namespace limpid::detail
