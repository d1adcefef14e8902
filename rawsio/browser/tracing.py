"""The live view of the layers: records what passes for a session, and shows it to that session.

A page cannot see its own frames, so the server of the demo looks for it: every layer of a
connection is wrapped in :class:`rawsio.trace.Traced`, and what the wrappers report becomes a record
that the page receives on the namespace ``/trace``.

The one idea is **ownership**: a record belongs to an Engine.IO session, and is sent to the sockets
of that very session only.  A request says in its target (or, for a handshake, in its answer) which
session it is for; until that is known its records wait.  The stream of records is itself traffic,
so packets of ``/trace``, and polls that carried nothing else, are left out of it.

Everything is bounded: what waits, what one record shows, and what a slow page may have unsent.
What is left out: any use outside the demo.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["TraceHub", "NAMESPACE"]

NAMESPACE = "/trace"

SHOWN = 4096
"""Most bytes of a unit in one record."""
KEPT = 400
"""Most records of a session that wait for its page to ask for them."""
SESSIONS = 200
"""Most sessions whose records are kept."""
UNSENT = 500_000
"""Bytes unsent to a page above which its records are dropped, and counted."""

_SID_IN_TARGET = re.compile(r"[?&]sid=([0-9A-Za-z_-]{1,64})(?:&|\Z)")
_SID_IN_OPEN = re.compile(rb'0\{"sid":"([0-9A-Za-z_-]{1,64})"')
# A packet of the stream itself, at the start of a frame's or a body's payload.
_OWN_PACKET = re.compile(rb"4[0-6]?(?:\d+-)?/trace[,\x1e]")


def _bytes_of(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


class _Session:
    """The records of one session, and who looks at them."""

    __slots__ = ("waiting", "sockets", "count", "dropped")

    def __init__(self) -> None:
        self.waiting: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.sockets: list[Any] = []
        self.count = 0
        self.dropped = 0


class TraceHub:
    """Collects records of all sessions; ``clock`` gives seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._sessions: dict[str, _Session] = {}
        self._muted = False

    def connection(self) -> Callable[[str, str, str, Any], None]:
        """Return the reporter for the layers of one TCP connection."""
        return _Connection(self).report

    def session(self, sid: str) -> Callable[[str, str, str, Any], None]:
        """Return the reporter for the layers of one session."""

        def report(layer: str, direction: str, what: str, value: Any) -> None:
            self.add(sid, self.record(layer, direction, what, value))

        return report

    def record(self, layer: str, direction: str, what: str, value: Any) -> dict[str, Any] | None:
        """Return the record of one unit or event; ``None`` if it is of the stream itself."""
        if self._muted or getattr(value, "namespace", None) == NAMESPACE:
            return None
        value = getattr(value, "messages", value)
        record = {"n": 0, "t": round(self._clock() - self._began, 4), "dir": direction}
        record.update(layer=layer, what=what, text=None, data="", size=0, cut=False, binary=False)
        if what == "event":
            data = getattr(value, "data", None)
            if isinstance(data, (str, bytes)) and _OWN_PACKET.match(_bytes_of(data)[:40]):
                return None
            text = repr(value)
            record.update(text=text[:SHOWN], cut=len(text) > SHOWN)
            return record
        unit = _bytes_of(value)
        if _is_own(layer, unit):
            return None
        shown = b2a_base64(unit[:SHOWN], newline=False).decode("ascii")
        record.update(data=shown, size=len(unit), cut=len(unit) > SHOWN)
        record["binary"] = not isinstance(value, str)
        return record

    def add(self, sid: str, record: dict[str, Any] | None) -> None:
        """Add a record to a session and show it to the session's page."""
        if record is None:
            return
        session = self._sessions.get(sid)
        if session is None:
            if len(self._sessions) >= SESSIONS:
                self._sessions.pop(next(iter(self._sessions)))
            session = self._sessions[sid] = _Session()
        session.count += 1
        record["n"] = session.count
        if session.sockets:
            self._show(session, record)
        else:
            session.waiting.append(record)

    def subscribe(self, socket: Any) -> None:
        """Show a page's own records to it, those that waited first."""
        session = self._sessions.setdefault(socket.conn.id, _Session())
        session.sockets.append(socket)
        waiting, session.waiting = session.waiting, deque(maxlen=KEPT)
        for record in waiting:
            self._show(session, record)

    def unsubscribe(self, socket: Any) -> None:
        """A page looks no longer."""
        session = self._sessions.get(socket.conn.id)
        if session is not None and socket in session.sockets:
            session.sockets.remove(socket)

    def forget(self, sid: str) -> None:
        """The session is over."""
        self._sessions.pop(sid, None)

    def _show(self, session: _Session, record: dict[str, Any]) -> None:
        self._muted = True
        try:
            for socket in session.sockets:
                if socket.conn.buffered_amount > UNSENT:
                    session.dropped += 1
                    continue
                socket.emit("trace", {**record, "dropped": session.dropped})
                session.dropped = 0
        finally:
            self._muted = False


def _is_own(layer: str, unit: bytes) -> bool:
    if layer == "websocket":
        # Frames are looked at behind their header: 2, 4 or 10 bytes, as ours are not masked.
        return any(_OWN_PACKET.match(unit, at) for at in (2, 4, 10))
    if layer == "http":
        body = unit.partition(b"\r\n\r\n")[2]
        packets = body.split(b"\x1e") if body else []
        return bool(packets) and all(_OWN_PACKET.match(p) for p in packets)
    return _OWN_PACKET.match(unit) is not None


class _Connection:
    """The reporter of one TCP connection: finds out whose its records are."""

    def __init__(self, hub: TraceHub) -> None:
        self._hub = hub
        self._sid: str | None = None
        self._pending: list[dict[str, Any]] = []

    def report(self, layer: str, direction: str, what: str, value: Any) -> None:
        """Take what :class:`rawsio.trace.Traced` reports."""
        hub = self._hub
        if layer == "websocket":
            record = hub.record(layer, direction, what, value)
            if self._sid is not None:
                hub.add(self._sid, record)
            elif record is not None:
                self._hold(record)
                self._find_sid_in(value)
            return
        if (direction, what) == ("in", "unit") and len(self._pending) > 40:
            self._pending.clear()
        target = getattr(value, "target", None)
        if what == "event" and isinstance(target, str):
            found = _SID_IN_TARGET.search(target)
            self._sid = found[1] if found else None
        record = hub.record(layer, direction, what, value)
        if record is None:
            # An answer that carried the stream only: its request is of no interest either.
            self._pending.clear()
            return
        self._hold(record)
        if (direction, what) == ("out", "unit"):
            self._find_sid_in(value)
            self._release()

    def _hold(self, record: dict[str, Any]) -> None:
        if len(self._pending) < KEPT:
            self._pending.append(record)

    def _find_sid_in(self, unit: Any) -> None:
        if self._sid is None and isinstance(unit, (bytes, bytearray)):
            found = _SID_IN_OPEN.search(unit)
            if found:
                self._sid = found[1].decode("ascii")
                self._release()

    def _release(self) -> None:
        if self._sid is None:
            return
        for record in self._pending:
            self._hub.add(self._sid, record)
        self._pending = []
