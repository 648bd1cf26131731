#!/usr/bin/env python3
"""Plants faults in the rules of backward and forward mode, in limpid's own sources, and counts how many its gradient
tests catch.

mutate.py [--work DIR] [--jobs N] [PATTERN...]
                                   builds all faults, runs those whose name contains a PATTERN, or all
mutate.py --list [PATTERN...]      what would be planted
mutate.py --self-test              that the planting plants what it lists, and nothing else, in a tree that can be built

All faults are compiled into one copy of the sources, below --work (build/mutation); each is then chosen at run time by
the environment variable LIMPID_MUTANT, and the tests run until one fails, crashes or takes too long. The op table goes
first, then the other tests. A fault that no test can see, for it changes nothing, is listed with its reason in
scripts/equivalent_mutants.txt. Ends with 1 where fewer than 98 % of the others are caught.
"""
import argparse
import collections
import concurrent.futures
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))
from mutations import RULES, mutants_of, mutated, preamble, tokens_of  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
EQUIVALENT = ROOT / "scripts/equivalent_mutants.txt"
TARGET = 0.98
MEMORY = 8 << 30  # bytes a test may take

def cases(*names):
    """Catch2's filter for test cases with one of these in their names; those over numbers of threads would say the
    same several times."""
    return ",".join(f'"*{name}*"~"*threads*"' for name in names)


# What catches a fault, in turn: (name, command, whose faults). The op table goes first.
TESTS = [
    ("op table", ["limpid_gradients", "--stop"], ""),
    ("autograd", ["limpid_test_autograd", "--abort"], ""),
    ("ops", ["limpid_test_ops", "--abort", "--warn", "NoTests",
             cases("gradient", "derivative", "backward", "tangent", "adjoint", "prod has")], ""),
    ("norm", ["limpid_test_norm", "--abort", "--warn", "NoTests",
              cases("gradient", "derivative", "backward", "tangent")], "norm"),
    ("kernels", ["limpid_test_kernels", "--abort", "--warn", "NoTests",
                 cases("norm agrees", "norm gradients", "given statistics", "rows of any length", "slices near",
                       "whose mean", "keep their bounds")],
     "norm"),
    ("half precision", ["limpid_test_norm", "--abort", "--warn", "NoTests", cases("half precision have")], "norm"),
]

DEFINITION = """// Which of the planted faults is active: none where LIMPID_MUTANT is not set.
#include <cstdlib>
extern const int limpid_mutant;
const int limpid_mutant = [] {
  const char* chosen = std::getenv("LIMPID_MUTANT");
  return chosen ? std::atoi(chosen) : 0;
}();
"""

MISREADING = """
#include <limpid/autograd/grad_mode.hpp>
#include <limpid/core/dtype.hpp>
#include <limpid/core/tensor.hpp>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace limpid::detail {

// As many elements of x's memory as x has, one after the other from its first on, as one finds who takes x for dense;
// NaN beyond the end. Where a backward is recorded, x stays, for without its graph anything shows.
Tensor misread(const Tensor& x);
Tensor misread(const Tensor& x) {
  const bool stays = !x.defined() || (x.requires_grad() && is_grad_enabled()) || x.is_contiguous();
  if (stays || !is_floating_point(x.dtype())) return x;
  const Tensor y = full(x.shape(), std::nan(""), x.dtype());
  const auto* from = static_cast<const std::byte*>(x.impl().data);
  const Storage& memory = *x.impl().storage;
  const auto left = static_cast<std::size_t>(memory.data() + memory.bytes() - from);
  std::memcpy(y.impl().data, from, std::min(left, static_cast<std::size_t>(x.numel()) * itemsize(x.dtype())));
  return y;
}

}  // namespace limpid::detail
"""


def planted():
    """All faults, numbered from 1: {file: (text, [(mutant, region)])}."""
    files, number = {}, 0
    for glob, names in RULES:
        paths = sorted(ROOT.glob(glob))
        if not paths:
            sys.exit(f"mutate: expected files that match {glob}, got none")
        for path in paths:
            file = str(path.relative_to(ROOT))
            text = path.read_text()
            found = mutants_of(file, text, names)
            for mutant, _ in found:
                number += 1
                mutant.number = number
            if found:
                files[file] = (text, found)
    return files


def read_equivalent(text):
    """{name: reason}: a name on a line of its own, the reason indented below it; # begins a comment."""
    reasons, name = {}, None
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line[0].isspace():
            reasons[name] = (reasons[name] + " " + line.strip()).strip()
        else:
            name = line.strip()
            reasons[name] = ""
    return reasons


def write_changed(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def write_tree(tree, files, dropped):
    """A copy of the sources with the faults in it; gives the lines of each: {file: [(first, last, mutant)]}."""
    sources = [p for top in ROOT.iterdir() if top.name not in ("build", ".git") for p in (top, *top.rglob("*"))]
    lines = {}
    for source in sources:
        file = str(source.relative_to(ROOT))
        if file in files:
            text, found = files[file]
            text, lines[file] = mutated(text, [(m, r) for m, r in found if m.number not in dropped])
            write_changed(tree / file, text)
        elif source.is_file() and file != "core/CMakeLists.txt":
            target = tree / file
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists() or target.read_bytes() != source.read_bytes():
                shutil.copy(source, target)
    write_changed(tree / "core/mutant.cpp", DEFINITION + MISREADING)
    build_list = (ROOT / "core/CMakeLists.txt").read_text() + "target_sources(limpid_objects PRIVATE mutant.cpp)\n"
    write_changed(tree / "core/CMakeLists.txt", build_list)
    return lines


def configure(tree, out):
    configured = subprocess.run(["cmake", "-S", tree, "-B", out, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=None",
                                 "-DCMAKE_CXX_FLAGS=-O1 -w", "-DLIMPID_BUILD_EXAMPLES=OFF", "-DLIMPID_UNITY=OFF"],
                                capture_output=True, text=True)
    if configured.returncode:
        sys.exit(f"mutate: configuring fails:\n{configured.stdout}{configured.stderr}")


def build(tree, files, jobs, targets):
    """Builds the tree; gives the faults that do not compile, which are left out of it."""
    out, memory = tree.parent / "build", tree.parent / "not_cpp.txt"
    known = set(memory.read_text().splitlines()) if memory.exists() else set()
    dropped = {m.number: m for _, found in files.values() for m, _ in found if m.name in known}
    for _ in range(8):
        lines = write_tree(tree, files, dropped)
        configure(tree, out)
        made = subprocess.run(["cmake", "--build", out, "--parallel", str(jobs), "--target", *targets, "--", "-k", "0"],
                              capture_output=True, text=True)
        if made.returncode == 0:
            memory.write_text("".join(f"{m.name}\n" for m in dropped.values()))
            return dropped
        bad = set()
        # Where no error names a line of a fault, as one in a template may not, the lines beside it do.
        for what in (r":\d+: (?:fatal )?error:", ":"):
            for file, number in re.findall(rf"(\S+\.[ch]pp):(\d+){what}", made.stdout + made.stderr):
                where = os.path.realpath(out / file)  # a header is found by the link that includes go through
                for first, last, mutant in lines.get(os.path.relpath(where, tree), []):
                    if not (bad and what == ":") and first <= int(number) <= last:
                        bad.add(mutant.number)
                        dropped[mutant.number] = mutant
        if not bad:
            sys.exit("mutate: the build fails:\n" + "\n".join(made.stdout.splitlines()[-40:]))
        print(f"  {len(bad)} faults do not compile; building without them", flush=True)
    sys.exit("mutate: expected the build to succeed without the faults that do not compile")


def outcome(command, mutant, limit):
    """'passed', 'failed', 'crashed' or 'hung', and the seconds it took."""
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "2", "LIMPID_THIN_TESTS": "1",
                   "LIMPID_MUTANT": str(mutant)}
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory() as folder:
            result = subprocess.run(
                command, env=environment, cwd=folder, timeout=limit, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                preexec_fn=lambda: (resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
                                    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))))
        code = result.returncode
        verdict = "passed" if code == 0 else "crashed" if code < 0 else "failed"
    except subprocess.TimeoutExpired:
        verdict = "hung"
    return verdict, time.monotonic() - started


def run_all(mutants, commands, limits, jobs):
    """{number: (test, outcome) that caught it, or None}"""
    def run(mutant):
        for name, command, whose in commands:
            if not re.search(whose, mutant.file):
                continue
            verdict, _ = outcome(command, mutant.number, limits[name])
            if verdict != "passed":
                return mutant.number, (name, verdict)
        print(f"  survives: {mutant.name}", flush=True)
        return mutant.number, None

    caught = {}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for done, (number, by) in enumerate(pool.map(run, mutants), 1):
            caught[number] = by
            if done % 100 == 0:
                print(f"  {done} of {len(mutants)}", flush=True)
    return caught


def table(title, mutants, caught, equivalent, key):
    groups = collections.defaultdict(list)
    for mutant in mutants:
        groups[key(mutant)].append(mutant)
    print(f"\n{title:38} {'planted':>8} {'op table':>9} {'others':>7} {'equivalent':>11} {'survived':>9}")
    for name, group in sorted(groups.items()):
        by = [caught[m.number] for m in group]
        first = sum(b is not None and b[0] == TESTS[0][0] for b in by)
        other = sum(b is not None for b in by) - first
        same = sum(caught[m.number] is None and m.name in equivalent for m in group)
        print(f"{name:38} {len(group):8} {first:9} {other:7} {same:11} {len(group) - first - other - same:9}")


def show(mutants):
    for mutant in mutants:
        print(f"{mutant.file}:{mutant.line}: {mutant.kind} in {mutant.owner}")
        print(f"    {mutant.before}\n    {mutant.after}")


def main(arguments):
    started = time.monotonic()
    files = planted()
    everything = [mutant for _, found in files.values() for mutant, _ in found]
    wanted = [m for m in everything if not arguments.patterns or any(p in m.name for p in arguments.patterns)]
    if arguments.list:
        show(wanted)
        print(f"{len(wanted)} faults")
        return 0
    equivalent = read_equivalent(EQUIVALENT.read_text()) if EQUIVALENT.exists() else {}
    work = Path(arguments.work).resolve()
    print(f"building {len(everything)} faults into one copy of the sources", flush=True)
    dropped = build(work / "tree", files, arguments.jobs, [command[0] for _, command, _ in TESTS])
    mutants = [m for m in wanted if m.number not in dropped]
    commands = [(name, [str(work / "build/tests" / command[0]), *command[1:]], whose) for name, command, whose in TESTS]
    limits = {}
    for name, command, _ in commands:
        verdict, seconds = outcome(command, 0, 600)
        if verdict != "passed":
            sys.exit(f"mutate: expected the tests to pass without a fault, got {verdict}: {' '.join(command)}")
        limits[name] = 10 + 10 * seconds
        print(f"  without a fault, {name} passes in {seconds:.1f} s", flush=True)
    print(f"running {len(mutants)} faults", flush=True)
    caught = run_all(mutants, commands, limits, arguments.jobs)

    table("by kind", mutants, caught, equivalent, lambda m: m.kind)
    table("by file", mutants, caught, equivalent, lambda m: m.file)
    survivors = [m for m in mutants if caught[m.number] is None and m.name not in equivalent]
    same = [m for m in mutants if caught[m.number] is None and m.name in equivalent]
    if survivors:
        print("\nsurvivors:")
        for m in survivors:
            print(f"{m.name}\n    line {m.line}")
    names = {m.name for m in everything}
    stale = [name for name in equivalent if not arguments.patterns and name not in names]
    stale += [m.name for m in mutants if m.name in equivalent and caught[m.number] is not None]
    for name in sorted(set(stale)):
        print(f"\nstale in {EQUIVALENT.name}, for it is not planted or is caught: {name}")
    count = len(mutants) - len(same)
    score = (count - len(survivors)) / max(count, 1)
    hung = sum(by is not None and by[1] == "hung" for by in caught.values())
    crashed = sum(by is not None and by[1] == "crashed" for by in caught.values())
    print(f"\n{count - len(survivors)} of {count} caught ({100 * score:.1f} %; {crashed} by a crash, {hung} by the time "
          f"limit), {len(same)} equivalent, {len(dropped)} not C++, in {(time.monotonic() - started) / 60:.1f} minutes")
    return 1 if score < TARGET or stale else 0


SAMPLE = """// return {neg(dy[0])};
struct SampleNode final : Node {
  Saved a{*this, "a"}, b{*this, "b"};
  /* neg(x) */
  Tensors backward(const Tensors& dy) override {
    if (dy.empty()) throw_error<Error>("neg(", a - b, ")");
    const Tensor t = a * 2.0 - sum(b, {0, 3});  // a - b
    return {needs(0) ? neg(t) : Tensor(), t};
  }
};
Tensor forward(const Tensor& x) { return neg(x) - 1; }
Tensor twice(const Tensor& operand) {
  static constexpr Unary row{.op = "twice", .keeps = Keeps::x, .dx = [](const T& dy, const T& x) { return dy * (2 - x); }};
  return unary<row>(operand) - 1;
}
"""
EXPECTED = {("SampleNode::backward", kind) for kind in (
    "sign", "factor", "dropped term", "index set", "mean for sum", "mask", "stale value", "swapped inputs",
    "careless layout")} | {
    ("row twice", kind) for kind in ("sign", "factor", "dropped term")}
PROGRAM = """
#include <cstdio>
extern const int limpid_mutant;
struct Sum {
  void add_to(int b);
  int a;
};
void Sum::add_to(int b) { a += 2.0 * b; }
int gate(int a, int b) {
  Sum sum{a};
  sum.add_to(b);
  return sum.a;
}
int main() { std::printf("%d", gate(1, 10)); }
"""


def self_test():
    wrong = []

    def expect(condition, what):
        if not condition:
            wrong.append(f"expected {what}")

    found = mutants_of("ops/sample.cpp", SAMPLE, "backward")
    expect({(m.owner, m.kind) for m, _ in found} == EXPECTED,
           f"the sample's faults, got {sorted({(m.owner, m.kind) for m, _ in found} ^ EXPECTED)} more or less")
    code = {i for t in tokens_of(SAMPLE) if t.kind != "string" for i in range(t.start, t.end)}
    for m, _ in found:
        expect(m.start in code and m.end - 1 in code, f"no fault in comments or strings, got {m.name}")
        expect("throw_error" not in m.before.split("(")[0], f"no fault in messages, got {m.name}")
    expect(len({m.name for m, _ in found}) == len(found), "names that tell the faults apart")

    # Of a real file: each copy is the body with its one edit, and without the copies the file is what it was.
    names = dict(RULES)["ops/*/*.cpp"]
    for file in ("ops/elementwise/arithmetic.cpp", "ops/norm/normalize.cpp"):
        text = (ROOT / file).read_text()
        pairs = mutants_of(file, text, names)
        expect(len(pairs) > 50, f"more than 50 faults in {file}, got {len(pairs)}")
        for number, (mutant, _) in enumerate(pairs, 1):
            mutant.number = number
        result, _ = mutated(text, pairs)
        for mutant, region in pairs:
            body = text[region.start:mutant.start] + mutant.text + text[mutant.end:region.end]
            copy = f" if (limpid_mutant == {mutant.number}) {{{body}{' return; ' if region.is_void else ''}}}\n"
            expect(result.count(copy) == 1, f"one copy of {mutant.name}")
            result = result.replace(copy, "", 1)
        expect(result == preamble(pairs) + text, f"{file} to be what it was but for the copies")

    reasons = read_equivalent("# comment\n\na: b  ->  c\n    why\n    so\n")
    expect(reasons == {"a: b  ->  c": "why so"}, f"names and reasons to be read, got {reasons}")
    names = {mutant.name for _, found_there in planted().values() for mutant, _ in found_there}
    for name in read_equivalent(EQUIVALENT.read_text()):
        expect(name in names, f"what is in {EQUIVALENT.name} to be planted, got {name}")

    with tempfile.TemporaryDirectory() as folder:
        tree, out = Path(folder, "tree"), Path(folder, "build")
        write_tree(tree, planted(), {})
        configure(tree, out)
        expect(f"{tree}/core/mutant.cpp" in (out / "build.ninja").read_text(), "the choice of a fault to be compiled")

    # The choice is made at run time: 1 + 2 * 10, and each fault's own value.
    pairs = mutants_of("ops/p.cpp", PROGRAM, "add_to")
    for number, (mutant, _) in enumerate(pairs, 1):
        mutant.number = number
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "p.cpp").write_text(mutated(PROGRAM, pairs)[0] + DEFINITION)
        compiled = subprocess.run([os.environ.get("CXX", "g++"), "-O0", "p.cpp", "-o", "p"], cwd=folder,
                                  capture_output=True, text=True)
        expect(compiled.returncode == 0, f"the sample to compile, got {compiled.stderr}")
        got = {}
        for number in range(len(pairs) + 1 if compiled.returncode == 0 else 0):
            run = subprocess.run([f"{folder}/p"], capture_output=True, text=True,
                                 env={**os.environ, "LIMPID_MUTANT": str(number)})
            got[pairs[number - 1][0].after if number else "none"] = run.stdout
    values = sorted(got.values())
    expect(got.get("none") == "21" and values == sorted(["21", "-19", "1", "20", "31", "3"]),
           f"21 without a fault and -19, 1, 20, 31, 3 with one each, got {got}")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(found)} faults of the sample, and those of two files, are planted as listed")
    return 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Mutation testing of gradient rules.")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--work", default=str(ROOT / "build/mutation"))
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("patterns", nargs="*")
    given = parser.parse_args()
    sys.exit(self_test() if given.self_test else main(given))
