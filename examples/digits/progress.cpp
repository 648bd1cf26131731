#include "progress.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace digits {
namespace {

template <class... Args>
std::string format(const char* pattern, Args... args) {
  std::array<char, 128> text;
  const int n = std::snprintf(text.data(), text.size(), pattern, args...);
  return std::string(text.data(), static_cast<std::size_t>(std::clamp(n, 0, static_cast<int>(text.size()) - 1)));
}

/// 0:07, 12:34, 1:02:03.
std::string clock_time(double seconds) {
  const auto s = static_cast<long long>(std::ceil(std::clamp(seconds, 0.0, 3.6e6)));
  if (s < 3600) return format("%lld:%02lld", s / 60, s % 60);
  return format("%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
}

int terminal_width(std::FILE* out) {
  winsize size{};
  return ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string progress_line(const std::string& title, const ProgressState& state, int width) {
  const auto done = static_cast<double>(state.done), total = static_cast<double>(std::max<std::size_t>(state.total, 1));
  const double fraction = std::clamp(done / total, 0.0, 1.0);
  std::string tail = format(" %3d %%  loss %.4f", static_cast<int>(100 * fraction), state.loss);
  if (state.done > 0 && state.seconds > 0) {
    tail += format("  %6.0f images/s", done / state.seconds);
    tail += state.done < state.total ? "  " + clock_time((total - done) * state.seconds / done) + " left"
                                     : "  in " + format("%.1f s", state.seconds);
  }
  const int room = std::min(width - static_cast<int>(title.size() + tail.size()) - 3, 40);
  if (room < 5) return title + tail;
  std::string bar(static_cast<std::size_t>(room), ' ');
  const auto filled = static_cast<std::size_t>(fraction * room);
  std::fill_n(bar.begin(), filled, '=');
  if (filled < bar.size()) bar[filled] = '>';
  return title + " [" + bar + "]" + tail;
}

Progress::Progress(std::string title, std::size_t total, std::FILE* out)
    : title_(std::move(title)),
      out_(out),
      terminal_(isatty(fileno(out)) != 0),
      start_(Clock::now()) {
  state_.total = total;
  next_draw_ = terminal_ ? start_ : start_ + std::chrono::seconds(5);
}

Progress::~Progress() { finish(); }

void Progress::update(std::size_t done, double loss) {
  state_.done = done;
  state_.loss = loss;
  if (Clock::now() < next_draw_) return;
  draw();
  next_draw_ = Clock::now() + (terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(5000));
}

void Progress::finish() {
  if (finished_) return;
  finished_ = true;
  draw();
  if (terminal_) std::fputc('\n', out_);
  std::fflush(out_);
}

void Progress::draw() {
  state_.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  const std::string line = progress_line(title_, state_, terminal_ ? terminal_width(out_) - 1 : 0);
  std::fprintf(out_, terminal_ ? "\r%s\x1b[K" : "%s\n", line.c_str());  // ESC [ K clears what a longer line left
  std::fflush(out_);
}

}  // namespace digits
