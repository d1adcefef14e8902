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
when it is opened (:mod:`rawsio.tracing.rows`).
"""

from __future__ import annotations

from rawsio.resources import read_resource

from .rows import SCRIPT, STYLE, Rows, rule_text, serve_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.explain.conversation import Item
    from rawsio.net.loop import Loop
    from rawsio.server import Server

__all__ = ["KEPT", "KEPT_BYTES", "Page"]

KEPT = 5000
"""Most messages that are kept."""
KEPT_BYTES = 30_000_000
"""Most bytes of them."""
_LATER = 0.03
_AT_A_TIME = 200

_FILES = {
    "/": ("text/html; charset=utf-8", "trace.html"),
    "/trace.js": (SCRIPT, "trace.js"),
    "/trace.css": (STYLE, "trace.css"),
}


class Page:
    """Keeps messages, and shows them to whoever opens the page."""

    def __init__(self) -> None:
        from rawsio import Server

        files = {p: (kind, read_resource(__spec__, name)) for p, (kind, name) in _FILES.items()}
        self.io: Server = Server(app=serve_files(files))
        self.rows = Rows(KEPT, KEPT_BYTES)
        self._waiting: list[dict[str, Any]] = []
        self.io.on("since", self._since)
        self.io.on("open", self._open)
        self.io.on("rule", self._rule)

    @property
    def loop(self) -> Loop:
        """The loop that the page runs on: for the proxy, too."""
        return self.io.net.loop

    def close(self) -> None:
        """Close the server of the page, and its loop."""
        self.io.close()
        while not self.io.closed:
            self.io.step(0.05)

    def message(self, number: int, item: Item) -> None:
        """Show a message of connection ``number``."""
        if not self._waiting:
            self.io.host.call_later(_LATER, self._flush)
        self._waiting.append(self.rows.add(number, item))
        del self._waiting[:-KEPT]

    def _flush(self) -> None:
        rows, self._waiting = self._waiting, []
        for at in range(0, len(rows), _AT_A_TIME):
            self.io.emit("rows", rows[at : at + _AT_A_TIME])

    def _since(self, _socket: Any, number: Any) -> Any:
        return (self.rows.since(number if isinstance(number, int) else 0),)

    def _open(self, _socket: Any, number: Any) -> Any:
        return self.rows.opened(number)

    def _rule(self, _socket: Any, id_: Any) -> Any:
        return rule_text(id_)
