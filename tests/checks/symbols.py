"""The shared library exports limpid's public names, and no other.

symbols.py COMPILER LIBRARY OBJECTS EXPORTED: LIBRARY is judged by its dynamic symbols, as the linker of a program sees
them when the library is stripped; OBJECTS is a file that lists objects of tests, one per line; EXPORTED is a file of
names in namespaces detail.

- A symbol is a name of limpid that a public header declares: no kernel, no class that it only names, and nothing of
  another library, be it the instance of a template, that a program or a library in it could hold a copy of its own of.
- Of namespaces detail it exports what EXPORTED lists, no more and no less: what templates and inline functions of
  public headers call.
- Whatever a test asks of the library that includes public headers alone is there.
"""
import re
import sys
import tempfile
from pathlib import Path

from check import ROOT, in_parallel, is_public, report, run, sources
from elf import SPECIAL, demangled, global_names, qualified_name, symbols

FOREIGN = re.compile(r"\b(xt|xtl|xsimd|mpark|dnnl|fmt|spdlog|nlohmann|__gnu_cxx|__gnu_parallel)::")
INTERNAL = re.compile(r"#\s*include\s*<limpid/(?:[^>]*/)?(?:detail|kernels)/")


class Declared:
    """What these headers declare, as far as it can be told by its look."""

    def __init__(self, text):
        self.words = set(re.findall(r"\w+", text))
        self.namespaces = {name for names in re.findall(r"namespace (?:LIMPID_API )?([\w:]+) \{", text)
                           for name in names.split("::")}
        self.classes = set(re.findall(r"\b(?:class|struct|union) (\w+)(?: final)?\s*(?:\{|:[^;{}()]*\{)", text))

    def has(self, name, is_class):
        """Whether a::b::f is declared: a function by its name, what belongs to a class by a class with a body."""
        parts = [part for part in name.split("::") if part not in self.namespaces]
        if len(parts) > 1 or (parts and is_class):
            return parts[0] in self.classes
        return not parts or parts[0].startswith("operator") or parts[0] in self.words


def declared_in(root):
    headers = [h for h in sources(".hpp", root=root) if is_public(h.relative_to(root))]
    return Declared("\n".join(h.read_text() for h in headers))


def includes_internals(source, seen=None):
    """Whether a test looks inside, itself or by a header of the tests."""
    seen = set() if seen is None else seen
    if source in seen or not source.exists():
        return False
    seen.add(source)
    text = source.read_text()
    own = [source.parent / include for include in re.findall(r'#\s*include\s*"([^"]+)"', text)]
    own += [ROOT / include for include in re.findall(r"#\s*include\s*<limpid/(tests/[^>]+)>", text)]
    return bool(INTERNAL.search(text)) or any(includes_internals(include.resolve(), seen) for include in own)


def sources_of(item):
    """The sources below tests/ that CMake compiled this object from: one, or those of a unit (cmake/unity.cmake)."""
    unit = item.with_suffix("")
    if unit.suffix == ".cxx":
        return [Path(source) for source in re.findall(r'^#include "(.+)"$', unit.read_text(), re.MULTILINE)]
    match = re.search(r"\.dir/(.+\.cpp)$", str(unit))
    return [ROOT / "tests" / match[1]] if match else []


def public_objects(found):
    """Of objects and their sources: those all of whose sources include public headers alone, and those only some of whose
    do, of which a fault would go unseen."""
    inside = {item: {includes_internals(source) for source in of} for item, of in found}
    return [item for item in inside if inside[item] == {False}], [item for item in inside if len(inside[item]) > 1]


def faults_of(library, public_objects, listed, declared):
    faults = []
    exported = symbols(["-D", "--defined-only"], library)
    details = set()
    for full in sorted(exported.values()):
        name = qualified_name(full)
        parts = name.split("::")
        foreign = FOREIGN.search(full)
        if parts[0] != "limpid":
            faults.append(f"exported, and not limpid's: {full}")
        elif foreign:
            faults.append(f"exported, and names a type of {foreign[1]}'s: {full}")
        elif {"{anonymous}", "kernels"} & set(parts):
            faults.append(f"exported, and internal: {full}")
        elif not declared.has(name, SPECIAL.match(full)):
            faults.append(f"exported, and in no public header: {full}: expected internal headers and sources to open "
                          "'namespace limpid', and public ones to name internal classes in such a block first")
        elif "detail" in parts:
            details.add("::".join(parts[:parts.index("detail") + 2]))
    faults += [f"exported, and not listed: {name}: expected nothing of a namespace detail but what templates and inline "
               "functions of public headers call: move it to a header in detail/, or list it (docs/border.md)"
               for name in sorted(details - listed)]
    faults += [f"listed, and not exported: {name}" for name in sorted(listed - details)]
    names = in_parallel(global_names, public_objects)
    called = {mangled for found in names for mangled in found}
    missing = {mangled: Path(item).name for item, found in zip(public_objects, names)
               for mangled, defined in found.items() if not defined and mangled not in exported}
    faults += [f"not exported: {name}, which {missing[mangled]} calls: expected its public header to say "
               "'namespace LIMPID_API limpid'" for mangled, name in demangled(missing).items()
               if qualified_name(name).startswith("limpid::")]
    for name in sorted(listed & details):
        if not any(mangled in called and qualified_name(found).startswith(name) for mangled, found in exported.items()):
            faults.append(f"exported, and called by no test that includes public headers alone: {name}")
    return faults


PLANTED = Declared("namespace LIMPID_API limpid {\nnamespace nn {\nnamespace detail {\nint f(int); struct S {}; "
                   "class Inside;")


def self_test(compiler):
    """Links one library per fault, and one per case without."""
    api = '#define API [[gnu::visibility("default")]]\n'
    good = api + "namespace API limpid { int f(int x) { return x; } struct S { virtual ~S(); }; S::~S() {} }\n"
    cases = [  # name, source of the library, source of an object that calls it, listed, whether it has a fault
        ("public names", good, "namespace limpid { int f(int); } int g() { return limpid::f(1); }", [], False),
        ("a name of no public header", good + "namespace API limpid { void secret() {} }", "", [], True),
        ("another library's", good + "namespace xt { API void print() {} }", "", [], True),
        ("a C function", good + 'extern "C" API void backtrace_open() {}', "", [], True),
        ("the standard library's", good + "#include <vector>\n" + api +
         "template class API std::vector<int>;", "", [], True),
        ("a template of ours for another library's", good + "namespace API xt { struct E {}; } namespace API limpid { "
         "template <class T> void f(T) {} template void f(xt::E); }", "", [], True),
        ("type information of another library's", good + "namespace API fmt { struct E { virtual ~E(); }; E::~E() {} }",
         "", [], True),
        ("a kernel", good + "namespace API limpid { namespace kernels { void f() {} } }", "", [], True),
        ("detail, not listed", good + "namespace API limpid { namespace detail { void f() {} } }", "", [], True),
        ("detail, listed", good + "namespace API limpid { namespace detail { void f() {} } }",
         "namespace limpid { namespace detail { void f(); } } void g() { limpid::detail::f(); }", ["limpid::detail::f"],
         False),
        ("detail, listed, not called", good + "namespace API limpid { namespace detail { void f() {} } }", "",
         ["limpid::detail::f"], True),
        ("listed, not exported", good, "", ["limpid::detail::f"], True),
        ("listed, in no public header", good + "namespace API limpid { namespace detail { void h() {} } }", "",
         ["limpid::detail::h"], True),
        ("an inner detail, not listed", good + "namespace API limpid { namespace nn { namespace detail { void f() {} } } }",
         "", [], True),
        ("a class that a public header only names", good + "namespace API limpid { class Inside { public: void f(); }; void "
         "Inside::f() {} }", "", [], True),
        ("the table of such a class", good + "namespace API limpid { class Inside { public: virtual void f(); }; void "
         "Inside::f() {} }", "", [], True),
        ("called, not exported", good + "namespace limpid { int hidden() { return 1; } }",
         "namespace limpid { int hidden(); } int g() { return limpid::hidden(); }", [], True),
        ("a static of an inline function", good + "namespace API limpid { inline int& f() { static int n = 0; return n; "
         "} int f(long) { return f(); } }", "", [], False),
        ("operators", good + "#include <ostream>\nnamespace API limpid { std::ostream& operator<<(std::ostream& o, const S&)"
         " { return o; } bool operator<(const S&, const S&) { return true; } bool operator==(const S&, const S&) "
         "{ return true; } struct S2; }", "", [], False),
    ]
    wrong = []
    for name, library, caller, listed, faulty in cases:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "a.cpp").write_text(library)
            Path(folder, "b.cpp").write_text(caller)
            for command in (["-fPIC", "-shared", "-fvisibility=hidden", "a.cpp", "-o", "a.so"], ["-c", "b.cpp"]):
                built = run([compiler, "-std=c++20", *command], cwd=folder)
                assert built.returncode == 0, built.stdout
            faults = faults_of(f"{folder}/a.so", [f"{folder}/b.o"], set(listed), PLANTED)
            if bool(faults) != faulty:
                wrong.append(f"{name}: expected {'a fault' if faulty else 'no fault'}, got {faults}")
    with tempfile.TemporaryDirectory() as folder:
        plain, inner = Path(folder, "plain.cpp"), Path(folder, "inner.cpp")
        plain.write_text("#include <limpid/core/tensor.hpp>\n")
        inner.write_text("#include <limpid/core/detail/pool.hpp>\n")
        got = public_objects([("public", [plain]), ("inside", [inner]), ("mixed", [plain, inner]), ("foreign", [])])
        if got != (["public"], ["mixed"]):
            wrong.append(f"objects of tests: expected those of public headers and those mixed, got {got}")
    report(wrong, f"{len(cases)} libraries and objects of tests told apart")


compiler, *arguments = sys.argv[1:]
if arguments == ["--self-test"]:
    self_test(compiler)
library, objects, exported_file = map(Path, arguments)
found = [(item, sources_of(item)) for item in map(Path, objects.read_text().splitlines())]
public, mixed = public_objects(found)
if mixed:
    sys.exit(f"expected the tests of a unit to look inside, or none of them (cmake/unity.cmake), got both in {mixed}")
if not public:
    sys.exit(f"expected objects of tests that include public headers alone, got none among {len(found)}")
listed = {line for line in exported_file.read_text().splitlines() if line and not line.startswith("#")}
with tempfile.TemporaryDirectory() as folder:
    stripped = Path(folder, "stripped.so")
    assert run(["strip", "-o", stripped, library]).returncode == 0
    count = len(symbols(["-D", "--defined-only"], stripped))
    faults = faults_of(stripped, public, listed, declared_in(ROOT))
report(faults, f"{count} symbols, {len(listed)} names of namespaces detail; {len(public)} objects find what they call")
