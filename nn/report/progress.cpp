#include <limpid/nn/report/progress.hpp>

#include <limpid/core/detail/fork.hpp>
#include <limpid/core/detail/log.hpp>
#include <limpid/core/detail/quote.hpp>
#include <limpid/core/detail/signals.hpp>
#include <limpid/nn/report/detail/text.hpp>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <mutex>
#include <new>
#include <thread>
#include <utility>
#include <vector>

namespace limpid::report {
namespace {

using detail::fixed;
using limpid::detail::printable;

std::string two_digits(int64_t value) {
  return std::string(value < 10 ? "0" : "").append(limpid::detail::message(value));
}

// 0:07, 12:34, 1:02:03; from a thousand hours on it stops.
std::string clock_time(double seconds) {
  if (std::isnan(seconds)) return "?";
  const auto s = static_cast<int64_t>(std::ceil(std::clamp(seconds, 0.0, 3.6e6)));
  std::string text =
      s < 3600 ? limpid::detail::message(s / 60) : limpid::detail::message(s / 3600) + ':' + two_digits(s / 60 % 60);
  return text.append(":").append(two_digits(s % 60));
}

std::string speed(double rate, const std::string& unit) {
  const std::string number = rate >= 100 ? fixed(rate, 0) : rate >= 1 ? fixed(rate, 1) : detail::number(rate, 2);
  return number + ' ' + unit + "/s";
}

int terminal_width(int descriptor) noexcept {
  winsize size{};
  return ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

std::string_view environment(const char* name) noexcept {
  const char* value = std::getenv(name);
  return value ? value : "";
}

ProgressStyle resolve(int descriptor, ProgressStyle style) {
  if (style != ProgressStyle::automatic) return style;
  const std::string_view wish = environment("LIMPID_PROGRESS"), terminal = environment("TERM");
  if (wish == "off") return ProgressStyle::off;
  if (wish == "lines") return ProgressStyle::lines;
  if (wish == "bar") return ProgressStyle::bar;
  static std::atomic_flag told;
  if (!wish.empty() && !told.test_and_set())
    log_message(LogLevel::warning, "LIMPID_PROGRESS: expected bar, lines or off, got '", printable(wish),
                "'; using what suits standard error");
  const bool redraws = isatty(descriptor) && !terminal.empty() && terminal != "dumb" && environment("CI").empty();
  return redraws ? ProgressStyle::bar : ProgressStyle::lines;
}

bool write_all(int descriptor, std::string_view text) noexcept {
  const limpid::detail::WithoutWriteSignals guard;
  while (!text.empty()) {
    const ssize_t count = write(descriptor, text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return true;  // a reader that is too slow misses a line
    if (count < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(count));
  }
  return true;
}

}  // namespace

std::string progress_line(const ProgressState& state, int width) {
  const std::string label = printable(state.label), unit = printable(state.unit);
  const auto done = static_cast<double>(state.done), total = static_cast<double>(state.total);
  const double fraction = state.total > 0 ? std::clamp(done / total, 0.0, 1.0) : 0;
  std::string tail;
  if (state.total > 0) {
    // Not before the end 100; and 29 of 100 are 29, though 100 * 0.29 is less.
    const int whole = static_cast<int>(std::clamp(100 * done / total, 0.0, 100.0));
    const std::string percent = limpid::detail::message(state.done < state.total ? std::min(whole, 99) : whole);
    tail = std::string(4 - percent.size(), ' ') + percent + " %";
  } else {
    tail = ' ' + limpid::detail::message(state.done) + ' ' + unit;
  }
  for (const Metric& metric : state.metrics)
    tail += "  " + printable(metric.name) + ' ' + detail::number(metric.value, 4);
  if (state.rate > 0) tail += "  " + speed(state.rate, unit);
  if (state.phase == ProgressPhase::finished)
    tail += "  in " + (state.seconds < 60 ? fixed(state.seconds, 1) + " s" : clock_time(state.seconds));
  else if (state.seconds_left)
    tail += "  " + clock_time(*state.seconds_left) + " left";

  const int used = static_cast<int>(detail::display_width(label) + detail::display_width(tail));
  const int room = state.total > 0 ? std::min(width - used - 3, 40) : 0;
  std::string line = label;
  if (room >= 5) {
    std::string bar(static_cast<std::size_t>(room), ' ');
    const auto filled = static_cast<std::size_t>(fraction * room);
    std::fill_n(bar.begin(), filled, '=');
    if (filled < bar.size()) bar[filled] = '>';
    line += (label.empty() ? "[" : " [") + bar + ']';
  }
  line += tail;
  if (line.front() == ' ') line.erase(0, line.find_first_not_of(' '));
  return width > 0 ? detail::cut(line, static_cast<std::size_t>(width)) : line;
}

ProgressText::ProgressText(int descriptor, ProgressStyle style)
    : descriptor_(descriptor),
      style_(resolve(descriptor, style)) {}

double ProgressText::interval() const { return style_ == ProgressStyle::bar ? 0.1 : 5; }

void ProgressText::show(const ProgressState& state) {
  if (style_ == ProgressStyle::off || (style_ == ProgressStyle::lines && state.phase == ProgressPhase::started)) return;
  std::string text;
  if (style_ == ProgressStyle::bar) {
    // A terminal goes to the next line when its last column is filled; ESC [ K clears what a longer line left behind.
    text = '\r' + progress_line(state, std::max(terminal_width(descriptor_) - 1, 1)) + "\x1b[K";
    if (state.phase == ProgressPhase::finished) text += '\n';
  } else {
    text = progress_line(state) + '\n';
  }
  if (!write_all(descriptor_, text)) style_ = ProgressStyle::off;
}

namespace {

// Of every Progress: it is held for as long as counting takes, and is there when an object that fork() copied is not.
limpid::detail::ForkMutex counting(0);

}  // namespace

struct Progress::Impl {
  using Clock = std::chrono::steady_clock;
  struct Mark {
    double seconds;
    int64_t done;
  };

  Impl(int64_t total_, const ProgressOptions& options)
      : text(2, options.style),
        sink(options.sink ? options.sink : &text),
        label(options.label),
        unit(options.unit),
        total(std::max<int64_t>(total_, 0)),
        begun_at(options.done),
        done(options.done),
        start(Clock::now()),
        older{0, done},
        newer{0, done} {
    if (options.style == ProgressStyle::off) sink = nullptr;
  }

  double seconds() const { return std::chrono::duration<double>(Clock::now() - start).count(); }

  void set_metrics(std::initializer_list<Metric> given) {
    if (given.size() == 0) return;
    metrics.clear();
    names.clear();
    for (const Metric& metric : given) names.emplace_back(metric.name);
    metrics.assign(given);
    for (std::size_t i = 0; i < names.size(); ++i) metrics[i].name = names[i];
  }

  // Over the last 15 to 30 seconds: a run whose speed has changed should not promise what its beginning did.
  double rate_at(double now, ProgressPhase phase) {
    constexpr double window = 15;
    if (now - newer.seconds >= window) older = std::exchange(newer, Mark{now, done});
    const Mark from = phase == ProgressPhase::finished ? Mark{0, begun_at} : older;
    const double passed = now - from.seconds;
    return passed > 0 ? std::max(0.0, (static_cast<double>(done) - static_cast<double>(from.done)) / passed) : 0;
  }

  // The sink runs without the lock, for it may wait for a thread that advances, or call back. What others advance by
  // meanwhile is counted, and not shown. What it throws ends the showing, not the run.
  void show(ProgressPhase phase, std::unique_lock<limpid::detail::ForkMutex>& lock) noexcept {
    shown_by = std::this_thread::get_id();
    double wait = 0;
    bool failed = false;
    const double now = seconds();
    try {
      const std::vector<std::string> held = names;
      std::vector<Metric> given = metrics;
      for (std::size_t i = 0; i < held.size(); ++i) given[i].name = held[i];
      ProgressState state{.phase = phase, .label = label, .unit = unit, .done = done, .total = total, .seconds = now};
      state.rate = rate_at(now, phase);
      if (total > 0 && state.rate > 0 && phase != ProgressPhase::finished)
        state.seconds_left = std::max(0.0, static_cast<double>(total) - static_cast<double>(done)) / state.rate;
      state.metrics = given;
      lock.unlock();
      sink->show(state);
      wait = sink->interval();
    } catch (...) {
      failed = true;
    }
    if (!lock) lock.lock();
    next = now + wait;
    if (failed) sink = nullptr;
    shown_by = {};
  }

  ProgressText text;
  ProgressSink* sink;  // null: nothing is shown (any more)
  std::string label, unit;
  std::vector<std::string> names;
  std::vector<Metric> metrics;
  int64_t total, begun_at, done;
  Clock::time_point start;
  Mark older, newer;
  double next = 0;           // when to show again, in seconds from the start
  std::thread::id shown_by;  // the thread whose call of the sink has not come back
};

Progress::Progress(int64_t total, const ProgressOptions& options) noexcept : impl_(nullptr) {
  try {
    impl_ = new Impl(total, options);
  } catch (...) {
    return;
  }
  std::unique_lock lock(counting);
  if (impl_->sink) impl_->show(ProgressPhase::started, lock);
}

Progress::~Progress() {
  finish();
  delete impl_;
}

void Progress::advance(int64_t count, std::initializer_list<Metric> metrics) noexcept {
  if (!impl_) return;
  try {
    std::unique_lock lock(counting);
    if (!impl_->sink) return;
    if (__builtin_add_overflow(impl_->done, count, &impl_->done)) impl_->done = count < 0 ? INT64_MIN : INT64_MAX;
    impl_->set_metrics(metrics);
    if (impl_->shown_by == std::thread::id() && impl_->seconds() >= impl_->next)
      impl_->show(ProgressPhase::running, lock);
  } catch (...) {}
}

void Progress::finish() noexcept {
  if (!impl_) return;
  try {
    std::unique_lock lock(counting);
    if (impl_->shown_by == std::this_thread::get_id()) return;  // from the sink itself
    while (impl_->shown_by != std::thread::id()) {
      if (limpid::detail::is_forked_from_threads()) return;  // that thread may be the parent's
      lock.unlock();
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      lock.lock();
    }
    if (impl_->sink) impl_->show(ProgressPhase::finished, lock);
    impl_->sink = nullptr;
  } catch (...) {}
}

}  // namespace limpid::report
