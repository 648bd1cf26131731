// How far a run has come: a bar in a terminal, plain lines elsewhere, or whatever a sink of the user's own makes of it.
#pragma once
#include <limpid/core/export.hpp>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace LIMPID_API limpid {
namespace report {

/// A number to show beside the progress, such as {"loss", 0.25}.
struct Metric {
  template <class T>
  requires std::is_arithmetic_v<T> Metric(std::string_view name_, T value_)
  noexcept : name(name_), value(static_cast<double>(value_)) {}

  std::string_view name;
  double value;
};

enum class ProgressPhase { started, running, finished };

/// What there is to show. The views live as long as the call that hands them over.
struct ProgressState {
  ProgressPhase phase = ProgressPhase::running;
  std::string_view label, unit;
  int64_t done = 0, total = 0;  ///< in units; total 0: not known
  double seconds = 0;           ///< since the start
  double rate = 0;              ///< units a second: lately, and in the end over all; 0 where nothing is done yet
  std::optional<double> seconds_left = {};
  std::span<const Metric> metrics = {};  ///< the last ones given
};

/// Where progress goes. Derive from it to show progress elsewhere: in a window, a log, a message.
class ProgressSink {
 public:
  virtual ~ProgressSink() = default;
  /// Called at the start, at the end, and between them as often as interval() allows, by one thread at a time and under
  /// no lock: what others advance by meanwhile is counted, and shown later. finish() waits for it, so that it must not
  /// wait for a thread that calls finish(). Whatever it throws is dropped, and it is not called again.
  virtual void show(const ProgressState& state) = 0;
  /// The least time between two calls, in seconds.
  virtual double interval() const { return 0.1; }
};

enum class ProgressStyle {
  automatic,  ///< as LIMPID_PROGRESS says (bar, lines, off); else a bar in a terminal that can show one, else lines
  bar,        ///< one line that redraws itself
  lines,      ///< a line every 5 seconds, and one at the end
  off
};

/// Text to a file descriptor: 2 is standard error. A descriptor that cannot be written to (closed, a full disk, a pipe
/// without a reader) is given up without a word or a signal.
class ProgressText : public ProgressSink {
 public:
  explicit ProgressText(int descriptor = 2, ProgressStyle style = ProgressStyle::automatic);
  void show(const ProgressState& state) override;
  double interval() const override;
  ProgressStyle style() const noexcept { return style_; }  ///< bar, lines or off

 private:
  int descriptor_;
  ProgressStyle style_;
};

/// "training [====>      ]  37 %  loss 0.1234  125 it/s  0:06 left", in at most width cells, the bar taking what room
/// there is; width 0: as long as it gets, without a bar.
std::string progress_line(const ProgressState& state, int width = 0);

struct ProgressOptions {
  std::string label = {}, unit = "it";
  int64_t done = 0;  ///< what earlier runs have done: it counts as done, but not in the rate
  ProgressStyle style = ProgressStyle::automatic;
  ProgressSink* sink = nullptr;  ///< must outlive the Progress; none: a ProgressText of this style on standard error
};

/// Shows how far a loop has come:
///
///     report::Progress progress(loader.size(), {.label = "training"});
///     for (auto [x, t] : loader) { ...; progress.advance(1, {{"loss", loss.item<double>()}}); }
///
/// Nothing in it throws, and a step costs tens of nanoseconds. Threads may share one.
class Progress {
 public:
  /// total: how many units there are to do; 0 and below: not known.
  explicit Progress(int64_t total, const ProgressOptions& options = {}) noexcept;
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;
  ~Progress();  ///< finishes

  /// count more units are done. Metrics that are given replace those shown so far.
  void advance(int64_t count = 1, std::initializer_list<Metric> metrics = {}) noexcept;
  /// Shows the last state and ends; later calls do nothing.
  void finish() noexcept;

 private:
  struct Impl;
  Impl* impl_;  // null where there was no memory for it
};

}  // namespace report
}  // namespace limpid
