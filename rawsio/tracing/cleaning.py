r"""Messages as they may be shown: their secrets replaced, their bytes explained anew.

What is secret is what :mod:`rawsio.tracing.secrets` replaces in recordings.  A :class:`Cleaner`
gives a message with nothing secret in it as it is.  Of another it replaces the secret bytes where
they stand, under the mask of a frame, too, and explains the result, so that every byte of what is
shown is explained.  A message whose secret cannot be replaced in place, because it was compressed
or cut into fragments, is written anew, and its meaning says so.
"""

from __future__ import annotations

from rawsio.explain.conversation import GENEROUS, Item
from rawsio.explain.engineio import Session
from rawsio.explain.fields import Field, mistake, moved, walk
from rawsio.explain.http import Messages
from rawsio.explain.websocket import Frames
from rawsio.layer import Role
from rawsio.websocket.frames import TEXT
from rawsio.websocket.masking import mask

from .secrets import hidden, hidden_content

__all__ = ["Cleaner"]

REMEMBERED = 10_000
"""Most sessions whose numbers are remembered."""

_LONG = 262_144
"""Bytes of a message that holds a secret from which on it is not explained anew."""
_ANEW = "written anew: it holds a secret, and came compressed or in fragments"
_LONG_ONE = "not shown: it holds a secret, and is long"
_PART = "not shown: it may be part of a secret"
_SECRET_STARTS = (b"0{", b"40", b"0", b"4", b"")
_PACKED_STARTS = (b"", *(bytes((first,)) for first in (*range(0x82, 0x90), 0xDE, 0xDF)))


class Cleaner:
    """Cleans the messages of all connections; ``number`` tells these apart."""

    def __init__(self) -> None:
        self._sessions: dict[str, str] = {}
        self._open: dict[tuple[int, Role], bool] = {}  # a message is open: may it be secret?

    def clean(self, number: int, item: Item) -> Item:
        """Return a message of a connection as it may be shown."""
        made = self._cleaned(number, item)
        if made is item and not item.session:
            return item
        return Item(
            made.sender, made.layers, made.summary, made.tree, made.offset, made.packets,
            self._name(item.session), item.time, made.head, made.content, item.purpose, item.sent,
        )  # fmt: skip

    def forget(self, number: int) -> None:
        """A connection is over."""
        for role in Role:
            self._open.pop((number, role), None)

    def _name(self, sid: str) -> str:
        """Return what a session is called: its id lets into it."""
        if sid and sid not in self._sessions:
            if len(self._sessions) >= REMEMBERED:
                del self._sessions[next(iter(self._sessions))]
            last = next(reversed(self._sessions.values()), "#0")
            self._sessions[sid] = f"#{int(last[1:]) + 1}"
        return self._sessions.get(sid, "")

    def _cleaned(self, number: int, item: Item) -> Item:
        if item.tree.name.endswith("head"):
            return _head(item)
        if item.tree.name == "body":
            if hidden_content(item.content) == item.content:
                return item
            return _body(item) if len(item.content) < _LONG else _unread(item)
        if item.tree.name == "frame":
            return self._frame(number, item)
        return _rest(item) if item.tree.name == "rest" else item

    def _frame(self, number: int, item: Item) -> Item:
        data = item.tree.data or b""
        first = data[0] if data else 0x88
        if first & 0x08:
            return item
        key = number, item.sender
        whole = item.tree.fields[-1] if item.tree.fields else None
        if whole is not None and whole.name == "message":
            self._open.pop(key, None)
            if hidden_content(item.content) == item.content:
                return item
            return _message(item) if len(item.content) < _LONG else _fragment(item)
        if (
            first & 0x0F
        ):  # the first fragment, or one that is not whole: is it the start of a secret?
            start = next((f.data or b"" for f in item.tree.fields if f.name == "payload"), b"")
            text = first & 0x0F == TEXT
            likely = start[:2] in _SECRET_STARTS if text else start[:1] in _PACKED_STARTS
            self._open[key] = bool(first & 0x40) or likely
        return _fragment(item) if self._open.get(key, True) else item


def _again(item: Item, tree: Field, packets: list[Field], session: Session | None) -> Item:
    """Return a message with another tree, and what that says."""
    tree.start, tree.end = item.tree.start, item.tree.end
    texts = "; ".join(field.value for field in packets)
    name = "" if tree.name == "frame" else f"{tree.name} {tree.value}"
    summary = ": ".join(part for part in (name, texts) if part) or item.summary
    found = session.take_packets() if session is not None else []
    return Item(
        item.sender, item.layers, summary, tree, item.offset, found, item.session, item.time,
        None, b"", item.purpose, item.sent,
    )  # fmt: skip


def _packets(tree: Field) -> list[Field]:
    return [field for field in walk(tree) if field.name == "Engine.IO packet"]


def _head(item: Item) -> Item:
    data = hidden(item)
    if data == item.tree.data:
        return item
    reader = Messages(item.sender, GENEROUS, own=True)
    field = next(iter(reader.feed(data) + reader.end(ended=False)))
    made = _again(item, moved(field, -field.start), [], None)
    made.head = reader.head if mistake(field) is None else None
    made.summary = f"{field.name} {field.value}"
    if item.purpose:
        made.summary = f"{item.purpose}: {made.summary}"
    return made


def _rest(item: Item) -> Item:
    """Return what was not read, behind a mistake: it may be anything."""
    size = len(item.tree.data or b"")
    tree = Field(
        0, size, "rest", f"{size} bytes", item.tree.meaning, item.tree.rule, [], hidden(item),
        item.tree.wrong,
    )  # fmt: skip
    return _again(item, tree, [], None)


def _body(item: Item) -> Item:
    content = hidden_content(item.content)
    data = hidden(item)
    trees = []
    for revision in (4, 3):
        session = Session(item.sender, revision=revision, limits=GENEROUS)
        trees.append((session.payload(content), session))
    payload, session = next((t for t in trees if mistake(t[0]) is None), trees[0])
    payload.start, payload.end = 0, len(data)
    engine = "Engine.IO" in item.layers
    tree = Field(
        0, len(data), "body", item.tree.value, item.tree.meaning, item.tree.rule,
        [payload] if engine else [], data,
    )  # fmt: skip
    made = _again(item, tree, _packets(tree), session)
    made.content = content
    return made


def _unread(item: Item) -> Item:
    """Return a long body that holds a secret, without what it says."""
    tree = item.tree
    size = len(tree.data or b"")
    made = Field(0, size, tree.name, tree.value, _LONG_ONE, tree.rule, [], hidden(item), tree.wrong)
    return _again(item, made, [], None)


def _message(item: Item) -> Item:
    """Return a frame that is the end of a secret message: with that message, hidden."""
    data = item.tree.data or b""
    content = hidden_content(item.content)
    header, key = _header(data)
    alone = data[0] & 0xC0 == 0x80 and data[0] & 0x0F != 0 and len(data) - header == len(content)
    wire = data[:header] + (mask(content, key) if key else content) if alone else hidden(item)
    session = Session(item.sender, limits=GENEROUS)
    engine = "Engine.IO" in item.layers
    inside = session.explain if engine else None
    frames = Frames(item.sender, None, inside, GENEROUS, own=True)
    (tree,) = frames.feed(wire)
    if not alone:
        tree.meaning = _ANEW
    made = _again(item, tree, _packets(tree), session)
    made.content = content
    return made


def _header(data: bytes) -> tuple[int, bytes]:
    """Return the length of a frame's header, and its masking key."""
    long = {126: 2, 127: 8}.get(data[1] & 0x7F, 0)
    masked = bool(data[1] & 0x80)
    size = 2 + long + 4 * masked
    return size, data[size - 4 : size] if masked else b""


def _fragment(item: Item) -> Item:
    """Return a fragment without what it carries."""
    data = item.tree.data or b""
    header = _header(data)[0] if len(data) > 1 else len(data)
    fields = [field for field in item.tree.fields if field.end <= header]
    tree = Field(
        0, len(data), "frame", item.tree.value, _PART, item.tree.rule, fields,
        data[:header] + b"*" * (len(data) - header), item.tree.wrong,
    )  # fmt: skip
    made = _again(item, tree, [], None)
    made.summary = f"{item.tree.value}, {_PART}"
    return made
