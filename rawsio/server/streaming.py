"""Content that is made piece by piece, while it is sent: a :class:`Streaming`.

It wraps an iterator of ``bytes``.  ``fetch`` takes pieces out of it until there are enough for one
write, or until that took long enough; it may block, so it is what runs on an executor's thread.
An empty piece says that there is nothing to send now, so a generator that must not block can
``yield b""`` until it has something.
"""

from __future__ import annotations

from rawsio.http.messages import Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any

    from rawsio.http.messages import Request

__all__ = ["Streaming"]

_ENOUGH = 65536
"""Bytes after which a fetch returns: about what a socket takes at once."""

_LONG = 0.01
"""Seconds after which it returns, so that others have their turn."""

_MANY = 64
"""Pieces after which it returns, whatever their size."""


class Streaming:
    """An answer whose content comes from an iterator; ``response`` is its head, without framing.

    ``length`` is how many bytes the application announces, ``None`` if it does not say.
    ``ended`` tells that no more pieces will come, ``idle`` that there is nothing for now, ``sent``
    that the head is on its way.

    >>> from rawsio.http.headers import Headers
    >>> streaming = Streaming(iter([b"a", b"b"]), Response(200, Headers()))
    >>> streaming.fetch(lambda: 0.0)
    >>> streaming.take(), streaming.ended
    ([b'a', b'b'], True)
    """

    __slots__ = ("response", "length", "ended", "idle", "sent", "_iterator", "_pieces")

    def __init__(self, iterator: Iterator[bytes], response: Response | None = None) -> None:
        self.response = response
        self.length: int | None = None
        self.ended = False
        self.idle = False
        self.sent = False
        self._iterator = iterator
        self._pieces: list[bytes] = []

    def fetch(self, clock: Callable[[], float]) -> None:
        """Take pieces out of the iterator; raises what it raises, and ``TypeError``."""
        end, size = clock() + _LONG, 0
        self.idle = False
        for _ in range(_MANY):
            try:
                piece: Any = next(self._iterator)
            except StopIteration:
                self.ended = True
                return
            if not isinstance(piece, (bytes, bytearray, memoryview)):
                raise TypeError(f"the pieces of an answer are bytes, not {type(piece).__name__}")
            if not piece:
                self.idle = True
                return
            self._pieces.append(bytes(piece))
            size += len(piece)
            if size >= _ENOUGH or clock() >= end:
                return

    def take(self) -> list[bytes]:
        """Return the pieces that were fetched since the last time."""
        pieces, self._pieces = self._pieces, []
        return pieces

    def whole(self, request: Request, pieces: list[bytes]) -> tuple[Response, bytes]:
        """Return head and content of an answer that ended with these pieces, its only ones."""
        head, body = self.head(), b"".join(pieces)
        length: int | None = len(body)
        if request.method == "HEAD" and not body:
            # 9110-8.6-head: without the content, only the application knows its length.
            length = self.length
        return self._framed(head, length), body

    def head(self) -> Response:
        """Return the head; ``RuntimeError`` if it is not known yet."""
        if self.response is None:
            raise RuntimeError("there is content before its status")
        return self.response

    def begun(self) -> Response:
        """Return the head of an answer of which more pieces will come: it is sent now."""
        self.sent = True
        return self._framed(self.head(), self.length)

    def _framed(self, head: Response, length: int | None) -> Response:
        if length is None or head.status in (204, 304):
            return head
        fields = head.headers.plus(("Content-Length", str(length)))
        return Response(head.status, fields, head.reason)

    def close(self) -> None:
        """Tell the iterator that nobody wants more; raises what it raises."""
        close = getattr(self._iterator, "close", None)
        if close is not None:
            close()
