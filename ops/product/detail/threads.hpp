// How many threads the libraries that ops call may use.
#pragma once

namespace limpid::detail {

/// While it lives, BLAS and oneDNN use the calling thread alone.
class OneThread {
 public:
  OneThread() noexcept;
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

/// Makes the calling thread's OpenMP team, which oneDNN uses, get_num_threads() large; that count.
int use_our_threads() noexcept;

}  // namespace limpid::detail
