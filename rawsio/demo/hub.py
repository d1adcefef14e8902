"""The live view of the layers: records what passes for a session, and shows it to that session.

A page cannot see its own frames, so the server of the demo looks for it: every layer of a
connection is wrapped in :class:`rawsio.trace.Traced`, and what the wrappers report becomes a record
that the page receives on the namespace ``/trace``, in events ``trace`` with a list of records::

    {"n": 7, "t": 1.2034, "dir": "in", "layer": "websocket", "what": "unit", "text": None,
     "data": "gYU...", "size": 35, "cut": False, "binary": True}

``n`` counts the session's records, ``t`` is in seconds, ``dir`` as the server sees it, ``data`` the
first bytes of a unit in base64, ``size`` how many it has in all, ``text`` what an event looks like.
``dropped`` counts records left out before this one, ``elided`` bytes of the stream left out of it.

Two ideas.  **Ownership**: a record belongs to an Engine.IO session, and is sent to the sockets of
that very session only.  A request says in its target, or a handshake in its answer, which session
it is for; until that is known its records wait, and an exchange that is no session's is forgotten.
**The stream is not news**: it is traffic itself, so packets of ``/trace``, and polls that carried
nothing else, are left out; and it is sent later, by a timer, never from within a report, where it
would end up between a packet and its attachments.

Everything is bounded: what waits, what one record shows, and what a slow page may have unsent.
What is left out: any use outside the demo.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections import deque

from rawsio.lazy import Pattern

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Later = Callable[[Callable[[], None]], object]

__all__ = ["NAMESPACE", "TraceHub"]

NAMESPACE = "/trace"

SHOWN = 4096
"""Most bytes of a unit, or characters of an event, in one record."""
KEPT = 1000
"""Most records of a session that wait to be sent, or for the page to ask for them."""
KEPT_BYTES = 250_000
"""Most characters that those records show; the oldest make room."""
SESSIONS = 200
"""Most sessions whose records are kept."""
UNSENT = 500_000
"""Bytes unsent to a page above which its records are dropped, and counted."""
BATCH = 100
"""Most records in one event."""

_SID_IN_TARGET = Pattern(r"[?&]sid=([0-9A-Za-z_-]{1,64})(?:&|\Z)")
_SID_IN_OPEN = Pattern(rb'0\{"sid":"([0-9A-Za-z_-]{1,64})"')
# A packet of the stream itself, as a message of Engine.IO and without its type.
_OWN_PACKET = Pattern(rb"4[0-6](?:[0-9]{1,4}-)?/trace(?:,|\Z)")
_OWN_CUT = b"42/trace,"  # what is shown of one that shares a polling body with others
_OWN_MESSAGE = Pattern(rb"[0-6](?:[0-9]{1,4}-)?/trace(?:,|\Z)")


def _bytes_of(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


class _Waiting:
    """Records that wait; the oldest make room for what is too much, and are counted."""

    __slots__ = ("records", "size", "dropped")

    def __init__(self) -> None:
        self.records: deque[dict[str, Any]] = deque()
        self.size = 0
        self.dropped = 0

    def add(self, record: dict[str, Any]) -> None:
        self.records.append(record)
        self.size += _shown(record)
        while len(self.records) > KEPT or self.size > KEPT_BYTES:
            self.size -= _shown(self.records.popleft())
            self.dropped += 1

    def take(self) -> list[dict[str, Any]]:
        records = list(self.records)
        self.records.clear()
        self.size = 0
        return records


def _shown(record: dict[str, Any]) -> int:
    return len(record["data"]) + len(record["text"] or "")


class _Session:
    """The records of one session, and who looks at them."""

    __slots__ = ("waiting", "sockets", "count")

    def __init__(self) -> None:
        self.waiting = _Waiting()
        self.sockets: list[Any] = []
        self.count = 0


class TraceHub:
    """Collects records of all sessions, and sends each session its own.

    ``clock`` gives seconds.  ``later(fn)`` calls ``fn`` a moment later, on the loop; it may be set
    after the server was made, which needs the hub first.
    """

    def __init__(self, clock: Callable[[], float], later: Later | None = None) -> None:
        self._clock = clock
        self._began = clock()
        self._sessions: dict[str, _Session] = {}
        self._due = False
        self.later = later

    def connection(self) -> Callable[[str, str, str, Any], None]:
        """Return the reporter for the layers of one TCP connection."""
        return _Connection(self).report

    def session(self, sid: str) -> Callable[[str, str, str, Any], None]:
        """Return the reporter for the layers of one session."""

        def report(layer: str, direction: str, what: str, value: Any) -> None:
            for record in self.records(layer, direction, what, value):
                self.add(sid, record)

        return report

    def records(self, layer: str, direction: str, what: str, value: Any) -> list[dict[str, Any]]:
        """Return the records of one unit or event: none if it is of the stream itself."""
        prepared = getattr(value, "messages", None)
        if what == "event":
            event = value if prepared is None else value.event
            return [] if _is_own_event(event) else [self._record(layer, direction, event)]
        units: tuple[Any, ...] = (value,)
        if prepared is not None:
            units = prepared if layer == "socketio" else value.packets()
        if layer == "http":
            return self._body_records(direction, bytes(value))
        own = _IS_OWN[layer]
        return [
            self._record(layer, direction, None, unit)
            for unit in units
            if not own(unit[:80].encode() if isinstance(unit, str) else unit)
        ]

    def _body_records(self, direction: str, unit: bytes) -> list[dict[str, Any]]:
        packets = unit.split(b"\x1e")
        shown = b"\x1e".join(_OWN_CUT if _OWN_PACKET.match(p) else p for p in packets)
        if shown.replace(_OWN_CUT, b"").strip(b"\x1e") == b"" and unit:
            return []
        record = self._record("http", direction, None, shown)
        if len(unit) > len(shown):
            record["elided"] = len(unit) - len(shown)
        return [record]

    def _record(self, layer: str, direction: str, event: Any, unit: Any = None) -> dict[str, Any]:
        record: dict[str, Any] = {"n": 0, "t": round(self._clock() - self._began, 4)}
        record.update(dir=direction, layer=layer, what="event", text=None, data="", size=0)
        if unit is None:
            text = repr(event)
            record.update(text=text[:SHOWN], cut=len(text) > SHOWN, binary=False)
            return record
        data = _bytes_of(unit)
        shown = b2a_base64(data[:SHOWN], newline=False).decode("ascii")
        record.update(what="unit", data=shown, size=len(data), cut=len(data) > SHOWN)
        record["binary"] = not isinstance(unit, str)
        return record

    def add(self, sid: str, record: dict[str, Any]) -> None:
        """Add a record to a session; its page will see it soon."""
        session = self._sessions.get(sid) or self._new(sid)
        session.count += 1
        record["n"] = session.count
        session.waiting.add(record)
        if session.sockets:
            self._flush_later()

    def _new(self, sid: str) -> _Session:
        if len(self._sessions) >= SESSIONS:
            unseen = (s for s in self._sessions if not self._sessions[s].sockets)
            del self._sessions[next(unseen, next(iter(self._sessions)))]
        session = self._sessions[sid] = _Session()
        return session

    def subscribe(self, socket: Any) -> None:
        """Show a page its own session's records, those that waited first."""
        session = self._sessions.get(socket.conn.id) or self._new(socket.conn.id)
        session.sockets.append(socket)
        self._flush_later()

    def unsubscribe(self, socket: Any) -> None:
        """A page looks no longer: its session's records are forgotten."""
        session = self._sessions.get(socket.conn.id)
        if session is not None and socket in session.sockets:
            session.sockets.remove(socket)
            if not session.sockets:
                del self._sessions[socket.conn.id]

    def _flush_later(self) -> None:
        if self.later is not None and not self._due:
            self._due = True
            self.later(self.flush)

    def flush(self) -> None:
        """Send what waits to the pages that look."""
        self._due = False
        for session in self._sessions.values():
            if session.sockets and session.waiting.records:
                self._send(session)

    def _send(self, session: _Session) -> None:
        waiting = session.waiting
        records = waiting.take()
        if any(socket.conn.buffered_amount > UNSENT for socket in session.sockets):
            waiting.dropped += len(records)
            return
        records[0]["dropped"], waiting.dropped = waiting.dropped, 0
        for socket in session.sockets:
            for start in range(0, len(records), BATCH):
                socket.emit("trace", records[start : start + BATCH])


def _is_own_event(event: Any) -> bool:
    if getattr(event, "namespace", None) == NAMESPACE:
        return True
    data = getattr(event, "data", None)
    if not isinstance(data, (str, bytes)):
        return False
    head = _bytes_of(data[:80])
    return _OWN_PACKET.match(head) is not None or _OWN_MESSAGE.match(head) is not None


def _is_own_frame(unit: bytes) -> bool:
    # Frames are looked at behind their header: 2, 4 or 10 bytes, as ours are not masked.
    return any(_OWN_PACKET.match(unit, at) for at in (2, 4, 10))


def _is_own_body(body: bytes) -> bool:
    packets = body.split(b"\x1e")
    return all(_OWN_PACKET.match(packet) for packet in packets)


_IS_OWN: dict[str, Callable[[bytes], Any]] = {
    "websocket": _is_own_frame,
    "engineio": _OWN_PACKET.match,
    "socketio": _OWN_MESSAGE.match,
}


class _Connection:
    """The reporter of one TCP connection: finds out whose its records are.

    Records of an HTTP exchange are held until the next one begins, or a moment after its answer
    has ended: only then is it known whether the answer carried anything but the stream.
    """

    def __init__(self, hub: TraceHub) -> None:
        self._hub = hub
        self._sid: str | None = None
        self._held = _Waiting()
        self._answered = False
        self._own = False

    def report(self, layer: str, direction: str, what: str, value: Any) -> None:
        """Take what :class:`rawsio.trace.Traced` reports."""
        if layer == "http":
            self._exchange(direction, what, value)
        elif self._held.records:
            self._settle()
        for record in self._hub.records(layer, direction, what, value):
            self._held.add(record)
        if layer != "http":
            self._find_sid_in(value)
            if self._sid is not None:
                self._settle()

    def _exchange(self, direction: str, what: str, value: Any) -> None:
        if (direction, what) == ("in", "unit"):
            if self._answered:
                self._settle()
                self._sid = None
            return
        if what == "unit":
            return
        target = getattr(value, "target", None)
        body = getattr(value, "data", None)
        if isinstance(target, str):
            found = _SID_IN_TARGET.search(target)
            self._sid = found[1] if found else None
        elif direction == "out" and isinstance(body, (bytes, bytearray)):
            self._own = _is_own_body(bytes(body))
            self._find_sid_in(body)
        elif direction == "out" and hasattr(value, "trailers"):
            self._answered = True
            if self._hub.later is not None:
                self._hub.later(self._settle_if_answered)

    def _find_sid_in(self, unit: Any) -> None:
        if self._sid is None and isinstance(unit, (bytes, bytearray)):
            found = _SID_IN_OPEN.search(unit)
            if found:
                self._sid = found[1].decode("ascii")

    def _settle_if_answered(self) -> None:
        if self._answered:
            self._settle()

    def _settle(self) -> None:
        """Hand the held records to their session, unless they are of the stream or nobody's."""
        held = self._held.take()
        if self._sid is not None and not self._own:
            for record in held:
                self._hub.add(self._sid, record)
        self._answered = self._own = False
