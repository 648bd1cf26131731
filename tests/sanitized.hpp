// Whether a sanitizer watches this process.
#pragma once

// Each is there where its sanitizer's runtime is. Asked while running, for a test is compiled without sanitizers and
// linked with a library that has them (tests/CMakeLists.txt).
extern "C" {
[[gnu::weak]] void __asan_init();
[[gnu::weak]] void __tsan_init();
}

namespace limpid::test {

inline bool under_thread_sanitizer() { return __tsan_init != nullptr; }
inline bool under_sanitizer() { return __asan_init != nullptr || under_thread_sanitizer(); }

}  // namespace limpid::test
