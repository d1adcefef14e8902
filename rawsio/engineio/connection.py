"""One end of an Engine.IO session, whatever carries it.

:class:`EngineIOConnection` speaks packets: a ``str`` or ``bytes`` in, a ``str`` or ``bytes`` out.
It knows nothing of polls, frames and upgrades: a session that moves from polling to a WebSocket
stays the same object, and the packets in its outbox go out over whatever transport is current.

It does the heartbeat by itself.  The side that pings (the server; in protocol 3 the client) sends
a ping one ``ping_interval`` after the last pong and expects a pong within ``ping_timeout``.  A
peer that is busy uploading one large message cannot answer in between, so another packet counts
as a sign of life: it extends the wait by one more ``ping_timeout``, once for each ping.  The side
that answers expects a ping within ``ping_interval + ping_timeout``; nothing else counts.

Packet handlers never read the clock.  A pong, or the open packet, sets ``deadline`` to 0.0, and the
next ``tick`` starts the timer.

The probe of a transport is a layer of its own (:mod:`rawsio.engineio.probe`).
"""

from __future__ import annotations

from rawsio.errors import EngineIOError, LocalProtocolError, RemoteProtocolError, escaped
from rawsio.layer import Closed, Closing, Failed, Role
from rawsio.limits import DEFAULT

from .packets import (
    CLOSE,
    MESSAGE,
    NOOP,
    OPEN,
    PING,
    PONG,
    Message,
    Opened,
    decode_base64,
    decode_open,
    encode_base64,
    encode_open,
    open_packet,
)
from .states import CONNECTION, Beat, SessionState

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.limits import Limits

    from .packets import Times

    Packet = str | bytes
    AnyEvent = Opened | Message | Closed | Failed

__all__ = ["EngineIOConnection", "reason_of"]

# Bound here once: looking a member up in its enum costs as much as all the rest of receiving.
_OPEN, _CLOSED = SessionState.OPEN, SessionState.CLOSED
_WAITING = Beat.WAITING

_LATE = 0.01
"""Seconds by which a tick may be late without its being noticed."""

_REASONS = {
    "engineio-v4-heartbeat-timeout": "ping timeout",
    "engineio-v4-packet-known": "parse error",
    "engineio-v4-packet-empty": "parse error",
    "engineio-v4-payload-base64": "parse error",
    "engineio-v4-payload-count": "parse error",
    "engineio-v4-payload-utf8": "parse error",
    "engineio-v3-payload-length": "parse error",
    "engineio-v3-payload-binary": "parse error",
    "engineio-v3-packet-binary": "parse error",
    "engineio-v3-jsonp-body": "parse error",
}


def reason_of(event: Closed | Failed) -> str:
    """Return why a session ended, in the words of the reference implementation.

    >>> reason_of(Failed("engineio", "engineio-v4-packet-empty", 3, "an empty packet"))
    'parse error'
    >>> reason_of(Closed(0, "transport close"))
    'transport close'
    """
    if isinstance(event, Closed):
        return event.reason
    return _REASONS.get(event.rule, "transport error")


def _size_of(packet: Any) -> int:
    return len(packet if isinstance(packet, (str, bytes)) else packet.payload)


class EngineIOConnection:
    """One end of a session: units are packets, events ``Opened Message Closed Failed``.

    ``revision`` is the protocol, 4 or 3.  With ``base64`` binary messages leave as text, for a
    peer that asked for it (the query ``b64=1``).

    >>> server = EngineIOConnection(Role.SERVER)
    >>> server.send(Opened("kS9", (), 25.0, 20.0, 1000000))
    >>> server.send(Message("hello"))
    >>> server.data_to_send()[1]
    '4hello'
    >>> server.receive("4hi"), server.receive("9"), server.receive("4more")
    ([Message(data='hi')], [Failed(layer='engineio', rule='engineio-v4-packet-known', \
code=3, message="there is no packet '9'")], [])
    """

    __slots__ = (
        "role",
        "revision",
        "base64",
        "state",
        "deadline",
        "_legal",
        "_outbox",
        "_counted",
        "_held",
        "_beat",
        "_pings",
        "_interval",
        "_timeout",
        "_held_below",
        "_seen_below",
        "_excused",
        "_rate",
    )

    reading = True

    def __init__(
        self, role: Role, limits: Limits = DEFAULT, *, revision: int = 4, base64: bool = False
    ) -> None:
        self.role = role
        self.revision = revision
        self.base64 = base64
        self.state = SessionState.OPENING
        self.deadline: float | None = None
        self._legal = CONNECTION[role][SessionState.OPENING]
        self._outbox: list[Any] | None = None
        self._counted = self._held = 0
        self._beat = Beat.RESTING
        self._pings = (role is Role.SERVER) is (revision == 4)
        self._interval = 0.0
        self._timeout = 0.0
        self._held_below = self._seen_below = 0
        self._excused = False
        self._rate = limits.body_rate

    @property
    def closing(self) -> Closing:
        """``NOW`` once the session is over."""
        return Closing.NOW if self.state is _CLOSED else Closing.OPEN

    @property
    def pending(self) -> int:
        """How many packets (a prepared one counts as one) wait in the outbox."""
        return 0 if self._outbox is None else len(self._outbox)

    @property
    def waiting(self) -> list[Any] | None:
        """The outbox itself, to look at: a new list after each ``data_to_send``."""
        return self._outbox

    @property
    def buffered(self) -> int:
        """How long the packets in the outbox are together."""
        # Each packet is measured once, so that asking after every packet stays cheap.
        for packet in (self._outbox or ())[self._counted :]:
            self._held += _size_of(packet)
            self._counted += 1
        return self._held

    # Receiving

    def receive(self, packet: Packet) -> list[Any]:
        """Feed one packet."""
        # The fast path: nearly every packet is a text message on an open session.
        if packet.__class__ is str and packet[:1] == "4" and self.state is _OPEN:
            if self._beat is _WAITING:
                self._beat = Beat.HEARD
            return [Message(packet[1:])]
        if self.state is _CLOSED:
            return []
        try:
            return self._receive(packet)
        except RemoteProtocolError as error:
            return self.fail(error)

    def _receive(self, packet: Packet) -> list[Any]:
        if not packet and not (packet.__class__ is bytes and self.revision == 4):
            raise EngineIOError("a packet is empty", "engineio-v4-packet-empty")
        if isinstance(packet, bytes):
            return self._message(self._binary(packet))
        if packet[0] == "b":
            return self._message(self._base64(packet))
        handler = self._HANDLERS.get(packet[0])
        if handler is None:
            raise EngineIOError(f"there is no packet {escaped(packet)}", "engineio-v4-packet-known")
        return handler(self, packet[1:])

    def _binary(self, packet: bytes) -> bytes:
        if self.revision == 4:
            return packet
        if packet[0] != 4:
            raise EngineIOError(
                f"a binary packet should be a message (04), not {packet[0]:02x}",
                "engineio-v3-packet-binary",
            )
        return packet[1:]

    def _base64(self, packet: str) -> bytes:
        if self.revision == 4:
            return decode_base64(packet[1:])
        if packet[1:2] != MESSAGE:
            raise EngineIOError(
                f"a base64 packet should be a message (b4), not {escaped(packet)}",
                "engineio-v3-packet-binary",
            )
        return decode_base64(packet[2:])

    def _message(self, data: str | bytes) -> list[Any]:
        if self.state is not _OPEN:
            raise EngineIOError("a message before the open packet", "engineio-v4-handshake-first")
        self.heard()
        return [Message(data)]

    def _text(self, data: str) -> list[Any]:
        return self._message(data)

    def _open(self, data: str) -> list[Any]:
        if self.role is Role.SERVER or self.state is not SessionState.OPENING:
            raise EngineIOError(
                "a second open packet: the session is open already", "engineio-v4-handshake-first"
            )
        opened = decode_open(data)
        self._start(opened)
        return [opened]

    def _close(self, _data: str) -> list[Any]:
        # The reference's server ignores this on a WebSocket, and finds out by the heartbeat.
        self._end()
        return [Closed(0, "transport close")]

    def _ping(self, _data: str) -> list[Any]:
        if self._pings:
            raise EngineIOError("a ping from the wrong side", "engineio-v4-heartbeat-direction")
        self.put(PONG)
        if self.state is _OPEN:
            self._rewind()
        return []

    def _pong(self, _data: str) -> list[Any]:
        if not self._pings:
            raise EngineIOError("a pong from the wrong side", "engineio-v4-heartbeat-direction")
        # A pong that nobody asked for starts no timer: a flood of them costs nothing.
        if self._beat in (Beat.WAITING, Beat.HEARD, Beat.EXTENDED):
            self._rewind()
        return []

    def _noop(self, _data: str) -> list[Any]:
        self.heard()
        return []

    _HANDLERS: dict[str, Callable[[EngineIOConnection, str], list[Any]]] = {
        OPEN: _open,
        CLOSE: _close,
        PING: _ping,
        PONG: _pong,
        MESSAGE: _text,
        NOOP: _noop,
    }

    def receive_eof(self) -> list[Any]:
        """The transport is gone: ``Closed``, unless the session was over."""
        if self.state is _CLOSED:
            return []
        self._end()
        return [Closed(0, "transport close")]

    def fail(self, error: RemoteProtocolError) -> list[Any]:
        """End the session for a mistake of the peer that its transport saw."""
        if self.state is _CLOSED:
            return []
        self._end()
        self.put(CLOSE)
        return [error.as_event()]

    # Sending

    def send(self, event: Any) -> None:
        """Send an event; raises ``LocalProtocolError`` when it is illegal now."""
        if event.__class__ is Message:
            if self.state is not _OPEN:
                raise LocalProtocolError(
                    f"a message cannot be sent: the session is {self.state.value}"
                )
            self.put(self.encode(event.data))
            return
        after = self._legal.get(event.__class__)
        if after is None:
            raise LocalProtocolError(
                f"{type(event).__name__} cannot be sent: the session is {self.state.value}"
            )
        if after is _OPEN:
            self.put(encode_open(event))
            self._start(event)
        else:
            self.put(CLOSE)
            self._end()

    def send_prepared(self, prepared: Any) -> None:
        """Send what was encoded once for many; legal exactly when a ``Message`` is."""
        if self.state is not _OPEN:
            raise LocalProtocolError(f"a message cannot be sent: the session is {self.state.value}")
        if self.base64:
            for message in prepared.messages:
                self.put(self.encode(message))
        else:
            self.put(prepared)

    def transmit(self, prepared: Any) -> list[Any]:
        """Send a prepared packet, and drain the outbox: for who takes both in one step."""
        if self.state is _OPEN and self._outbox is None and not self.base64:
            return [prepared]
        self.send_prepared(prepared)
        return self.data_to_send()

    def encode(self, data: str | bytes) -> Packet:
        """Return the packet of a message, as this peer takes it."""
        if isinstance(data, str):
            return "4" + data
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"a message is str or bytes, not {type(data).__name__}")
        data = bytes(data)
        if self.base64:
            return ("b" if self.revision == 4 else "b4") + encode_base64(data)
        return data if self.revision == 4 else b"\x04" + data

    def put(self, packet: Any) -> None:
        """Put a packet that is encoded, or prepared, into the outbox of a session that is open."""
        if self._outbox is None:
            self._outbox = [packet]
        else:
            self._outbox.append(packet)

    def data_to_send(self) -> list[Any]:
        """Drain the outbox: packets, and prepared ones in place of theirs."""
        outbox, self._outbox = self._outbox, None
        self._counted = self._held = 0
        return outbox or []

    def take(self, most: int) -> list[Any]:
        """Drain packets of about ``most`` bytes, one at least; the others stay."""
        outbox = self._outbox
        if outbox is None or self.buffered <= most:
            return self.data_to_send()
        size, number = 0, 0
        while size < most and number < len(outbox):
            size += _size_of(outbox[number])
            number += 1
        self._outbox = outbox[number:] or None
        self._counted = self._held = 0
        return outbox[:number]

    def begin(self, sid: str, times: Times, now: float) -> None:
        """Do ``send(Opened(sid, *times))`` and ``tick(now)`` in one step.

        For a server to which nothing has happened, and an id that is known to be one.
        """
        self.state = _OPEN
        self._legal = CONNECTION[self.role][_OPEN]
        _, self._interval, self._timeout, _ = times
        self._beat = Beat.RESTING
        self.deadline = self._next(now)
        self._outbox = [open_packet(sid, times)]

    # Time

    def heard(self) -> None:
        """Take note of a packet that tells no more than that the peer lives."""
        if self._beat is _WAITING:
            self._beat = Beat.HEARD

    def _rewind(self) -> None:
        self._beat = Beat.UNARMED
        self.deadline = 0.0

    def tick(self, now: float) -> list[Any]:
        """Tell the time: sends a ping, starts a timer, or ends in a ``ping timeout``."""
        if self.deadline is None or now < self.deadline:
            return []
        if self._beat is Beat.UNARMED:
            self._beat = Beat.RESTING
            self._seen_below = self._held_below
            self.deadline = self._next(now)
        elif self._beat is Beat.RESTING and self._pings:
            self.put(PING)
            self._beat = Beat.WAITING
            self._seen_below, self._excused = self._held_below, False
            self.deadline = self._due(now) + self._timeout
        elif self._beat is Beat.HEARD:
            self._beat = Beat.EXTENDED
            self.deadline = self._due(now) + self._timeout
        elif self._excused or (
            self._held_below - self._seen_below >= self._rate * self._timeout > 0.0
        ):
            self._seen_below, self._excused = self._held_below, False
            if self._pings:  # the peer, for its part, expects one in time
                self.put(PING)
            self.deadline = self._due(now) + self._timeout
        else:
            what = "pong" if self._pings else "ping"
            return self.fail(
                EngineIOError(f"no {what} came in time", "engineio-v4-heartbeat-timeout")
            )
        return []

    def _due(self, now: float) -> float:
        """Return when this tick should have been, unless that is so long ago that it matters.

        Timers run a millisecond late, which would add up; who was asleep has its full time.
        """
        due = self.deadline
        return now if due is None or now - due > _LATE else due

    def hold(self, size: int) -> None:
        """Say before ``tick`` how much the transport holds of a packet that is not whole yet.

        If that grew by ``limits.body_rate`` a second, the peer lives, and what it owes stands
        behind that packet: a long upload on a slow line is no silence.  It is pinged again.
        """
        self._held_below = size

    def excuse(self) -> None:
        """Say that what the peer owes may stand behind what was not taken from it yet.

        It was held back, or a long message of its was being read: if nothing is there when it is
        due, the peer has one ``ping_timeout`` more, and gets another ping.
        """
        self._excused = True

    def _next(self, now: float) -> float | None:
        if self._pings:
            return now + self._interval
        # A server that announces no times at all (some round them down) is trusted to live.
        wait = self._interval + self._timeout
        return now + wait if wait > 0 else None

    def _start(self, opened: Opened) -> None:
        self.state = SessionState.OPEN
        self._legal = CONNECTION[self.role][SessionState.OPEN]
        self._interval = opened.ping_interval
        self._timeout = opened.ping_timeout
        self._rewind()

    def _end(self) -> None:
        self.state = SessionState.CLOSED
        self._legal = CONNECTION[self.role][SessionState.CLOSED]
        self.deadline = None
