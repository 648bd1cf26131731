#include <limpid/nn/report/detail/text.hpp>
#include <limpid/nn/report/progress.hpp>
#include <limpid/tests/catch.hpp>
#include <limpid/tests/nn/report/report_tests.hpp>

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <limits>
#include <stdexcept>
#include <thread>
#include <vector>

namespace test_progress {

using namespace limpid::report;

/// What is written to descriptor() can be read back.
class Pipe {
 public:
  Pipe() { REQUIRE(pipe(ends_) == 0); }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close_reader();
    close_writer();
  }
  int descriptor() const { return ends_[1]; }
  void close_reader() { close_one(ends_[0]); }
  void close_writer() { close_one(ends_[1]); }
  std::string text() {
    close_writer();
    std::string result;
    std::array<char, 4096> buffer;
    for (ssize_t n; (n = read(ends_[0], buffer.data(), buffer.size())) > 0;)
      result.append(buffer.data(), static_cast<std::size_t>(n));
    return result;
  }

 private:
  static void close_one(int& end) {
    if (end >= 0) close(end);
    end = -1;
  }
  int ends_[2];
};

/// A sink that keeps what it is shown.
class Recorder : public ProgressSink {
 public:
  struct Shown {
    ProgressPhase phase;
    std::string label, unit;
    int64_t done, total;
    double seconds, rate;
    std::optional<double> seconds_left;
    std::vector<std::pair<std::string, double>> metrics;
  };
  explicit Recorder(double interval = 0) : interval_(interval) {}
  void show(const ProgressState& s) override {
    shown.push_back(
        {s.phase, std::string(s.label), std::string(s.unit), s.done, s.total, s.seconds, s.rate, s.seconds_left, {}});
    for (const Metric& metric : s.metrics) shown.back().metrics.emplace_back(metric.name, metric.value);
  }
  double interval() const override { return interval_; }

  std::vector<Shown> shown;

 private:
  double interval_;
};

TEST_CASE("a progress line says how far, how good, how fast and how long") {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  struct Row {
    ProgressState state;
    int width;
    const char* line;
  };
  const Metric loss("loss", 0.5), lost("loss", nan), small("lr", 1e-5f), whole("step", int64_t{12}),
      endless("norm", -infinity), minus_nan("loss", -nan);
  const Metric two[] = {loss, small}, odd[] = {lost, whole, endless};
  const auto running = ProgressPhase::running, finished = ProgressPhase::finished;
  const Row rows[] = {
      {{running, "epoch 1", "images", 0, 1000, 0, 0, {}, {}}, 0, "epoch 1   0 %"},
      {{running, "epoch 1", "images", 250, 1000, 2, 125, 6.0, {&loss, 1}},
       0,
       "epoch 1  25 %  loss 0.5  125 images/s  0:06 left"},
      {{running, "epoch 1", "images", 250, 1000, 2, 125, 6.0, {&loss, 1}},
       67,
       "epoch 1 [====>           ]  25 %  loss 0.5  125 images/s  0:06 left"},
      {{running, "epoch 1", "images", 999, 1000, 2, 500, 0.002, {}}, 0, "epoch 1  99 %  500 images/s  0:01 left"},
      {{finished, "epoch 1", "images", 1000, 1000, 4, 250, {}, {&loss, 1}},
       66,
       "epoch 1 [================] 100 %  loss 0.5  250 images/s  in 4.0 s"},
      {{finished, "", "it", 30, 60, 61, 0.49, {}, {}}, 0, "50 %  0.49 it/s  in 1:01"},
      {{running, "a", "it", 1, 10000, 1, 1, 9999.0, two}, 0, "a   0 %  loss 0.5  lr 1e-05  1.0 it/s  2:46:39 left"},
      {{running, "a", "it", 7, 0, 1, 7, {}, odd}, 80, "a 7 it  loss nan  step 12  norm -inf  7.0 it/s"},
      {{running, "", "it", 1, 3, 1, 0.0125, 200.0, {}}, 0, "33 %  0.013 it/s  3:20 left"},
      {{running, "a", "it", 2000, 1000, 1, 1, 0.0, {}}, 0, "a 100 %  1.0 it/s  0:00 left"},
      {{running, "a", "it", -5, 1000, 1, 0, {}, {}}, 0, "a   0 %"},
      {{running, "a", "it", 29, 100, 1, 0, {}, {}}, 0, "a  29 %"},
      {{running, "a", "it", 57, 100, 1, 0, -nan, {}}, 0, "a  57 %  ? left"},
      {{running, "a", "it", 7, 0, 1, 0, {}, {&minus_nan, 1}}, 0, "a 7 it  loss nan"},
      {{running, "two\nlines \x1b[31m", "it", 1, 2, 1, 0, {}, {}}, 0, "two\\x0alines \\x1b[31m  50 %"},
      {{running, "a", "it", 1, std::numeric_limits<int64_t>::max(), 1, 1, 9.2e18, {}},
       0,
       "a   0 %  1.0 it/s  1000:00:00 left"},
  };
  const CommaLocale comma;
  for (const Row& row : rows) CHECK(progress_line(row.state, row.width) == row.line);
}

TEST_CASE("a progress line keeps to the terminal's width") {
  const std::string label = GENERATE(as<std::string>{}, "epoch 1", "", "\xe8\xa8\x93\xe7\xb7\xb4",  // two wide ones
                                     "e\xcc\x81poque", "a label that is longer than many terminals are wide, I think");
  const Metric loss("loss", 0.25);
  bool bar = false;
  for (int width = 1; width <= 200; ++width) {
    const std::string line =
        progress_line({ProgressPhase::running, label, "images", 250, 1000, 2, 125, 6.0, {&loss, 1}}, width);
    INFO(width << ": " << line);
    CHECK(detail::display_width(line) <= static_cast<std::size_t>(width));
    bar |= line.find('>') != std::string::npos;
  }
  CHECK(bar);
}

TEST_CASE("text is as wide as a terminal shows it") {
  CHECK(detail::display_width("") == 0);
  CHECK(detail::display_width("abc") == 3);
  CHECK(detail::display_width("\xc3\xa9") == 1);
  CHECK(detail::display_width("e\xcc\x81") == 1);
  CHECK(detail::display_width("\xe6\x97\xa5\xe6\x9c\xac") == 4);
  CHECK(detail::display_width("\xf0\x9f\x98\x80") == 2);
  CHECK(detail::display_width("\xff\xc3") == 2);  // no UTF-8
  CHECK(detail::cut("abcdef", 6) == "abcdef");
  CHECK(detail::cut("abcdef", 5) == "ab...");
  CHECK(detail::cut("abcdef", 2) == "..");
  CHECK(detail::cut("abcdef", 0) == "");
  CHECK(detail::cut("\xe6\x97\xa5\xe6\x9c\xac\xe6\x97\xa5", 5) == "\xe6\x97\xa5...");
}

TEST_CASE("numbers are written alike in every locale") {
  const CommaLocale comma;
  CHECK(detail::number(1234.5, 6) == "1234.5");
  CHECK(detail::number(0.00001234, 3) == "1.23e-05");
  CHECK(detail::number(-0.0, 3) == "-0");
  CHECK(detail::fixed(1234567.25, 1) == "1234567.2");
  CHECK(detail::fixed(std::numeric_limits<double>::max(), 0).size() == 309);
  CHECK(detail::number(-std::numeric_limits<double>::infinity(), 3) == "-inf");
}

TEST_CASE("where there is no terminal, progress is plain lines") {
  const Environment wish("LIMPID_PROGRESS", nullptr);
  Pipe pipe;
  ProgressText sink(pipe.descriptor());
  CHECK(sink.style() == ProgressStyle::lines);
  {
    Progress progress(100, {.label = "epoch 1", .sink = &sink});
    for (int i = 0; i < 100; ++i) progress.advance(1, {{"loss", 0.5}});
  }
  const std::string text = pipe.text();
  CHECK_THAT(text, StartsWith("epoch 1 100 %  loss 0.5  ") && EndsWith(" s\n"));
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  CHECK(text.find_first_of("\r\x1b") == std::string::npos);
}

TEST_CASE("on a terminal, progress redraws one line and ends it") {
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
    WARN("skipped: no pseudo-terminal here");
    return;
  }
  const Environment wish("LIMPID_PROGRESS", nullptr), term("TERM", "xterm"), ci("CI", nullptr);
  const int terminal = open(ptsname(master), O_RDWR | O_NOCTTY);
  REQUIRE(terminal >= 0);
  // A terminal that does not tell its width counts as one of 80 columns.
  const int columns = GENERATE(0, 1, 30, 80, 200);
  winsize size{};
  size.ws_col = static_cast<unsigned short>(columns);
  REQUIRE(ioctl(terminal, TIOCSWINSZ, &size) == 0);
  {
    ProgressText sink(terminal);
    CHECK(sink.style() == ProgressStyle::bar);
    Progress progress(100, {.label = "epoch 1", .sink = &sink});
    for (int i = 0; i < 100; ++i) progress.advance(1, {{"loss", 0.5}});
    progress.finish();
    progress.finish();
    progress.advance();
  }
  for (const auto& [name, value] : {std::pair("TERM", "dumb"), std::pair("CI", "true"), std::pair("TERM", "")}) {
    const Environment other(name, value);
    CHECK(ProgressText(terminal).style() == ProgressStyle::lines);
  }
  close(terminal);
  std::string text;  // arrives in pieces, and ends with an error once the other side is closed
  std::array<char, 4096> buffer;
  for (ssize_t n; (n = read(master, buffer.data(), buffer.size())) > 0;)
    text.append(buffer.data(), static_cast<std::size_t>(n));
  close(master);
  CHECK(text.front() == '\r');
  CHECK_THAT(text, EndsWith("\x1b[K\r\n"));
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
  std::size_t lines = 0;
  for (std::size_t at = 0, end; (end = text.find("\x1b[K", at)) != std::string::npos; at = end + 4, ++lines)
    CHECK(end - at - (text[at] == '\r') < static_cast<std::size_t>(columns ? std::max(columns, 2) : 80));
  CHECK(lines >= 2);
  if (columns == 80) CHECK_THAT(text, ContainsSubstring("\repoch 1 [>") && ContainsSubstring("=] 100 %"));
}

TEST_CASE("LIMPID_PROGRESS chooses where the program does not") {
  struct Row {
    const char* wish;
    ProgressStyle style;
  };
  Pipe pipe;
  for (const Row& row :
       {Row{"bar", ProgressStyle::bar}, Row{"lines", ProgressStyle::lines}, Row{"off", ProgressStyle::off}}) {
    const Environment wish("LIMPID_PROGRESS", row.wish);
    CHECK(ProgressText(pipe.descriptor()).style() == row.style);
    CHECK(ProgressText(pipe.descriptor(), ProgressStyle::lines).style() == ProgressStyle::lines);
  }
}

TEST_CASE("a wrong word in LIMPID_PROGRESS is named once") {
  Pipe out, errors;
  const int before = dup(2);
  dup2(errors.descriptor(), 2);
  {
    const Environment wish("LIMPID_PROGRESS", "nonsense");
    for (int i = 0; i < 2; ++i) CHECK(ProgressText(out.descriptor()).style() == ProgressStyle::lines);
  }
  dup2(before, 2);
  close(before);
  const std::string said = errors.text();
  CHECK_THAT(said, ContainsSubstring("LIMPID_PROGRESS: expected bar, lines or off, got 'nonsense'"));
  CHECK(std::count(said.begin(), said.end(), '\n') == 1);
}

TEST_CASE("progress that is off writes nothing") {
  Pipe pipe;
  Recorder recorder;
  {
    ProgressText off(pipe.descriptor(), ProgressStyle::off);
    Progress one(10, {.sink = &off}), two(10, {.style = ProgressStyle::off, .sink = &recorder});
    for (int i = 0; i < 10; ++i) one.advance(), two.advance();
  }
  CHECK(pipe.text().empty());
  CHECK(recorder.shown.empty());
}

TEST_CASE("a sink is shown the start, each step it asks for, and the end") {
  Recorder recorder;
  {
    Progress progress(3, {.label = "training", .unit = "steps", .sink = &recorder});
    std::string name = "a name longer than any short string";
    progress.advance(1, {{name, 0.5}, {"lr", 2}});
    name.assign(name.size(), '?');  // what was shown is the sink's own
    progress.advance(2);
  }
  REQUIRE(recorder.shown.size() == 4);
  const auto phases = {ProgressPhase::started, ProgressPhase::running, ProgressPhase::running, ProgressPhase::finished};
  const int64_t done[] = {0, 1, 3, 3};
  for (std::size_t i = 0; i < 4; ++i) {
    const Recorder::Shown& shown = recorder.shown[i];
    INFO(i);
    CHECK(shown.phase == phases.begin()[i]);
    CHECK(shown.done == done[i]);
    CHECK(shown.total == 3);
    CHECK(shown.label == "training");
    CHECK(shown.unit == "steps");
    CHECK((shown.rate > 0) == (i > 0));
    CHECK(shown.seconds_left.has_value() == (i == 1 || i == 2));
    if (i == 0) continue;
    REQUIRE(shown.metrics.size() == 2);  // those of the first step, which the second has not replaced
    CHECK(shown.metrics[0] == std::pair<std::string, double>("a name longer than any short string", 0.5));
    CHECK(shown.metrics[1] == std::pair<std::string, double>("lr", 2));
    CHECK(shown.seconds >= recorder.shown[i - 1].seconds);
  }
  CHECK(*recorder.shown[1].seconds_left == Approx(2 / recorder.shown[1].rate));
  CHECK(*recorder.shown[2].seconds_left == 0);
}

TEST_CASE("a sink is shown no more than it asks for") {
  Recorder recorder(1e6);
  {
    Progress progress(100000, {.sink = &recorder});
    for (int i = 0; i < 100000; ++i) progress.advance();
  }
  REQUIRE(recorder.shown.size() == 2);
  CHECK(recorder.shown[1].done == 100000);
}

TEST_CASE("what earlier runs have done counts, but not as speed") {
  Recorder recorder;
  {
    Progress progress(1000, {.done = 990, .sink = &recorder});
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    progress.advance(2);
  }
  REQUIRE(recorder.shown.size() == 3);
  CHECK(recorder.shown[1].done == 992);
  CHECK(recorder.shown[1].rate <= 2 / 0.02);
  CHECK(recorder.shown[2].rate <= 2 / 0.02);
  CHECK(*recorder.shown[1].seconds_left >= 8 * 0.01 - 1e-9);
  CHECK(*recorder.shown[1].seconds_left == Approx(8 / recorder.shown[1].rate));
}

TEST_CASE("progress survives any numbers") {
  const int64_t most = std::numeric_limits<int64_t>::max(), least = std::numeric_limits<int64_t>::min();
  for (const int64_t total : {int64_t{0}, int64_t{-1}, most, least})
    for (const int64_t count : {int64_t{0}, int64_t{-1}, most, least}) {
      Recorder recorder;
      Pipe pipe;
      {
        ProgressText text(pipe.descriptor(), ProgressStyle::bar);
        Progress one(total, {.done = count, .sink = &recorder}), two(total, {.done = count, .sink = &text});
        for (int i = 0; i < 3; ++i) one.advance(count, {{"x", std::numeric_limits<double>::quiet_NaN()}});
        for (int i = 0; i < 3; ++i) two.advance(count);
      }
      for (const Recorder::Shown& shown : recorder.shown) {
        CHECK(shown.total >= 0);
        CHECK(shown.rate >= 0);
        CHECK(shown.seconds_left.value_or(0) >= 0);
      }
      CHECK(!pipe.text().empty());
    }
}

TEST_CASE("a sink that throws is dropped, and the run goes on") {
  struct Thrower : ProgressSink {
    void show(const ProgressState&) override {
      ++calls;
      if (calls == fails_at) throw std::runtime_error("no");
    }
    double interval() const override { return 0; }
    int calls = 0, fails_at = 0;
  };
  for (int fails_at = 1; fails_at <= 5; ++fails_at) {
    Thrower thrower;
    thrower.fails_at = fails_at;
    {
      Progress progress(3, {.sink = &thrower});
      for (int i = 0; i < 3; ++i) progress.advance();
    }
    CHECK(thrower.calls == fails_at);
  }
  static_assert(noexcept(std::declval<Progress&>().advance(1, {{"loss", 0.5}})));
  static_assert(std::is_nothrow_constructible_v<Progress, int64_t, const ProgressOptions&>);
}

TEST_CASE("a sink may call back") {
  struct Caller : ProgressSink {
    void show(const ProgressState& state) override {
      if (state.phase != ProgressPhase::running) return;
      progress->advance(1, {{"more", 1}});
      progress->finish();
      ++calls;
    }
    double interval() const override { return 0; }
    Progress* progress = nullptr;
    int calls = 0;
  } caller;
  Progress progress(4, {.sink = &caller});
  caller.progress = &progress;
  progress.advance();
  progress.advance();
  CHECK(caller.calls == 2);
}

TEST_CASE("threads may share a progress") {
  Recorder recorder;
  {
    Progress progress(4000, {.sink = &recorder});
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) progress.advance(1, {{"loss", i}});
      });
    for (std::thread& thread : threads) thread.join();
  }
  CHECK(recorder.shown.back().done == 4000);
  CHECK(recorder.shown.back().phase == ProgressPhase::finished);
  CHECK(recorder.shown.size() <= 4002);  // what is counted while another thread shows is not shown by itself
}

TEST_CASE("a sink may wait for a thread that advances, and finish() waits for the sink") {
  struct Waiting : ProgressSink {
    Progress* progress = nullptr;
    std::atomic<bool> entered{false}, left{false};
    double interval() const override { return 0; }
    void show(const ProgressState& state) override {
      if (state.phase != ProgressPhase::running || entered.exchange(true)) return;
      std::thread([&] { progress->advance(); }).join();
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      left = true;
    }
  } sink;
  Progress progress(3, {.sink = &sink});
  sink.progress = &progress;
  std::thread thread([&] { progress.advance(); });
  while (!sink.entered) std::this_thread::yield();
  progress.finish();
  CHECK(sink.left);
  thread.join();
}

TEST_CASE("a descriptor that cannot be written to is given up without a word") {
  const auto run = [](int descriptor) {
    ProgressText sink(descriptor, ProgressStyle::bar);
    Progress progress(2, {.sink = &sink});
    progress.advance();
    progress.finish();
    CHECK(sink.style() == ProgressStyle::off);
  };
  run(-1);
  const int full = open("/dev/full", O_WRONLY);
  if (full >= 0) {
    run(full);
    close(full);
  }
  // A pipe without a reader: the signal that it raises must not end the process, nor stay behind.
  Pipe pipe;
  pipe.close_reader();
  run(pipe.descriptor());
  sigset_t pending, blocked;
  sigemptyset(&pending);
  REQUIRE(sigpending(&pending) == 0);
  CHECK(sigismember(&pending, SIGPIPE) == 0);
  REQUIRE(pthread_sigmask(SIG_BLOCK, nullptr, &blocked) == 0);
  CHECK(sigismember(&blocked, SIGPIPE) == 0);
}

TEST_CASE("a signal that was waiting before progress was shown still waits") {
  sigset_t pipe_signal, before;
  sigemptyset(&pipe_signal);
  sigaddset(&pipe_signal, SIGPIPE);
  REQUIRE(pthread_sigmask(SIG_BLOCK, &pipe_signal, &before) == 0);
  raise(SIGPIPE);
  Pipe pipe;
  pipe.close_reader();
  ProgressText(pipe.descriptor(), ProgressStyle::bar).show({});
  const timespec at_once{};
  CHECK(sigtimedwait(&pipe_signal, nullptr, &at_once) == SIGPIPE);
  REQUIRE(pthread_sigmask(SIG_SETMASK, &before, nullptr) == 0);
}

}  // namespace test_progress
