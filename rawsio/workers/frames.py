"""Messages on a stream between two workers: a length of four bytes, and so many bytes.

Both ends are ours, so a frame is too long only if something is broken; the connection ends then.
"""

from __future__ import annotations

from rawsio.errors import LocalProtocolError
from rawsio.layer import Closed, Closing, Failed, record
from rawsio.limits import DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rawsio.limits import Limits

    Event = "Frame | Closed | Failed"

__all__ = ["LENGTH", "Frame", "FrameConnection"]

LENGTH = 4
"""How many bytes say how long a frame is."""


@record
class Frame:
    """One message."""

    data: bytes


class FrameConnection:
    """One end of a connection between workers; both are the same.

    >>> one, other = FrameConnection(), FrameConnection()
    >>> one.send(Frame(b"hello"))
    >>> other.receive(b"".join(one.data_to_send()))
    [Frame(data=b'hello')]
    """

    reading = True
    deadline: float | None = None

    def __init__(self, limits: Limits = DEFAULT) -> None:
        self.limits = limits
        self.closing = Closing.OPEN
        self._buffer = bytearray()
        # How long that has to be for the next step: a long frame is not looked at in every read.
        self._wanted = LENGTH
        self.outbox: list[bytes] = []
        """What is to be sent: always the same list, so that a stream may look into it."""
        self._ended = False

    @property
    def buffered(self) -> int:
        """How many bytes have come in that no event holds yet."""
        return len(self._buffer)

    def send(self, event: Frame | Closed | Failed) -> None:
        """Send a frame, or end; raises ``LocalProtocolError`` if that is not possible."""
        if self.closing is not Closing.OPEN:
            raise LocalProtocolError("the connection between the workers has ended")
        if not isinstance(event, Frame):
            self.closing = Closing.NOW
            return
        if len(event.data) > self.limits.worker_message:
            raise LocalProtocolError(
                f"a message of {len(event.data)} bytes is too long for other workers: at most"
                f" {self.limits.worker_message} (Limits.worker_message)"
            )
        self.outbox += (len(event.data).to_bytes(LENGTH, "big"), event.data)

    def data_to_send(self) -> list[bytes]:
        """Drain the outbox."""
        units = self.outbox[:]
        del self.outbox[:]
        return units

    def are_whole(self, data: bytes) -> bool:
        """Tell whether bytes that have come are frames, all of them whole, and none begun before.

        >>> FrameConnection().are_whole(b"\\0\\0\\0\\2ab\\0\\0\\0\\0")
        True
        """
        at, size = 0, len(data)
        if self._buffer or size > self.limits.worker_message or self._ended:
            return False
        while at + LENGTH <= size:
            at += LENGTH + int.from_bytes(data[at : at + LENGTH], "big")
        return at == size

    def receive(self, data: bytes) -> list[Frame | Closed | Failed]:
        """Feed bytes; return the frames that they complete."""
        if self._ended:
            return []
        buffer = self._buffer
        if buffer:
            buffer += data
            if len(buffer) < self._wanted:
                return []
            data = bytes(buffer)
            buffer.clear()
        events: list[Frame | Closed | Failed] = []
        at, size = 0, len(data)
        self._wanted = LENGTH
        while size - at >= LENGTH:
            begin = at + LENGTH
            length = int.from_bytes(data[at:begin], "big")
            if length > self.limits.worker_message:
                events.append(self._fail(length))
                return events
            if size < begin + length:
                self._wanted = LENGTH + length
                break
            at = begin + length
            events.append(Frame(data[begin:at]))
        buffer += data[at:]
        return events

    def _fail(self, length: int) -> Failed:
        self._ended = True
        self._buffer.clear()
        self.closing = Closing.NOW
        most = self.limits.worker_message
        message = f"a message of {length} bytes, where {most} are allowed"
        return Failed("cluster", "cluster-frame-length", 0, message)

    def receive_eof(self) -> list[Frame | Closed | Failed]:
        """The other worker sends no more."""
        if self._ended:
            return []
        self._ended = True
        self._buffer.clear()
        self.closing = Closing.NOW
        return [Closed()]

    def tick(self, _now: float) -> list[Frame | Closed | Failed]:
        """Time means nothing here."""
        return []
