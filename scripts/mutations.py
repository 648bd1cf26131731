"""Faults to plant in the backward rules: where these rules are, what can go wrong in them, and how one build holds all.

A fault is an edit of the body of one function. In the mutated file that body is preceded by copies of itself, one for
each fault, of which the run-time number limpid_mutant chooses one, or none.
"""
import dataclasses
import re

# (files, names of functions, or struct::name, that are rules of backward or forward mode or what these are made of)
RULES = [
    ("autograd/engine.cpp", r"propagate|only_towards|need_what_leads_to_targets"),
    ("autograd/forward.cpp", r"jvp|end_at|run|take|reach|visit|push_forward|zero_cotangents|require_zeros|moving"),
    ("autograd/checkpoint.cpp", r"jvp|restart"),
    ("ops/*/*.cpp", r"backward|jvp|add_to|norm_gradients|gate|product_of_others|shares|unsliced|unbordered|scattered|scatter_windows|"
                  r"spread_over_windows|input_grad|weight_grad|sum_of_channels|bias_of_channels|add_bias|sum_to|accumulate|rstd_of|normalized|normalize|plus|"
                  r"norm_tangent|moving_x|scaled|add_product|add_new_product|mean_where_attained_of|pull_back|chain|chain_both|"
                  r"chain_over|divisor_gradient|share|pow_slope\w*|log_of_base|whole|direction|without_idle_slices"),
    ("ops/window/detail/im2col.cpp", r"conv_input_grad|conv_weight_grad|scatter_add"),
    ("ops/norm/detail/*.?pp", r"norm_backward\w*|backward_rows|finish_slice|backward_channel_rows|run_channel_rows|"
                             r"channel_row|make_means|norm_total"),
    ("ops/norm/kernels/*.?pp", r"backward|channel_backward|channel_tangent|tangent_run|reduce_channel_row|apply_channel_row|reduce|reduce_run|"
                               r"dx|dx_run|dx_block|finish_sums|complete|terms|of_one_step|differentiate|gradient_terms|single_terms|sum_all"),
    ("ops/window/kernels/*.cpp", r"scatter|spread"),
    ("ops/window/grid.cpp", r"scatter_into|weigh_into|place_of|reflected"),
    ("ops/window/interpolate.cpp", r"transpose_of|apply"),
    ("ops/elementwise/kernels/arithmetic.cpp", r"\w+(Gradient|Tangent)::f|PowSlope::f|wins|chosen"),
    ("ops/elementwise/kernels/fitted.cpp", r"\w+Slope::(f|reference)"),
    ("ops/elementwise/kernels/functions.cpp", r"\w+(Slope|Curve|Weight)::(f|reference)|(Bell|Tanh)::(f|reference)"),
]

TOKEN = re.compile(r"""
    (?P<skip>\s+|//[^\n]*|/\*.*?\*/|^[ \t]*\#(?:\\\n|[^\n])*)
  | (?P<string>"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*')
  | (?P<number>\.?\d(?:[eEpP][+-]|[\w.'])*)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<op>->|::|<<|&&|\|\||==|!=|<=|>=|\+\+|--|[-+*/%&|^]=|.)
""", re.X | re.S | re.M)

TYPES = {"T", "auto", "bool", "char", "const", "double", "float", "index_t", "int", "int64_t", "Tensor", "N", "Node"}
NO_STATEMENT = {"return", "const", "constexpr", "static", "static_assert", "using", "throw", "break", "continue",
                "case", "default", "struct", "for", "if", "else", "while", "do", "switch"} | TYPES
CONTROL = {"if", "for", "while", "switch", "catch", "return", "sizeof", "constexpr"}
MESSAGES = re.compile(r"throw_error|require_\w+|fetch_near|end_stream")  # calls that compute nothing

# In calls: f(x) for g(x), by kind.
WRONG_FUNCTION = {"rsqrt": "sqrt", "cos": "sin", "sin": "cos", "eq": "ne", "gt": "lt", "ge": "le", "le": "ge",
                  "sigmoid": "tanh", "logical_and": "logical_or", "exp": "sin", "sign": "abs", "log": "exp"}
WRONG_MEMBER = {"rstd": "mean", "mean": "rstd", "a": "a_xhat", "a_xhat": "a", "dy_xhat": "dy"}
SWAPPED_ARGUMENTS = {"sub": (0, 1), "div": (0, 1), "pow": (0, 1), "matmul": (0, 1), "where": (1, 2),
                     "weighed": (2, 3), "transposed": (2, 3), "convolved": (2, 3), "scattered": (1, 2)}
OPERANDS = {"a", "b", "x", "w", "weight", "gamma", "beta", "dy"}  # Saved members that have a caller's layout
MOST_OF_A_KERNEL = 8
TAKES_AXIS = {"sum", "mean", "transpose", "unsqueeze", "squeeze", "scatter_add", "select", "slice", "size"}


@dataclasses.dataclass
class Token:
    kind: str
    text: str
    start: int
    end: int


@dataclasses.dataclass
class Mutant:
    file: str
    owner: str   # the function, with its struct or row
    kind: str
    start: int   # the edit: [start, end) of the file becomes text
    end: int
    text: str
    line: int
    before: str  # a few tokens around the edit
    after: str
    name: str = ""
    number: int = 0


@dataclasses.dataclass
class Region:
    owner: str
    start: int       # of the text between the braces
    end: int
    is_void: bool
    tokens: list
    saved: list      # names of the Saved members in reach


def tokens_of(text):
    """Code alone: no comments, no preprocessor lines."""
    return [Token(m.lastgroup, m[0], m.start(), m.end()) for m in TOKEN.finditer(text) if m.lastgroup != "skip"]


def partners(tokens):
    """The index of each bracket's partner."""
    found, stack = {}, []
    for i, token in enumerate(tokens):
        if token.kind != "op":
            continue
        if token.text in "([{":
            stack.append(i)
        elif token.text in ")]}" and stack:
            found[i] = stack.pop()
            found[found[i]] = i
    return found


def split(tokens, partner, first, last):
    """The pieces of tokens [first, last) between commas, as (first, last)."""
    pieces, begin, i = [], first, first
    while i < last:
        if tokens[i].text == ",":
            pieces.append((begin, i))
            begin = i + 1
        i = partner[i] + 1 if tokens[i].text in "([{" and i in partner else i + 1
    return pieces + [(begin, last)] if last > first else []


def regions_of(text, names):
    """The bodies of functions with these names, and of the rules (dx, slope) in rows of a table of functions."""
    tokens = tokens_of(text)
    partner = partners(tokens)
    structs = [(t.end, tokens[partner[j]].start, tokens[i + 1].text) for i, t in enumerate(tokens)
               if t.text == "struct" and tokens[i + 1].kind == "name"
               for j in [next((j for j in range(i, len(tokens)) if tokens[j].text in "{;"), i)] if j in partner]
    found = []
    for i, token in enumerate(tokens):
        if token.text in ("dx", "slope", "inverse_slope") and [t.text for t in tokens[i + 1:i + 4]] == ["=", "[", "]"]:  # Unary row{..., .dx = ...
            opening = partner[i + 4] + 1
            function = max((t for t in tokens[:i] if t.kind == "string"), key=lambda t: t.start).text.strip('"')
            found.append(Region(f"row {function}", tokens[opening].end, tokens[partner[opening]].start, False,
                                tokens[opening + 1:partner[opening]], []))
            continue
        if token.kind != "name" or i + 1 not in partner or tokens[i + 1].text != "(" or i == 0:
            continue
        close = partner[i + 1]
        j = close + 1
        while j < len(tokens) and tokens[j].text in ("const", "noexcept", "override", "final"):
            j += 1
        before = tokens[i - 1]
        is_definition = j in partner and tokens[j].text == "{" and (
            before.text in ("::", ">", "*", "&") or before.kind == "name" and before.text not in CONTROL | {"new"})
        if not is_definition or "scratch" in token.text:
            continue
        around = [name for a, b, name in structs if a < token.start < b]
        owner = "::".join(([tokens[i - 2].text] if before.text == "::" else around[-1:]) + [token.text])
        if not re.fullmatch(names, token.text) and not re.fullmatch(names, owner):
            continue
        head = i
        while head > 0 and tokens[head - 1].text not in (";", "}", "{"):
            head -= 1
        if any(t.text == "constexpr" for t in tokens[head:i]):
            continue
        struct = next(((a, b) for a, b, name in structs if name == owner.split("::")[0]), (0, 0))
        name = i  # of a qualified one, where it begins
        while tokens[name - 1].text == "::":
            name -= 2
        saved = re.findall(r'(\w+)\{\*this, "', text[slice(*struct)])
        found.append(Region(owner, tokens[j].end, tokens[partner[j]].start, tokens[name - 1].text == "void",
                            tokens[j + 1:partner[j]], saved))
    return found


class Planter:
    """Finds the faults of one region."""

    def __init__(self, file, text, region):
        self.file, self.text, self.region, self.tokens = file, text, region, region.tokens
        self.partner = partners(self.tokens)
        self.is_kernel = "/kernels/" in file or "/detail/" in file
        self.found = []
        self.closed = self.out_of_bounds()

    def out_of_bounds(self):
        """Tokens of messages and of what the compiler evaluates."""
        closed = set()
        for i, token in enumerate(self.tokens):
            if MESSAGES.fullmatch(token.text):
                j = next(j for j in range(i, len(self.tokens)) if self.tokens[j].text == "(")
                closed.update(range(i, self.partner.get(j, j) + 1))
            if token.text in ("constexpr", "static_assert", "using"):
                last = next(j for j in range(i, len(self.tokens)) if self.tokens[j].text in ";{")
                closed.update(range(i, last))
        return closed

    def plant(self, kind, first, last, text):
        """The edit of tokens [first, last) to text."""
        if self.closed & set(range(first, last)):
            return
        start, end = self.tokens[first].start, self.tokens[last - 1].end
        left, right = max(first - 3, 0), min(last + 2, len(self.tokens) - 1)
        lead, trail = self.text[self.tokens[left].start:start], self.text[end:self.tokens[right].end]
        flat = lambda s: re.sub(r"\s+", " ", re.sub(r"//[^\n]*", "", s)).strip()
        before, after = flat(lead + self.text[start:end] + trail), flat(lead + text + trail)
        if before != after:
            self.found.append(Mutant(self.file, self.region.owner, kind, start, end, text,
                                     self.text.count("\n", 0, start) + 1, before, after))

    def piece(self, first, last):
        return self.text[self.tokens[first].start:self.tokens[last - 1].end]

    def text_of(self, first, last):
        return "".join(token.text for token in self.tokens[max(first, 0):last])

    def ends_operand(self, i):
        return i >= 0 and (self.tokens[i].kind in ("name", "number") and self.tokens[i].text not in TYPES | {"return"}
                           or self.tokens[i].text in (")", "]"))

    def operand_after(self, i):
        """One past the operand that begins at i: a name or number with its calls, members and subscripts."""
        while i < len(self.tokens) and self.tokens[i].text in ("-", "!", "*"):
            i += 1
        while i < len(self.tokens):
            text = self.tokens[i].text
            if text in ("(", "[", "{"):
                i = self.partner[i] + 1
            elif self.tokens[i].kind in ("name", "number"):
                i += 1
            else:
                return i
            if i < len(self.tokens) and self.tokens[i].text in (".", "->", "::"):
                i += 1
            elif i < len(self.tokens) and self.tokens[i].text == "<" and self.tokens[i - 1].text in (
                    "static_cast", "Lanes", "data"):
                i = next(j for j in range(i, len(self.tokens)) if self.tokens[j].text == ">") + 1
            elif i >= len(self.tokens) or self.tokens[i].text not in ("(", "["):
                return i
        return i

    def term_after(self, i):
        """One past the product that begins at i."""
        i = self.operand_after(i)
        while i < len(self.tokens) and self.tokens[i].text in ("*", "/", "%"):
            i = self.operand_after(i + 1)
        return i

    def terms_before(self, i):
        """Where the sum that ends before i begins."""
        while i > 0 and self.tokens[i - 1].text not in ("(", "[", "{", ",", ";", "=", "return", "?", ":", "<", "<<",
                                                        "+=", "-=", "&&", "||", "}"):
            i = self.partner[i - 1] if self.tokens[i - 1].text in (")", "]") else i - 1
        return i

    def all(self):
        for i, token in enumerate(self.tokens):
            if token.kind == "op":
                self.operators(i, token.text)
            elif token.kind == "number":
                self.numbers(i, token.text)
            elif token.kind == "name":
                self.names(i, token.text)
        self.statements()
        self.results()
        return self.found

    def operators(self, i, text):
        binary = self.ends_operand(i - 1)
        if text in ("+", "-") and binary:
            self.plant("sign", i, i + 1, "-" if text == "+" else "+")
            self.plant("dropped term", i, self.term_after(i + 1), "")
            if text == "+" and self.terms_before(i) < i:
                self.plant("dropped term", self.terms_before(i), i + 1, "")
        elif text == "-" and not (self.tokens[i + 1].kind == "number" and "." not in self.tokens[i + 1].text):
            self.plant("sign", i, i + 1, "")
        elif text in ("+=", "-="):
            self.plant("sign", i, i + 1, "-=" if text == "+=" else "+=")
            self.plant("dropped term", i, i + 1, "=")
        elif text == "*" and binary:
            self.plant("factor", i, self.operand_after(i + 1), "")
        elif text == "/" and binary:
            self.plant("factor", i, self.operand_after(i + 1), "")
        elif text == "%":
            self.plant("index set", i, i + 1, "/")
        elif text == "<" and self.is_loop_bound(i):
            self.plant("index set", i, i + 1, "+ 1 <")
        elif text == "{":
            self.braces(i, self.partner[i])

    def is_loop_bound(self, i):
        j = i
        while j > 0 and self.tokens[j].text not in (";", "(", "{"):
            j -= 1
        return self.tokens[j].text == ";" and any(t.text == "for" for t in self.tokens[max(j - 14, 0):j])

    def braces(self, i, close):
        pieces = split(self.tokens, self.partner, i + 1, close)
        if len(pieces) == 2 and all(re.fullmatch(r"-?\d+", self.piece(*p)) for p in pieces):
            for keep in pieces:
                self.plant("index set", i + 1, close, self.piece(*keep))
        elif len(pieces) == 2 and "1" in (self.piece(*pieces[0]), self.piece(*pieces[1])):
            self.plant("transposed operand", i + 1, close, f"{self.piece(*pieces[1])}, {self.piece(*pieces[0])}")

    def numbers(self, i, text):
        near = {self.tokens[i - 1].text if i else "", self.tokens[i + 1].text if i + 1 < len(self.tokens) else ""}
        if re.fullmatch(r"\d+\.\d*", text):
            self.plant("factor", i, i + 1, "1.0" if float(text) == 0 else f"({text} * 1.5)")
        elif near & {"*", "/", "+", "-"} and text.isdigit() and self.ends_operand(i):
            self.plant("factor", i, i + 1, str(int(text) + 1))
        if text in ("0", "1") and self.text_of(i - 2, i + 2) in ("dx[0]", "dx[1]", "d[0]", "d[1]"):
            other = self.tokens[i - 2].text + ["[1]", "[0]"][int(text)]
            if other in self.text[self.region.start:self.region.end]:
                self.plant("swapped inputs", i, i + 1, str(1 - int(text)))

    def names(self, i, text):
        tokens = self.tokens
        before = tokens[i - 1].text if i else ""
        is_call = i + 1 < len(tokens) and tokens[i + 1].text == "("
        if is_call and before not in (".", "->"):
            self.calls(i, text, [p for p in split(tokens, self.partner, i + 2, self.partner[i + 1])])
        elif text in WRONG_MEMBER and (before == "." or self.is_kernel and before not in TYPES):
            self.plant("stale statistic", i, i + 1, WRONG_MEMBER[text])
        saved = self.region.saved
        self.misread(i, text, before)
        if text in saved and len(saved) > 1 and before not in (".", "->", "::") and not is_call:
            self.plant("stale value", i, i + 1, saved[(saved.index(text) + 1) % len(saved)])

    def misread(self, i, text, before):
        """dy, dx or a saved operand, its memory read as if it were dense."""
        rule = self.region.owner.rsplit("::")[-1]
        if not self.file.startswith("ops/") or self.is_kernel or rule not in ("backward", "jvp") or before in (".", "->", "::"):
            return
        after = [token.text for token in self.tokens[i + 1:i + 5]]
        if text == ("dy" if rule == "backward" else "dx") and after[:1] == ["["] and after[2:3] == ["]"]:
            if after[3:] not in (["="], ["."]):
                self.plant("careless layout", i, i + 4, f"detail::misread({self.piece(i, i + 4)})")
        elif text in OPERANDS & set(self.region.saved) and after[:1] not in (["("], ["."], ["="]):
            self.plant("careless layout", i, i + 1, f"detail::misread({text})")

    def calls(self, i, name, arguments):
        close = self.partner[i + 1]
        argument = [self.piece(*p) for p in arguments]
        if name == "neg":
            self.plant("sign", i, i + 1, "")
        if name in ("sum", "mean") and not self.is_kernel:
            self.plant("mean for sum", i, i + 1, "mean" if name == "sum" else "sum")
        if name == "slice_mean":
            self.plant("index set", i, i + 1, "")
        if name in ("mul", "div", "sub", "plus", "add", "square") and len(argument) <= 2:
            kind = "factor" if name in ("mul", "div", "square") else "dropped term"
            for kept in argument[:1 if name in ("div", "sub") else 2]:
                self.plant(kind, i, close + 1, f"Tensor({kept})")
        if name in ("transpose", "permute", "flip"):
            self.plant("transposed operand", i, close + 1, f"Tensor({argument[0]})")
        if name in WRONG_FUNCTION and not self.is_kernel:
            self.plant("wrong function", i, i + 1, WRONG_FUNCTION[name])
        if name in SWAPPED_ARGUMENTS and len(argument) > SWAPPED_ARGUMENTS[name][1]:
            a, b = SWAPPED_ARGUMENTS[name]
            self.plant("swapped inputs", arguments[a][0], arguments[b][1],
                       ", ".join([argument[b], *argument[a + 1:b], argument[a]]))
        if name in TAKES_AXIS:
            for first, last in arguments[1:2]:
                if re.fullmatch(r"-?\d", self.piece(first, last)):
                    self.plant("index set", first, last, {"0": "1", "1": "0", "2": "1", "-1": "0"}.get(
                        self.piece(first, last), "0"))
        if name == "needs" and len(argument) == 1 and argument[0].isdigit():
            self.plant("mask", arguments[0][0], arguments[0][1], str(int(argument[0]) ^ 1))
        if name == "fma" and len(argument) == 3:
            self.plant("dropped term", i, close + 1, argument[2])
            self.plant("factor", i, close + 1, f"({argument[0]} + {argument[2]})")

    def statements(self):
        """Expression statements, left out."""
        starts = [0] + [i + 1 for i, t in enumerate(self.tokens)
                        if t.text in (";", "{", "}", "else") or t.text == ")" and self.is_header(i)]
        for i in starts:
            if i >= len(self.tokens) or self.tokens[i].kind != "name" or self.tokens[i].text in NO_STATEMENT:
                continue
            j = i
            while j < len(self.tokens) and self.tokens[j].text not in (";", "{", "}"):
                j = self.partner[j] + 1 if self.tokens[j].text in ("(", "[") else j + 1
            declares = any(self.tokens[k].kind == self.tokens[k + 1].kind == "name" for k in range(i, j - 1))
            if j < len(self.tokens) and self.tokens[j].text == ";" and not declares and j > i + 1:
                self.plant("dropped statement", i, j, "")

    def is_header(self, close):
        opening = self.partner[close]
        name = self.tokens[opening - 1].text if opening else ""
        return name in ("if", "for", "while") or name == "constexpr"

    def results(self):
        """The first two gradients that backward returns, in each other's place."""
        for i, token in enumerate(self.tokens[:-1]):
            if token.text == "return" and self.tokens[i + 1].text == "{":
                pieces = split(self.tokens, self.partner, i + 2, self.partner[i + 1])
                if len(pieces) > 1:
                    (a, b), (c, d) = pieces[:2]
                    self.plant("swapped inputs", a, d, f"{self.piece(c, d)}, {self.piece(a, b)}")


def mutants_of(file, text, names):
    """The faults of one file, by name unique within it, with their regions. Of a kernel, whose lines are mostly
    addresses and which is compiled for several types and instruction sets, MOST_OF_A_KERNEL spread over each
    function."""
    found = []
    for region in regions_of(text, names):
        if not region.tokens:
            continue
        planter = Planter(file, text, region)
        mutants = planter.all()
        is_template = planter.is_kernel or re.search(r"\bvisit_\w+\(", text[region.start:region.end])
        if is_template and len(mutants) > MOST_OF_A_KERNEL:
            mutants.sort(key=lambda mutant: mutant.start)
            mutants = [mutants[i * len(mutants) // MOST_OF_A_KERNEL] for i in range(MOST_OF_A_KERNEL)]
        found += [(mutant, region) for mutant in mutants]
    seen, unique = {}, {}
    for mutant, region in found:
        unique.setdefault((mutant.start, mutant.end, mutant.text), (mutant, region))
    for mutant, _ in unique.values():
        name = f"{mutant.file}: {mutant.owner}: {mutant.kind}: {mutant.before}  ->  {mutant.after}"
        seen[name] = seen.get(name, 0) + 1
        mutant.name = name if seen[name] == 1 else f"{name}  ({seen[name]})"
    return list(unique.values())


DECLARATION = "extern const int limpid_mutant;\n"
MISREAD = """#include <limpid/core/tensor.hpp>
namespace limpid::detail { Tensor misread(const Tensor& x); }
"""


def preamble(mutants):
    return DECLARATION + (MISREAD if any(m.kind == "careless layout" for m, _ in mutants) else "")


def mutated(text, mutants):
    """The text with every fault in it, to be chosen at run time; and which lines belong to which mutant."""
    by_region = {}
    for mutant, region in mutants:
        by_region.setdefault((region.start, region.end), (region, []))[1].append(mutant)
    parts, lines, done = [preamble(mutants)], [], 0
    for (start, end), (region, faults) in sorted(by_region.items(), key=lambda item: item[0]):
        if start < done:  # within another region: a local function of a rule
            continue
        parts.append(text[done:start])
        for fault in faults:
            body = text[start:fault.start] + fault.text + text[fault.end:end]
            first = sum(part.count("\n") for part in parts) + 1
            leave = " return; " if region.is_void else ""
            parts.append(f" if (limpid_mutant == {fault.number}) {{{body}{leave}}}\n")
            lines.append((first, first + parts[-1].count("\n"), fault))
        parts.append(text[start:end])
        done = end
    return "".join(parts) + text[done:], lines
