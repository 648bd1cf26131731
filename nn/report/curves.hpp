// Curves of what a run logs, as a picture (SVG) and as a table (CSV).
#pragma once
#include <limpid/core/export.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace LIMPID_API limpid {
namespace report {

struct CurvesOptions {
  std::string title = {}, x_label = "step", y_label = {};
  bool log_x = false, log_y = false;  ///< values that are not positive have no place there and leave a gap
  int width = 960, height = 540;      ///< of the picture, from 200 to 10,000
};

/// Named series of points:
///
///     report::Curves curves({.title = "loss", .log_y = true});
///     curves.add("training", step, loss.item<double>());
///     curves.save_svg("loss.svg");
///     curves.save_csv("loss.csv");
class Curves {
 public:
  /// Throws ValueError for a width or height out of range.
  explicit Curves(const CurvesOptions& options = {});

  /// The next point of a curve, which begins with its first. Any values will do, not finite ones among them. Never
  /// throws: a point for which there is no memory is dropped.
  void add(std::string_view curve, double x, double y) noexcept;

  /// A picture of one file's own, in fonts of the viewer's. Points that are not finite break their curve; a curve of
  /// few points shows each as a dot; one of more than 200 is drawn pale, under its running mean.
  std::string svg() const;
  /// A column for x and one for each curve, a row for each x, rising; empty where a curve has no point there. Numbers
  /// have as many digits as bring them back. Names in quotes where they need them (RFC 4180).
  std::string csv() const;
  /// Throw IOError; the file appears whole or not at all.
  void save_svg(const std::string& path) const;
  void save_csv(const std::string& path) const;

 private:
  struct Point {
    double x, y;
  };
  struct Curve {
    std::string name;
    std::vector<Point> points;
  };
  class Picture;

  CurvesOptions options_;
  std::vector<Curve> curves_;
};

}  // namespace report
}  // namespace limpid
