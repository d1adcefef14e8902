"""How a server is put together from its options.

The one idea: options are looked at here, once, and become plain parts; nothing that runs later
reads an option.  An option that nobody knows is refused with the names that are known.

What is left out: sockets and the loop, which :mod:`rawsio.server` chooses.
"""

from __future__ import annotations

from rawsio.application import File, as_application, files
from rawsio.engineio.options import EngineOptions
from rawsio.engineio.server import EngineIOServer
from rawsio.gateway import Gateway
from rawsio.host import ServerHost
from rawsio.layer import record
from rawsio.limits import DEFAULT
from rawsio.log import Log
from rawsio.socketio.registry import Namespaces
from rawsio.stack import Prepared, prepare

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Executor
    from typing import Any

    from rawsio.application import Application
    from rawsio.engineio.session import Session
    from rawsio.limits import Limits
    from rawsio.websocket.deflate import DeflateOptions

__all__ = ["Parts", "build", "client_file"]


@record
class Parts:
    """What a server is made of."""

    limits: Limits
    host: ServerHost
    registry: EngineIOServer
    gateway: Gateway
    namespaces: Namespaces


def build(
    loop: Any,
    touched: Callable[[Session], None],
    on_event: Callable[[Session, Any], None],
    *,
    app: Any = None,
    executor: Executor | None = None,
    limits: Limits | None = None,
    connect_timeout: float = 45.0,
    recovery: Any = None,
    cleanup_empty: bool = False,
    deflate: Any = None,
    parser: Any = None,
    serve_client: bool = True,
    adapter: Any = None,
    options: dict[str, Any],
) -> Parts:
    """Make the parts of a server; the keywords are those of :class:`rawsio.Server`."""
    engine = _engine_options(options)
    size = engine.max_http_buffer_size
    bounds = (DEFAULT if limits is None else limits).but(
        connect_time=connect_timeout, body=size, message=size
    )
    log = Log(loop.time)
    encode = prepare if parser is None else _prepare_with(parser)
    host = ServerHost(
        loop, bounds, log, executor=executor, recovery=_recovery(recovery), encode=encode
    )
    registry = EngineIOServer(engine, bounds, touched=touched)
    gateway = Gateway(
        registry,
        on_event,
        log,
        host_time(host),
        application=_application(app, engine if serve_client else None),
        deflate=_deflate(deflate),
    )
    namespaces = Namespaces(host, adapter, cleanup_empty=cleanup_empty)
    return Parts(bounds, host, registry, gateway, namespaces)


def host_time(host: ServerHost) -> Callable[[], float]:
    """Return a clock that stays right when the host changes its loop."""
    return lambda: host.time()  # noqa: PLW0108 - the attribute is replaced with the loop


def _engine_options(options: dict[str, Any]) -> EngineOptions:
    known = EngineOptions.__match_args__
    for name in options:
        if name not in known:
            names = ", ".join(known)
            raise TypeError(f"Server() has no option {name!r}; those of the engine are: {names}")
    return EngineOptions(**options)


def _recovery(option: Any) -> Any:
    if option is None or option is False:
        return None
    from rawsio.socketio.recovery import Recovery

    return Recovery() if option is True else option


def _deflate(option: Any) -> DeflateOptions | None:
    if option is None or option is False:
        return None
    from rawsio.websocket.deflate import DeflateOptions, available

    if not available():
        return None
    return DeflateOptions() if option is True else option


def _prepare_with(parser: Any) -> Callable[..., Prepared]:
    def encode(event: Any, *, compress: bool = True) -> Prepared:
        return Prepared(event, parser.encode(event), compress=compress)

    return encode


def _application(app: Any, engine: EngineOptions | None) -> Application | None:
    application = None if app is None else as_application(app)
    if engine is None:
        return application
    path = engine.path.rstrip("/") + "/socket.io.js"
    # The file is read when it is first asked for: a server that clients of other kinds use, or
    # one that runs from an archive, never opens it.
    cache: dict[str, File] = {}

    def serve(request: Any, body: bytes) -> Any:
        if request.path == path:
            if path not in cache:
                cache[path] = client_file()
            return cache[path].answer(request)
        return files({}, application)(request, body)

    return serve


def client_file() -> File:
    """Return the browser client, as it is served."""
    from rawsio.browser import read

    return File(read("socket.io.js"), "application/javascript; charset=utf-8")
