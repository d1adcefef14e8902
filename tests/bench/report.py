"""What a run of the benchmark found, as Markdown tables and as an SVG chart.

What was found is, for each part of it (``servers``, ``clients``, ``browser``), the facts that its
figures belong to, and its runs.
"""

from __future__ import annotations

from html import escape
from statistics import median
from typing import Any

from .rows import ROWS
from .talks import PARTS, table_of_clients

__all__ = ["CHART", "chart", "figures", "in_readme", "table", "tables"]

CHART = "rfc_notes/performance.svg"
BEGIN, END = "<!-- python3 -m tests.bench --readme -->", "<!-- the end of what it wrote -->"

BESIDE = ("rawsio", "before", "tuned", "node", "bun", "uvicorn", "picows")
"""Servers of the first table."""
ELSEWHERE = ("rawsio", "also", "also-tuned", "asyncio", "uvloop", "executor")
"""Servers of the second: ours under other interpreters, on other loops."""
RATIOS = {
    "gain": ("rawsio", "before", "gain: what ours took before over what it takes now"),
    "P": ("rawsio", "tuned", "P: the hand-tuned file's over ours"),
    "N": ("rawsio", "node", "N: Node's over ours"),
    "P there": ("also", "also-tuned", "P there: P under the other Python"),
}
"""Title -> who is compared with whom, and what that says."""


def figures(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    """Return row -> server -> median; servers with a wrong answer are left out."""
    values: dict[str, dict[str, list[float]]] = {}
    bad = {(one["row"], one["server"]) for one in found["runs"] if not one["ok"]}
    for one in found["runs"]:
        if (one["row"], one["server"]) not in bad:
            figure = one[ROWS[one["row"]].figure]
            values.setdefault(one["row"], {}).setdefault(one["server"], []).append(figure)
    return {row: {s: median(v) for s, v in of.items()} for row, of in values.items()}


def ratio(of: dict[str, float], title: str) -> float | None:
    """Return how many times less the first of two servers takes than the second."""
    ours, peer, _ = RATIOS[title]
    return of[peer] / of[ours] if peer in of and of.get(ours) else None


def tables(found: dict[str, Any]) -> str:
    """Return all tables, with what they belong to."""
    parts = [table(found["servers"])] if "servers" in found else []
    parts += [table_of_clients(part, found[part]) for part in PARTS if part in found]
    return "\n".join(parts)


def table(found: dict[str, Any]) -> str:
    """Return the Markdown tables of the servers, with what they belong to."""
    medians = figures(found)
    lines = _table(medians, found["facts"]["titles"], BESIDE, ("P", "goal", "N", "gain"))
    others = {row: of for row, of in medians.items() if any(n in of for n in ELSEWHERE[1:])}
    if others:
        lines += ["", "Ours elsewhere:", ""]
        lines += _table(others, found["facts"]["titles"], ELSEWHERE, ("P there",))
    told = [what for title, (_, peer, what) in RATIOS.items()
            if any(peer in of for of in medians.values())]  # fmt: skip
    facts = found["facts"]
    busy = sorted(one["busy"] for one in found["runs"]) or [0.0]
    lines += [
        "",
        "Microseconds of the server's CPU for one operation, medians. Above 1 ours takes less: "
        + "; ".join(told) + ".",
        f"{facts['processor']}; {facts['system']}; cores busy, the run itself included:"
        f" {busy[0]:.0%} to {busy[-1]:.0%}, median {median(busy):.0%}.",
        "; ".join(f"{facts['titles'][name]}: {text}" for name, text in facts["versions"].items())
        + ".",
    ]  # fmt: skip
    failed = {f"{o['row']} {o['server']}: {o['fail']}" for o in found["runs"] if not o["ok"]}
    lines += [f"Void: {line}." for line in sorted(failed)]
    other = {f"{one['row']} {one['server']}" for one in found["runs"] if one.get("different")}
    lines += [f"Answers in other bytes: {', '.join(sorted(other))}."] if other else []
    return "\n".join(lines) + "\n"


def _table(
    medians: dict[str, dict[str, float]],
    titles: dict[str, str],
    servers: tuple[str, ...],
    ratios: tuple[str, ...],
) -> list[str]:
    """Return the lines of a table; columns that have nothing are left out."""
    names = [name for name in servers if any(name in of for of in medians.values())]
    shown = [t for t in ratios if t == "goal" or any(ratio(of, t) for of in medians.values())]
    lines = ["| " + " | ".join(["row", *(titles[name] for name in names), *shown]) + " |"]
    lines.append("|---|" + "---:|" * (len(names) + len(shown)))
    for row, of in medians.items():
        known = ROWS[row]
        unit = " (KiB)" if known.figure == "kib" else ""
        cells = [_number(of.get(name)) for name in names]
        cells += [_number(known.goal if title == "goal" else ratio(of, title)) for title in shown]
        lines.append("| " + " | ".join([known.title + unit, *cells]) + " |")
    return lines


def in_readme(readme: str, found: dict[str, Any]) -> str:
    """Return the README with this table and a chart between its two marks."""
    before, begin, rest = readme.partition(BEGIN)
    _old, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the README has no {BEGIN} with an {END} behind it")
    picture = f"![Operations in the CPU time of one of Node's]({CHART})"
    return f"{before}{BEGIN}\n{picture}\n\n{tables(found)}{END}{after}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 10 else f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


_COLOURS = {"rawsio": "#2f81f7", "before": "#a5c8ff", "node": "#8b949e", "bun": "#d4a72c",
            "uvicorn": "#a371f7", "picows": "#3fb950", "tuned": "#c9d1d9"}  # fmt: skip
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#24292f}line{stroke:#8b949e}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}}"
)
_LEFT, _WIDE, _BAR, _GAP = 280, 520, 11, 12
_MOST = 10.0
"""The longest bar: one that would be longer is broken, lest all others be short."""


def chart(found: dict[str, Any]) -> str:
    """Return bars: how many operations each server does in the CPU time of one of Node's."""
    rows = {r: of for r, of in figures(found).items() if "node" in of and ROWS[r].figure != "kib"}
    highest = max((of["node"] / us for of in rows.values() for us in of.values() if us), default=1)
    scale = _WIDE / min(highest, _MOST)
    parts, y = [], 56
    for row, of in rows.items():
        shown = [name for name in _COLOURS if name in of]
        middle = y + len(shown) * _BAR / 2 + 4
        title = escape(ROWS[row].title)
        parts.append(f'<text x="{_LEFT - 8}" y="{middle}" text-anchor="end">{title}</text>')
        for name in shown:
            parts.append(_bar(y, of["node"] / of[name], scale, _COLOURS[name]))
            y += _BAR
        y += _GAP
    one = _LEFT + scale
    parts.append(f'<line x1="{one:.1f}" x2="{one:.1f}" y1="48" y2="{y}" stroke-dasharray="3"/>')
    present = [name for name in _COLOURS if any(name in of for of in rows.values())]
    return _page(parts, y, {name: found["facts"]["titles"][name] for name in present})


def _bar(y: int, times: float, scale: float, colour: str) -> str:
    """Return a bar and its number."""
    wide = min(times, _MOST) * scale
    gap = 4 if times > _MOST else 0
    pieces = [(_LEFT, wide - 5 * gap)] + [(_LEFT + wide - 4 * gap, 4 * gap)] * bool(gap)
    bars = [
        f'<rect x="{x:.1f}" y="{y}" width="{w:.1f}" height="{_BAR - 2}" fill="{colour}"/>'
        for x, w in pieces
    ]
    number = (
        f'<text x="{_LEFT + wide + 4:.1f}" y="{y + 9}" style="font-size:9px">{times:.2f}</text>'
    )
    return "".join(bars) + number


def _page(parts: list[str], height: int, titles: dict[str, str]) -> str:
    legend, x = [], 8
    for name, title in titles.items():
        legend.append(
            f'<rect x="{x}" y="28" width="10" height="10" fill="{_COLOURS[name]}"/>'
            f'<text x="{x + 14}" y="37">{escape(title)}</text>'
        )
        x += 110
    wide = _LEFT + _WIDE + 60
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{height}"'
        f' viewBox="0 0 {wide} {height}"><style>{_STYLE}</style>'
        f'<text x="8" y="16">Operations in the CPU time of one of Node\'s (longer is better)</text>'
        f"{''.join(legend)}{''.join(parts)}</svg>\n"
    )
