"""Text that limpid makes, for files and for messages, is alike in every locale: it comes from detail::TextStream
(core/detail/message.hpp) and std::to_chars alone. What takes a locale from the program is found here: streams of the
standard library, std::to_string (of a floating-point number it obeys setlocale), the functions of C that read and print
numbers, and what classifies characters. An operator<< for a user's stream puts one string into it.
text.py [--self-test]"""
import re
import sys

from check import ROOT, must_find, report, sources

HOME = "core/detail/message.hpp"
BANNED = [re.compile(pattern) for pattern in (
    r"\b(?:basic_)?w?[io]?(?:string|f)stream\b(?!>)",
    r"\bstd::w?(?:cout|cerr|clog|cin)\b",
    r"\b(?:std::)?(?:sto(?:i|l|ll|ul|ull|f|d|ld)|strto(?:d|f|ld)|ato[fil]|wcsto(?:d|f|ld))\s*\(",
    r"\b(?:v?[fs]?n?printf|v?f?scanf|sscanf|dprintf|asprintf)\s*\(",
    r"\bstd::(?:put_|get_)(?:time|money)\b|\bstrftime\s*\(",
    r"\bset(?:locale)\s*\(|\bstd::locale\b",
    r"\b(?:std::)?(?:is(?:alpha|alnum|digit|xdigit|space|upper|lower|print|punct|cntrl|graph)|to(?:upper|lower))\s*\(",
    r"\bstd::(?:v?format(?:_to(?:_n)?)?)\s*\(",
)]
# The example prints counts alone by it.
TO_STRING = re.compile(r"\bstd::to_string\s*\(")
# Text and whole numbers without a flag for grouping, which no locale changes; and what a program that sets no locale prints.
ALLOWED = {
    "examples/expressions/main.cpp": r"std::cout << ",
    "examples/digits/main.cpp": r'std::fprintf\(stderr, "digits: %s\\n"',
    "ops/norm/detail/driver.cpp": r'std::fscanf\(file, "%ldK", &kib\)',
}
STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"')


def without_comments(line):
    """The line without its comment; a // within a string is none."""
    return re.sub(r'("(?:[^"\\]|\\.)*")|//.*', lambda m: m.group(1) or "", line)


def faults_of(root):
    faults = []
    for file in sources(".cpp", ".hpp", root=root):
        path = str(file.relative_to(root))
        if path == HOME:
            continue
        for number, line in enumerate(file.read_text().splitlines(), 1):
            code = without_comments(line)
            if code.lstrip().startswith("#include") or re.search(ALLOWED.get(path, "$^"), code):
                continue
            code = STRING.sub('""', code)
            found = [m.group() for m in (pattern.search(code) for pattern in BANNED) if m]
            if not path.startswith("examples/") and TO_STRING.search(code):
                found.append("std::to_string")
            for what in found:
                faults.append(f"{path}:{number}: expected detail::TextStream, detail::message or std::to_chars, got {what}")
    return faults


if sys.argv[1:] == ["--self-test"]:
    def one(text, path="core/a.cpp"):
        return {path: text + "\n"}
    must_find([
        ("a text stream", one("detail::TextStream out(6);"), False),
        ("a string stream", one("std::ostringstream out;"), True),
        ("a string stream both ways", one("std::stringstream s;"), True),
        ("a file stream", one('std::ofstream file("x");'), True),
        ("another file stream", one("std::fstream file;"), True),
        ("the home of streams", one("class T : std::ostringstream {};", HOME), False),
        ("an include", one("#include <sstream>"), False),
        ("a user's stream", one("std::ostream& operator<<(std::ostream& out, const A& a) { return out << text(a); }"), False),
        ("standard output", one("std::cout << 1.5;"), True),
        ("to_string of the standard", one("auto s = std::to_string(x);"), True),
        ("to_string of ours", one("auto s = to_string(shape);"), False),
        ("to_string in an example", one("print(std::to_string(count));", "examples/a.cpp"), False),
        ("a stream in an example", one("std::ostringstream out;", "examples/a.cpp"), True),
        ("stod", one("double x = std::stod(text);"), True),
        ("strtod", one("double x = strtod(text, nullptr);"), True),
        ("atof", one("double x = atof(text);"), True),
        ("snprintf", one('std::snprintf(b, sizeof b, "%g", x);'), True),
        ("printf", one('printf("%d", n);', "nn/data/a.hpp"), True),
        ("fprintf", one('std::fprintf(f, "%d", n);'), True),
        ("a word that ends so", one("stop_printf_like(x);"), False),
        ("isspace", one("if (std::isspace(c)) return;"), True),
        ("setlocale", one('setlocale(LC_ALL, "");'), True),
        ("another locale", one("out.imbue(std::locale());"), True),
        ("a comment", one("int x;  // as std::ostringstream does"), False),
        ("a text", one('fail("no std::ostringstream here");'), False),
        ("a comment sign within a text", one('f("http://a"); std::stod(x);'), True),
        ("format", one('std::format("{}", 1.5);'), True),
    ], faults_of)
report(faults_of(ROOT), "no text of limpid's takes a locale from the program")
