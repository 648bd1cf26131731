// What a node's rules owe: one gradient per input, one tangent per output, of its dtype and a shape that fits.
#pragma once
#include <limpid/autograd/node.hpp>
#include <limpid/core/detail/message.hpp>

namespace limpid::detail {

/// The words for one of the two rules.
struct RuleWords {
  const char *rule, *gives, *of;
};
inline constexpr RuleWords of_backward{"backward", "gradient", "input"}, of_jvp{"jvp", "tangent", "output"};

[[noreturn, gnu::cold, gnu::noinline]] inline void refuse_count(const Node& node, const RuleWords& words,
                                                                std::size_t expected, std::size_t got) {
  throw_error<AutogradError>(node.name(), ": expected one ", words.gives, " per ", words.of, " (", expected, ") from ",
                             words.rule, ", got ", got);
}

/// Throws AutogradError unless rule gave as many as it should.
inline void require_count(const Node& node, const RuleWords& words, std::size_t expected, std::size_t got) {
  if (got != expected) [[unlikely]]
    refuse_count(node, words, expected, got);
}

/// Whether small broadcasts to large.
inline bool broadcasts_to(const Shape& small, const Shape& large) {
  if (small.size() > large.size()) return false;
  const std::size_t lead = large.size() - small.size();
  for (std::size_t k = 0; k < small.size(); ++k)
    if (small[k] != 1 && small[k] != large[lead + k]) return false;
  return true;
}

/// Throws AutogradError unless g, which the rule gave for place i, has its dtype, and a shape that fits.
inline void require_fit(const Node& node, const RuleWords& words, std::size_t i, const Tensor& g,
                        const Node::Output& place, bool fits) {
  if (g.dtype() == place.dtype && fits) return;
  throw_error<AutogradError>(node.name(), ": expected ", words.rule, " to give the ", words.gives, " of ", words.of,
                             ' ', i, " in its shape ", place.shape(), " and dtype ", place.dtype, ", got ", g.shape(),
                             " and ", g.dtype());
}

}  // namespace limpid::detail
