"""What a run of the benchmark found, as a Markdown table and as an SVG chart."""

from __future__ import annotations

from html import escape
from statistics import median
from typing import Any

from .peers import servers
from .rows import ROWS

__all__ = ["CHART", "chart", "figures", "in_readme", "table"]

CHART = "rfc_notes/performance.svg"
BEGIN, END = "<!-- python3 -m tests.bench --readme -->", "<!-- the end of what it wrote -->"

ORDER = ("rawsio", "tuned", "node", "bun", "uvicorn", "picows", "asyncio", "uvloop", "executor")


def figures(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return row -> server -> median; servers with a wrong answer are left out."""
    values: dict[str, dict[str, list[float]]] = {}
    bad = {(one["row"], one["server"]) for one in found["runs"] if not one["ok"]}
    for one in found["runs"]:
        if (one["row"], one["server"]) not in bad:
            figure = one[ROWS[one["row"]].figure]
            values.setdefault(one["row"], {}).setdefault(one["server"], []).append(figure)
    return {row: {s: median(v) for s, v in of.items()} for row, of in values.items()}


def ratio(of: dict[str, float], peer: str) -> float | None:
    """Return how many times less our server takes than a peer."""
    return of[peer] / of["rawsio"] if peer in of and of.get("rawsio") else None


def table(found: dict[str, Any]) -> str:
    """Return the Markdown table, with what it belongs to."""
    medians = figures(found)
    names = [name for name in ORDER if any(name in of for of in medians.values())]
    titles = servers("")
    lines = ["| " + " | ".join(["row", *(titles[n].title for n in names), "P", "goal", "N"]) + " |"]
    lines.append("|---|" + "---:|" * (len(names) + 3))
    for row, of in medians.items():
        known = ROWS[row]
        unit = " (KiB)" if known.figure == "kib" else ""
        cells = [_number(of.get(name)) for name in names]
        goal = "" if known.goal is None else f"{known.goal:.2f}"
        p, n = _number(ratio(of, "tuned")), _number(ratio(of, "node"))
        lines.append("| " + " | ".join([known.title + unit, *cells, p, goal, n]) + " |")
    facts = found["facts"]
    busy = sorted(one["busy"] for one in found["runs"]) or [0.0]
    lines += [
        "",
        "Microseconds of the server's CPU for one operation, medians; P: the hand-tuned file's over"
        " ours, N: Node's over ours (above 1: ours takes less).",
        f"{facts['processor']}; {facts['system']}; cores busy, the run itself included:"
        f" {busy[0]:.0%} to {busy[-1]:.0%}, median {median(busy):.0%}.",
        "; ".join(f"{titles[name].title}: {text}" for name, text in facts["versions"].items())
        + ".",
    ]
    failed = {f"{o['row']} {o['server']}: {o['fail']}" for o in found["runs"] if not o["ok"]}
    lines += [f"Void: {line}." for line in sorted(failed)]
    other = {f"{one['row']} {one['server']}" for one in found["runs"] if one.get("different")}
    lines += [f"Answers in other bytes: {', '.join(sorted(other))}."] if other else []
    return "\n".join(lines) + "\n"


def in_readme(readme: str, found: dict[str, Any]) -> str:
    """Return the README with this table and a chart between its two marks."""
    before, begin, rest = readme.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README has no {BEGIN} with an {END} behind it")
    picture = f"![Operations in the CPU time of one of Node's]({CHART})"
    return f"{before}{BEGIN}\n{picture}\n\n{table(found)}{END}{after}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


_COLOURS = {"rawsio": "#2f81f7", "node": "#8b949e", "bun": "#d4a72c", "uvicorn": "#a371f7",
            "picows": "#3fb950", "tuned": "#c9d1d9"}  # fmt: skip
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#24292f}line{stroke:#8b949e}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}}"
)
_LEFT, _WIDE, _BAR, _GAP = 280, 520, 11, 12


def chart(found: dict[str, Any]) -> str:
    """Return bars: how many operations each server does in the CPU time of one of Node's."""
    rows = {r: of for r, of in figures(found).items() if "node" in of and ROWS[r].figure != "kib"}
    highest = max((of["node"] / us for of in rows.values() for us in of.values() if us), default=1)
    scale = _WIDE / highest
    parts, y = [], 56
    for row, of in rows.items():
        shown = [name for name in _COLOURS if name in of]
        middle = y + len(shown) * _BAR / 2 + 4
        title = escape(ROWS[row].title)
        parts.append(f'<text x="{_LEFT - 8}" y="{middle}" text-anchor="end">{title}</text>')
        for name in shown:
            times = of["node"] / of[name]
            parts.append(
                f'<rect x="{_LEFT}" y="{y}" width="{times * scale:.1f}" height="{_BAR - 2}"'
                f' fill="{_COLOURS[name]}"/><text x="{_LEFT + times * scale + 4:.1f}"'
                f' y="{y + 9}" style="font-size:9px">{times:.2f}</text>'
            )
            y += _BAR
        y += _GAP
    one = _LEFT + scale
    parts.append(f'<line x1="{one:.1f}" x2="{one:.1f}" y1="48" y2="{y}" stroke-dasharray="3"/>')
    return _page(parts, y)


def _page(parts: list[str], height: int) -> str:
    titles, legend, x = servers(""), [], 8
    for name, colour in _COLOURS.items():
        legend.append(
            f'<rect x="{x}" y="28" width="10" height="10" fill="{colour}"/>'
            f'<text x="{x + 14}" y="37">{titles[name].title}</text>'
        )
        x += 110
    wide = _LEFT + _WIDE + 60
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{height}"'
        f' viewBox="0 0 {wide} {height}"><style>{_STYLE}</style>'
        f'<text x="8" y="16">Operations in the CPU time of one of Node\'s (longer is better)</text>'
        f"{''.join(legend)}{''.join(parts)}</svg>\n"
    )
