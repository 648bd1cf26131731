#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <limits>
#include "../catch.hpp"

#include "digits/progress.hpp"

using digits::Progress;
using digits::progress_line;
using digits::ProgressState;

TEST_CASE("a progress line says how far, how good, how fast and how long") {
  struct Row {
    ProgressState state;
    int width;
    const char* line;
  };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Row rows[] = {
      {{0, 1000, 0, 0}, 0, "epoch 1   0 %  loss 0.0000"},
      {{250, 1000, 0.5, 2}, 0, "epoch 1  25 %  loss 0.5000     125 images/s  0:06 left"},
      {{250, 1000, 0.5, 2}, 73, "epoch 1 [====>           ]  25 %  loss 0.5000     125 images/s  0:06 left"},
      {{999, 1000, 0.5, 2}, 0, "epoch 1  99 %  loss 0.5000     500 images/s  0:01 left"},
      {{1000, 1000, 0.25, 4}, 73, "epoch 1 [=================] 100 %  loss 0.2500     250 images/s  in 4.0 s"},
      {{1000, 1000, nan, 4}, 0, "epoch 1 100 %  loss nan     250 images/s  in 4.0 s"},
      {{1, 10000, 1, 1}, 0, "epoch 1   0 %  loss 1.0000       1 images/s  2:46:39 left"},
      {{2000, 1000, 1, 1}, 0, "epoch 1 100 %  loss 1.0000    2000 images/s  in 1.0 s"},
      {{0, 0, 1, 1}, 0, "epoch 1   0 %  loss 1.0000"},
  };
  for (const Row& row : rows) CHECK(progress_line("epoch 1", row.state, row.width) == row.line);
}

TEST_CASE("a progress line keeps to the terminal's width") {
  for (int width = 61; width <= 200; ++width)
    CHECK(progress_line("epoch 1", {250, 1000, 0.5, 2}, width).size() <= static_cast<std::size_t>(width));
}

TEST_CASE("where there is no terminal, progress is plain lines") {
  std::FILE* file = std::tmpfile();
  REQUIRE(file);
  {
    Progress progress("epoch 1", 100, file);
    for (std::size_t i = 0; i <= 100; ++i) progress.update(i, 0.5);
  }
  std::rewind(file);
  std::string text(1000, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file));
  std::fclose(file);
  CHECK_THAT(text, Catch::StartsWith("epoch 1 100 %  loss 0.5000") && Catch::EndsWith(" s\n"));
  CHECK(text.find('\r') == std::string::npos);
  CHECK(text.find('\x1b') == std::string::npos);
}

TEST_CASE("on a terminal, progress redraws one line and ends it") {
  const int master = posix_openpt(O_RDWR | O_NOCTTY);
  if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) {
    WARN("no pseudo-terminal here");
    return;
  }
  std::FILE* terminal = std::fopen(ptsname(master), "w");
  REQUIRE(terminal);
  {
    Progress progress("epoch 1", 100, terminal);
    for (std::size_t i = 0; i <= 100; ++i) progress.update(i, 0.5);
    progress.finish();
  }
  std::fclose(terminal);
  std::string text;  // arrives in pieces, and ends with an error once the other side is closed
  std::array<char, 4096> buffer;
  for (ssize_t n; (n = read(master, buffer.data(), buffer.size())) > 0;)
    text.append(buffer.data(), static_cast<std::size_t>(n));
  close(master);
  CHECK_THAT(text, Catch::StartsWith("\repoch 1 [>") && Catch::Contains("100 %") && Catch::EndsWith("\n"));
  CHECK(std::count(text.begin(), text.end(), '\n') == 1);
}
