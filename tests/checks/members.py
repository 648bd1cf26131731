"""What a tensor can do, an nn::Parameter can: each public member function of Tensor is one of Parameter, but for those that
would bind it to another tensor. members.py [--self-test]"""
import re
import sys

from check import ROOT, must_find, report

FUNCTION = re.compile(r"(?<![\w:.>])(?!(?:requires|noexcept|decltype|sizeof)\b)([a-z_]\w*)\(")


def body(text, name):
    """The public part of a class, without comments and what stands in braces."""
    start = re.search(rf"^class {name}(?: final)?(?: :[^\n{{]*)? {{$", text, re.M)
    if not start:
        raise SystemExit(f"members.py: no class {name}")
    rest = text[start.end():text.index("\n};", start.end())].split("\n private:")[0]
    rest = re.sub(r"//[^\n]*", "", rest)
    while (inner := re.sub(r"\{[^{}]*\}", ";", rest)) != rest:
        rest = inner
    return rest


def functions(text, name):
    # Of each declaration the first name before a parenthesis: what follows are types and default values.
    found = (FUNCTION.search(part) for part in body(text, name).split(";") if not re.search(rf"\b{name}\(", part))
    return {match[1] for match in found if match}


def faults_of(root):
    tensor = functions((root / "core/tensor.hpp").read_text(), "Tensor")
    parameter = functions((root / "nn/parameter.hpp").read_text(), "Parameter")
    if len(tensor) < 1:
        return ["core/tensor.hpp: expected member functions of Tensor, found none"]
    return [f"nn/parameter.hpp: expected {name}(), as Tensor has it" for name in sorted(tensor - parameter)]


if sys.argv[1:] == ["--self-test"]:
    tensor = ("class Tensor {\n public:\n  Tensor() noexcept = default;\n  explicit Tensor(int x) : x_(x) {}\n  int64_t dim() const { return impl().dim(); }\n"
              "  template <class T>\n  T item() const {\n    if (x) {\n      return f();\n    }\n    return g();\n  }\n"
              "  Tensor& fill_(double value);  ///< not other()\n  void run(const Tensor& y = make()) const;\n\n private:\n"
              "  int hidden();\n};\n")
    same = "class Parameter {\n public:\n  int64_t dim() const;\n  template <class T>\n  T item() const;\n  void run() const;\n  const Parameter& fill_(double value) const;\n};\n"
    must_find([
        ("all", {"core/tensor.hpp": tensor, "nn/parameter.hpp": same}, False),
        ("one is missing", {"core/tensor.hpp": tensor, "nn/parameter.hpp": same.replace("  T item() const;\n", "")}, True),
        ("one is private", {"core/tensor.hpp": tensor, "nn/parameter.hpp": same.replace("  void run", "\n private:\n  void run")}, True),
        ("one is new", {"core/tensor.hpp": tensor.replace("  int64_t dim", "  Tensor index(const Tensor& i) const;\n  int64_t dim"),
                        "nn/parameter.hpp": same}, True),
    ], faults_of)
report(faults_of(ROOT), "nn::Parameter can what Tensor can")
