#!/usr/bin/env python3
"""Nothing that may throw stands in a body that must not: a noexcept function, or the body of a parallel_for, where an
exception ends the process. What takes memory throws where there is none."""
import re

import check

THROWS = re.compile(
    r"""\bthrow\b(?!\s*;) | \bthrow_error\b | \bnew\s+(?!\() | \bmake_(?:unique|shared)\b
      | \.(?:push_back|emplace_back|emplace|resize|reserve|insert|append)\(
      | \bstd::(?:vector|string|map|set|deque|unordered_map)\b(?:<[^;(]*>)?\s+\w+\s*[({=]
      | \b(?:Shape|Strides|Axes|Tensors)(?:\s+\w+)?\s*[({](?![)}])
      | (?<![.\w>])(?:empty|zeros|ones|full|empty_like|zeros_like|as_contiguous|as_dtype|make_view|copy_into|message)\(
      | \.clone\( | \bTextStream\b | \bto_string\(\w+\)\s*\+
    """,
    re.X,
)


def blank(text):
    """text without comments, strings and characters, of the same length."""
    pattern = re.compile(r'//[^\n]*|/\*.*?\*/|R"\((?:.*?)\)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)
    return pattern.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def closing(text, at):
    """Where the bracket that opens at `at` closes."""
    pairs = {"(": ")", "{": "}", "[": "]"}
    depth, opens, closes = 0, text[at], pairs[text[at]]
    for i in range(at, len(text)):
        if text[i] == opens:
            depth += 1
        elif text[i] == closes:
            depth -= 1
            if depth == 0:
                return i
    return len(text)


def after_initialisers(text, at):
    """Where the body of a constructor opens whose initialisers begin at `at`."""
    item = re.compile(r"\s*[\w:]+(?:<[^;{}()]*>)?\s*(?=[({])")
    while m := item.match(text, at):
        at = closing(text, m.end()) + 1
        if m := re.compile(r"\s*,").match(text, at):
            at = m.end()
        else:
            return text.find("{", at)
    return -1


def bodies(text):
    """(start, end) of every body that must not throw."""
    for m in re.finditer(r"\bparallel_for\(", text):
        yield m.end() - 1, closing(text, m.end() - 1)
    for m in re.finditer(r"\)[\s\w]*\bnoexcept\b(?:\s+(?:override|final))*\s*(?:->\s*[\w:<>*& ]+?)?\s*(\{|:\s)", text):
        start = m.end() - 1 if m.group(1) == "{" else after_initialisers(text, m.end())
        if start >= 0:
            yield m.end() - 1, closing(text, start)


def caught(text, start, end):
    """The parts of a body within try { } with a catch (...) behind."""
    for m in re.finditer(r"\btry\s*\{", text[start:end]):
        open_ = start + m.end() - 1
        close = closing(text, open_)
        if re.match(r"\s*catch\s*\((?:\.\.\.|const std::(?:bad_alloc|exception)&[^)]*)\)", text[close + 1 :]):
            yield open_, close


def findings(text):
    plain = blank(text)
    found = {}
    for start, end in bodies(plain):
        safe = list(caught(plain, start, end))
        for m in THROWS.finditer(plain, start, end):
            if not any(a <= m.start() <= b for a, b in safe):
                found[m.start()] = m.group().strip()
    return sorted(found.items())


PLANTED = {
    "void f() noexcept { std::vector<int> v(3); }": 1,
    "void f() noexcept override { x.push_back(1); }": 1,
    "S::S(int a) noexcept : a_(a), b_{std::move(b)} { throw_error<E>(1); }": 1,
    "S::S(int a) noexcept : a_(a) {}\nvoid g() { throw_error<E>(1); }": 0,
    "parallel_for(n, 1, [&](int64_t a, int64_t b) { Shape index(n, 0); });": 1,
    "parallel_for_throwing(n, 1, [&](int64_t a, int64_t b) { Shape index(n, 0); });": 0,
    "void f() noexcept { try { x.push_back(1); } catch (...) {} }": 0,
    "void f() noexcept { try { x.push_back(1); } catch (const ShapeError&) {} }": 1,
    "bool f() noexcept { return x.empty(); }": 0,
    "void f() noexcept { /* new Tensor */ const char* s = \"throw\"; }": 0,
    "auto f() noexcept -> int { return *new int; }": 1,
    "void f() { Shape index(n, 0); }": 0,
}

if __name__ == "__main__":
    wrong = [f"planted, expected {count} findings: {text}" for text, count in PLANTED.items()
             if len(findings(text)) != count]
    faults, count = wrong, 0
    for path in check.sources(".cpp", ".hpp"):
        text = path.read_text()
        count += sum(1 for _ in bodies(blank(text)))
        for at, what in findings(text):
            line = text.count("\n", 0, at) + 1
            faults.append(f"{path.relative_to(check.ROOT)}:{line}: expected nothing that may throw in a body that must "
                          f"not, got {what}")
    check.report(faults, f"{count} bodies that must not throw, {len(PLANTED)} planted cases")
