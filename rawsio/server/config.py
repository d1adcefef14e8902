"""How a server is put together from its options.

The one idea: options are looked at here, once, and become plain parts; nothing that runs later
reads an option.  An option that nobody knows is refused with the names that are known.

What is left out: sockets and the loop, which :mod:`rawsio.server.server`
chooses.
"""

from __future__ import annotations

from rawsio.app.lifecycle_events import raise_namespace_event
from rawsio.app.namespaces import Namespaces
from rawsio.engineio.server.options import EngineOptions
from rawsio.engineio.server.origins import OriginPolicy
from rawsio.engineio.server.registry import SessionRegistry
from rawsio.errors import meant
from rawsio.layer import check_fields, record
from rawsio.limits import DEFAULT, Limits
from rawsio.log import Log
from rawsio.runtime import Runtime
from rawsio.stack import prepare, preparer
from rawsio.websocket.handshake import compression

from .http_apps import File
from .router import Router
from .session_port import BackPressure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor
    from typing import Any, Literal

    from rawsio.app.adapter import Adapter
    from rawsio.app.namespace import Namespace
    from rawsio.app.recovery import Recovery
    from rawsio.engineio.server.options import EngineKeywords
    from rawsio.engineio.server.session import Session
    from rawsio.http.messages import Request, Response
    from rawsio.socketio.connection import Parser
    from rawsio.trace import Trace
    from rawsio.websocket.deflate import DeflateOptions

    from .answering import Answering

    Policy = Literal["pause", "drop-volatile", "disconnect"]

    class ServerKeywords(EngineKeywords, total=False):
        """The fields of :class:`ServerOptions` and of ``EngineOptions``, as keywords."""

        connect_timeout: float
        connection_state_recovery: Recovery | bool | None
        cleanup_empty_child_namespaces: bool
        per_message_deflate: DeflateOptions | bool | None
        backpressure: Policy
        serve_client: bool


__all__ = ["ServerOptions", "ServerHooks", "Parts", "build", "check_named", "client_files"]


@record
class ServerOptions:
    """The options of a server that are not Engine.IO's; keywords of :class:`rawsio.Server`."""

    connect_timeout: float = 45.0
    """Seconds after which a session that has joined no namespace is closed."""
    connection_state_recovery: Recovery | bool | None = None
    """``True``, or a :class:`~rawsio.app.recovery.Recovery`: clients that were cut off go on
    where they were."""
    cleanup_empty_child_namespaces: bool = False
    """Forget a namespace that a pattern or function made, when its last socket leaves."""
    per_message_deflate: DeflateOptions | bool | None = None
    """``True``, or a :class:`~rawsio.websocket.deflate.DeflateOptions`: compress on WebSockets."""
    backpressure: Policy = "pause"
    """What becomes of a client that takes less than it is sent: ``"pause"``, ``"drop-volatile"`` or
    ``"disconnect"``; see :mod:`rawsio.server.session_port`."""
    serve_client: bool = True
    """Serve our browser client at ``<path>/socket.io.js``, ``.min.js`` and ``.esm.min.js``."""


@record
class Parts:
    """What a server is made of."""

    limits: Limits
    host: Runtime
    registry: SessionRegistry
    gateway: Router
    namespaces: Namespaces
    pressure: BackPressure


_NEEDED = {
    "app": ("__call__",),
    "executor": ("submit",),
    "adapter": ("__call__",),
    "parser": ("encode", "decode", "standard"),
    "trace": ("connection", "session"),
}
"""What each plug has to have."""

_WORDS = {
    "app": "a WSGI application or a function of the request",
    "executor": "a concurrent.futures.Executor",
    "adapter": "a subclass of Adapter, or a function that makes one,",
    "parser": "a parser, for instance a MsgpackParser(),",
    "trace": "a rawsio.Recorder(path or function), or what has connection() and session(id),",
}


@record
class ServerHooks:
    """What the user plugs in: objects of their own, rather than values."""

    app: Callable[..., object] | None = None
    executor: Executor | None = None
    adapter: Callable[[Any], Adapter] | None = None
    parser: Parser | None = None
    trace: Trace | None = None

    def check(self) -> None:
        """Raise ``TypeError`` for what cannot do what it is there for."""
        for plug, names in _NEEDED.items():
            value = getattr(self, plug)
            fits = all(hasattr(value, name) for name in names)
            # A class has the methods of its objects, but only what is called may be one.
            if isinstance(value, type) and names != ("__call__",):
                fits = False
            if value is not None and not fits:
                raise TypeError(f"{plug}: {_WORDS[plug]} is expected, not {value!r}")


def check_named(misplaced: tuple[object, ...]) -> None:
    """Refuse what a server is given without a name: a port, most of all."""
    if misplaced:
        raise TypeError(
            "Server() takes options by name, as in Server(app=folder('public')); a port belongs to"
            f" io.run(port=3000) or io.listen(port=3000): not {misplaced[0]!r}"
        )


def build(
    loop: Any,
    touched: Callable[[Session], None],
    gone: Callable[[Session], None],
    on_event: Callable[[Session, Any], None],
    plugs: ServerHooks,
    limits: Limits | None,
    options: Mapping[str, Any],
) -> Parts:
    """Make the parts of a server; ``options`` are those of both records, by name."""
    own, engine = _sorted(options)
    check_fields(own)
    engine.check()
    plugs.check()
    bounds = _bounds(limits, own, engine, options)
    log = Log(loop.time)
    host = Runtime(
        loop,
        bounds,
        log,
        executor=plugs.executor,
        recovery=_recovery(own.connection_state_recovery),
        encode=prepare if plugs.parser is None else preparer(plugs.parser),
    )
    registry = SessionRegistry(engine, bounds, touched=touched, gone=gone, log=log, guests=True)
    gateway = Router(
        registry,
        on_event,
        log,
        _clock(host),
        files=_client(engine) if own.serve_client else None,
        application=_application(plugs, host, bounds),
        deflate=compression(own.per_message_deflate),
        drive=host.drive,
    )
    namespaces = Namespaces(host, plugs.adapter, cleanup_empty=own.cleanup_empty_child_namespaces)
    engine.on_connection_error = _telling(namespaces.main, engine.on_connection_error)
    pressure = BackPressure(host, own.backpressure)
    return Parts(bounds, host, registry, gateway, namespaces, pressure)


_OPTION_OF_LIMIT = {
    "connect_time": "connect_timeout",
    "upgrade_time": "upgrade_timeout",
    "message": "max_http_buffer_size",
    "body": "max_http_buffer_size",
}
"""Limits that are options of the reference as well, by other names."""


def _bounds(
    limits: Limits | None, own: ServerOptions, engine: EngineOptions, given: Mapping[str, Any]
) -> Limits:
    """Make limits and options agree: an option that was given counts, else the limit does."""
    if limits is not None and not isinstance(limits, Limits):
        raise TypeError(f"limits: a Limits(...) is expected, not {limits!r}")
    bounds = DEFAULT if limits is None else limits
    check_fields(bounds)
    for limit, option in _OPTION_OF_LIMIT.items():
        options = own if option in own.__match_args__ else engine
        if option in given:
            bounds = bounds.but(**{limit: getattr(options, option)})
        else:
            setattr(options, option, getattr(bounds, limit))
    engine.check()
    return bounds


def _clock(host: Runtime) -> Callable[[], float]:
    # Not `host.time` itself: it is another function once the host runs on another loop.
    return lambda: host.time()  # noqa: PLW0108


def _telling(main: Namespace, hook: Callable[..., object] | None) -> Callable[..., None]:
    """Return a hook that tells handlers of ``connection_error``, too."""

    def tell(*values: Any) -> None:
        raise_namespace_event(main, "connection_error", *values)
        if hook is not None:
            hook(*values)

    return tell


def _sorted(options: Mapping[str, Any]) -> tuple[ServerOptions, EngineOptions]:
    own, engine = ServerOptions.__match_args__, EngineOptions.__match_args__
    for name in options:
        if name not in own and name not in engine:
            known = ("limits", *ServerHooks.__match_args__, *own, *engine)
            raise TypeError(f"Server() has no option {name!r}{meant(name, known)}")
    return (
        ServerOptions(**{name: options[name] for name in own if name in options}),
        EngineOptions(**{name: options[name] for name in engine if name in options}),
    )


def _recovery(option: object) -> Recovery | None:
    if option is None or option is False:
        return None
    from rawsio.app.recovery import Recovery

    if option is not True and not isinstance(option, Recovery):
        raise TypeError(f"connection_state_recovery is True or a Recovery(...), not {option!r}")
    recovery = Recovery() if option is True else option
    check_fields(recovery)
    return recovery


def _application(plugs: ServerHooks, host: Runtime, limits: Limits) -> Answering | None:
    if plugs.app is None:
        return None
    from .answering import Answering
    from .app_kinds import as_application, name_of

    return Answering(
        as_application(plugs.app, limits, threads=plugs.executor is not None),
        name_of(plugs.app),
        start=host.start,
        later=lambda seconds, fn: host.call_later(seconds, fn),  # noqa: PLW0108 - as in _clock
        clock=_clock(host),
        limits=limits,
        log=host.log,
    )


def _client(engine: EngineOptions) -> Callable[[Request], tuple[Response, bytes] | None]:
    """Return what serves the browser client."""
    folder = engine.path.rstrip("/") + "/"
    policy = OriginPolicy(engine.cors_policy())
    # The file is read when it is first asked for: a server that clients of other kinds use, or
    # one that runs from an archive, never opens it.
    cache: dict[str, File] = {}

    def find(request: Request) -> tuple[Response, bytes] | None:
        target = request.target
        if not target.startswith(folder) and target[:1] == "/":
            return None
        path = request.path
        if not cache and path.startswith(folder + "socket.io."):
            cache.update(client_files(folder))
        if path not in cache:
            return None
        # A module is loaded with CORS, unlike a script.
        return cache[path].answer(request, policy.headers(request.headers.get("origin")))

    return find


def client_files(folder: str) -> dict[str, File]:
    """Return the browser client, as it is served: path -> file."""
    from rawsio.browser import CLIENT_NAMES, client

    kind = "application/javascript; charset=utf-8"
    return {folder + name: File(client(name), kind) for name in CLIENT_NAMES}
