#include "plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <vector>

#include "canvas.hpp"

namespace digits {
namespace {

constexpr int kWidth = 960, kHeight = 540;
constexpr int kLeft = 92, kRight = 28, kTop = 64, kBottom = 70;

bool drawable(double v) { return std::isfinite(v) && v > 0; }

std::string number(double v) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.6g", v);
  return text.data();
}

/// A step of 1, 2 or 5 times a power of ten that cuts `range` into at most `most` parts.
double round_step(double range, int most) {
  const double raw = range / most, power = std::pow(10.0, std::floor(std::log10(raw)));
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= raw) return factor * power;
  return 10.0 * power;
}

/// The axes' mapping from step and loss to pixels.
struct Axes {
  double steps, low, high;  // x runs over [0, steps], y over [low, high], both logarithms' arguments

  float x(double step) const { return static_cast<float>(kLeft + (kWidth - kLeft - kRight) * step / steps); }
  float y(double loss) const {
    const double u = std::log(loss / low) / std::log(high / low);
    return static_cast<float>(kHeight - kBottom - (kHeight - kTop - kBottom) * std::clamp(u, 0.0, 1.0));
  }
};

/// The range that holds every value, opened to at least half a decade and widened a little, so that no line runs along
/// the frame.
Axes fit(std::span<const float> losses, std::span<const float> held_out) {
  double low = std::numeric_limits<double>::infinity(), high = 0;
  for (const auto& values : {losses, held_out})
    for (const double v : values)
      if (drawable(v)) low = std::min(low, v), high = std::max(high, v);
  if (high == 0) low = 0.1, high = 10;
  const double middle = std::sqrt(low) * std::sqrt(high), least = std::sqrt(std::sqrt(10.0));
  low = std::min(low, middle / least) / 1.15;
  high = std::max(high, middle * least) * 1.15;
  return {static_cast<double>(std::max<std::size_t>(losses.size(), 1)), low, high};
}

void draw_axes(Canvas& canvas, const Axes& axes) {
  const int right = kWidth - kRight, bottom = kHeight - kBottom;
  const double decades = std::log10(axes.high / axes.low);
  const auto grid_y = [&](double loss) {
    const int y = static_cast<int>(std::lround(axes.y(loss)));
    canvas.fill(kLeft, y, right - kLeft, 1, kPale);
    const std::string label = number(loss);
    canvas.text(kLeft - 12 - Canvas::text_width(label, 2), y - 7, label, kGrey, 2);
  };
  // One, two or five to each decade as long as there are few decades; every so many decades where there are many.
  const int stride = std::max(1, static_cast<int>(std::ceil(decades / 8)));
  for (int power = static_cast<int>(std::floor(std::log10(axes.low))); power <= std::ceil(std::log10(axes.high));
       ++power)
    for (const double factor : {1.0, 2.0, 5.0}) {
      const double loss = factor * std::pow(10.0, power);
      const bool wanted = factor == 1.0 ? power % stride == 0 : decades < 3.5;
      if (wanted && loss >= axes.low && loss <= axes.high) grid_y(loss);
    }

  const double step = std::max(1.0, round_step(axes.steps, 8));
  for (double at = 0; at <= axes.steps * (1 + 1e-9); at += step) {
    const int x = static_cast<int>(std::lround(axes.x(at)));
    canvas.fill(x, kTop, 1, bottom - kTop, kPale);
    canvas.fill(x, bottom, 1, 6, kGrey);
    const std::string label = number(at);
    const int width = Canvas::text_width(label, 2);
    canvas.text(std::min(x - width / 2, kWidth - width - 4), bottom + 12, label, kGrey, 2);
  }
  canvas.fill(kLeft, bottom, right - kLeft, 1, kGrey);
  canvas.fill(kLeft, kTop, 1, bottom - kTop, kGrey);
  canvas.text((kLeft + right - Canvas::text_width("training step", 2)) / 2, kHeight - 26, "training step", kInk, 2);
  canvas.text_upwards(14, (kTop + bottom + Canvas::text_width("loss", 2)) / 2, "loss", kInk, 2);
}

/// Draws a line through values at steps, broken where one is not drawable.
void draw_curve(Canvas& canvas, const Axes& axes, std::span<const float> values, float thickness, Colour colour) {
  std::vector<Point> run;
  const auto flush = [&] {
    if (!run.empty()) canvas.polyline(run, thickness, colour);
    run.clear();
  };
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!drawable(values[i])) {
      flush();
      continue;
    }
    run.push_back({axes.x(static_cast<double>(i + 1)), axes.y(values[i])});
  }
  flush();
}

/// The mean over a window of about 2 % of the steps around each, so that the line neither lags nor leads.
std::vector<float> smooth(std::span<const float> losses) {
  const std::size_t n = losses.size(), reach = std::max<std::size_t>(2, n / 100);
  std::vector<double> sum(n + 1), count(n + 1);
  for (std::size_t i = 0; i < n; ++i) {
    const bool counts = drawable(losses[i]);
    sum[i + 1] = sum[i] + (counts ? losses[i] : 0.0);
    count[i + 1] = count[i] + (counts ? 1.0 : 0.0);
  }
  std::vector<float> mean(n, std::numeric_limits<float>::quiet_NaN());
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t from = i - std::min(i, reach), to = std::min(n, i + reach + 1);
    if (drawable(losses[i])) mean[i] = static_cast<float>((sum[to] - sum[from]) / (count[to] - count[from]));
  }
  return mean;
}

/// Writes an entry of the key ending at `right`, its sample before it, and returns where the next one may end.
int draw_key(Canvas& canvas, int right, const char* text, std::span<const Point> sample, float thickness,
             Colour colour) {
  const int x = right - Canvas::text_width(text, 2);
  canvas.text(x, 26, text, kInk, 2);
  std::vector<Point> points;
  for (const Point p : sample) points.push_back({static_cast<float>(x) - 10.0f + p.x, 33.0f + p.y});
  canvas.polyline(points, thickness, colour);
  return x - 60;
}

}  // namespace

Picture plot_loss(std::span<const float> losses, const std::string& title, std::span<const float> held_out) {
  Canvas canvas(kWidth, kHeight);
  const Axes axes = fit(losses, held_out);
  draw_axes(canvas, axes);
  draw_curve(canvas, axes, losses, 1.0f, kPaleBlue);
  draw_curve(canvas, axes, smooth(losses), 3.0f, kBlue);
  for (std::size_t i = 0; i < held_out.size(); ++i) {
    if (!drawable(held_out[i])) continue;
    const double step = axes.steps * static_cast<double>(i + 1) / static_cast<double>(held_out.size());
    const Point at{axes.x(step), axes.y(held_out[i])};
    canvas.polyline(std::span(&at, 1), 13.0f, kWhite);
    canvas.polyline(std::span(&at, 1), 10.0f, kOrange);
  }
  canvas.text(kLeft, 22, title, kInk, 3);
  int right = kWidth - kRight;
  constexpr std::array kLine{Point{-24, 0}, Point{0, 0}}, kDot{Point{-5, 0}, Point{-5, 0}};
  constexpr std::array kZigzag{Point{-24, 3}, Point{-18, -4}, Point{-12, 4}, Point{-6, -4}, Point{0, 3}};
  if (!held_out.empty()) right = draw_key(canvas, right, "held out", kDot, 10.0f, kOrange);
  right = draw_key(canvas, right, "running mean", kLine, 3.0f, kBlue);
  draw_key(canvas, right, "each step", kZigzag, 1.0f, kPaleBlue);
  return canvas.picture();
}

Picture digit_sheet(const Dataset& set, std::span<const std::int64_t> predictions, std::size_t count, int columns,
                    const std::string& title) {
  constexpr int kScale = 2, kImage = kSide * kScale, kCellWidth = kImage + 16, kCellHeight = kImage + 38;
  constexpr int kMargin = 20, kHeader = 56;
  count = std::min(count, set.size());
  columns = std::max(columns, 1);
  const int n = static_cast<int>(count), rows = (n + columns - 1) / columns;
  Canvas canvas(std::max(2 * kMargin + columns * kCellWidth, 2 * kMargin + Canvas::text_width(title, 2)),
                kHeader + rows * kCellHeight + kMargin / 2);
  canvas.text(kMargin + 8, 22, title, kInk, 2);

  for (int i = 0; i < n; ++i) {
    const auto k = static_cast<std::size_t>(i);
    const int left = kMargin + i % columns * kCellWidth + 8, top = kHeader + i / columns * kCellHeight;
    const auto image = set.image(k);
    const auto pixel = [&](int x, int y) { return image[static_cast<std::size_t>(y * kSide + x)]; };
    for (int y = 0; y < kImage; ++y)
      for (int x = 0; x < kImage; ++x) {  // ink on white paper, bilinear between pixel centres
        const auto near = [](int v) { return std::clamp((v - 1) / kScale, 0, kSide - 1); };
        const auto far = [](int v) { return std::clamp((v + 1) / kScale, 0, kSide - 1); };
        const float wx = x % 2 ? 0.25f : 0.75f, wy = y % 2 ? 0.25f : 0.75f;
        const float upper = (1 - wx) * pixel(near(x), near(y)) + wx * pixel(far(x), near(y));
        const float lower = (1 - wx) * pixel(near(x), far(y)) + wx * pixel(far(x), far(y));
        canvas.blend(left + x, top + y, kInk, (1 - wy) * upper + wy * lower);
      }

    const std::int64_t truth = set.labels[k], guess = k < predictions.size() ? predictions[k] : truth;
    const bool right = guess == truth;
    canvas.frame(left - 3, top - 3, kImage + 6, kImage + 6, right ? 1 : 2, right ? kPale : kRed);
    const std::string text = std::to_string(guess) + (right ? "" : " (" + std::to_string(truth) + ")");
    canvas.text(left + (kImage - Canvas::text_width(text, 2)) / 2, top + kImage + 10, text, right ? kGrey : kRed, 2);
  }
  return canvas.picture();
}

}  // namespace digits
