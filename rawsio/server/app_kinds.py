"""What a user may give as ``app``, told apart by its signature.

One that has to be given two arguments is a WSGI application (PEP 3333), one that can be called
with one is a function of the request.  So ``Server(app=flask_app)`` and ``Server(app=hello)`` both
mean what they say, and what is neither is refused when the server is made.  Signatures are read
with ``inspect``, which sees through ``functools.wraps``, partials, methods and objects that can be
called.
"""

from __future__ import annotations

from rawsio.limits import DEFAULT

from .http_apps import NOBODY, function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.limits import Limits

    from .http_apps import Application

__all__ = ["as_application", "name_of", "takes_environ"]


def as_application(app: Any, limits: Limits = DEFAULT, *, threads: bool = False) -> Application:
    """Return the application that a user gave; ``threads``: it is called from several.

    Raises ``TypeError`` for what can be called with neither one argument nor two.
    """
    if not takes_environ(app):
        return function(app)
    from .wsgi import wsgi

    most = limits.written
    return lambda request, body, peer=NOBODY, /: wsgi(
        app, request, body, peer, most=most, threads=threads
    )


def name_of(app: Any) -> str:
    """Return what an application is called in the log.

    >>> name_of(len), name_of(DEFAULT)
    ('len', 'Limits')
    """
    return str(getattr(app, "__qualname__", None) or type(app).__qualname__)


_EXPECTED = "app: a WSGI application (environ, start_response) or a function (request) is expected"


def takes_environ(app: Any) -> bool:
    """Return whether it has to be given two arguments: WSGI; ``False``: it can be given one.

    Raises ``TypeError`` for what can be given neither, or cannot be told.

    >>> takes_environ(lambda environ, start_response: []), takes_environ(lambda request: "hi")
    (True, False)
    >>> takes_environ(lambda scope, receive, send: None)
    Traceback (most recent call last):
    TypeError: app: a WSGI application (environ, start_response) or a function (request) is \
expected, not an ASGI application
    """
    import inspect

    try:
        parameters = list(inspect.signature(app).parameters.values())
    except Exception:  # noqa: BLE001 - a signature may be a property that fails
        raise TypeError(
            f"{_EXPECTED}; {app!r} does not tell what it takes: wrap it in a function"
        ) from None
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(p.default is p.empty for p in places)
    if needed == 3:
        raise TypeError(f"{_EXPECTED}, not an ASGI application")
    if _is_async(inspect, app):
        raise TypeError(f"{_EXPECTED}; `async def` functions answer events, not requests")
    if any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters) or needed > 3:
        raise TypeError(f"{_EXPECTED}; {app!r} needs more than that")
    if needed == 2:
        return True
    if isinstance(app, type):
        raise TypeError(f"{_EXPECTED}; {app!r} is a class: make an object of it")
    if [p.name for p in places[1:2]] == ["start_response"]:
        return True
    if not places:
        anything = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        advice = (
            "takes anything: use functools.wraps where it is made, or say what it is by"
            " `lambda request: ...` or `lambda environ, start_response: ...`"
        )
        raise TypeError(f"{_EXPECTED}; {app!r} {advice if anything else 'takes nothing'}")
    return False


def _is_async(inspect: Any, app: Any) -> bool:
    app = inspect.unwrap(app)
    while hasattr(app, "func"):  # a partial
        app = inspect.unwrap(app.func)
    return any(
        inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn)
        for fn in (app, type(app).__call__)
    )
