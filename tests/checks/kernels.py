"""What was compiled for a larger instruction set stays where it is.

kernels.py COMPILER BASELINE_OBJECTS AVX2_OBJECTS AVX512_OBJECTS: three files that list objects, one per line.

- Objects of the baseline hold no AVX or BMI instruction: the library starts on any x86-64.
- Objects of avx2 and avx512 define no weak function but those named after their own set. A weak function (inline, or
  a template) that two objects define is kept once, whichever the linker meets; were it the AVX-512 one, the baseline
  would run it. And AVX-512's copy of a function made for AVX2 would run on machines that have AVX2 alone.
"""
import re
import sys
import tempfile
from pathlib import Path

from check import in_parallel, report, run, skip

LARGE = re.compile(r"\t(v[a-z]\w*|andn|bextr|bls(?:i|r|msk)|mulx|pdep|pext|rorx|sarx|shlx|shrx)\s|%[yz]mm\d")
OWN_NAME = {"avx2": re.compile(r"\bavx2\b"), "avx512": re.compile(r"\bavx512\w*\b")}


def large_instructions(path):
    function = ""
    for line in run(["objdump", "-d", "--no-show-raw-insn", path]).stdout.splitlines():
        if line.endswith(">:"):
            function = line.split("<", 1)[1][:-2]
        elif LARGE.search(line):
            instruction = line.split(":", 1)[1].strip()
            return [f"{path}: expected baseline instructions alone, got '{instruction}' in {function}"]
    return []


def weak_functions(path, isa):
    symbols = [line.split(maxsplit=2) for line in run(["nm", "-C", "--defined-only", path]).stdout.splitlines()]
    return [f"{path}: expected no weak function but those of {isa}, got {name[2]}" for name in symbols
            if len(name) == 3 and name[1] == "W" and not OWN_NAME[isa].search(name[2])]


def faults_of(baseline, avx2, avx512):
    found = in_parallel(large_instructions, baseline)
    found += [weak_functions(path, "avx2") for path in avx2] + [weak_functions(path, "avx512") for path in avx512]
    return [fault for faults in found for fault in faults]


def self_test(compiler):
    """Compiles one object per fault, and one per case without."""
    cases = [  # name, instruction set, flags, source, whether it has a fault
        ("plain code", "baseline", [], "float f(float x) { return x + 1; }", False),
        ("AVX in the baseline", "baseline", ["-mavx"], "float f(float x) { return x + 1; }", True),
        ("BMI in the baseline", "baseline", ["-mbmi2"], "unsigned f(unsigned x, int n) { return x << n; }", True),
        ("a local function", "avx512", ["-mavx512f"],
         "namespace { [[gnu::noinline]] int g(int x) { return x * x; } } int f(int x) { return g(x); }", False),
        ("an inline function", "avx512", ["-mavx512f"],
         "[[gnu::noinline]] inline int g(int x) { return x * x; } int f(int x) { return g(x); }", True),
        ("an inline function in avx2", "avx2", ["-mavx2"],
         "[[gnu::noinline]] inline int g(int x) { return x * x; } int f(int x) { return g(x); }", True),
        ("one of its own set", "avx512", ["-mavx512f"], "namespace avx512 { [[gnu::noinline]] inline int g(int x) "
         "{ return x * x; } } int f(int x) { return avx512::g(x); }", False),
        ("one of a smaller set", "avx512", ["-mavx512f"], "namespace avx2 { [[gnu::noinline]] inline int g(int x) "
         "{ return x * x; } } int f(int x) { return avx2::g(x); }", True),
    ]
    wrong = []
    for name, isa, flags, source, faulty in cases:
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "a.cpp").write_text(source)
            built = run([compiler, "-O2", *flags, "-c", f"{folder}/a.cpp", "-o", f"{folder}/a.o"])
            assert built.returncode == 0, built.stdout
            objects = {"baseline": [], "avx2": [], "avx512": [], isa: [f"{folder}/a.o"]}
            if bool(faults_of(**objects)) != faulty:
                wrong.append(f"{name}: expected {'a fault' if faulty else 'no fault'}")
    report(wrong, f"{len(cases)} objects told apart")


compiler, *lists = sys.argv[1:]
if lists == ["--self-test"]:
    self_test(compiler)
baseline, avx2, avx512 = [[p for p in Path(name).read_text().splitlines() if p] for name in lists]
if not avx2:
    skip("no kernels")
report(faults_of(baseline, avx2, avx512), f"{len(baseline)} baseline, {len(avx2)} avx2, {len(avx512)} avx512 objects")
