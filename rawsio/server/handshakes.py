r"""The beginnings of WebSockets that are known already: requests that differ in their keys alone.

The programs of one kind all open their sessions with the same head, but for the 24 characters of
``Sec-WebSocket-Key``.  To parse and judge that head is two thirds of what a connection costs.  So a
head that has led to a session is kept here without its key, with everything that was made of it;
a connection that begins with the same bytes, and any key, is not parsed again.

**Nothing is known here that depends on more than the bytes.**  A server with hooks, with a cookie,
or with a function in ``cors`` remembers nothing; neither does it remember a head that agreed on
compression, or that carries a client's own secrets (``Cookie``, ``Authorization``).  What depends
on the moment is asked each time: whether there is a place for one more session.  Where there is
none, the head takes the long way, which knows how to refuse it.
``tests/server/test_handshakes.py`` holds both ways to the same bytes.
"""

from __future__ import annotations

from rawsio.engineio.server.polling import read_query
from rawsio.http.messages import encode_head
from rawsio.lazy import Pattern
from rawsio.stack import Recognised
from rawsio.websocket.handshake import accept_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rawsio.engineio.server.session import Session
    from rawsio.http.messages import Request
    from rawsio.websocket.handshake import Accepted

__all__ = ["Handshake", "Handshakes"]

_FIELD = b"\r\nSec-WebSocket-Key: "
_SIZE = 24
"""How long a key is: 16 bytes in base64."""
_KEY = Pattern(rb"[A-Za-z0-9+/]{22}==")
_SECRETS = (b"\r\ncookie:", b"\r\nauthorization:")

_MANY = 64
"""How many heads are kept; the oldest makes room."""
_LONGEST = 1024
"""Bytes of a head that is kept: one with parameters of its own is longer, and comes once."""


class Handshake:
    """A head that has opened a session, and what was made of it.

    ``query`` is what it asks for, ``revision`` is the protocol; ``secure`` says that it came by
    TLS, which is part of its origin.
    """

    __slots__ = ("query", "revision", "secure", "_head", "_answer", "_line")

    def __init__(self, request: Request, accepted: Accepted, session: Session) -> None:
        self.query = read_query(request)
        self.revision = session.revision
        self.secure = session.secure
        line, block = f"{request.method} {request.target}", request.headers.block
        whole = f"{line} HTTP/1.1\r\n".encode("latin-1") + block + b"\r\n"
        at = whole.index(_FIELD) + len(_FIELD)
        self._head = whole[:at], whole[at + _SIZE :]
        self._line = f"{line}\n".encode("latin-1")
        answer, key = encode_head(accepted.response), whole[at : at + _SIZE].decode("ascii")
        before, _, after = answer.partition(accept_key(key).encode("ascii"))
        self._answer = before, after

    @property
    def without_key(self) -> bytes:
        """The head, without its key."""
        return b"".join(self._head)

    def head(self, key: bytes) -> bytes:
        """Return the head with this key."""
        return key.join(self._head)

    def frozen(self, key: bytes) -> bytes:
        """Return the request with this key, as ``engineio.server.polling.freeze`` does."""
        head = self.head(key)
        return self._line + head[head.index(b"\n") + 1 : -2]

    def answer(self, key: bytes) -> bytes:
        """Return the head of the 101."""
        return accept_key(key.decode("ascii")).encode("ascii").join(self._answer)


class Handshakes:
    """The handshakes of one server that are known; see the module."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[bool, bytes], Handshake] = {}

    def __len__(self) -> int:
        return len(self._known)

    def find(self, data: bytes, *, secure: bool) -> Recognised | None:
        """Return what the first bytes of a connection are, if they are known and complete."""
        at = data.find(_FIELD) + len(_FIELD)
        if at < len(_FIELD):
            return None
        known = self._known.get((secure, data[:at] + data[at + _SIZE :]))
        key = data[at : at + _SIZE]
        if known is None or _KEY.fullmatch(key) is None:
            return None
        return Recognised(known, key)

    def remember(self, request: Request, accepted: Accepted, session: Session) -> None:
        """Keep the head of a request that has opened a session, unless it is none to be kept."""
        block = request.headers.block
        lines = b"\r\n" + block
        lowered, at = lines.lower(), lines.find(_FIELD) + len(_FIELD)
        if (
            accepted.agreement is not None
            or len(block) + len(request.target) > _LONGEST
            or at < len(_FIELD)
            or _KEY.fullmatch(lines[at : at + _SIZE]) is None
            or any(field in lowered for field in _SECRETS)
        ):
            return
        handshake = Handshake(request, accepted, session)
        key = handshake.secure, handshake.without_key
        if key not in self._known and len(self._known) >= _MANY:
            del self._known[next(iter(self._known))]
        self._known[key] = handshake
