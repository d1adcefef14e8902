"""The options of an Engine.IO server, by the reference's names in Python's spelling.

Each option is listed once, with its default; times are seconds and sizes bytes.  What bounds a
peer and is no option of the reference is a field of :class:`rawsio.limits.Limits`.

The one idea: plain values.  :meth:`EngineOptions.check` says at set-up what cannot work, so that
no request ever finds it out.  What is left out: ``per_message_deflate``, which belongs to the
WebSocket handshake below, and everything of Socket.IO above.
"""

from __future__ import annotations

from rawsio.layer import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Pairs = list[tuple[str, str]]

__all__ = ["Cookie", "Cors", "EngineOptions", "TRANSPORTS"]

TRANSPORTS = ("polling", "websocket")


@record
class Cookie:
    """A cookie with the session id, set when a polling session begins.

    Load balancers use it to send a session's requests to one server.

    >>> Cookie(secure=True).header("kS9")
    'io=kS9; Path=/; HttpOnly; Secure; SameSite=Lax'
    """

    name: str = "io"
    """Its name."""
    path: str = "/"
    """The paths that it goes to."""
    http_only: bool = True
    """Whether it is hidden from scripts."""
    same_site: str = "Lax"
    """`Strict`, `Lax` or `None`; empty for no word about it."""
    secure: bool = False
    """Whether it goes over TLS only."""
    partitioned: bool = False
    """Whether each page that embeds ours has its own."""
    domain: str = ""
    """Whose subdomains get it, too; empty: our host alone."""
    max_age: int | None = None
    """Seconds that it is kept; ``None``: as long as the browser is open."""

    def header(self, sid: str) -> str:
        """Return the value of ``Set-Cookie``."""
        parts = [f"{self.name}={sid}"]
        parts += [f"Path={self.path}"] if self.path else []
        parts += [f"Domain={self.domain}"] if self.domain else []
        parts += [f"Max-Age={self.max_age}"] if self.max_age is not None else []
        parts += ["HttpOnly"] if self.http_only else []
        parts += ["Secure"] if self.secure else []
        parts += ["Partitioned"] if self.partitioned else []
        parts += [f"SameSite={self.same_site}"] if self.same_site else []
        return "; ".join(parts)


@record
class Cors:
    """Who besides the server's own pages may use it from a browser.

    ``origins`` is ``"*"``, one origin (``"https://app.example"``), several, compiled regular
    expressions that must match as a whole, or a function ``origin -> bool``.  ``allowed_headers``
    of ``None`` allows what the browser asks for.  ``credentials`` lets cookies through, and needs
    exact origins: with ``"*"`` every page on the web could act as its visitor.
    """

    origins: Any = ()
    """``"*"``, one origin, several, expressions that match as a whole, or a function."""
    methods: tuple[str, ...] = ("GET", "POST")
    """Methods that a preflight is told."""
    allowed_headers: tuple[str, ...] | None = None
    """Fields that a request may have; ``None``: those that the browser asks for."""
    exposed_headers: tuple[str, ...] = ()
    """Fields of answers that a script may read."""
    credentials: bool = False
    """Whether cookies go along; needs exact origins."""
    max_age: int | None = None
    """Seconds that a preflight may be remembered."""


@record
class EngineOptions:
    """How a server behaves; hooks run on the loop and must not block.

    >>> EngineOptions(ping_interval=0.3, ping_timeout=0.2, cors="*").check()
    >>> EngineOptions(transports=("carrier-pigeon",)).check()
    Traceback (most recent call last):
    ValueError: transports: 'carrier-pigeon' is none of ('polling', 'websocket')
    """

    path: str = "/socket.io"
    """Where the engine is reached; requests with any other path are not ours."""
    add_trailing_slash: bool = True
    """Whether the path is reached with a slash at its end (and not without)."""
    transports: tuple[str, ...] = TRANSPORTS
    """Which of them are served."""
    allow_upgrades: bool = True
    """``False``: a session stays on the transport that it began with."""
    ping_interval: float = 25.0
    """Seconds from a pong to the next ping."""
    ping_timeout: float = 20.0
    """Seconds that the pong may take."""
    upgrade_timeout: float = 10.0
    """Seconds that the probe of a WebSocket may take."""
    max_http_buffer_size: int = 1_000_000
    """Longest body of a post and longest WebSocket message."""
    http_compression: int | None = 1024
    """Answers to polls from this size on are compressed if the client can; ``None``: none are."""
    cookie: Cookie | str | bool | None = None
    """``True`` and a string (its name) stand for a :class:`Cookie` with its defaults."""
    cors: Cors | Any = None
    """A :class:`Cors`, or only its ``origins``.  ``None``: the server's own origin alone."""
    allowed_hosts: tuple[str, ...] | None = None
    """The values of Host that are answered, port and case aside; ``None``: all of them.

    A page whose name suddenly resolves to this machine (DNS rebinding) is of the same origin, and
    only its Host gives it away.
    """
    allow_request: Callable[[Any], object] | None = None
    """Asked with the first request of a session: ``False``, or a message, refuses it."""
    middleware: tuple[Callable[[Any], Any], ...] = ()
    """Each is called with every request, and lets it pass with ``None`` or refuses it.

    To refuse is to return ``(status, body)`` or to raise.
    """
    on_headers: Callable[[Pairs, Any], None] | None = None
    """Called with the list of header fields of each answer to change, and its request."""
    on_initial_headers: Callable[[Pairs, Any], None] | None = None
    """The same, for the first answer of a session only."""
    on_connection_error: Callable[[Any, int, str, dict[str, Any]], None] | None = None
    """Told of each refused request: ``(request, code, message, context)``."""
    generate_id: Callable[[Any], str] | None = None
    """Makes the session id from the first request; it is a secret, and must not be guessable."""
    initial_packet: str | bytes | None = None
    """A message that follows the open packet at once."""
    allow_eio3: bool = False
    """Whether clients of protocol 3 (Socket.IO v1 and v2) are served."""

    def check(self) -> None:
        """Raise ``ValueError`` or ``TypeError`` for values that cannot work."""
        for name in self.transports:
            if name not in TRANSPORTS:
                raise ValueError(f"transports: {name!r} is none of {TRANSPORTS}")
        for name in ("ping_interval", "ping_timeout", "upgrade_timeout", "max_http_buffer_size"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not above zero")
        if not self.path.startswith("/"):
            raise ValueError(f"path: {self.path!r} does not begin with a slash")
        if isinstance(self.allowed_hosts, str):
            raise TypeError("allowed_hosts: a tuple of names is expected, not one string")
        cors = self.cors_policy()
        if cors is not None and cors.credentials and cors.origins == "*":
            raise ValueError("cors: credentials need exact origins, not '*'")

    def cors_policy(self) -> Cors | None:
        """Return the option ``cors`` in its full form."""
        if self.cors is None or isinstance(self.cors, Cors):
            return self.cors
        return Cors(self.cors)

    def session_cookie(self) -> Cookie | None:
        """Return the option ``cookie`` in its full form."""
        if isinstance(self.cookie, str):
            return Cookie(self.cookie)
        if isinstance(self.cookie, Cookie):
            return self.cookie
        return Cookie() if self.cookie else None

    def full_path(self) -> str:
        """Return the path that requests must have.

        >>> EngineOptions().full_path(), EngineOptions(add_trailing_slash=False).full_path()
        ('/socket.io/', '/socket.io')
        """
        bare = self.path.rstrip("/")
        return bare + "/" if self.add_trailing_slash or not bare else bare
