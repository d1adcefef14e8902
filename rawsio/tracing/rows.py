r"""What a page of ours shows of messages: a row for each, and its tree when somebody opens it.

:class:`Rows` keeps the last messages, bounded in number and in bytes; of a long message it keeps
the beginning.  A row is small and is sent at once; a tree is sent when it is asked for.  The page
of the proxy has one :class:`Rows` for all connections, the demo has one for each session.  Both
pages draw them with the same files, :data:`FILES`.
"""

from __future__ import annotations

import json
from collections import OrderedDict

from rawsio.errors import escaped
from rawsio.explain.fields import Field, shown, walk
from rawsio.explain.plain import as_json
from rawsio.resources import read_resource
from rawsio.rules import all_rules, told
from rawsio.socketio.packets import Ack, Connect, ConnectError, Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from rawsio.explain.conversation import Item
    from rawsio.socketio.packets import AnyEvent

__all__ = ["FILES", "POLICY", "Rows", "cut", "row_of", "rule_text", "serve_files"]

SHOWN_BYTES = 4096
"""Bytes of each part of a message beyond which only the beginning is kept."""
SHOWN_TEXT = 160
"""Characters of a row's text."""

SCRIPT, STYLE = "text/javascript; charset=utf-8", "text/css; charset=utf-8"

FILES = {
    "/view.css": (STYLE, "view.css"),
    "/tree.js": (SCRIPT, "tree.js"),
    "/messages.js": (SCRIPT, "messages.js"),
}
"""What the pages share: path -> (content type, name of the file beside this module)."""

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""What the pages need, and nothing else: no script but ours, no other site, no markup from text."""


class Rows:
    """The last messages: at most ``most``, of at most ``most_bytes`` in all."""

    def __init__(self, most: int, most_bytes: int) -> None:
        self.count = 0
        """The number of the newest row; they count from 1."""
        self.bytes = 0
        """Bytes that are kept."""
        self._most = most
        self._most_bytes = most_bytes
        self._kept: OrderedDict[int, tuple[dict[str, Any], Field, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, connection: int, item: Item) -> dict[str, Any]:
        """Keep a message of a connection; return its row."""
        self.count += 1
        row = row_of(self.count, connection, item)
        tree = cut(item.tree, SHOWN_BYTES)
        size = sum(len(field.data or b"") for field in walk(tree))
        self._kept[self.count] = row, tree, size
        self.bytes += size
        while len(self) > self._most or (self.bytes > self._most_bytes and len(self) > 1):
            self.drop()
        return row

    def drop(self) -> None:
        """Forget the oldest message."""
        if self._kept:
            self.bytes -= self._kept.popitem(last=False)[1][2]

    def since(self, number: int) -> list[dict[str, Any]]:
        """Return the rows after a number that are still kept."""
        found = []
        for key in reversed(self._kept):
            if key <= number:
                break
            found.append(self._kept[key][0])
        return found[::-1]

    def opened(self, number: object) -> dict[str, Any]:
        """Return ``{"tree": ...}`` of a row (:mod:`rawsio.explain.plain`), or an ``error``."""
        kept = self._kept.get(number) if isinstance(number, int) else None
        if kept is None:
            return {"error": "this message is no longer kept"}
        return {"tree": as_json(kept[1])}


def cut(tree: Field, most: int) -> Field:
    """Return a tree of which no part has more than ``most`` bytes; what is left out is said.

    >>> parts = [Field(0, 2, "a"), Field(5, 9, "b")]
    >>> small = cut(Field(0, 9, "body", "", "", "", parts, b"x" * 9), 4)
    >>> small.data, small.meaning, [field.name for field in small.fields]
    (b'xxxx', 'the first 4 of 9 bytes', ['a'])
    """
    if all(field.data is None or len(field.data) <= most for field in walk(tree)):
        return tree
    made = _cut(tree, most)
    waiting = [(made, most)]
    while waiting:
        above, size = waiting.pop()
        above.fields = [_cut(below, most) for below in above.fields if below.start < size]
        waiting += [(below, size if below.data is None else most) for below in above.fields]
    return made


def _cut(field: Field, most: int) -> Field:
    """Return a copy whose own bytes are not too many."""
    data, meaning, end = field.data, field.meaning, field.end
    if data is not None and len(data) > most:
        if end - field.start == len(data):  # a byte here is a byte there, and stays one
            end = field.start + most
        meaning = f"the first {most} of {len(data)} bytes"
        data = data[:most]
    return Field(
        field.start, end, field.name, field.value, meaning, field.rule,
        field.fields, data, field.wrong,
    )  # fmt: skip


def row_of(key: int, connection: int, item: Item) -> dict[str, Any]:
    """Return what a row says of a message.

    ``kind`` is what it is, in a word; ``title`` its name, ``text`` what is in it.  ``asks`` has the
    events in it that ask for an acknowledgement, ``namespace#id`` -> name; ``answers`` the
    acknowledgements, so that a page can pair them.
    """
    events = [p for p in item.packets if isinstance(p, Event)]
    asked = {f"{p.namespace}#{p.id}": str(p.args[0])[:100] for p in events if p.id is not None}
    answers = [f"{p.namespace}#{p.id}" for p in item.packets if isinstance(p, Ack)]
    kind, title, text = _told(item)
    return {
        "n": key,
        "time": item.time,
        "connection": connection,
        "sender": item.sender.value,
        "layers": list(item.layers),
        "session": item.session,
        "kind": kind,
        "title": title,
        "text": text,
        "summary": item.summary,
        "wrong": item.wrong,
        "size": len(item.tree.data or b""),
        "events": [str(p.args[0])[:100] for p in events],
        "namespaces": sorted({p.namespace for p in item.packets}),
        "asks": asked,
        "answers": answers,
    }


def _told(item: Item) -> tuple[str, str, str]:
    """Return kind, title and text of a message."""
    if item.head is not None or item.tree.name.endswith("head"):
        purpose = item.purpose or ("request" if item.sender.value == "client" else "answer")
        start = item.tree.fields[0].value if item.tree.fields else item.tree.value
        return "http", purpose, start.removesuffix(" HTTP/1.1").removeprefix("HTTP/1.1 ")
    packets = [field for field in walk(item.tree) if field.name == "Engine.IO packet"]
    if len(packets) == 1 and packets[0].value.startswith("binary message"):
        return "binary", "attachment", packets[0].value.partition(", ")[2]
    if len(item.packets) == 1 and len(packets) <= 1:
        return _told_packet(item.packets[0])
    if len(packets) > 1:
        parts = [_told_packet(packet) for packet in item.packets]
        texts = [f"{name} {text}".rstrip(" ") for _, name, text in parts]
        texts = texts or [field.value for field in packets]
        kind = parts[0][0] if parts else "engine"
        return kind, f"{len(packets)} packets", _plain(", ".join(texts))
    if packets:
        name, _, text = packets[0].value.partition(": ")
        if name == "message":  # its attachments follow
            return "event", text, ""
        return _ENGINE.get(name, "engine"), name, text
    if item.layers[:1] == ("WebSocket",):
        opcode, _, size = item.tree.value.partition(", ")
        return ("control" if opcode in _CONTROL else "frame"), opcode, size
    if item.tree.name == "body":
        return "http", item.purpose or "body", f"body: {shown(item.content)}"
    return (item.layers[:1] or ("data",))[0].lower(), item.tree.name, item.tree.value


_ENGINE = {"ping": "heartbeat", "pong": "heartbeat", "noop": "heartbeat"}
_CONTROL = ("close", "ping", "pong")


def _told_packet(packet: AnyEvent) -> tuple[str, str, str]:
    if isinstance(packet, Event):
        return "event", shown(str(packet.args[0])), _values(packet.args[1:])
    if isinstance(packet, Ack):
        return "ack", f"ack {packet.id}", _values(packet.args)
    if isinstance(packet, Connect):
        return "connect", f"CONNECT {shown(packet.namespace)}", _values((packet.data,))
    if isinstance(packet, ConnectError):
        return "refused", f"CONNECT_ERROR {shown(packet.namespace)}", _values((packet.data,))
    return "leave", f"DISCONNECT {shown(packet.namespace)}", ""


def _values(values: Iterable[Any]) -> str:
    """Return arguments as a person reads them, cut short."""
    texts = []
    room = SHOWN_TEXT
    for value in values:
        if value is None or room <= 0:
            continue
        text = ""
        for piece in _ENCODER.iterencode(value):
            text += piece[: room + 1]
            if len(text) > room:
                break
        texts.append(text[: room + 1])
        room -= len(text)
    return _plain(" ".join(texts))


def _size(value: Any) -> str:
    return f"{len(value)} bytes"


_ENCODER = json.JSONEncoder(ensure_ascii=False, default=_size)


def _plain(text: str) -> str:
    """Return text in one line, cut short, with what cannot be printed escaped."""
    more = "…" if len(text) > SHOWN_TEXT else ""
    return "".join(c if c.isprintable() else escaped(c)[1:-1] for c in text[:SHOWN_TEXT]) + more


def rule_text(id_: object) -> str:
    """Return a rule as text, as ``rawsio rules`` has it; nothing if there is none.

    >>> rule_text("6455-5.1-mask").split("\\n")[0]
    '6455-5.1-mask'
    """
    rule = all_rules().get(id_) if isinstance(id_, str) else None
    return "" if rule is None else told(rule)


def serve_files(table: dict[str, tuple[str, bytes]]) -> Callable[[Any], Any]:
    """Return the application that serves a page: path -> (content type, bytes)."""
    files = {path: (kind, read_resource(__spec__, name)) for path, (kind, name) in FILES.items()}
    files.update(table)

    def serve(request: Any) -> Any:
        if request.path not in files:
            return 404
        if request.method not in ("GET", "HEAD"):
            return 405, b"", [("Allow", "GET, HEAD")]
        kind, data = files[request.path]
        fields = [
            ("Content-Type", kind),
            ("Content-Security-Policy", POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Cache-Control", "no-cache"),
        ]
        return 200, data, fields

    return serve
