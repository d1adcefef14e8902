"""The rows of the benchmark: what the load generator does, and what one operation is.

``goal`` is what our server is to reach against the hand-tuned file (``servers/tuned.py``) in the
same run; where that file cannot do the row, against Node's.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ROWS", "TUNED_CANNOT", "Row"]

_NESTED = '{"who":{"id":17,"name":"Ada"},"tags":["a","b",null,true],"at":[1.5,-2,{"x":1000}]}'
_TEXT = '"Grüße aus Köln, 東京, Москва: naïve café - 15 €"'
TUNED_CANNOT = frozenset({"chat", "deflate", "tls", "move", "ask", "three", "mixed"})
"""What rows need that the hand-tuned file lacks."""


@dataclass(frozen=True)
class Row:
    """One row: ``load`` is the command line of the generator, ``title`` what the table calls it.

    ``words`` are for the servers; ``needs`` are what some servers cannot do; ``figure`` is the key
    of the generator's result (``kib`` is memory for each connection); ``quick`` rows are in the
    short form.
    """

    title: str
    load: str
    goal: float | None = None
    words: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    figure: str = "us_op"
    quick: bool = False

    @property
    def mode(self) -> str:
        return self.load.split()[0]


def _row(title: str, load: str, goal: float | None = None, *needs: str, quick: bool = False) -> Row:
    words = tuple(need for need in needs if need in ("tls", "deflate"))
    return Row(title, load, goal, words, frozenset(needs), quick=quick)


def _idle(connections: int) -> Row:
    load = f"idle -c {connections} -H 0.7"
    return Row(f"idle, {connections:,} connections", load, figure="kib")


ROWS: dict[str, Row] = {
    "echo-c1-d1": _row("echo, 1 connection", "echo -c 1 -d 1", 0.8),
    "echo-c50-d1": _row("echo, 50 connections", "echo -c 50 -d 1", 0.95, quick=True),
    "echo-c50-d16": _row("echo, 16 in flight", "echo -c 50 -d 16", 0.85, quick=True),
    "echo1k-c50-d1": _row("echo of 1 KiB", "echo -c 50 -d 1 -s 1024", 0.95),
    "echo1k-c50-d16": _row("echo of 1 KiB, 16 in flight", "echo -c 50 -d 16 -s 1024", 0.85),
    "fanout-c100-w1": _row("broadcast to 100", "fanout -c 100 -W 1", 0.9, quick=True),
    "fanout-c100": _row("broadcast to 100, 4 in flight", "fanout -c 100 -W 4", 0.9, quick=True),
    "fanout-c1000": _row("broadcast to 1,000, 4 in flight", "fanout -c 1000 -W 4", 0.9),
    "connect-k16": _row("connect and leave", "connect -k 16", 0.6, quick=True),
    "polling-c20": _row("echo over long-polling", "polling -c 20", 0.8, quick=True),
    "http-c20": _row("plain GET", "http -c 20", 0.75, quick=True),
    "binary-64k": _row("binary echo of 64 KiB", "binary -c 4 -s 65536", 0.75, quick=True),
    "binary-1m": _row("binary echo of 1 MiB", "binary -c 2 -s 1048576", 0.85),
    "idle-2k": _idle(2000),
    "idle-10k": _idle(10000),
    "nested": _row("echo of nested JSON", f"echo -c 50 -m {_NESTED}"),
    "unicode": _row("echo of non-ASCII text", f"echo -c 50 -m {_TEXT.replace(' ', chr(0xA0))}"),
    "three": _row("echo of three arguments", 'echo -c 50 -E echo3 -m "a",2,[3]', None, "three"),
    "namespace": _row("echo in another namespace", "echo -c 50 -n /chat", None, "chat"),
    "say": _row("event answered by an event", "say -c 50 -E say -a said"),
    "note": _row("event without acknowledgement", "note -c 50 -d 16"),
    "ask": _row("event of the server, acknowledged", "ask -c 50 -E ask", None, "ask"),
    "moves": _row(
        "broadcast to 100, 1,000 joins and leaves/s", "fanout -c 100 -W 4 -j 1000", None, "move"
    ),
    "mix": _row("a mix of all", "mix -c 50", None, "mixed", "chat", "move", "three", quick=True),
    "tls-echo": _row("echo over TLS", "echo -c 50 -S", None, "tls"),
    "tls-fanout": _row("broadcast to 100 over TLS", "fanout -c 100 -W 4 -S", None, "tls"),
    "deflate-echo": _row("echo of 1 KiB, compressed", "echo -c 50 -s 1024 -z", None, "deflate"),
    "deflate-fanout": _row(
        "broadcast of 1 KiB to 100, compressed", "fanout -c 100 -W 4 -s 1024 -z", None, "deflate"
    ),
}
"""Name -> row, in the order of the table."""
