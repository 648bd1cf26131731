#pragma once

#include <span>
#include <vector>

namespace digits {

/// A place the pen passes, in percent of the glyph's box: x to the right, y down. At a corner it turns sharply;
/// elsewhere the line is smooth.
struct Knot {
  int x, y;
  bool corner = false;
};

using PenStroke = std::vector<Knot>;
using Style = std::vector<PenStroke>;

/// The ways of writing `digit` (0 to 9), each a few strokes in the order a hand draws them.
std::span<const Style> styles(int digit);

}  // namespace digits
