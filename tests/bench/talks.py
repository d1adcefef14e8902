"""The rows of the clients' tables, and those tables as Markdown.

The clients talk to our server, which is another process: a client's figure is what it does itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

__all__ = ["PARTS", "TALKS", "Part", "Talk", "table_of_clients", "talk_figures"]


@dataclass(frozen=True)
class Talk:
    """A row: ``mode`` and ``depth`` are explained in ``talkers/meter.py``."""

    title: str
    mode: str
    depth: int = 1


TALKS = {
    "talk-d1": Talk("echo, one at a time", "echo", 1),
    "talk-d16": Talk("echo, 16 in flight", "echo", 16),
    "talk-stream": Talk("broadcasts that come", "stream"),
}
"""Name -> row, in the order of the tables."""


@dataclass(frozen=True)
class Part:
    """A table: ``per`` is the key that the messages are divided by."""

    title: str
    text: str
    per: str
    ratios: tuple[tuple[str, str, str], ...]
    """Title, ours, the peer: how many times as much ours does."""


PARTS = {
    "clients": Part(
        "Clients outside of the browser:",
        "Messages for each second of the client's own CPU, medians, the server being ours. Above 1"
        " ours does more; the client of the first column is compared with Node's.",
        "cpu",
        (
            ("threads", "thread", "socketio-threads"),
            ("asyncio", "asyncio", "socketio-asyncio"),
            ("N", "loop", "official"),
        ),
    ),
    "browser": Part(
        "Clients in headless Chromium:",
        "Messages a second, medians, in pages of the same server, which is ours; then how many for"
        " each second that the page's thread worked. Above 1 ours does more.",
        "seconds",
        (("ratio", "ours", "official"),),
    ),
}
"""Name -> table."""


def talk_figures(found: dict[str, Any], per: str) -> dict[str, dict[str, float]]:
    """Return row -> client -> median of the messages in a second of one kind.

    A client with a wrong answer has none.
    """
    bad = {(one["row"], one["client"]) for one in found["runs"] if not one["ok"]}
    values: dict[str, dict[str, list[float]]] = {}
    for one in found["runs"]:
        if (one["row"], one["client"]) not in bad and one[per]:
            of = values.setdefault(one["row"], {})
            of.setdefault(one["client"], []).append(one["count"] / one[per])
    return {row: {c: median(v) for c, v in of.items()} for row, of in values.items()}


def table_of_clients(name: str, found: dict[str, Any]) -> str:
    """Return the Markdown table of one of the :data:`PARTS`."""
    part, facts = PARTS[name], found["facts"]
    lines = [part.title, ""]
    names = [c for c in facts["titles"] if any(one["client"] == c for one in found["runs"])]
    ratios = [ratio for ratio in part.ratios if {*ratio[1:]} <= {*names}]
    heads = [*(facts["titles"][c] for c in names), *(ratio[0] for ratio in ratios)]
    lines += ["| " + " | ".join(["row", *heads]) + " |", "|---|" + "---:|" * len(heads)]
    kinds = [(part.per, "")] if name == "clients" else [(part.per, ""), ("cpu", ", of its thread")]
    for per, kind in kinds:
        for row, of in talk_figures(found, per).items():
            cells = [f"{of[c]:,.0f}" if c in of else "" for c in names]
            for _, ours, peer in ratios:
                both = ours in of and peer in of
                cells.append(f"{of[ours] / of[peer]:.2f}" if both else "")
            lines.append("| " + " | ".join([TALKS[row].title + kind, *cells]) + " |")
    versions = "; ".join(f"{facts['titles'][c]}: {v}" for c, v in facts["versions"].items())
    lines += ["", part.text, versions + "."]
    failed = {f"{o['row']} {o['client']}: {o['fail']}" for o in found["runs"] if not o["ok"]}
    lines += [f"Void: {line}." for line in sorted(failed)]
    return "\n".join(lines) + "\n"
