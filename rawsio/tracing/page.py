"""The page of the proxy: every message of every connection, live, and each byte explained.

A Socket.IO server of ours serves the page (``trace.html``) and speaks to it on ``/``:

=================  ===============================================================
the page sends     and is acknowledged with
=================  ===============================================================
``since n``        the rows after number ``n`` that are still kept
``open n``         ``{"tree": ...}`` of a message (:mod:`rawsio.explain.plain`)
``rule id``        a rule as text, as ``rawsio rules`` has it
=================  ===============================================================

New rows come in events ``rows``, a few at a time.  A row says what a message is; its tree is sent
when it is opened.  At most :data:`KEPT` messages are kept, and :data:`KEPT_BYTES` of them: the
oldest go first.
"""

from __future__ import annotations

from collections import OrderedDict

from rawsio.explain.plain import as_json
from rawsio.resources import read_resource
from rawsio.rules import all_rules, told
from rawsio.socketio.packets import Ack, Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.explain.conversation import Item
    from rawsio.explain.fields import Field
    from rawsio.net.loop import Loop
    from rawsio.server import Server

__all__ = ["KEPT", "KEPT_BYTES", "Page", "row_of"]

KEPT = 5000
"""Most messages that are kept."""
KEPT_BYTES = 30_000_000
"""Most bytes of them."""
SHOWN_BYTES = 20_000
"""Bytes of a message beyond which its page shows only the beginning."""
_LATER = 0.03
_AT_A_TIME = 200

_FILES = {
    "/": ("text/html; charset=utf-8", "trace.html"),
    "/trace.js": ("text/javascript; charset=utf-8", "trace.js"),
    "/tree.js": ("text/javascript; charset=utf-8", "tree.js"),
    "/trace.css": ("text/css; charset=utf-8", "trace.css"),
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Page:
    """Keeps messages, and shows them to whoever opens the page."""

    def __init__(self) -> None:
        from rawsio import Server

        self.io: Server = Server(app=_application())
        self._items: OrderedDict[int, Item] = OrderedDict()
        self._rows: dict[int, dict[str, Any]] = {}
        self._bytes = 0
        self._count = 0
        self._waiting: list[dict[str, Any]] = []
        self.io.on("since", self._since)
        self.io.on("open", self._open)
        self.io.on("rule", self._rule)

    @property
    def loop(self) -> Loop:
        """The loop that the page runs on: for the proxy, too."""
        loop: Loop = self.io.host.loop
        return loop

    def close(self) -> None:
        """Close the server of the page, and its loop."""
        self.io.close()
        while not self.io.closed:
            self.io.step(0.05)

    def message(self, number: int, item: Item) -> None:
        """Show a message of connection ``number``."""
        self._count += 1
        row = row_of(self._count, number, item)
        self._items[self._count] = item
        self._rows[self._count] = row
        self._bytes += row["size"]
        while len(self._items) > KEPT or (self._bytes > KEPT_BYTES and len(self._items) > 1):
            oldest, _ = self._items.popitem(last=False)
            self._bytes -= self._rows.pop(oldest)["size"]
        if not self._waiting:
            self.io.host.call_later(_LATER, self._flush)
        self._waiting.append(row)
        del self._waiting[:-KEPT]

    def _flush(self) -> None:
        rows, self._waiting = self._waiting, []
        for at in range(0, len(rows), _AT_A_TIME):
            self.io.emit("rows", rows[at : at + _AT_A_TIME])

    def _since(self, _socket: Any, number: Any) -> Any:
        first = number if isinstance(number, int) else 0
        return ([row for key, row in self._rows.items() if key > first],)

    def _open(self, _socket: Any, number: Any) -> Any:
        item = self._items.get(number) if isinstance(number, int) else None
        if item is None:
            return {"error": "this message is no longer kept"}
        return {"tree": as_json(_cut(item.tree))}

    def _rule(self, _socket: Any, id_: Any) -> Any:
        rule = all_rules().get(id_) if isinstance(id_, str) else None
        return "" if rule is None else told(rule)


def _cut(tree: Field) -> Field:
    """Return a tree whose bytes are not too many to be drawn."""
    if tree.data is not None and len(tree.data) > SHOWN_BYTES:
        from rawsio.explain.fields import Field

        meaning = f"the first {SHOWN_BYTES} of {len(tree.data)} bytes"
        return Field(
            tree.start, tree.start + SHOWN_BYTES, tree.name, tree.value, meaning, tree.rule,
            [f for f in tree.fields if f.end <= SHOWN_BYTES], tree.data[:SHOWN_BYTES], tree.wrong,
        )  # fmt: skip
    return tree


def row_of(key: int, connection: int, item: Item) -> dict[str, Any]:
    """Return what a row says of a message.

    ``asks`` and ``answers`` name the events and acknowledgements in it, as
    ``namespace#id``, so that a page can pair them.
    """
    events = [p for p in item.packets if isinstance(p, Event)]
    asked = [f"{p.namespace}#{p.id}" for p in events if p.id is not None]
    answers = [f"{p.namespace}#{p.id}" for p in item.packets if isinstance(p, Ack)]
    return {
        "n": key,
        "time": item.time,
        "connection": connection,
        "sender": item.sender.value,
        "layers": list(item.layers),
        "session": item.session,
        "summary": item.summary,
        "wrong": item.wrong,
        "size": len(item.tree.data or b""),
        "events": [str(p.args[0])[:100] for p in events],
        "namespaces": sorted({p.namespace for p in item.packets}),
        "asks": asked,
        "answers": answers,
    }


def _application() -> Any:
    table = {path: (kind, read_resource(__spec__, name)) for path, (kind, name) in _FILES.items()}

    def serve(request: Any) -> Any:
        if request.path not in table:
            return 404
        if request.method not in ("GET", "HEAD"):
            return 405, b"", [("Allow", "GET, HEAD")]
        kind, data = table[request.path]
        fields = [
            ("Content-Type", kind),
            ("Content-Security-Policy", _POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cache-Control", "no-cache"),
        ]
        return 200, data, fields

    return serve
