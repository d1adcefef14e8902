r"""The live view of the layers: what passes for a session, shown to that session.

A page cannot see its own frames, so the server of the demo looks for it: the hub is the server's
``trace``, feeds the bytes of each connection to a
:class:`~rawsio.explain.conversation.Conversation`, and keeps the messages that come out of it as
:class:`~rawsio.tracing.rows.Rows` of their session.
On the namespace ``/trace`` a page gets events ``rows``, with a list of rows, and may ask:

============  ==================================================================
``open n``    ``{"tree": ...}`` of a row, every byte explained
``rule id``   a rule as text
============  ==================================================================

Two ideas.  **Ownership**: a message belongs to an Engine.IO session, and is shown to the sockets of
that very session only.  A request says in its target, or a handshake in its answer, which session
it is for; until that is known its messages wait, and an exchange that is no session's is forgotten.
**The stream is not news**: it is traffic itself, so messages that carry nothing but packets of
``/trace`` are left out; and it is sent later, by a timer, never from within a report, where it
would end up between a packet and its attachments.

What is kept is bounded, for each session and in all.  What a busy connection says is looked at a
little in each turn (:mod:`rawsio.tracing.backlog`); whoever says more than can be looked at has
holes in its view.
"""

from __future__ import annotations

from rawsio.explain.conversation import Conversation, Sessions
from rawsio.explain.fields import walk
from rawsio.http.messages import Request
from rawsio.layer import Role
from rawsio.lazy import Pattern
from rawsio.tracing.inside import Inside
from rawsio.tracing.rows import Rows, rule_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from rawsio.explain.conversation import Item
    from rawsio.explain.fields import Field
    from rawsio.tracing.backlog import Backlog

    Later = Callable[[Callable[[], None]], object]

__all__ = ["NAMESPACE", "TraceHub"]

NAMESPACE = "/trace"

KEPT = 400
"""Most messages of a session that are kept."""
KEPT_BYTES = 2_000_000
"""Most bytes of them."""
ALL_BYTES = 40_000_000
"""Most bytes of all sessions; the session that was seen first gives way."""
SESSIONS = 200
"""Most sessions whose messages are kept."""
HELD = 20
"""Most messages of a connection that wait for their session."""
UNSENT = 500_000
"""Bytes unsent to a page above which its rows wait; those that are forgotten meanwhile are lost."""
BATCH = 100
"""Most rows in one event."""

# A packet of the stream itself, as a message of Engine.IO.
_OWN = Pattern(rb"4[0-6](?:[0-9]{1,4}-)?/trace(?:,|\Z)")


_TOO_FAST = "came faster than it could be looked at"


class _Session:
    """The messages of one session, and who looks at them: socket -> the last row that it has."""

    __slots__ = ("rows", "sockets")

    def __init__(self) -> None:
        self.rows = Rows(KEPT, KEPT_BYTES)
        self.sockets: dict[Any, int] = {}


class TraceHub:
    """Collects the messages of all sessions, and shows each session its own.

    ``clock`` gives seconds since 1970.  ``later(fn)`` calls ``fn`` a moment later, on the loop; it
    may be set after the server was made, which needs the hub first.
    """

    def __init__(self, clock: Callable[[], float], later: Later | None = None) -> None:
        self.clock = clock
        self.later = later
        self.backlog: Backlog | None = None
        """What shares out the time; without one everything is looked at at once."""
        self.known = Sessions()
        """What explains the packets of the sessions."""
        self._sessions: dict[str, _Session] = {}
        self._connections = 0
        self._due = False

    def connection(self, *role: Role) -> Callable[[str, str, str, Any], None]:
        """Return the reporter for the layers of one TCP connection."""
        self._connections += 1
        made = _Connection(self, self._connections)
        return Inside(made if self.backlog is None else self.backlog.hurried(made), *role)

    def session(self, _sid: str) -> Callable[[str, str, str, Any], None]:
        """Return the reporter for the layers of a session: their packets passed a connection."""
        return _unheard

    def add(self, sid: str, connection: int, item: Item) -> None:
        """Keep a message of a session; its page will see it soon."""
        session = self._sessions.get(sid) or self._new(sid)
        session.rows.add(connection, item)
        if session.sockets:
            self._flush_later()
        while sum(each.rows.bytes for each in self._sessions.values()) > ALL_BYTES:
            next(each for each in self._sessions.values() if len(each.rows)).rows.drop()

    def _new(self, sid: str) -> _Session:
        if len(self._sessions) >= SESSIONS:
            unseen = (s for s in self._sessions if not self._sessions[s].sockets)
            del self._sessions[next(unseen, next(iter(self._sessions)))]
        session = self._sessions[sid] = _Session()
        return session

    def subscribe(self, socket: Any) -> None:
        """Show a page its own session's messages, those first that were kept."""
        session = self._sessions.get(socket.conn.id) or self._new(socket.conn.id)
        session.sockets[socket] = 0
        self._flush_later()

    def unsubscribe(self, socket: Any) -> None:
        """A page looks no longer: its session's messages are forgotten."""
        session = self._sessions.get(socket.conn.id)
        if session is None or session.sockets.pop(socket, None) is None:
            return
        if not session.sockets:
            del self._sessions[socket.conn.id]

    def opened(self, socket: Any, number: Any = None) -> dict[str, Any]:
        """Return the tree of a message of the page's own session."""
        session = self._sessions.get(socket.conn.id)
        return {"error": "nothing is kept"} if session is None else session.rows.opened(number)

    def rule(self, _socket: Any, id_: Any = None) -> str:
        """Return a rule as text."""
        return rule_text(id_)

    def _flush_later(self) -> None:
        if self.later is not None and not self._due:
            self._due = True
            self.later(self.flush)

    def flush(self) -> None:
        """Send new rows to the pages that look, unless they have enough to read."""
        self._due = False
        for session in self._sessions.values():
            for socket, last in session.sockets.items():
                if last < session.rows.count and socket.conn.buffered_amount <= UNSENT:
                    session.sockets[socket] = session.rows.count
                    _send(socket, session.rows.since(last))


def _send(socket: Any, rows: list[dict[str, Any]]) -> None:
    for start in range(0, len(rows), BATCH):
        socket.emit("rows", rows[start : start + BATCH])


def _unheard(_layer: str, _direction: str, _what: str, _value: Any) -> None:
    """Hear nothing."""


class _Connection:
    """One TCP connection: finds out whose its messages are.

    Those of an HTTP exchange are held until the next one begins, or a moment after its answer: only
    then is it known whether the exchange carried anything but the stream.
    """

    def __init__(self, hub: TraceHub, number: int) -> None:
        self._hub = hub
        self._number = number
        self._conversation = Conversation(hub.known)
        self._held: list[Item] = []
        self._wanted = False  # whether the exchange is of Engine.IO
        self._sid = ""  # whose it is, once that is known
        self._answered = False
        self._due = False

    def now(self) -> float:
        """Return the time of what passes now."""
        return self._hub.clock()

    def data(self, sender: Role, data: bytes) -> None:
        """Bytes have passed."""
        for _ in self.steps(sender, data, self.now()):
            pass

    def steps(self, sender: Role, data: bytes, now: float) -> Iterator[None]:
        """Take note that bytes have passed, in steps."""
        for item in self._conversation.each(sender, data):
            if item is not None:
                self._take(item, now)
            yield

    def missing(self, sender: Role, size: int) -> None:
        """Take note that bytes have passed which nobody had the time to look at."""
        for item in self._conversation.missing(sender, size, _TOO_FAST):
            self._take(item, self.now())

    def end(self, sender: Role) -> None:
        """One side sends no more."""
        for item in self._conversation.end(sender, ended=True):
            self._take(item, self.now())
        self._settle()

    def _take(self, item: Item, now: float) -> None:
        item.time = now
        if isinstance(item.head, Request):
            self._settle()
            self._wanted, self._sid, self._answered = bool(item.purpose), "", False
        if not self._wanted:
            return
        self._sid = item.session or self._sid
        self._held.append(item)
        del self._held[:-HELD]
        if item.layers[:1] != ("HTTP",):
            self._settle()
        elif item.sender is Role.SERVER:
            self._answered = True
            if not self._due and self._hub.later is not None:
                self._due = True
                self._hub.later(self._settle_later)

    def _settle_later(self) -> None:
        self._due = False
        if self._answered:  # else the next exchange has begun
            self._settle()

    def _settle(self) -> None:
        """Hand what is held to its session, unless it is of the stream or nobody's yet."""
        sid = self._sid
        frames = self._conversation.protocol == "websocket"
        if not sid and frames:
            return  # the answer to the handshake is on its way
        held, self._held = self._held, []
        if frames or not any(_is_own(item) for item in held):
            for item in held:
                if sid and not _is_own(item):
                    self._hub.add(sid, self._number, _without_own(item))


def _is_own(item: Item) -> bool:
    """Say whether a message carries packets of the stream, and nothing else."""
    if "Engine.IO" not in item.layers:
        return False
    packets = _packets(item)
    return bool(packets) and all(_OWN.match(packet.data or b"") for packet in packets)


def _without_own(item: Item) -> Item:
    """Return a message whose packets of the stream are only named: they share a polling body."""
    packets = _packets(item)
    own = [packet for packet in packets if _OWN.match(packet.data or b"")]
    if own:
        for packet in own:
            packet.name, packet.value = "packet of this view", f"{len(packet.data or b'')} bytes"
            packet.fields, packet.data = [], None
        item.packets = [packet for packet in item.packets if packet.namespace != NAMESPACE]
        texts = [packet.value for packet in _packets(item)]
        item.summary = f"{item.summary.partition(': ')[0]}: {'; '.join(texts)}"
    return item


def _packets(item: Item) -> list[Field]:
    return [field for field in walk(item.tree) if field.name == "Engine.IO packet"]
