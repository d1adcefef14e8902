r"""Broadcasts on their way to another worker: as WebSocket frames, and whom they are for.

All workers run the same program, so the bytes that one of them has made for its clients are what
the others send to theirs.  Nobody there reads them, but for clients that need another form, or a
listener that wants the arguments.  What is said in a turn to the same clients is a :class:`Run`,
one message, and the other worker hands its bytes to each of them as one piece::

    1  flags  length of the targets, 4 bytes  targets  frames ...

The targets are none for everybody, or ``[[rooms], [excepted]]``.  Each packet is a text frame, with
a binary frame for each of its attachments behind it.  The meaning of each is that of message 3 of
Node's cluster adapter (:mod:`rawsio.cluster.envelope`), whose first byte is never 1.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError

from rawsio.app.adapter import Targets
from rawsio.cluster.fields import ClusterError, names
from rawsio.errors import LocalProtocolError, RemoteProtocolError, WebSocketError
from rawsio.prepared import Prepared, messages_in
from rawsio.socketio.values import decode_value, encode_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from rawsio.limits import Limits

__all__ = ["SHARED", "Joined", "Run", "SharedForm"]

SHARED = 1
"""The first byte."""

_HEAD = Struct("!BBI")
_VOLATILE, _COMPRESS = 1, 2
_MOST_TARGETS = 256
"""How many different targets are remembered: those of a program's rooms come again and again."""
_LONG = 65536
"""A run is not made longer than this: what is long leaves in pieces."""


class Joined:
    r"""Packets that another worker has encoded: together for a lane, or one by one.

    >>> from rawsio.limits import DEFAULT
    >>> joined = Joined(b'\x81\x0742["a"]\x81\x0742["b"]', DEFAULT)
    >>> [packet.event.args for packet in joined]
    [['a'], ['b']]
    """

    __slots__ = ("frame", "_compress", "_limits", "_packets")

    def __init__(self, frame: bytes, limits: Limits, *, compress: bool = True) -> None:
        self.frame = frame
        """All of them, as unmasked WebSocket frames."""
        self._limits = limits
        self._compress = compress
        self._packets: list[Prepared] | None = None

    def __iter__(self) -> Iterator[Prepared]:
        """Give the packets; raises ``ClusterError`` if there is something else."""
        if self._packets is None:
            try:
                self._packets = [
                    Prepared(None, messages, compress=self._compress, checked=self._limits)
                    for messages in messages_in(self.frame)
                ]
            except (WebSocketError, ValueError) as error:
                raise _cut(error) from None
        return iter(self._packets)


def _cut(why: object) -> ClusterError:
    return ClusterError(f"a broadcast that is cut: {why}", "cluster-message-form")


class Run:
    """Broadcasts of one namespace, one after the other, that are for the same clients."""

    __slots__ = ("bus", "targets", "compress", "frames", "room", "_head")

    def __init__(self, bus: Any, targets: Targets, limits: Limits, *, compress: bool) -> None:
        addressed = b""
        if targets.rooms or targets.excluded:
            parts = [[*targets.rooms], [*targets.excluded]]
            addressed = encode_plain(parts).encode()
        flags = targets.volatile | compress << 1
        self.bus = bus
        self.targets = targets
        self.compress = compress
        self.frames: list[bytes] = []
        self._head = _HEAD.pack(SHARED, flags, len(addressed)) + addressed
        self.room = limits.worker_message - len(self._head)
        """How many bytes it may have yet."""

    def begin(self, frame: bytes) -> None:
        """Put the first broadcast in; raises ``LocalProtocolError`` if it is too long."""
        if len(frame) > self.room:
            raise LocalProtocolError(
                f"a message of {len(frame)} bytes is too long for other workers: {self.room} are"
                " left for it (Limits.worker_message)"
            )
        self.frames.append(frame)
        self.room = min(self.room, _LONG) - len(frame)

    def add(self, bus: Any, frame: bytes, targets: Targets, *, compress: bool) -> bool:
        """Put a broadcast in if it belongs here; return whether it did."""
        room = self.room - len(frame)
        if (
            bus is not self.bus
            or room < 0
            or compress is not self.compress
            or (targets is not self.targets and targets != self.targets)
        ):
            return False
        self.frames.append(frame)
        self.room = room
        return True

    def encode(self) -> bytes:
        """Return it as bytes."""
        return b"".join((self._head, *self.frames))


class SharedForm:
    """What a worker with these limits reads of the runs of others.

    >>> from rawsio.limits import DEFAULT
    >>> from rawsio.socketio.packets import Event
    >>> from rawsio.prepared import prepare
    >>> to = Targets(frozenset(["a"]))
    >>> run = Run(None, to, DEFAULT, compress=True)
    >>> run.begin(prepare(Event("/", ["news", 1])).frame)
    >>> run.add(None, prepare(Event("/", ["news", 2])).frame, to, compress=True)
    True
    >>> joined, targets = SharedForm(DEFAULT).decode(b"..." + run.encode(), 3)
    >>> [packet.payload for packet in joined], targets.rooms
    (['42["news",1]', '42["news",2]'], frozenset({'a'}))
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._targets: dict[tuple[int, bytes], Targets] = {}

    def decode(self, data: bytes, at: int) -> tuple[Joined, Targets]:
        """Return the run that begins there; raises ``ClusterError`` if there is none."""
        try:
            _kind, flags, length = _HEAD.unpack_from(data, at)
        except StructError as error:
            raise _cut(error) from None
        at += _HEAD.size
        end = at + length
        if end >= len(data):
            raise _cut(f"{len(data) - at} bytes, and {length} of them for the targets")
        addressed = data[at:end]
        targets = self._targets.get((flags, addressed)) or self._read(flags, addressed)
        return Joined(data[end:], self._limits, compress=targets.compress), targets

    def _read(self, flags: int, addressed: bytes) -> Targets:
        rooms: frozenset[str] = frozenset()
        excluded = rooms
        if addressed:
            try:
                text = str(addressed, "utf-8")
                parts = decode_value(text, 0, self._limits)
                rooms, excluded = (frozenset(names(part)) for part in parts)
            except (RemoteProtocolError, TypeError, ValueError) as error:
                raise ClusterError(f"targets: {error}", "cluster-message-fields") from None
        targets = Targets(
            rooms,
            excluded,
            volatile=bool(flags & _VOLATILE),
            compress=bool(flags & _COMPRESS),
        )
        if len(self._targets) >= _MOST_TARGETS:
            self._targets.clear()
        if len(addressed) <= _MOST_TARGETS:
            self._targets[flags, addressed] = targets
        return targets
