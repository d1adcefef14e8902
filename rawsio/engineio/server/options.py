"""The options of an Engine.IO server, by the reference's names in Python's spelling.

Each option is listed once, with its default; times are seconds and sizes bytes.  What bounds a
peer and is no option of the reference is a field of :class:`rawsio.limits.Limits`.

:meth:`EngineOptions.check` says at set-up what cannot work, so no request ever finds it out.
``per_message_deflate`` belongs to the WebSocket handshake below, options of Socket.IO to the server
above.
"""

from __future__ import annotations

from rawsio.layer import check_fields, is_async, record
from rawsio.lazy import Pattern

from .transport import Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence
    from re import Pattern as Expression
    from typing import Any, Literal, TypedDict

    from rawsio.http.messages import Request

    Pairs = list[tuple[str, str]]
    TransportName = Literal["polling", "websocket"]
    Origin = str | bool | Expression[str] | Callable[[str], object]
    Origins = Origin | Collection[Origin]
    # What a hook returns: see ``EngineOptions.allow_request`` and ``EngineOptions.middleware``.
    Verdict = object | Awaitable[object]

    class EngineKeywords(TypedDict, total=False):
        """The fields of :class:`EngineOptions`, as keywords of a server."""

        path: str
        add_trailing_slash: bool
        transports: Sequence[TransportName | type[Transport]]
        allow_upgrades: bool
        ping_interval: float
        ping_timeout: float
        upgrade_timeout: float
        max_http_buffer_size: int
        http_compression: int | bool | None
        cookie: Cookie | str | bool | None
        cors: Cors | Origins | None
        allowed_hosts: Collection[str] | None
        allow_request: Callable[[Request], Verdict] | None
        middleware: Sequence[Callable[[Request], Verdict]]
        on_headers: Callable[[Pairs, Request], object] | None
        on_initial_headers: Callable[[Pairs, Request], object] | None
        on_connection_error: Callable[[Request, int, str, dict[str, Any]], object] | None
        generate_id: Callable[[Request], str | Awaitable[str]] | None
        initial_packet: str | bytes | None
        allow_eio3: bool


__all__ = ["Cookie", "Cors", "EngineOptions", "TRANSPORTS"]

TRANSPORTS = ("polling", "websocket")


def _is_path(path: str) -> bool:
    # Not by an expression: to compile the first one is a tenth of what a server does to start.
    visible = path.isascii() and path.isprintable() and not set(path) & set(" ?#")
    return visible and path[:1] == "/"


_HOOKS = (
    *("allow_request", "generate_id"),
    *("on_headers", "on_initial_headers", "on_connection_error"),
)

_TOKEN = Pattern("[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_ATTRIBUTE = Pattern("[ -:<-~]*")
# As browsers write it: in lower case, and nothing behind the port.
_ORIGIN = Pattern(r"[a-z][a-z0-9+.-]*://[a-z0-9_.:\[\]-]+")


def _check_origin(origin: object) -> None:
    if is_async(origin):
        raise TypeError("cors: nobody waits for a function of cors, so it cannot be `async def`")
    if isinstance(origin, str):
        if origin not in ("*", "null") and _ORIGIN.fullmatch(origin) is None:
            raise ValueError(
                f"cors: {origin!r} matches no origin: that is scheme://host[:port] in lower case,"
                " without a slash at its end"
            )
    elif not (isinstance(origin, bool) or hasattr(origin, "fullmatch") or callable(origin)):
        raise TypeError(
            "cors: an origin ('https://app.example'), a pattern, a function, or a list of those is"
            f" expected, not {origin!r}"
        )


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

    def check(self) -> None:
        """Raise ``ValueError`` for what no browser would take (RFC 6265 section 4.1.1)."""
        if _TOKEN.fullmatch(self.name) is None:
            raise ValueError(f"cookie: {self.name!r} cannot be its name")
        for name, value in (("path", self.path), ("domain", self.domain)):
            if _ATTRIBUTE.fullmatch(value) is None:
                raise ValueError(f"cookie: {value!r} cannot be its {name}")
        if self.same_site not in ("Strict", "Lax", "None", ""):
            raise ValueError(f"cookie: same_site is Strict, Lax or None, not {self.same_site!r}")
        if not self.secure and (self.same_site == "None" or self.partitioned):
            raise ValueError("cookie: one for other sites, or partitioned, has to be secure")


@record
class Cors:
    """Who besides the server's own pages may use it from a browser.

    ``origins`` is ``"*"``, one origin (``"https://app.example"``), several, compiled regular
    expressions that must match as a whole, or a function ``origin -> bool``.  ``allowed_headers``
    of ``None`` allows what the browser asks for.  ``credentials`` lets cookies through, and needs
    exact origins: with ``"*"`` every page on the web could act as its visitor.
    """

    origins: Origins = ()
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
    transports: Sequence[str | type[Transport]] = TRANSPORTS
    """Which are served: ``"polling"``, ``"websocket"``, and classes of your own, derived from
    :class:`~rawsio.engineio.server.transport.Transport`."""
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
    http_compression: int | bool | None = 1024
    """Answers to polls from this size on are compressed if the client can; ``None``: none are."""
    cookie: Cookie | str | bool | None = None
    """``True`` and a string (its name) stand for a :class:`Cookie` with its defaults."""
    cors: Cors | Origins | None = None
    """A :class:`Cors`, or only its ``origins``.  ``None``: the server's own origin alone."""
    allowed_hosts: Collection[str] | None = None
    """The values of Host that are answered, port and case aside; ``None``: all of them.

    A page whose name suddenly resolves to this machine (DNS rebinding) is of the same origin, and
    only its Host gives it away.
    """
    allow_request: Callable[[Request], Verdict] | None = None
    """Asked with the first request of a session: ``False``, a message or a
    :class:`~rawsio.errors.Refused`, returned or raised, refuses it; ``None`` and ``True`` let it
    pass.  ``request.peer`` has the address and the certificate of who asks.  On asyncio it may be
    ``async def``."""
    middleware: Sequence[Callable[[Request], Verdict]] = ()
    """Each is called with every request, and lets it pass with ``None`` or ``True``.

    It refuses with ``(status, message)``, with ``False`` or a :class:`~rawsio.errors.Refused`
    (403), or by raising.  On asyncio it may be ``async def``.
    """
    on_headers: Callable[[Pairs, Request], object] | None = None
    """Called with the list of header fields of each answer to change, and its request."""
    on_initial_headers: Callable[[Pairs, Request], object] | None = None
    """The same, for the first answer of a session only."""
    on_connection_error: Callable[[Request, int, str, dict[str, Any]], object] | None = None
    """Told of each refused request: ``(request, code, message, context)``."""
    generate_id: Callable[[Request], str | Awaitable[str]] | None = None
    """Makes the session id from the first request; it is a secret, and must not be guessable.
    On asyncio it may be ``async def``."""
    initial_packet: str | bytes | None = None
    """A message that follows the open packet at once."""
    allow_eio3: bool = False
    """Whether clients of protocol 3 (Socket.IO v1 and v2) are served."""

    def check(self) -> None:
        """Raise ``ValueError`` or ``TypeError`` for values that cannot work."""
        check_fields(self, "http_compression")
        self._check_functions()
        self._check_listed()
        for name in ("ping_interval", "ping_timeout", "upgrade_timeout", "max_http_buffer_size"):
            if not 0 < getattr(self, name) < float("inf"):
                shown = repr(getattr(self, name))
                raise ValueError(
                    f"{name}: a number above zero, not endless, is expected, not {shown}"
                )
        if not isinstance(self.max_http_buffer_size, int):
            raise TypeError(f"max_http_buffer_size: {self.max_http_buffer_size!r} is not an int")
        if not isinstance(self.path, str) or not _is_path(self.path):
            raise ValueError(
                "path: a slash and visible characters without ? and # are expected, as in"
                f" '/socket.io', not {self.path!r}"
            )
        self._check_cors()
        cookie, first = self.session_cookie(), self.initial_packet
        if cookie is not None:
            cookie.check()
        if first is not None and not isinstance(first, (str, bytes)):
            raise TypeError(f"initial_packet: {first!r} is neither str nor bytes")
        if isinstance(first, str) and "\x1e" in first:
            raise ValueError("initial_packet: text with U+001E cannot travel by polling")

    def _check_functions(self) -> None:
        for name in _HOOKS:
            hook = getattr(self, name)
            if hook is not None and not callable(hook):
                raise TypeError(f"{name}: a function is expected, not {hook!r}")
            if name[:3] == "on_" and is_async(hook):
                raise TypeError(f"{name}: nobody waits for it, so it cannot be `async def`")
        several = isinstance(self.middleware, (list, tuple))
        if not several or not all(map(callable, self.middleware)):
            raise TypeError(
                f"middleware: a tuple of functions is expected, not {self.middleware!r}"
            )

    def _check_listed(self) -> None:
        for name in ("transports", "allowed_hosts"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, (list, tuple, set, frozenset)):
                raise TypeError(f"{name}: a tuple of names is expected, not {value!r}")
        for listed in self.allowed_hosts or ():
            if not isinstance(listed, str):
                raise TypeError(f"allowed_hosts: a tuple of names is expected, and has {listed!r}")
        self._check_transports()
        size = self.http_compression
        if size is not None and not (isinstance(size, int) and size >= 0):
            raise TypeError(f"http_compression: a size, a bool or None is expected, not {size!r}")

    def _check_transports(self) -> None:
        if not self.transports:
            raise ValueError(f"transports: one at least of {TRANSPORTS} is expected")
        names: dict[str, object] = {}
        for transport in self.transports:
            if isinstance(transport, str):
                name = transport
                if name not in TRANSPORTS:
                    raise ValueError(f"transports: {name!r} is none of {TRANSPORTS}")
            elif isinstance(transport, type) and issubclass(transport, Transport):
                name = transport.name
                if not isinstance(name, str) or _TOKEN.fullmatch(name) is None:
                    raise ValueError(f"transports: {name!r} cannot be the name of {transport!r}")
            else:
                raise TypeError(
                    "transports: a tuple of names and of classes derived from Transport is"
                    f" expected, and has {transport!r}"
                )
            if names.setdefault(name, transport) is not transport:
                raise ValueError(f"transports: two of them have the name {name!r}")

    def kinds(self) -> dict[str, type[Transport]]:
        """Return the transports that are served, by their names."""
        from .transports import BUILT_IN

        listed = (BUILT_IN[t] if isinstance(t, str) else t for t in self.transports)
        return {kind.name: kind for kind in listed}

    def _check_cors(self) -> None:
        cors = self.cors_policy()
        if cors is None:
            return
        for name in ("methods", "allowed_headers", "exposed_headers"):
            if isinstance(getattr(cors, name), str):
                raise TypeError(f"cors: {name} is a tuple of names, not one string")
        origins: Any = cors.origins
        several = isinstance(origins, (list, tuple, set, frozenset))
        for origin in origins if several else (origins,):
            _check_origin(origin)
            if cors.credentials and (origin is True or origin == "*"):
                raise ValueError(f"cors: credentials need exact origins, not {origin!r}")

    def judges(self) -> tuple[Callable[[Request], Verdict], ...]:
        """Return the functions that are asked about a request, and waited for."""
        asked = (self.allow_request, self.generate_id)
        return (*self.middleware, *[hook for hook in asked if hook is not None])

    def hooked(self) -> bool:
        """Tell whether the application sees the first request of a session."""
        told = (self.on_headers, self.on_initial_headers)
        return bool(self.judges()) or any(hook is not None for hook in told)

    def repeatable(self) -> bool:
        """Tell whether equal requests are answered equally: nobody is asked, nothing is drawn."""
        policy = self.cors_policy()
        origins: Any = () if policy is None else policy.origins
        several = isinstance(origins, (list, tuple, set, frozenset))
        asks = any(callable(origin) for origin in (origins if several else (origins,)))
        return not (asks or self.hooked() or self.session_cookie())

    def cors_policy(self) -> Cors | None:
        """Return the option ``cors`` in its full form."""
        if self.cors is None or isinstance(self.cors, Cors):
            return self.cors
        return Cors(self.cors)

    def session_cookie(self) -> Cookie | None:
        """Return the option ``cookie`` in its full form."""
        if isinstance(self.cookie, str):
            return Cookie(self.cookie)
        if self.cookie is None or isinstance(self.cookie, Cookie):
            return self.cookie
        if not isinstance(self.cookie, bool):
            raise TypeError(
                f"cookie: True, a name or a Cookie(...) is expected, not {self.cookie!r}"
            )
        return Cookie() if self.cookie else None

    def compression_size(self) -> int | None:
        """Return the option ``http_compression`` in its full form."""
        if isinstance(self.http_compression, bool):
            return 1024 if self.http_compression else None
        return self.http_compression

    def full_path(self) -> str:
        """Return the path that requests must have.

        >>> EngineOptions().full_path(), EngineOptions(add_trailing_slash=False).full_path()
        ('/socket.io/', '/socket.io')
        """
        bare = self.path.rstrip("/")
        return bare + "/" if self.add_trailing_slash or not bare else bare
