r"""The close frame with which a client leaves, past the layers.

Nearly every client that leaves a WebSocket says so in six or eight bytes: a close frame with no
reason, and no code or one that means nothing but "I go" (RFC 6455 section 7.4.1).  All that the
layers make of it is known: the same frame is the answer, the session is over, and the server
closes the TCP connection.  So :func:`leave` does just that.  The answer is sent at once, and not
at the end of the turn: nobody else has to say anything here, and what is closed needs no flush.

It is offered what the route of the session has not taken (:mod:`rawsio.express`), so nothing is
half read, and the WebSocket is open.  It takes a close frame that came alone, where nothing else
waits to be sent.  What says more, or something wrong, or has bytes behind it, is left to the layers
as it came; so is all that comes by TLS, which has last words of its own.  Who is above the session
hears of the end as ever, whatever is in work there: only the way up is shorter.  The connection is
closed as well if the program is interrupted on that way.

``tests/test_farewell.py`` holds it to the bytes, calls and states of the layers.
"""

from __future__ import annotations

from rawsio.websocket.frames import CLOSE, encode_close, encode_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Protocol

    class Parting(Protocol):
        """The route of a session on a WebSocket of its own (:class:`rawsio.express.Express`)."""

        outbox: list[Any]
        """What waits to be sent over the WebSocket."""
        stream: Any
        """What carries it."""
        layer: Any
        """The WebSocket."""

        def depart(self, link: Any, code: int, /) -> None:
            """The client leaves, with this code: end the session."""


__all__ = ["leave"]

_WHOLE_CLOSE = 0x88
_EMPTY, _CODE = 0x80, 0x82
"""The lengths of the two frames, with the bit that says that a key follows."""
_NO_CODE, _NO_ANSWER = 1005, encode_frame(CLOSE, b"")
_ANSWERS = {code: encode_frame(CLOSE, encode_close(code)) for code in (1000, 1001)}


def leave(route: Parting, data: bytes) -> int:
    """Take the close frame with which a client leaves; return how many bytes were taken."""
    size = len(data)
    if data[0] != _WHOLE_CLOSE:
        return 0
    answer: bytes | None
    if size == 8 and data[1] == _CODE:
        code = (data[6] ^ data[2]) << 8 | data[7] ^ data[3]
        answer = _ANSWERS.get(code)
    elif size == 6 and data[1] == _EMPTY:
        code, answer = _NO_CODE, _NO_ANSWER
    else:
        return 0
    stream = route.stream
    if answer is None or route.outbox or stream.buffered_amount or stream.veil is not None:
        return 0
    link = stream.tag
    route.layer.end()
    try:
        route.depart(link, code)
    finally:
        stream.driver.part(stream, answer)
    return size
