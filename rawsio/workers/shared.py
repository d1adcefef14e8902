r"""A broadcast on its way to another worker: the packet as clients get it, and whom it is for.

All workers run the same program, so what one of them has encoded for its clients the others hand to
theirs as it is.  Nobody reads the JSON in it again, unless somebody there asks for the arguments::

    1  flags  length of the targets  length of each message ...  targets  messages ...

Numbers have four bytes, but for the first two and the number of attachments, which is the third.
The targets are none for everybody, or ``[[rooms], [excepted]]``.  The meaning is that of message 3
of Node's cluster adapter (:mod:`rawsio.cluster.envelope`), whose first byte is never 1.
"""

from __future__ import annotations

from struct import Struct
from struct import error as StructError

from rawsio.app.adapter import Targets
from rawsio.cluster.fields import ClusterError, names
from rawsio.errors import RemoteProtocolError
from rawsio.prepared import Prepared
from rawsio.socketio.values import decode_value, encode_plain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.limits import Limits

__all__ = ["SHARED", "SharedForm"]

SHARED = 1
"""The first byte."""

_HEAD = Struct("!BBBxI")
_LENGTH = Struct("!I")
_VOLATILE, _COMPRESS = 1, 2
_MOST_TARGETS = 256
"""How many different targets are remembered: those of a program's rooms come again and again."""


class SharedForm:
    """Broadcasts to bytes and back, for workers with these limits.

    >>> from rawsio.limits import DEFAULT
    >>> from rawsio.socketio.packets import Event
    >>> from rawsio.prepared import prepare
    >>> form = SharedForm(DEFAULT)
    >>> sent = form.encode(prepare(Event("/", ["news", 1])), Targets(frozenset(["a"])))
    >>> packet, targets = form.decode(b"..." + sent, 3)
    >>> packet.payload, packet.event.args, targets.rooms
    ('42["news",1]', ['news', 1], frozenset({'a'}))
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._targets: dict[tuple[int, bytes], Targets] = {}

    def encode(self, prepared: Any, targets: Targets) -> bytes:
        """Return a broadcast as bytes."""
        addressed = b""
        if targets.rooms or targets.excluded:
            parts = [[*targets.rooms], [*targets.excluded]]
            addressed = encode_plain(parts).encode()
        flags = targets.volatile | prepared.compress << 1
        text, *attachments = prepared.messages
        head = _HEAD.pack(SHARED, flags, len(attachments), len(addressed))
        if not attachments:
            return b"".join((head, addressed, text.encode()))
        data = text.encode()
        lengths = [_LENGTH.pack(len(part)) for part in (data, *attachments)]
        return b"".join((head, *lengths, addressed, data, *attachments))

    def decode(self, data: bytes, at: int) -> tuple[Prepared, Targets]:
        """Return the broadcast that begins there; raises ``ClusterError`` if there is none."""
        try:
            _kind, flags, count, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size
            lengths: list[int] = []
            if count:
                for _ in range(count + 1):
                    lengths += _LENGTH.unpack_from(data, at)
                    at += _LENGTH.size
            addressed, at = data[at : at + length], at + length
            targets = self._targets.get((flags, addressed)) or self._read(flags, addressed)
            if not count:
                messages: tuple[str | bytes, ...] = (str(data[at:], "utf-8"),)
            else:
                messages = tuple(_parts(data, at, lengths))
        except (StructError, UnicodeDecodeError, IndexError) as error:
            raise ClusterError(
                f"a broadcast that is cut: {error}", "cluster-message-form"
            ) from None
        packet = Prepared(None, messages, compress=targets.compress, checked=self._limits)
        return packet, targets

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


def _parts(data: bytes, at: int, lengths: list[int]) -> Any:
    """Give the text of a packet and its attachments."""
    if at + sum(lengths) != len(data):
        raise IndexError(f"{len(data) - at} bytes, not {sum(lengths)}")
    for number, length in enumerate(lengths):
        part = data[at : at + length]
        yield part if number else str(part, "utf-8")
        at += length
