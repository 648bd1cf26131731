"""What must not compile says why in one sentence: the compiler's only error.

refused.py COMPILER INCLUDE_DIR [--self-test]
"""
import re
import sys
import tempfile
from pathlib import Path

from check import first_lines, in_parallel, report, run

# (name, declarations, statements, sentence); no sentence: it compiles.
CASES = [
    ("a layer", "struct L { Tensor operator()(const Tensor& x) const { return x; } };", "nn::Sequential s{L(), L()};", ""),
    ("a layer that is not const", "struct L { Tensor operator()(const Tensor& x) { return x; } };",
     "nn::Sequential s{nn::Linear(1, 1), L()};",
     "Sequential: expected a layer whose operator() is const: Tensor operator()(const Tensor& x) const"),
    ("a layer with forward()", "struct L : nn::Module { Tensor forward(const Tensor& x) const { return x; } };",
     "nn::Sequential s{L()};",
     "Sequential: expected a layer that is called as y = layer(x), got one with forward(): name it Tensor operator()(const Tensor& x) const"),
    ("a layer of two arguments", "struct L { Tensor operator()(const Tensor& x, const Tensor&) const { return x; } };",
     "nn::Sequential s; s.append(L());",
     "Sequential: expected a layer that is called as y = layer(x): Tensor operator()(const Tensor& x) const"),
    ("a rule", "", "optim::Optimizer o({}, {.name = \"O\", .lr = 1}, [](const auto& step) { step.x[0] = 0; });", ""),
    ("a rule of one type", "", "optim::Optimizer o({}, {.name = \"O\", .lr = 1}, [](const optim::Step<float>&) {});",
     "Optimizer: expected a rule to call with a Step<float> or a Step<double>, such as [](const auto& step) { ... }"),
    ("a rate", "void f(optim::Optimizer o) { optim::Schedule s(o, [](int64_t step) { return 1.0 / (1 + step); }); }", "", ""),
    ("a rate of a string", "void f(optim::Optimizer o) { optim::Schedule s(o, [](const char*) { return 1.0; }); }", "",
     "Schedule: expected a rate to call as rate(step) or rate(step, base), such as "
     "[](int64_t step, double base) { return base / (1 + 0.01 * step); }"),
    ("a data set", "struct D { int64_t size() const { return 1; } Tensor batch(const Tensor& i) const { return i; } };",
     "data::DataLoader l{D(), {.batch_size = 1}};", ""),
    ("a data set without size()", "struct D { Tensor batch(const Tensor& i) const { return i; } };",
     "data::DataLoader l{D(), {.batch_size = 1}};",
     "DataLoader: expected a data set, which has int64_t size() const and batch(const Tensor&) const"),
]
ERROR = re.compile(r"\berror: (?:static assertion failed(?: due to requirement '[^\n]*?')?: )?\"?(.*?)\"?$", re.M)


def fault_of(compiler, include, case):
    name, declarations, statements, sentence = case
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.cpp").write_text("#include <limpid/limpid.hpp>\nusing namespace limpid;\n"
                                         f"{declarations}\nint main() {{ {statements} }}\n")
        built = run([compiler, "-std=c++20", "-fsyntax-only", f"-I{include}", "a.cpp"], cwd=folder)
    errors = ERROR.findall(built.stdout)
    if errors != ([sentence] if sentence else []):
        return f"{name}: expected {sentence or 'no error'}, got {errors}:\n{first_lines(built.stdout)}"
    return None


def faults_of(cases, *with_what):
    return [fault for fault in in_parallel(lambda case: fault_of(*with_what, case), cases) if fault]


compiler, include, *mode = sys.argv[1:]
if mode == ["--self-test"]:
    planted = [("compiles", "", "nn::ReLU r;", "ReLU: expected"), ("does not compile", "", "nothing;", ""),
               ("says something else", "", "nothing;", "expected"), ("says more", "", "nothing; nothing_else;", "nothing")]
    missed = [case[0] for case in planted if not fault_of(compiler, include, case)]
    report([f"{name}: expected a fault, got none" for name in missed], f"{len(planted)} faults found")
report(faults_of(CASES, compiler, include), f"{len(CASES)} cases say why they are refused, or compile")
