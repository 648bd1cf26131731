#include <limpid/nn/report/curves.hpp>

#include <limpid/core/detail/number.hpp>
#include <limpid/core/error.hpp>
#include <limpid/core/io/detail/file.hpp>
#include <limpid/nn/report/detail/text.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <map>

namespace limpid::report {

using detail::fixed;
using limpid::detail::infinity;
using limpid::detail::throw_error;

namespace {

// One of Okabe and Ito's palettes, which people of all kinds of sight tell apart (https://jfly.uni-koeln.de/color/).
constexpr std::array colours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"};

// Text inside XML: what would be markup is named, what XML has no place for is replaced.
std::string escaped(std::string_view text) {
  const bool utf8 = limpid::detail::is_utf8(text);
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '&')
      result += "&amp;";
    else if (c == '<')
      result += "&lt;";
    else if (c == '>')
      result += "&gt;";
    else if (c == '"')
      result += "&quot;";
    else if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8))
      result += "\xef\xbf\xbd";  // U+FFFD, the replacement character
    else
      result += c;
  }
  // U+FFFE and U+FFFF are no characters of XML.
  for (const std::string_view bad : {"\xef\xbf\xbe", "\xef\xbf\xbf"})
    for (std::size_t at; (at = result.find(bad)) != std::string::npos;) result.replace(at, bad.size(), "\xef\xbf\xbd");
  return result;
}

// A table's field: in quotes where a comma, a quote, a line end or a space at an end would change it.
std::string field(std::string_view text) {
  const bool plain = text.find_first_of(",\"\r\n") == std::string_view::npos && !text.starts_with(' ') &&
                     !text.ends_with(' ') && !text.empty();
  if (plain) return std::string(text);
  std::string result = "\"";
  for (const char c : text) result.append(c == '"' ? 2 : 1, c);
  return result + '"';
}

std::string shortest(double value) {
  if (std::isnan(value)) return "nan";  // without a sign
  std::array<char, 32> text;
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

void write_file(const char* op, const std::string& path, const std::string& text) {
  limpid::detail::FileWriter file(op, path);
  file.write(limpid::detail::bytes_of(text));
  file.commit();
}

}  // namespace

/// Draws the curves.
class Curves::Picture {
 public:
  Picture(const CurvesOptions& options, const std::vector<Curve>& curves)
      : options_(options),
        curves_(curves),
        right_(options.width - 24 - key_width()),
        bottom_(options.height - (options.x_label.empty() ? 36 : 58)),
        left_(options.y_label.empty() ? 68 : 92),
        x_(options.log_x, left_, right_),
        y_(options.log_y, bottom_, top) {
    for (const Curve& curve : curves_)
      for (const Point point : curve.points)
        if (x_.has_place_for(point.x) && y_.has_place_for(point.y)) x_.include(point.x), y_.include(point.y);
    x_.settle(0);
    y_.settle(0.04);
  }

  std::string draw() {
    const std::string width = limpid::detail::message(options_.width),
                      height = limpid::detail::message(options_.height);
    svg_ = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" + width + "\" height=\"" + height +
           "\" viewBox=\"0 0 " + width + ' ' + height + "\" font-family=\"sans-serif\" font-size=\"14\">\n" +
           "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
    draw_axes();
    for (std::size_t i = 0; i < curves_.size(); ++i) draw_curve(curves_[i], colour(i));
    draw_key();
    return svg_ + "</svg>\n";
  }

 private:
  /// One axis: its range, and where on the picture a value lies.
  class Axis {
   public:
    Axis(bool logarithmic, double from_pixel, double to_pixel)
        : logarithmic_(logarithmic),
          from_(from_pixel),
          to_(to_pixel) {}

    bool has_place_for(double value) const { return std::isfinite(value) && (!logarithmic_ || value > 0); }
    void include(double value) {
      if (!has_place_for(value)) return;
      low_ = std::min(low_, scaled(value));
      high_ = std::max(high_, scaled(value));
    }

    // Called when all is included: an axis of some length, a little longer than its values where margin says so.
    void settle(double margin) {
      if (low_ > high_) low_ = 0, high_ = 1;
      const double middle = low_ / 2 + high_ / 2;
      const double least = logarithmic_ ? 0.25 : std::max(std::abs(middle) * 1e-14, 1e-300);
      if (high_ / 2 - low_ / 2 < least) {
        const double half = logarithmic_ || middle == 0 ? 0.5 : std::abs(middle) / 10 + 1e-300;
        low_ = std::max(middle - half, -limit()), high_ = std::min(middle + half, limit());
      }
      const double more = (high_ / 2 - low_ / 2) * (2 * margin);  // in this order finite
      low_ = std::max(low_ - more, -limit()), high_ = std::min(high_ + more, limit());
    }

    // Halves, since the distance between the ends may be more than a double holds.
    double pixel(double value) const {
      const double share = (scaled(value) / 2 - low_ / 2) / (high_ / 2 - low_ / 2);
      return from_ + (to_ - from_) * std::clamp(share, 0.0, 1.0);
    }

    // Round values, 2 to about 9 of them.
    std::vector<double> ticks() const {
      std::vector<double> values;
      if (logarithmic_) {
        const double decades = high_ - low_, stride = std::max(1.0, std::ceil(decades / 8));
        for (double power = std::floor(low_); power <= std::ceil(high_); ++power)
          for (const double factor : {1.0, 2.0, 5.0}) {
            const bool wanted = factor == 1 ? std::fmod(power, stride) == 0 : decades < 3;
            add_tick(values, factor * std::pow(10.0, power), wanted);
          }
        return values;
      }
      // As many as there can be, so that no rounding keeps the loop from its end.
      const double distance = step(), first = std::ceil(low_ / distance);
      for (int i = 0; i <= 10; ++i) add_tick(values, (first + i) * distance + 0.0, true);  // 0 without a sign
      return values;
    }
    // As many digits as tell one tick from the next.
    std::string label(double tick) const {
      if (logarithmic_) return detail::number(tick, 6);
      const double largest = std::max(std::abs(low_), std::abs(high_));
      const double digits = std::floor(std::log10(largest)) - std::floor(std::log10(step())) + 1;
      return detail::number(tick, static_cast<int>(std::clamp(digits, 6.0, 17.0)));
    }

   private:
    // A round number of which about eight make the axis.
    double step() const {
      const double raw = (high_ / 2 - low_ / 2) / 4, power = std::pow(10.0, std::floor(std::log10(raw)));
      for (const double factor : {1.0, 2.0, 5.0})
        if (factor * power >= raw) return factor * power;
      return 10 * power;
    }
    static double limit() { return std::numeric_limits<double>::max(); }
    double scaled(double value) const { return logarithmic_ ? std::log10(value) : value; }
    void add_tick(std::vector<double>& values, double value, bool wanted) const {
      if (wanted && has_place_for(value) && scaled(value) >= low_ && scaled(value) <= high_) values.push_back(value);
    }

    bool logarithmic_;
    double from_, to_;
    double low_ = infinity, high_ = -infinity;  // their logarithms where it is logarithmic
  };

  static constexpr double top = 52;
  static constexpr std::size_t longest_name = 28, few_points = 40, many_points = 200;

  static const char* colour(std::size_t i) { return colours[i % colours.size()]; }

  // Fonts differ: 8 pixels for each character are on the safe side. A third of the picture is enough for names.
  static constexpr int sample_width = 44, character_width = 8;
  std::string name_of(const Curve& curve) const {
    const auto room = static_cast<std::size_t>((options_.width / 3 - sample_width) / character_width);
    return detail::cut(curve.name, std::min(longest_name, room));
  }
  double key_width() const {
    std::size_t widest = 0;
    for (const Curve& curve : curves_) widest = std::max(widest, detail::display_width(name_of(curve)));
    return curves_.empty() ? 0 : sample_width + character_width * static_cast<double>(widest);
  }

  void text(double x, double y, const char* anchor, const char* fill, const std::string& what, int size = 14,
            bool upwards = false) {
    svg_ += "<text x=\"" + fixed(x, 1) + "\" y=\"" + fixed(y, 1) + "\" text-anchor=\"" + anchor + "\" fill=\"" + fill +
            "\" font-size=\"" + limpid::detail::message(size) + '"';
    if (upwards) svg_ += " transform=\"rotate(-90 " + fixed(x, 1) + ' ' + fixed(y, 1) + ")\"";
    svg_ += '>' + escaped(what) + "</text>\n";
  }

  void line(double x1, double y1, double x2, double y2, const char* stroke) {
    svg_ += "<path d=\"M" + fixed(x1, 1) + ' ' + fixed(y1, 1) + 'L' + fixed(x2, 1) + ' ' + fixed(y2, 1) +
            "\" stroke=\"" + stroke + "\"/>\n";
  }

  void draw_axes() {
    for (const double value : x_.ticks()) {
      line(x_.pixel(value), top, x_.pixel(value), bottom_, "#e4e7ec");
      text(x_.pixel(value), bottom_ + 20, "middle", "#5f6874", x_.label(value));
    }
    for (const double value : y_.ticks()) {
      line(left_, y_.pixel(value), right_, y_.pixel(value), "#e4e7ec");
      text(left_ - 8, y_.pixel(value) + 5, "end", "#5f6874", y_.label(value));
    }
    line(left_, bottom_, right_, bottom_, "#7a828e");
    line(left_, top, left_, bottom_, "#7a828e");
    text(left_, 32, "start", "#262b33", options_.title, 20);
    text((left_ + right_) / 2, bottom_ + 44, "middle", "#262b33", options_.x_label);
    text(22, (top + bottom_) / 2, "middle", "#262b33", options_.y_label, 14, true);
  }

  // Runs of points that have a place, each to be joined by a line.
  std::vector<std::vector<Point>> runs_of(const std::vector<Point>& points) const {
    std::vector<std::vector<Point>> runs(1);
    for (const Point point : points) {
      if (x_.has_place_for(point.x) && y_.has_place_for(point.y))
        runs.back().push_back({x_.pixel(point.x), y_.pixel(point.y)});
      else if (!runs.back().empty())
        runs.emplace_back();
    }
    if (runs.back().empty()) runs.pop_back();
    return runs;
  }

  // Of the points between which a line would hardly move to the side, the first, the lowest, the highest and the last
  // are all that can be seen.
  static std::vector<Point> thinned(const std::vector<Point>& run) {
    std::vector<Point> result;
    for (std::size_t i = 0; i < run.size();) {
      std::size_t end = i + 1, low = i, high = i;
      for (; end < run.size() && std::abs(run[end].x - run[i].x) < 0.5; ++end) {
        if (run[end].y < run[low].y) low = end;
        if (run[end].y > run[high].y) high = end;
      }
      std::array picks = {i, low, high, end - 1};
      std::sort(picks.begin(), picks.end());
      for (std::size_t k = 0; k < picks.size(); ++k)
        if (k == 0 || picks[k] != picks[k - 1]) result.push_back(run[picks[k]]);
      i = end;
    }
    return result;
  }

  void draw_line(const std::vector<std::vector<Point>>& runs, const char* stroke, const char* width,
                 const char* opacity) {
    std::string path;
    for (const std::vector<Point>& run : runs) {
      char command = 'M';
      for (const Point corner : thinned(run)) {
        path += command + fixed(corner.x, 1) + ' ' + fixed(corner.y, 1);
        command = 'L';
      }
      if (run.size() == 1) path += "h0";  // with round ends a dot
    }
    if (path.empty()) return;
    svg_ += "<path d=\"" + path + "\" fill=\"none\" stroke=\"" + stroke + "\" stroke-width=\"" + width +
            "\" stroke-opacity=\"" + opacity + "\" stroke-linecap=\"round\" stroke-linejoin=\"round\"/>\n";
  }

  // The mean over about 2 % of all points around each, as it lies on the picture: on a logarithmic axis the geometric
  // one. It neither lags nor leads.
  static std::vector<Point> smooth(const std::vector<Point>& run, std::size_t reach) {
    std::vector<double> sum(run.size() + 1);
    for (std::size_t i = 0; i < run.size(); ++i) sum[i + 1] = sum[i] + run[i].y;
    std::vector<Point> mean = run;
    for (std::size_t i = 0; i < run.size(); ++i) {
      const std::size_t from = i - std::min(i, reach), to = std::min(run.size(), i + reach + 1);
      mean[i].y = (sum[to] - sum[from]) / static_cast<double>(to - from);
    }
    return mean;
  }

  void draw_curve(const Curve& curve, const char* stroke) {
    std::vector<std::vector<Point>> runs = runs_of(curve.points);
    const bool many = curve.points.size() > many_points;
    draw_line(runs, stroke, many ? "1" : "2", many ? "0.35" : "1");
    if (many) {
      for (std::vector<Point>& run : runs) run = smooth(run, curve.points.size() / 100);
      draw_line(runs, stroke, "2.5", "1");
    }
    if (curve.points.size() > few_points) return;
    for (const std::vector<Point>& run : runs)
      for (const Point point : run)
        svg_ += "<circle cx=\"" + fixed(point.x, 1) + "\" cy=\"" + fixed(point.y, 1) + "\" r=\"4\" fill=\"" + stroke +
                "\"/>\n";
  }

  void draw_key() {
    const double step = std::min(22.0, (bottom_ - top) / static_cast<double>(std::max<std::size_t>(curves_.size(), 1)));
    for (std::size_t i = 0; i < curves_.size(); ++i) {
      const double y = top + 10 + step * static_cast<double>(i);
      svg_ += "<rect x=\"" + fixed(right_ + 12, 1) + "\" y=\"" + fixed(y - 1.5, 1) +
              "\" width=\"20\" height=\"3\" fill=\"" + colour(i) + "\"/>\n";
      text(right_ + 38, y + 5, "start", "#262b33", name_of(curves_[i]));
    }
  }

  const CurvesOptions& options_;
  const std::vector<Curve>& curves_;
  double right_, bottom_, left_;
  Axis x_, y_;
  std::string svg_;
};

Curves::Curves(const CurvesOptions& options) : options_(options) {
  constexpr int least = 200, most = 10'000;
  for (const int side : {options.width, options.height})
    if (side < least || side > most)
      throw_error<ValueError>("Curves: expected width and height from ", least, " to ", most, ", got ", options.width,
                              " and ", options.height);
}

void Curves::add(std::string_view curve, double x, double y) noexcept {
  try {
    auto found = std::find_if(curves_.begin(), curves_.end(), [&](const Curve& c) { return c.name == curve; });
    if (found == curves_.end()) found = curves_.insert(found, Curve{std::string(curve), {}});
    found->points.push_back({x, y});
  } catch (...) {
    // A run does not end because there is no memory to report on it.
  }
}

std::string Curves::svg() const { return Picture(options_, curves_).draw(); }

std::string Curves::csv() const {
  // A curve that has several points at one x has several rows there. NaN comes last.
  struct Less {
    bool operator()(std::pair<double, std::size_t> a, std::pair<double, std::size_t> b) const {
      if (std::isnan(a.first) || std::isnan(b.first))
        return std::isnan(a.first) == std::isnan(b.first) ? a.second < b.second : std::isnan(b.first);
      return a < b;
    }
  };
  struct NumberLess {
    bool operator()(double a, double b) const { return std::isnan(b) ? !std::isnan(a) : a < b; }
  };
  std::map<std::pair<double, std::size_t>, std::vector<std::string>, Less> rows;
  for (std::size_t j = 0; j < curves_.size(); ++j) {
    std::map<double, std::size_t, NumberLess> seen;
    for (const Point point : curves_[j].points) {
      std::vector<std::string>& row = rows[{point.x, seen[point.x]++}];
      row.resize(curves_.size());
      row[j] = shortest(point.y);
    }
  }
  std::string text = field(options_.x_label);
  for (const Curve& curve : curves_) text += ',' + field(curve.name);
  text += '\n';
  for (const auto& [key, row] : rows) {
    text += shortest(key.first);
    for (const std::string& value : row) text += ',' + value;
    text += '\n';
  }
  return text;
}

void Curves::save_svg(const std::string& path) const { write_file("save_svg", path, svg()); }
void Curves::save_csv(const std::string& path) const { write_file("save_csv", path, csv()); }

}  // namespace limpid::report
