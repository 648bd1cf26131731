#include <limpid/autograd/profiler.hpp>

#include <limpid/autograd/detail/watch.hpp>
#include <limpid/core/detail/fork.hpp>
#include <limpid/core/detail/message.hpp>
#include <limpid/core/io/detail/file.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <iomanip>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <ostream>
#include <utility>

namespace limpid {
namespace {

int64_t nanoseconds() noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

}  // namespace

// Shared with the list of those that run on the thread that made it: the profiler may end on another, or out of turn.
struct Profiler::Recorder : RefCounted<Recorder> {
  void dispose() noexcept { delete this; }

  struct Event {
    const char* op;
    bool backward;
    bool in_backward;  ///< part of another op's backward
    int64_t start, end, bytes;
    int64_t own_time, own_bytes;  ///< without those of the events within that are counted by themselves
  };
  // Under the mutex `recording`, for another thread may end or read it.
  std::vector<Event> events;
  std::vector<std::size_t> open;  ///< events that have not ended, from the outside in
  std::size_t lost = 0;           ///< scopes within these for which there was no memory
  int64_t bytes = 0;              ///< of all tensors made so far; its thread's alone

  int64_t start = nanoseconds();
  Recorder* outer = nullptr;
  std::atomic<bool> running = true;
};

namespace {

detail::ForkMutex recording(2);  // one for all recorders, for a child process is to find it free

// The innermost of those that run on this thread. The list counts as a holder of each.
LIMPID_FAST_TLS thread_local constinit Profiler::Recorder* recorder = nullptr;

// Takes those that have ended, or all, out of this thread's list, wherever in it they are.
void unlink(bool all) noexcept {
  for (Profiler::Recorder** place = &recorder; Profiler::Recorder* r = *place;) {
    if (r->running && !all) {
      place = &r->outer;
    } else {
      *place = r->outer;
      r->release();
    }
  }
  detail::thread_cache.meter = recorder ? &recorder->bytes : nullptr;
  if (!recorder) detail::watching &= static_cast<uint8_t>(~detail::watch_times);
}

void unlink_ended() noexcept { unlink(false); }

// Goes with its thread, and so does the list, which may hold what ended elsewhere after the thread's last op.
struct ListEnd {
  ~ListEnd() { unlink(true); }
};

using Event = Profiler::Recorder::Event;

// Whether an event has a row's time for itself.
bool counts(const Event& event) { return event.backward || !event.in_backward; }

// A copy, for ops of all threads that are timed wait for the lock.
std::vector<Event> events_of(const Profiler::Recorder& of) {
  const std::lock_guard lock(recording);
  return of.events;
}

}  // namespace

// Where it gives a recorder, that is the scope's to release.
void* detail::OpScope::open(const char* op, bool backward) noexcept {
  if (!recorder->running) unlink_ended();  // one that has ended on another thread
  if (!recorder) return nullptr;
  Profiler::Recorder& r = *recorder;
  const std::lock_guard lock(recording);
  if (!r.running) return nullptr;
  r.retain();
  const bool within = !r.open.empty() && (r.events[r.open.back()].backward || r.events[r.open.back()].in_backward);
  try {
    if (r.lost == 0) {
      r.open.reserve(r.open.size() + 1);
      r.events.push_back({op, backward, within, 0, 0, r.bytes, 0, 0});
      r.open.push_back(r.events.size() - 1);
      r.events.back().start = nanoseconds();
      return &r;
    }
  } catch (const std::bad_alloc&) {}
  ++r.lost;
  return &r;
}

void detail::OpScope::close(void* of) noexcept {
  const int64_t end = nanoseconds();
  const auto release = [](Profiler::Recorder* p) { p->release(); };
  const std::unique_ptr<Profiler::Recorder, decltype(release)> owner(static_cast<Profiler::Recorder*>(of));
  Profiler::Recorder& r = *owner;
  const std::lock_guard lock(recording);
  if (r.lost > 0) {
    --r.lost;
    return;
  }
  if (r.open.empty()) return;  // stopped in between
  Event& event = r.events[r.open.back()];
  r.open.pop_back();
  event.end = end;
  event.bytes = r.bytes - event.bytes;
  event.own_time += event.end - event.start;
  event.own_bytes += event.bytes;
  if (!counts(event)) return;
  for (std::size_t i = r.open.size(); i-- > 0;) {
    Event& around = r.events[r.open[i]];
    if (!counts(around)) continue;
    around.own_time -= event.end - event.start;
    around.own_bytes -= event.bytes;
    break;
  }
}

Profiler::Profiler() : recorder_(new Recorder) {
  thread_local ListEnd end;
  recorder_->retain();  // for this
  recorder_->retain();  // for the list
  recorder_->outer = recorder;
  recorder = recorder_;
  detail::thread_cache.meter = &recorder_->bytes;
  detail::watching |= detail::watch_times;
}

void Profiler::stop() noexcept {
  if (!recorder_->running.exchange(false)) return;
  // Events that are open, as where an op is under way, never end.
  {
    const std::lock_guard lock(recording);
    std::erase_if(recorder_->events, [](const Event& event) { return event.end == 0; });
    recorder_->open.clear();
    recorder_->lost = 0;
  }
  unlink_ended();
}

Profiler::~Profiler() {
  stop();
  recorder_->release();
}

std::vector<Profiler::Row> Profiler::table() const {
  std::map<std::string, Row> rows;
  for (const Event& event : events_of(*recorder_)) {
    if (event.end == 0 || !counts(event)) continue;
    Row& row = rows[event.op];
    row.op = event.op;
    (event.backward ? row.backward_calls : row.calls) += 1;
    (event.backward ? row.backward : row.forward) += 1e-9 * static_cast<double>(event.own_time);
    row.bytes += event.own_bytes;
  }
  std::vector<Row> result;
  for (auto& [op, row] : rows) result.push_back(std::move(row));
  std::stable_sort(result.begin(), result.end(),
                   [](const Row& a, const Row& b) { return a.forward + a.backward > b.forward + b.backward; });
  return result;
}

std::ostream& operator<<(std::ostream& to, const Profiler& profiler) {
  detail::TextStream out(3);
  const auto line = [&](const std::string& op, const auto& calls, const auto& forward, const auto& backward_calls,
                        const auto& backward, const auto& mib) {
    out << std::left << std::setw(24) << op << std::right << std::setw(9) << calls << std::setw(13) << forward
        << std::setw(12) << backward_calls << std::setw(13) << backward << std::setw(11) << mib << '\n';
  };
  const auto mebibytes = [](int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  out << std::fixed;
  line("op", "calls", "forward ms", "backwards", "backward ms", "MiB");
  Profiler::Row all;
  for (const Profiler::Row& row : profiler.table()) {
    line(row.op, row.calls, 1e3 * row.forward, row.backward_calls, 1e3 * row.backward, mebibytes(row.bytes));
    all.calls += row.calls, all.backward_calls += row.backward_calls;
    all.forward += row.forward, all.backward += row.backward;
    all.bytes += row.bytes;
  }
  line("all", all.calls, 1e3 * all.forward, all.backward_calls, 1e3 * all.backward, mebibytes(all.bytes));
  return to << std::move(out).str();
}

namespace {

void write_string(std::ostream& out, const char* text) {
  out << '"';
  for (; *text; ++text) {
    const auto c = static_cast<unsigned char>(*text);
    if (c == '"' || c == '\\')
      out << '\\' << *text;
    else if (c < 0x20)
      out << "\\u00" << std::hex << std::setw(2) << std::setfill('0') << int{c} << std::dec << std::setfill(' ');
    else
      out << *text;
  }
  out << '"';
}

}  // namespace

std::string Profiler::chrome_trace() const {
  detail::TextStream out(3);
  out << std::fixed << "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[";
  const char* separator = "\n";
  for (const Event& event : events_of(*recorder_)) {
    if (event.end == 0) continue;
    out << std::exchange(separator, ",\n") << "{\"name\":";
    write_string(out, event.op);
    out << ",\"cat\":\"" << (event.backward || event.in_backward ? "backward" : "forward")
        << "\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":" << 1e-3 * static_cast<double>(event.start - recorder_->start)
        << ",\"dur\":" << 1e-3 * static_cast<double>(event.end - event.start) << ",\"args\":{\"bytes\":" << event.bytes
        << "}}";
  }
  out << "\n]}\n";
  return out.str();
}

void Profiler::write_chrome_trace(const std::string& path) const {
  detail::FileWriter file("write_chrome_trace", path);
  file.write(detail::bytes_of(chrome_trace()));
  file.commit();
}

}  // namespace limpid
