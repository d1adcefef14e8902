"""How a client introduced itself: the first request of its session, and its CONNECT.

``socket.handshake`` is a :class:`Handshake`, made on demand of what the session knows of its first
request, whose head is kept as the bytes that came: most programs look at one header, once, and ten
thousand idle connections should not hold ten thousand dictionaries.

Names and meanings are the reference server's, as attributes in place of keys.  Nothing is judged
here: the HTTP layer validated the bytes, and what they claim is the client's word.
"""

from __future__ import annotations

from rawsio.uri import parse_query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Protocol

    from rawsio.http.messages import Request

    class First(Protocol):
        """The first request of a session (:class:`rawsio.http.Request` is one)."""

        @property
        def target(self) -> str:
            """The request target."""
            ...

        @property
        def headers(self) -> Iterable[tuple[str, str]]:
            """The header fields, in their order."""
            ...

    class Begun(Protocol):
        """A session, as far as its beginning goes (``rawsio.server.session_port.Conn``)."""

        def glance(self) -> First:
            """Return its first request, for who looks at it once."""
            ...

        @property
        def request(self) -> Request:
            """The same, to be kept."""
            ...

        @property
        def address(self) -> str:
            """Where it came from."""
            ...

        @property
        def secure(self) -> bool:
            """Whether by TLS."""
            ...

        @property
        def certificate(self) -> dict[str, Any] | None:
            """The certificate that the client has shown, or ``None``."""
            ...

        @property
        def issued(self) -> float:
            """When, in seconds since 1970."""
            ...


__all__ = ["Handshake"]


class Handshake:
    """What a client said when it connected.

    =========== =================================================================
    request     the first request: the object that ``middleware`` and ``allow_request`` got, with
                its ``cookies`` and what they left in its ``data``
    headers     of the first request, names in lower case, repeated ones joined by ``, ``
    query       of the first request, as a dict (the last of equal names counts)
    auth        what the client gave with its CONNECT to this namespace (``{}`` if nothing)
    url         the request target
    address     the other end of the TCP connection
    secure      whether it is encrypted
    certificate the one that the client has shown, if the server asks for one
    xdomain     whether an Origin was named
    issued      when, in seconds since 1970;  ``time`` the same as text
    =========== =================================================================

    >>> from types import SimpleNamespace
    >>> from rawsio.http import Headers, Request
    >>> fields = Headers([("Host", "x"), ("Origin", "http://y")])
    >>> first = Request("GET", "/socket.io/?EIO=4&name=J%C3%B6rg", fields)
    >>> h = Handshake(SimpleNamespace(glance=lambda: first), {"token": 1})
    >>> h.headers["host"], h.query["name"], h.xdomain, h.auth
    ('x', 'Jörg', True, {'token': 1})
    """

    __slots__ = ("auth", "_conn", "_headers", "_query")

    def __init__(self, conn: Begun, auth: Any = None) -> None:
        self.auth: Any = {} if auth is None else auth
        self._conn = conn
        self._headers: dict[str, str] | None = None
        self._query: dict[str, str] | None = None

    @property
    def request(self) -> Request:
        """The first request of the session (:class:`rawsio.http.Request`)."""
        return self._conn.request

    @property
    def certificate(self) -> dict[str, Any] | None:
        """The certificate that the client has shown (mutual TLS), or ``None``; see ``conn``."""
        return self._conn.certificate

    @property
    def headers(self) -> dict[str, str]:
        """The header fields of the first request; names in lower case."""
        if self._headers is None:
            self._headers = _joined(self._conn.glance().headers)
        return self._headers

    @property
    def query(self) -> dict[str, str]:
        """The query of the first request, percent-decoded."""
        if self._query is None:
            self._query = parse_query(self.url.partition("?")[2])
        return self._query

    @property
    def url(self) -> str:
        """The target of the first request."""
        return self._conn.glance().target

    @property
    def address(self) -> str:
        """The address of the other end of the TCP connection."""
        return self._conn.address

    @property
    def secure(self) -> bool:
        """Whether the connection is encrypted."""
        return self._conn.secure

    @property
    def xdomain(self) -> bool:
        """Whether the first request named an Origin."""
        return "origin" in self.headers

    @property
    def issued(self) -> float:
        """When the session was opened, in seconds since 1970."""
        return self._conn.issued

    @property
    def time(self) -> str:
        """The same as text, in ISO 8601, UTC."""
        from datetime import datetime, timezone

        return datetime.fromtimestamp(self._conn.issued, timezone.utc).isoformat()

    def __repr__(self) -> str:
        return f"<Handshake {self.address} {self.url!r}>"


def _joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name.lower(), []).append(value)
    return {name: ", ".join(values) for name, values in fields.items()}
