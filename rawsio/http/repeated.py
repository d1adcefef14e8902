r"""The short way of HTTP: a head that was read before is not read again.

A client that stays says the same again: a browser that polls sends the same few hundred bytes with
each poll, and the same again, but for a length, with each post.  What the layers find out about a
head is true of its bytes, whoever sends them next on this connection: that it is right, where its
body ends, whether the client wants to go on.  So a server remembers the last two heads of a
connection and what they came to (``Receiver.known``), and :func:`take_repeated` gives the events of
a request whose bytes begin with one of them.

Answers repeat themselves, too.  Their fields are objects that do not change
(:func:`rawsio.http.messages.answer` makes one for each length), so the bytes that they come to are
kept with them, and :func:`answer_whole` puts them out in front of the date and the body.

Both ways are taken only where nothing else can happen: between two exchanges, with the request in
one piece and nothing behind it (so nobody waits for a 100); for an answer, where the connection
goes on.  They leave at the first doubt, and have then changed nothing: what is cut, pipelined,
chunked, or ends the connection goes through the automata of :mod:`rawsio.http.states`, which remain
the only ones to know what is wrong.  ``tests/http/test_repeated.py`` holds both ways to
the same events, bytes and states.
"""

from __future__ import annotations

from .grammar import CONTENT_LENGTH, REASONS
from .messages import Body, EndOfMessage, Request, Response, encode_head
from .states import DONE, IDLE, WAITING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .receive import Event, Known, Receiver

__all__ = ["answer_whole", "begin_known", "find_known", "request_of", "take_repeated"]

_SHORT = 2048
"""A body of so many bytes is copied behind its head; a longer one is a unit of its own."""

_END = EndOfMessage()


def find_known(server: Receiver, data: bytes) -> Known | None:
    """Return the known head with which a request begins that is whole; ``None`` if it is none.

    ``None`` as well where the connection is not between two exchanges, or something waits.
    """
    if server._theirs is IDLE and not (server._due or server._buffer or server._ended):
        size = len(data)
        for known in server.known:
            # Not a part of the body, nor more than this request.
            if known.size == size and data.startswith(known.head):
                return known
    return None


def begin_known(server: Receiver, known: Known, now: float | None) -> None:
    """Take a request that begins with a known head, and came at this time.

    Nobody waits for what comes next until it is answered.
    """
    if known is not server.known[0]:
        server.known = (known, server.known[0])
    asked = server._asked = known.asked
    server._expected = False
    server._theirs, server._ours = DONE, WAITING
    server._now, server._since = now, None
    server._received = asked.framing
    server._heads.blank = 0


def request_of(known: Known) -> Request:
    """Return the request that a known head is."""
    asked = known.asked
    request = Request(asked.method, known.target, asked.headers, asked.version)
    request._found = known.found
    return request


def take_repeated(server: Receiver, data: bytes) -> list[Event] | None:
    """Take a request that is whole and begins with a known head; ``None`` if it is none."""
    known = find_known(server, data)
    if known is None:
        return None
    begin_known(server, known, server._now)
    server._since = server._now
    request, body = request_of(known), data[len(known.head) :]
    return [request, Body(body), _END] if body else [request, _END]


def answer_whole(server: Receiver, response: Response, body: bytes, date: str) -> bool | None:
    """Answer the request in work, if that is all that there is to do; ``None`` if it is not.

    Tells whether nothing waits behind it: the connection rests until the next request comes.  A
    response without a reason phrase gets that of its status.  Raises ``LocalProtocolError`` for a
    head that may not be written.
    """
    asked = server._asked
    if (
        server._ours is not WAITING
        or server._theirs is not DONE
        or not asked.plain
        or server._ended
        or response.version != "1.1"
    ):
        return None
    kept = response.headers.answered
    if kept is None or kept[0] != response.status or kept[1] != response.reason:
        kept = _keep(response)
        if kept is None:
            return None
    if asked.method == "HEAD":
        body = b""
    elif kept[2] != len(body):
        return None
    line = _dated[1] if _dated[0] == date else _date_line(date)
    if len(body) > _SHORT:
        server._outbox += (kept[3] + line, body)
    else:
        server._outbox.append(kept[3] + line + body)
    server._ours = server._theirs = IDLE
    if server._since is not None:
        server._since = server._now
    if not server._buffer:
        server._due = False
        return True
    server._due = True
    return False


def _keep(response: Response) -> tuple[int, str, int, bytes] | None:
    """Keep with the fields of an answer what its head comes to, and how long its body is."""
    status, headers = response.status, response.headers
    length = _counted(response)
    if length is None:
        return None
    named = Response(status, headers, response.reason or REASONS.get(status, ""))
    kept = headers.answered = (status, response.reason, length, encode_head(named)[:-2])
    return kept


def _counted(response: Response) -> int | None:
    """Return the length of an answer's body, if its head says that and nothing else of framing."""
    status = response.status
    if type(status) is not int or not 200 <= status < 600 or status in (204, 205, 304):
        return None
    fields = response.headers.framing_fields()
    lengths = fields.get("content-length")
    if len(fields) != 1 or lengths is None or len(lengths) != 1:
        return None
    return int(lengths[0]) if CONTENT_LENGTH.fullmatch(lengths[0]) else None


_dated = ("", b"\r\n")


def _date_line(date: str) -> bytes:
    """Return the field line of a date and the empty line, and keep them for this second."""
    global _dated  # noqa: PLW0603 - one cache for the process is the point
    _dated = (date, f"Date: {date}\r\n\r\n".encode("ascii"))
    return _dated[1]
