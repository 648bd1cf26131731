#include <limpid/autograd/graph.hpp>

#include <limpid/autograd/detail/stand_in.hpp>
#include <limpid/autograd/detail/watch.hpp>
#include <limpid/core/detail/message.hpp>

#include <algorithm>
#include <iomanip>
#include <unordered_map>

namespace limpid {
namespace {

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    if (c == '"' || c == '\\') result += '\\';
    result += c;
  }
  return result;
}

std::string readable_bytes(int64_t bytes) {
  detail::TextStream out;
  if (bytes < 1024)
    out << bytes << " B";
  else if (bytes < 1024 * 1024)
    out << std::setprecision(3) << static_cast<double>(bytes) / 1024 << " KiB";
  else
    out << std::setprecision(4) << static_cast<double>(bytes) / (1024 * 1024) << " MiB";
  return out.str();
}

// Lines of a label end in "\n" of Graphviz's own.
std::string results_of(const Node& node) {
  detail::TextStream out;
  for (const Node::Output& output : node.outputs()) out << "\\n" << output.shape() << ' ' << output.dtype;
  return out.str();
}

std::string saved_by(const Node& node) {
  int64_t bytes = 0;
  std::string names;
  node.for_each_saved([&](const Saved& saved) {
    if (!saved.peek().defined()) return;
    bytes += saved.peek().numel() * static_cast<int64_t>(saved.peek().itemsize());
    names = saved.name() + (names.empty() ? "" : ", " + names);  // last declared, first met
  });
  return names.empty() ? "" : "\\nkeeps " + escaped(names) + ": " + readable_bytes(bytes);
}

}  // namespace

std::string to_dot(const Tensors& ys) {
  std::vector<Node*> nodes;
  detail::walk(ys, [&](Node* node) { return nodes.push_back(node), true; });
  if (nodes.empty()) detail::throw_error<AutogradError>("to_dot: expected a recorded tensor, got none");
  // In the order of recording, leaves first, so that the same program gives the same text.
  std::stable_sort(nodes.begin(), nodes.end(), [](auto* a, auto* b) { return a->sequence() < b->sequence(); });
  std::unordered_map<const Node*, std::size_t> number;
  detail::TextStream out;
  out << "digraph limpid {\n  rankdir = TB;\n  node [fontname = \"sans-serif\", fontsize = 11];\n";
  for (const Node* node : nodes) {
    const std::size_t id = number.emplace(node, number.size()).first->second;
    std::string source = detail::source_of(*node);
    if (!source.empty()) source = "\\n" + escaped(source);
    out << "  n" << id << " [shape = " << (node->is_leaf() ? "ellipse" : "box") << ", label = \""
        << escaped(node->name()) << results_of(*node) << saved_by(*node) << source << "\"];\n";
  }
  for (const Node* node : nodes)
    for (const Edge& edge : node->inputs())
      if (edge.node) out << "  n" << number.at(edge.node.get()) << " -> n" << number.at(node) << ";\n";
  out << "}\n";
  return out.str();
}

std::string to_dot(const Tensor& y) { return to_dot(Tensors{y}); }

}  // namespace limpid
