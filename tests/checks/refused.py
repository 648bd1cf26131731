"""What must not compile says why in one sentence: the compiler's only error. Where that is the use of what is deleted,
the reason stands in the declaration, which compilers show below it.

refused.py COMPILER INCLUDE_DIR [--self-test]
"""
import re
import sys
import tempfile
from pathlib import Path

from check import first_lines, in_parallel, report, run

FUNCTION = "struct F : Function<F> { static Tensor forward(Context&, const Tensor& x) { return x; } "
BACKWARD = "static Tensors backward(Context&, const Tensor& dy) { return {dy}; } "
NO_BACKWARD = ("Function: expected a static Tensors backward(Context& ctx, const Tensor& dy), with const Tensors& dy where "
               "forward gives Tensors")
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
    ("a layer that gives several tensors", "", "nn::Sequential s{nn::GRU(1, 1)};",
     "Sequential: expected a layer that gives a Tensor, got one that gives something else: choose of that by "
     "nn::adapt(layer, [](const auto& layer, const Tensor& x) { return ...; })"),
    ("one that is adapted", "",
     "nn::Sequential s{nn::adapt(nn::GRU(1, 1), [](const nn::GRU& g, const Tensor& x) { return g(x).sequence; })};", ""),
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
    ("a function of one's own", f"{FUNCTION} {BACKWARD} static Tensor jvp(Context&, const Tensors& dx) {{ return dx[0]; }} }};",
     "F::apply(ones({1}));", ""),
    ("one without a backward", FUNCTION + "};", "F::apply(ones({1}));", NO_BACKWARD),
    ("a backward of one tensor", FUNCTION + "static Tensor backward(Context&, const Tensor& dy) { return dy; } };",
     "F::apply(ones({1}));", NO_BACKWARD),
    ("a forward without a context", "struct F : Function<F> { static Tensor forward(const Tensor& x) { return x; } " + BACKWARD + "};",
     "F::apply(ones({1}));",
     "Function: expected a static forward(Context& ctx, ...) that takes the arguments of apply()"),
    ("a forward of nothing", "struct F : Function<F> { static void forward(Context&, const Tensor&) {} " + BACKWARD + "};",
     "F::apply(ones({1}));", "Function: expected a forward that gives a Tensor, or Tensors"),
    ("a jvp of one tensor", FUNCTION + BACKWARD + "static Tensor jvp(Context&, const Tensor& dx) { return dx; } };",
     "F::apply(ones({1}));",
     "Function: expected a static jvp(Context& ctx, const Tensors& dxs) that gives what forward gives"),
    ("integers of 64 bits alone",
     "template <class T> concept Made = std::constructible_from<Scalar, T>; "
     "template <class T> concept Listed = requires(std::initializer_list<T> v) { tensor(v); }; "
     "template <class T> concept Copied = requires(std::vector<T> v) { from_vector(v, Shape{1}); }; "
     "template <class T> concept Shown = std::constructible_from<report::Cell, T>;",
     "static_assert(Made<uint64_t> && Listed<uint64_t> && Copied<uint64_t> && Shown<uint64_t>); "
     "static_assert(!Made<__int128> && !Listed<__int128> && !Copied<__int128> && !Shown<__int128>);", ""),
]
# (name, declarations, statements, a reason in a comment)
DELETED = [
    ("an assigned parameter", "", "nn::Linear l(1, 1); l.weight = ones({1, 1});",
     "// copy values by x.copy_(y), under a NoGradGuard"),
    ("a parameter assigned to another", "", "nn::Linear l(1, 1), m(1, 1); l.weight = m.weight;",
     "// copy values by x.copy_(y), share one tensor by nn::tie(x, y)"),
    ("an assigned buffer", "", "nn::BatchNorm1d n(1); n.running_mean = zeros({1});",
     "// copy values by x.copy_(y), under a NoGradGuard"),
    ("a parameter held as a tensor", 'struct L : nn::Module { Tensor w; L() : w(parameter("w", ones({1}))) {} };', "",
     "// its member is to be an nn::Parameter or nn::Buffer"),
    ("a buffer held as a tensor", 'struct L : nn::Module { Tensor w; L() { w = buffer("w", ones({1})); } };', "",
     "// its member is to be an nn::Parameter or nn::Buffer"),
]
ERROR = re.compile(r"\berror: (?:static assertion failed(?: due to requirement '[^\n]*?')?: )?\"?(.*?)\"?$", re.M)


def precompile(compiler, include, folder):
    """limpid.hpp in both dialects, which is most of what a case would have to compile."""
    def make(dialect):
        Path(folder, dialect).mkdir()
        header = Path(folder, dialect, "all.hpp")
        header.write_text("#include <limpid/limpid.hpp>\n")
        made = run([compiler, f"-std={dialect}", f"-I{include}", "-x", "c++-header", header, "-o", f"{header}.gch"])
        assert made.returncode == 0, made.stdout
    in_parallel(make, ["c++20", "gnu++20"])


def fault_of(compiler, include, precompiled, case):
    name, declarations, statements, sentence = case
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.cpp").write_text("#include <limpid/limpid.hpp>\nusing namespace limpid;\n"
                                         f"{declarations}\nint main() {{ {statements} }}\n")
        dialect = "gnu++20" if "__int128" in statements else "c++20"  # where that is an integral type of the library
        built = run([compiler, f"-std={dialect}", "-fsyntax-only", f"-I{include}", "-include",
                     Path(precompiled, dialect, "all.hpp"), "a.cpp"], cwd=folder)
    errors = ERROR.findall(built.stdout)
    if sentence.startswith("//"):
        shown = "\n".join(built.stdout.splitlines()[:15])
        if len(errors) != 1 or "deleted" not in errors[0] or sentence not in shown:
            return f"{name}: expected one use of what is deleted, and {sentence}, got:\n{first_lines(built.stdout)}"
        return None
    if errors != ([sentence] if sentence else []):
        return f"{name}: expected {sentence or 'no error'}, got {errors}:\n{first_lines(built.stdout)}"
    return None


def faults_of(cases, compiler, include):
    """A fault or None of each."""
    with tempfile.TemporaryDirectory() as folder:
        precompile(compiler, include, folder)
        return in_parallel(lambda case: fault_of(compiler, include, folder, case), cases)


compiler, include, *mode = sys.argv[1:]
if mode == ["--self-test"]:
    planted = [("compiles", "", "nn::ReLU r;", "ReLU: expected"), ("does not compile", "", "nothing;", ""),
               ("says something else", "", "nothing;", "expected"), ("says more", "", "nothing; nothing_else;", "nothing"),
               ("is not deleted", "", "nothing;", "// nothing"), ("gives another reason", *DELETED[0][1:3], "// nothing")]
    missed = [case[0] for case, fault in zip(planted, faults_of(planted, compiler, include)) if not fault]
    report([f"{name}: expected a fault, got none" for name in missed], f"{len(planted)} faults found")
report([fault for fault in faults_of(CASES + DELETED, compiler, include) if fault],
       f"{len(CASES + DELETED)} cases say why they are refused, or compile")
