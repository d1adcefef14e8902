"""The options of a server: which there are, how they are checked, and what is made of them.

Options are looked at here, once, and become a :class:`Config`, of which
:class:`~rawsio.server.core.ServerCore` is made.  An option that nobody knows is refused with the
names that are known.
"""

from __future__ import annotations

from rawsio.app.lifecycle_events import raise_namespace_event
from rawsio.engineio.server.options import EngineOptions
from rawsio.engineio.server.origins import OriginPolicy
from rawsio.errors import meant
from rawsio.extension import check_extensions
from rawsio.layer import check_fields, record
from rawsio.limits import DEFAULT, Limits
from rawsio.prepared import prepare, preparer
from rawsio.runtime import Runtime
from rawsio.websocket.handshake import compression

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor
    from typing import Any, Literal

    from rawsio.app.adapter import Adapter
    from rawsio.app.namespace import Namespace
    from rawsio.app.recovery import ConnectionStateRecovery, Recovery
    from rawsio.engineio.server.options import EngineKeywords
    from rawsio.extension import Extension
    from rawsio.http.messages import Request, Response
    from rawsio.socketio.connection import Parser
    from rawsio.trace import Trace
    from rawsio.websocket.deflate import DeflateOptions

    from .answering import Answering
    from .http_apps import File

    Policy = Literal["pause", "drop-volatile", "disconnect"]

    class ServerKeywords(EngineKeywords, total=False):
        """The fields of :class:`ServerOptions` and of ``EngineOptions``, as keywords."""

        connect_timeout: float
        connection_state_recovery: Recovery | bool | None
        cleanup_empty_child_namespaces: bool
        per_message_deflate: DeflateOptions | bool | None
        backpressure: Policy
        serve_client: bool


__all__ = [
    "Config",
    "ServerHooks",
    "ServerOptions",
    "answering_of",
    "check_named",
    "client_files",
    "configure",
    "default_trace",
    "files_of",
    "make_runtime",
    "tell_of_errors",
]


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
    extensions: tuple[Extension, ...] = ()

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
        kind: Any = self.adapter
        if isinstance(kind, type) and any("__call__" in vars(base) for base in kind.__mro__[:-1]):
            raise TypeError(f"adapter: {kind.__name__} makes adapters: write {kind.__name__}(...)")
        check_extensions(self.extensions)


@record
class Config:
    """What a server is made of: the options that were given, checked, and made to agree."""

    limits: Limits
    own: ServerOptions
    engine: EngineOptions
    hooks: ServerHooks
    deflate: DeflateOptions | None
    recovery: ConnectionStateRecovery | None


def check_named(misplaced: tuple[object, ...]) -> None:
    """Refuse what a server is given without a name: a port, most of all."""
    if misplaced:
        raise TypeError(
            "Server() takes options by name, as in Server(app=folder('public')); a port belongs to"
            f" io.run(port=3000) or io.listen(port=3000): not {misplaced[0]!r}"
        )


def configure(hooks: ServerHooks, limits: Limits | None, options: Mapping[str, Any]) -> Config:
    """Return what the options make; ``options`` are those of both records, by name.

    ``TypeError`` and ``ValueError`` for those that cannot be.
    """
    own, engine = _sorted(options)
    check_fields(own)
    engine.check()
    hooks.check()
    bounds = _bounds(limits, own, engine, options)
    deflate = compression(own.per_message_deflate)
    own_adapter = hooks.adapter is not None
    recovery = _recovery(own.connection_state_recovery, own_adapter=own_adapter)
    return Config(bounds, own, engine, hooks, deflate, recovery)


def make_runtime(config: Config) -> Runtime:
    """Return the runtime of a server: no host has begun on it."""
    parser = config.hooks.parser
    return Runtime(
        config.limits,
        executor=config.hooks.executor,
        recovery=None if config.recovery is None else config.recovery.options,
        encode=prepare if parser is None else preparer(parser),
    )


def default_trace() -> Any:
    """Return the recorder that ``RAWSIO_TRACE`` in the environment asks for, or ``None``."""
    from rawsio.net.environment import setting

    path = setting("RAWSIO_TRACE")
    if path is None:
        return None
    from rawsio.trace import recorder_at

    return recorder_at(path)


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
    for limit, option in _OPTION_OF_LIMIT.items():
        options = own if option in own.__match_args__ else engine
        if option in given:
            bounds = bounds.but(**{limit: getattr(options, option)})
        else:
            setattr(options, option, getattr(bounds, limit))
    engine.check()
    return bounds


def tell_of_errors(engine: EngineOptions, main: Namespace) -> None:
    """Have handlers of ``connection_error`` in the main namespace told, beside the hook."""
    engine.on_connection_error = _telling(main, engine.on_connection_error)


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


def _recovery(option: object, *, own_adapter: bool) -> ConnectionStateRecovery | None:
    if option is None or option is False:
        return None
    from rawsio.app.recovery import ConnectionStateRecovery, Recovery

    if option is not True and not isinstance(option, Recovery):
        raise TypeError(
            f"connection_state_recovery: True, or a Recovery(...), is expected, not {option!r}"
        )
    recovery = Recovery() if option is True else option
    check_fields(recovery)
    if recovery.path is None:
        return ConnectionStateRecovery(recovery)
    from rawsio.net.files import plain_path

    plain_path(recovery.path, "Recovery(path=...): the path of a file")
    if recovery.synchronous not in ("FULL", "NORMAL"):
        raise ValueError(f"synchronous is FULL or NORMAL, not {recovery.synchronous!r}")
    if own_adapter:
        raise ValueError(
            "Recovery(path=...) keeps what the server's own adapter sends: with adapter= leave it"
            " out, as the adapter keeps sessions itself, or does not"
        )
    from rawsio.queue.recovery import DurableRecovery

    return DurableRecovery(recovery)


def answering_of(config: Config, runtime: Runtime) -> Answering | None:
    """Return who answers what is not Socket.IO's, if an application was given."""
    app = config.hooks.app
    if app is None:
        return None
    from .answering import Answering
    from .app_kinds import as_application, name_of

    return Answering(
        as_application(app, config.limits, threads=config.hooks.executor is not None),
        name_of(app),
        start=runtime.start,
        # Not the function itself: it is another one once a host has begun.
        later=lambda seconds, fn: runtime.call_later(seconds, fn),  # noqa: PLW0108
        clock=runtime.now,
        limits=config.limits,
        log=runtime.log,
        runtime=runtime,
    )


def files_of(config: Config) -> Callable[[Request], tuple[Response, bytes] | None] | None:
    """Return what serves the browser client, unless it is not to be served."""
    if not config.own.serve_client:
        return None
    engine = config.engine
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
            try:
                cache.update(client_files(folder))
            except OSError:
                return _left_behind()
        if path not in cache:
            return None
        # A module is loaded with CORS, unlike a script.
        return cache[path].answer(request, policy.headers(request.headers.get("origin")))

    return find


def _left_behind() -> tuple[Response, bytes]:
    """Answer for a program that was packed without the browser client."""
    from rawsio.http.messages import answer

    text = (
        b"rawsio/browser/socket.io.js is not where the modules of rawsio are. Who packed this"
        b" program has to take it along; PyInstaller does with --collect-data rawsio.\n"
    )
    return answer(500, text), text


def client_files(folder: str) -> dict[str, File]:
    """Return the browser client, as it is served: path -> file."""
    from rawsio.browser import CLIENT_NAMES, client

    from .http_apps import File

    kind = "application/javascript; charset=utf-8"
    return {folder + name: File(client(name), kind) for name in CLIENT_NAMES}
