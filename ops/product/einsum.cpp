// Sums of products over any axes. An operand is a tensor and a label for each of its axes; two of them become one by a
// batched matrix product over views, so that derivatives are those of matmul, permute, reshape, mul and sum.
#include <limpid/core/detail/message.hpp>
#include <limpid/core/detail/number.hpp>
#include <limpid/core/detail/quote.hpp>
#include <limpid/ops/elementwise.hpp>
#include <limpid/ops/product.hpp>
#include <limpid/ops/product/detail/float_operands.hpp>
#include <limpid/ops/reduce.hpp>
#include <limpid/ops/shaping.hpp>

#include <algorithm>
#include <bitset>
#include <string>
#include <utility>
#include <vector>

namespace limpid {

using detail::infinity;
using detail::require_defined;
using detail::throw_error;

namespace {

// A to Z are labels 0 to 25, a to z the next, and the axes of "..." those from 52 on, the last axis having the
// greatest. So ascending labels are the order of a result without "->", but for the "...", which comes first there.
using Label = int;
using Labels = std::vector<Label>;
constexpr Label first_of_ellipsis = 52;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
Label label_of(char c) { return c >= 'a' ? c - 'a' + 26 : c - 'A'; }
std::string name_of(Label label) {
  if (label >= first_of_ellipsis) return "'...'";
  return std::string(1, static_cast<char>(label < 26 ? 'A' + label : 'a' + label - 26));
}

bool holds(const Labels& labels, Label label) { return std::find(labels.begin(), labels.end(), label) != labels.end(); }

struct Operand {
  Tensor x;
  Labels labels;  // one for each axis, all different
};

struct Equation {
  std::vector<std::string> inputs;  // letters and '.', which stands for "..."
  std::string output;
  bool has_output = false;
};

[[noreturn]] void refuse(std::string_view equation, const std::string& expected, const std::string& got) {
  throw_error<ValueError>("einsum: expected ", expected, ", got ", got, " in ", detail::in_quotes(equation));
}

Equation parsed(std::string_view text) {
  Equation equation;
  equation.inputs.emplace_back();
  std::string* part = &equation.inputs.back();
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == ' ') continue;
    if (is_letter(c)) {
      part->push_back(c);
    } else if (c == ',' && !equation.has_output) {
      part = &equation.inputs.emplace_back();
    } else if (text.substr(i, 2) == "->" && !equation.has_output) {
      equation.has_output = true;
      part = &equation.output;
      ++i;
    } else if (text.substr(i, 3) == "...") {
      if (part->find('.') != std::string::npos) refuse(text, "one '...' for an operand or the result", "two");
      part->push_back('.');
      i += 2;
    } else {
      refuse(text, "letters, '...', ',' between operands and one '->'",
             detail::in_quotes(std::string_view(&text[i], 1)));
    }
  }
  return equation;
}

// The sizes of all labels: that of an axis, or of another operand's where it is 1.
struct Sizes {
  std::vector<int64_t> of;
  int64_t operator[](Label label) const { return of[static_cast<std::size_t>(label)]; }
  void meet(Label label, int64_t size, std::string_view equation) {
    const auto at = static_cast<std::size_t>(label);
    if (of.size() <= at) of.resize(at + 1, -1);
    int64_t& known = of[at];
    if (known >= 0 && known != size && known != 1 && size != 1)
      throw_error<ShapeError>("einsum: expected axes of one size (or 1) for ", name_of(label), ", got ", known, " and ",
                              size, " for ", detail::in_quotes(equation));
    if (known < 0 || known == 1) known = size;
  }
};

// x with each label once: the diagonal of axes that share one.
Operand with_diagonals(Tensor x, Labels labels, std::string_view equation) {
  for (std::size_t i = 0; i < labels.size(); ++i)
    for (std::size_t j = i + 1; j < labels.size(); ++j) {
      if (labels[i] != labels[j]) continue;
      const Label label = labels[i];
      const auto a = static_cast<int64_t>(i), b = static_cast<int64_t>(j);
      if (x.size(a) != x.size(b))
        throw_error<ShapeError>("einsum: expected axes of one size for ", name_of(label),
                                " twice within an operand, got ", x.size(a), " and ", x.size(b), " for ",
                                detail::in_quotes(equation));
      x = diagonal(x, 0, a, b);  // as the last axis
      labels.erase(labels.begin() + b);
      labels.erase(labels.begin() + a);
      labels.push_back(label);
      return with_diagonals(std::move(x), std::move(labels), equation);
    }
  return {std::move(x), std::move(labels)};
}

// Summed over what neither the result nor another operand has.
Operand summed(Operand operand, const Labels& kept) {
  Axes gone;
  Labels left;
  for (std::size_t i = 0; i < operand.labels.size(); ++i)
    if (holds(kept, operand.labels[i]))
      left.push_back(operand.labels[i]);
    else
      gone.push_back(static_cast<int64_t>(i));
  if (!gone.empty()) operand = {sum(operand.x, gone), std::move(left)};
  return operand;
}

// Axes in the order of these labels; one that the operand does not have is of size 1.
Tensor arranged(const Operand& operand, const Labels& order) {
  Axes axes;
  for (const Label label : order) {
    const auto found = std::find(operand.labels.begin(), operand.labels.end(), label);
    if (found != operand.labels.end()) axes.push_back(found - operand.labels.begin());
  }
  bool in_order = true;
  for (std::size_t i = 0; i < axes.size(); ++i) in_order = in_order && axes[i] == static_cast<int64_t>(i);
  Tensor y = in_order ? operand.x : permute(operand.x, axes);
  for (std::size_t i = 0; i < order.size(); ++i)
    if (!holds(operand.labels, order[i])) y = unsqueeze(y, static_cast<int64_t>(i));
  return y;
}

int64_t count(const Labels& labels, const Sizes& sizes) {
  Shape shape;
  for (const Label label : labels) shape.push_back(sizes[label]);
  return shape.numel();
}

Labels joined(Labels a, const Labels& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

// a and b as one, over the labels that are kept; what either has alone is.
Operand product(const Operand& a, const Operand& b, const Labels& kept, const Sizes& sizes) {
  Labels batch, rows, inner, columns;
  for (const Label label : a.labels)
    (!holds(b.labels, label) ? rows : holds(kept, label) ? batch : inner).push_back(label);
  for (const Label label : b.labels)
    if (!holds(a.labels, label)) columns.push_back(label);
  const Labels all = joined(joined(batch, rows), columns);
  // Without a sum there is nothing for BLAS to do, and it takes many short sums one by one.
  if (inner.empty()) return {mul(arranged(a, all), arranged(b, all)), all};
  const int64_t n = count(rows, sizes), m = count(columns, sizes), k = count(inner, sizes);
  if (!batch.empty() && n == 1 && m == 1) {
    const Labels every = joined(all, inner);
    return summed({mul(arranged(a, every), arranged(b, every)), every}, kept);
  }
  Shape of_a{n, k}, of_b{k, m}, of_y;
  if (!batch.empty()) {
    const int64_t matrices = count(batch, sizes);
    of_a.insert(0, matrices), of_b.insert(0, matrices);
  }
  for (const Label label : all) of_y.push_back(sizes[label]);
  const Tensor left = reshape(arranged(a, joined(joined(batch, rows), inner)), of_a);
  const Tensor right = reshape(arranged(b, joined(joined(batch, inner), columns)), of_b);
  return {reshape(matmul(left, right), of_y), all};
}

// Whether the product of a and b is one of matrices, with no sum before it or after it: of half precision it is then
// rounded once.
bool is_of_matrices(const Operand& a, const Operand& b, const Labels& output, const Sizes& sizes) {
  bool sums = false, is_batch = false, is_wide = false;
  for (const auto& [x, other] : {std::pair(&a, &b), std::pair(&b, &a)})
    for (std::size_t axis = 0; axis < x->labels.size(); ++axis) {
      const Label label = x->labels[axis];
      const bool shared = holds(other->labels, label), kept = holds(output, label);
      if (x->x.shape()[axis] != sizes[label] || (!shared && !kept)) return false;
      sums = sums || (shared && !kept);
      is_batch = is_batch || (shared && kept);
      is_wide = is_wide || (!shared && sizes[label] != 1);
    }
  return sums && (is_wide || !is_batch);
}

// The order of products. Labels are bits here: of an operand, or of the product of a set of operands.
class Path {
 public:
  Path(const std::vector<Operand>& operands, const Labels& output, const Sizes& sizes)
      : sizes_(sizes),
        output_(bits_of(output)) {
    for (const Operand& operand : operands) labels_.push_back(bits_of(operand.labels));
  }

  // Pairs of places, the first less than the second: their product takes the first's, the second's is dropped.
  std::vector<std::pair<std::size_t, std::size_t>> pairs() const { return labels_.size() <= 8 ? optimal() : greedy(); }

 private:
  using Bits = std::bitset<128>;  // tensors have 64 axes at most

  static Bits bits_of(const Labels& labels) {
    Bits bits;
    for (const Label label : labels) bits[static_cast<std::size_t>(label)] = true;
    return bits;
  }
  double volume(const Bits& bits) const {
    double product = 1;
    for (std::size_t i = 0; i < sizes_.of.size(); ++i)
      if (bits[i]) product *= static_cast<double>(sizes_.of[i]);
    return product;
  }

  // Of each set of operands the cheapest order, from those of its parts.
  std::vector<std::pair<std::size_t, std::size_t>> optimal() const {
    const std::size_t n = labels_.size(), sets = std::size_t{1} << n;
    std::vector<Bits> labels(sets);
    std::vector<double> cost(sets, 0);
    std::vector<std::size_t> part(sets, 0);
    for (std::size_t set = 1; set < sets; ++set) {
      Bits inside, kept = output_;
      for (std::size_t i = 0; i < n; ++i) (set >> i & 1 ? inside : kept) |= labels_[i];
      labels[set] = inside & kept;
      if ((set & (set - 1)) == 0) continue;
      cost[set] = infinity;
      // Each pair of parts once: the one with the last operand.
      for (std::size_t some = (set - 1) & set; some > (set ^ some); some = (some - 1) & set) {
        const std::size_t rest = set ^ some;
        const double total = cost[some] + cost[rest] + volume(labels[some] | labels[rest]);
        if (total < cost[set] || part[set] == 0) cost[set] = total, part[set] = some;
      }
    }
    std::vector<std::pair<std::size_t, std::size_t>> pairs;
    append(pairs, part, sets - 1);
    return pairs;
  }
  static std::size_t append(std::vector<std::pair<std::size_t, std::size_t>>& pairs,
                            const std::vector<std::size_t>& part, std::size_t set) {
    if ((set & (set - 1)) == 0) return static_cast<std::size_t>(__builtin_ctzll(set));
    const std::size_t a = append(pairs, part, part[set]), b = append(pairs, part, set ^ part[set]);
    pairs.emplace_back(std::min(a, b), std::max(a, b));
    return std::min(a, b);
  }

  // Always the pair whose product grows the least over its operands.
  std::vector<std::pair<std::size_t, std::size_t>> greedy() const {
    std::vector<Bits> labels = labels_;
    std::vector<bool> is_gone(labels.size(), false);
    std::vector<std::pair<std::size_t, std::size_t>> pairs;
    while (pairs.size() + 1 < labels.size()) {
      std::pair<std::size_t, std::size_t> best{0, 0};
      Bits result;
      double least = infinity;
      for (std::size_t a = 0; a < labels.size(); ++a)
        for (std::size_t b = a + 1; !is_gone[a] && b < labels.size(); ++b) {
          if (is_gone[b]) continue;
          Bits kept = output_;
          for (std::size_t c = 0; c < labels.size(); ++c)
            if (c != a && c != b && !is_gone[c]) kept |= labels[c];
          const Bits left = (labels[a] | labels[b]) & kept;
          const double growth = volume(left) - volume(labels[a]) - volume(labels[b]);
          if (growth < least || best.second == 0) least = growth, best = {a, b}, result = left;
        }
      labels[best.first] = result;
      is_gone[best.second] = true;
      pairs.push_back(best);
    }
    return pairs;
  }

  const Sizes& sizes_;
  Bits output_;
  std::vector<Bits> labels_;
};

// The labels of one operand's axes, those of "..." aligned at the last: there are as many as its axes leave, counted
// before any diagonal is taken.
Labels labels_of(const std::string& subscripts, const Tensor& x, std::size_t number, int64_t widest,
                 std::string_view equation) {
  const auto letters = static_cast<int64_t>(std::count_if(subscripts.begin(), subscripts.end(), is_letter));
  const bool open = letters != static_cast<int64_t>(subscripts.size());
  if (open ? x.dim() < letters : x.dim() != letters)
    throw_error<ShapeError>("einsum: expected operand ", number, " of ", open ? "at least " : "", letters,
                            letters == 1 ? " axis" : " axes", " for ", detail::in_quotes(equation), ", got shape ",
                            x.shape());
  Labels labels;
  for (const char c : subscripts)
    if (c != '.')
      labels.push_back(label_of(c));
    else
      for (int64_t k = widest - (x.dim() - letters); k < widest; ++k)
        labels.push_back(first_of_ellipsis + static_cast<Label>(k));
  return labels;
}

Labels output_of(const Equation& equation, int64_t widest, const std::vector<Operand>& operands,
                 std::string_view text) {
  Labels all, output;
  for (const Operand& operand : operands) all = joined(std::move(all), operand.labels);
  const auto add_ellipsis = [&] {
    for (Label k = 0; k < widest; ++k) output.push_back(first_of_ellipsis + k);
  };
  if (!equation.has_output) {
    add_ellipsis();
    for (Label label = 0; label < first_of_ellipsis; ++label) {
      const char c = name_of(label)[0];
      std::ptrdiff_t times = 0;
      for (const std::string& input : equation.inputs) times += std::count(input.begin(), input.end(), c);
      if (times == 1) output.push_back(label);
    }
    return output;
  }
  for (const char c : equation.output) {
    if (c == '.') {
      add_ellipsis();
      continue;
    }
    const Label label = label_of(c);
    if (!holds(all, label)) refuse(text, "letters of operands behind '->'", name_of(label));
    if (holds(output, label)) refuse(text, "different letters behind '->'", name_of(label) + " twice");
    output.push_back(label);
  }
  return output;
}

}  // namespace

Tensor einsum(std::string_view text, const Tensors& xs) {
  const Equation equation = parsed(text);
  if (equation.inputs.size() != xs.size() || xs.empty())
    throw_error<ValueError>("einsum: expected ", equation.inputs.size(),
                            equation.inputs.size() == 1 ? " operand for " : " operands for ", detail::in_quotes(text),
                            ", got ", xs.size());
  for (const Tensor& x : xs) require_defined("einsum", x);
  int64_t widest = 0;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    const auto size = static_cast<int64_t>(equation.inputs[i].size());
    if (equation.inputs[i].find('.') != std::string::npos) widest = std::max(widest, xs[i].dim() - size + 1);
  }
  std::vector<Operand> operands;
  Sizes sizes;
  for (std::size_t i = 0; i < xs.size(); ++i) {
    operands.push_back(with_diagonals(xs[i], labels_of(equation.inputs[i], xs[i], i, widest, text), text));
    for (std::size_t axis = 0; axis < operands[i].labels.size(); ++axis)
      sizes.meet(operands[i].labels[axis], operands[i].x.shape()[axis], text);
  }
  const Labels output = output_of(equation, widest, operands, text);
  if (xs.size() > 1) {
    for (const Tensor& x : xs)
      detail::require_one_floating_dtype("einsum", {{"operand 0", &xs[0]}, {"an operand", &x}});
    const bool rounded_once = xs.size() == 2 && is_of_matrices(operands[0], operands[1], output, sizes);
    if (is_half(xs[0].dtype()) && !rounded_once) {
      Tensors wide;
      for (const Tensor& x : xs) wide.push_back(x.to(float32));
      return einsum(text, wide).to(xs[0].dtype());
    }
  }

  // An axis of size 1 that broadcasts is as good as none.
  for (Operand& operand : operands) {
    Axes ones;
    Labels left;
    for (std::size_t axis = 0; axis < operand.labels.size(); ++axis)
      if (operand.x.shape()[axis] == 1 && sizes[operand.labels[axis]] != 1)
        ones.push_back(static_cast<int64_t>(axis));
      else
        left.push_back(operand.labels[axis]);
    if (!ones.empty()) operand = {squeeze(operand.x, ones), std::move(left)};
  }

  const auto kept_beside = [&](std::size_t a, std::size_t b) {
    Labels kept = output;
    for (std::size_t i = 0; i < operands.size(); ++i)
      if (i != a && i != b) kept = joined(std::move(kept), operands[i].labels);
    return kept;
  };
  for (std::size_t i = 0; i < operands.size(); ++i) operands[i] = summed(operands[i], kept_beside(i, i));
  if (operands.size() == 2) {
    operands[0] = product(operands[0], operands[1], output, sizes);
  } else if (operands.size() > 2) {
    for (const auto& [a, b] : Path(operands, output, sizes).pairs()) {
      operands[a] = product(operands[a], operands[b], kept_beside(a, b), sizes);
      operands[b] = {};
    }
  }
  return arranged(operands[0], output);
}

Tensor tensordot(const Tensor& a, const Tensor& b, const Axes& a_axes, const Axes& b_axes) {
  require_defined("tensordot", "a", a);
  require_defined("tensordot", "b", b);
  if (a_axes.size() != b_axes.size())
    throw_error<ShapeError>("tensordot: expected as many axes of a as of b, got ", a_axes.size(), " and ",
                            b_axes.size());
  Axes a_inner, b_inner;
  for (std::size_t i = 0; i < a_axes.size(); ++i) {
    a_inner.push_back(normalize_axis(a_axes[i], a.dim(), "tensordot"));
    b_inner.push_back(normalize_axis(b_axes[i], b.dim(), "tensordot"));
    for (std::size_t j = 0; j < i; ++j)
      if (a_inner[j] == a_inner[i] || b_inner[j] == b_inner[i])
        throw_error<ShapeError>("tensordot: expected different axes, got one twice");
    if (a.size(a_inner[i]) != b.size(b_inner[i]))
      throw_error<ShapeError>("tensordot: expected axes that agree in size, got axis ", a_axes[i], " of a of shape ",
                              a.shape(), " and axis ", b_axes[i], " of b of shape ", b.shape());
  }
  detail::require_one_floating_dtype("tensordot", {{"a", &a}, {"b", &b}});
  const auto others = [](const Tensor& x, const Axes& inner) {
    Axes axes;
    for (int64_t axis = 0; axis < x.dim(); ++axis)
      if (std::find(inner.begin(), inner.end(), axis) == inner.end()) axes.push_back(axis);
    return axes;
  };
  const Axes a_outer = others(a, a_inner), b_outer = others(b, b_inner);
  Shape rows, columns, inner;
  Axes a_order = a_outer, b_order = b_inner;
  for (const int64_t axis : a_outer) rows.push_back(a.size(axis));
  for (const int64_t axis : a_inner) inner.push_back(a.size(axis)), a_order.push_back(axis);
  for (const int64_t axis : b_outer) columns.push_back(b.size(axis)), b_order.push_back(axis);
  const int64_t k = inner.numel();
  const Tensor y =
      matmul(reshape(permute(a, a_order), {rows.numel(), k}), reshape(permute(b, b_order), {k, columns.numel()}));
  for (const int64_t size : columns) rows.push_back(size);
  return reshape(y, rows);
}

Tensor tensordot(const Tensor& a, const Tensor& b, int64_t axes) {
  require_defined("tensordot", "a", a);
  require_defined("tensordot", "b", b);
  if (axes < 0 || axes > std::min(a.dim(), b.dim()))
    throw_error<ValueError>("tensordot: expected a number of axes from 0 to ", std::min(a.dim(), b.dim()), ", got ",
                            axes);
  Axes a_axes, b_axes;
  for (int64_t axis = 0; axis < axes; ++axis) a_axes.push_back(a.dim() - axes + axis), b_axes.push_back(axis);
  return tensordot(a, b, a_axes, b_axes);
}

}  // namespace limpid
