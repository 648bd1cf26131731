#!/usr/bin/env python3
"""Tables and a plot from what bench_norm.sh measured.

report_norm.py CSV         prints the tables.
report_norm.py CSV --docs  writes them between the marks in docs/performance.md, and docs/performance.svg.
"""
import math
import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"
LAYOUTS = ("contiguous", "channels_last")
BEGIN, END = "<!-- begin: scripts/report_norm.py -->", "<!-- end: scripts/report_norm.py -->"


class Times:
    """Microseconds by (peer, shape, layout, threads)."""

    def __init__(self, path):
        self.machine, self.rows = "", {}
        for line in Path(path).read_text().splitlines():
            if line.startswith("#"):
                self.machine = line[1:].strip()
            elif line and not line.startswith("peer,"):
                peer, shape, layout, threads, *us = line.split(",")
                forward, both, copy, add = map(float, us)
                self.rows[peer, shape, layout, int(threads)] = {
                    "forward": forward, "both": both, "copy": copy, "add": add, "backward": both - forward}
        self.shapes = list(dict.fromkeys(key[1] for key in self.rows))
        self.threads = sorted({key[3] for key in self.rows})

    def ratio(self, shape, threads, over, under):
        """over and under are (peer, layout, what); None where one was not measured."""
        a, b = (self.rows.get((peer, shape, layout, threads), {}).get(what) for peer, layout, what in (over, under))
        return a / b if a and b else None

    def gain(self, shape, threads, layout, what="both"):
        """How many times as long LibTorch takes."""
        return self.ratio(shape, threads, ("libtorch", layout, what), ("limpid", layout, what))


def geometric_mean(values):
    values = [v for v in values if v]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def mebibytes(shape):
    size = 4 * math.prod(map(int, shape.split("x")))
    return f"{size / 2**20:.0f} MiB" if size >= 2**20 else f"{size / 2**10:.0f} KiB"


def table(times, threads):
    """Rows of text: a heading, one row per shape, the geometric means."""
    columns = [("fwd / copy", lambda s: times.ratio(s, threads, ("limpid", "contiguous", "forward"),
                                                    ("limpid", "contiguous", "copy"))),
               ("bwd / a+b", lambda s: times.ratio(s, threads, ("limpid", "contiguous", "backward"),
                                                   ("limpid", "contiguous", "add"))),
               ("cl fwd / copy", lambda s: times.ratio(s, threads, ("limpid", "channels_last", "forward"),
                                                       ("limpid", "channels_last", "copy"))),
               ("cl / cont", lambda s: times.ratio(s, threads, ("limpid", "channels_last", "both"),
                                                   ("limpid", "contiguous", "both"))),
               ("LibTorch fwd", lambda s: times.gain(s, threads, "contiguous", "forward")),
               ("fwd+bwd", lambda s: times.gain(s, threads, "contiguous")),
               ("cl fwd", lambda s: times.gain(s, threads, "channels_last", "forward")),
               ("cl fwd+bwd", lambda s: times.gain(s, threads, "channels_last"))]
    number = lambda v: f"{v:.2f}" if v else "-"
    rows = [["shape", "size", "fwd + bwd, us"] + [name for name, _ in columns]]
    for shape in times.shapes:
        us = times.rows["limpid", shape, "contiguous", threads]["both"]
        rows.append([shape, mebibytes(shape), f"{us:.1f}"] + [number(f(shape)) for _, f in columns])
    rows.append(["geometric mean", "", ""] + [number(geometric_mean(map(f, times.shapes))) for _, f in columns])
    return rows


def plain(rows):
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "\n".join("  ".join(cell.ljust(w) if i == 0 else cell.rjust(w)
                               for i, (cell, w) in enumerate(zip(row, widths))).rstrip() for row in rows)


def markdown(rows):
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "| --- |" + " ---: |" * (len(rows[0]) - 1), *lines[1:]])


def title(threads):
    return f"{threads} thread{'s' if threads > 1 else ''}"


# ---- the plot: forward + backward as a multiple of copy + (a + b -> c), a bar each for limpid and LibTorch

COLOURS = {"limpid": "#1f77b4", "libtorch": "#bbbbbb"}


def bar_values(times, layout, threads):
    for shape in times.shapes:
        floor = times.rows["limpid", shape, layout, threads]
        floor = floor["copy"] + floor["add"]
        yield shape, {peer: times.rows[peer, shape, layout, threads]["both"] / floor
                      for peer in COLOURS if (peer, shape, layout, threads) in times.rows}


def svg(times):
    threads = times.threads[-1]
    left, width, bar, gap, top = 110, 330, 9, 10, 48
    panels = {layout: list(bar_values(times, layout, threads)) for layout in LAYOUTS}
    largest = max(v for bars in panels.values() for _, values in bars for v in values.values())
    decades = math.ceil(math.log10(max(largest, 10)))
    scale = lambda v: width * math.log10(max(v, 1)) / decades
    height = top + len(times.shapes) * (2 * bar + gap) + 30
    total = 2 * (left + width) + 60
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {height}" font-family="sans-serif" '
           f'font-size="11">', f'<rect width="{total}" height="{height}" fill="white"/>']
    text = lambda x, y, s, **k: out.append(
        f'<text x="{x:.1f}" y="{y:.1f}" ' + " ".join(f'{a.replace("_", "-")}="{v}"' for a, v in k.items()) + f'>{s}</text>')
    for panel, (layout, bars) in enumerate(panels.items()):
        x0 = left + panel * (left + width + 30)
        text(x0, 16, f"{layout.replace('_', '-')}, {title(threads)}", font_weight="bold")
        text(x0, 32, "forward + backward over copy + (a + b &#8594; c)", fill="#555")
        for decade in range(decades + 1):
            x = x0 + width * decade / decades
            out.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top - 6}" y2="{height - 24}" stroke="#ddd"/>')
            text(x, height - 10, f"{10 ** decade}x", text_anchor="middle", fill="#555")
        for i, (shape, values) in enumerate(bars):
            y = top + i * (2 * bar + gap)
            text(x0 - 6, y + bar + 4, shape, text_anchor="end")
            for k, (peer, value) in enumerate(values.items()):
                out.append(f'<rect x="{x0}" y="{y + k * bar}" width="{max(scale(value), 1):.1f}" height="{bar - 1}" '
                           f'fill="{COLOURS[peer]}"/>')
                text(x0 + max(scale(value), 1) + 3, y + k * bar + 8, f"{value:.1f}", font_size="9")
    for k, (peer, name) in enumerate((("limpid", "limpid"), ("libtorch", "LibTorch"))):
        out.append(f'<rect x="{total - 150 + 70 * k}" y="8" width="10" height="10" fill="{COLOURS[peer]}"/>')
        text(total - 136 + 70 * k, 17, name)
    return "\n".join([*out, "</svg>", ""])


def write_docs(times):
    page = DOCS / "performance.md"
    before, rest = page.read_text().split(BEGIN)
    after = rest.split(END)[1]
    parts = [f"Measured on {times.machine}." if times.machine else ""]
    parts += [f"**{title(threads)[0].upper()}{title(threads)[1:]}**\n\n{markdown(table(times, threads))}"
              for threads in times.threads]
    page.write_text(before + BEGIN + "\n" + "\n\n".join(filter(None, parts)) + "\n" + END + after)
    (DOCS / "performance.svg").write_text(svg(times))


arguments = sys.argv[1:]
if len(arguments) not in (1, 2) or arguments[1:] not in ([], ["--docs"]):
    sys.exit("report_norm: expected CSV [--docs]")
measured = Times(arguments[0])
if arguments[1:]:
    write_docs(measured)
else:
    print(measured.machine)
    for count in measured.threads:
        print(f"\n{title(count)}\n{plain(table(measured, count))}")
