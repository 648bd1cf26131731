#pragma once

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <string>

namespace digits {

struct ProgressState {
  std::size_t done = 0, total = 0;  ///< images
  double loss = 0;
  double seconds = 0;  ///< since the start
};

/// "epoch 1 [=========>          ]  47 %  loss 0.1234   12345 images/s  0:07 left", the bar filling up to `width`
/// columns; without a bar where there is no room, or width is 0.
std::string progress_line(const std::string& title, const ProgressState& state, int width);

/// Shows how far a pass over the data has come: on a terminal one line that redraws itself, elsewhere (a file, a pipe)
/// a plain line every few seconds and one at the end.
class Progress {
 public:
  Progress(std::string title, std::size_t total, std::FILE* out = stderr);

  /// Cheap enough for every batch: draws ten times a second at most.
  void update(std::size_t done, double loss);

  /// Draws the last state with the total time and ends the line; called by itself at destruction.
  void finish();

  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

 private:
  using Clock = std::chrono::steady_clock;

  void draw();

  std::string title_;
  ProgressState state_;
  std::FILE* out_;
  bool terminal_, finished_ = false;
  Clock::time_point start_, next_draw_;
};

}  // namespace digits
