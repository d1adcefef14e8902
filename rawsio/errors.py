"""The tree of errors.

::

    RawsioError
      LocalProtocolError       you asked for something illegal now; nothing changed
      RemoteProtocolError      the peer broke a rule; never leaves a layer: it becomes `Failed`
        HTTPError              code is the status of the answer
        WebSocketError         code is the close code
        EngineIOError          code is the one in the JSON error body
        SocketIOError          code is 0: the connection is closed
        RESPError              code is 0: the connection is closed
      ConnectionClosed         you used something that is over; carries the reason
      Refused                  raised by middleware: this client may not connect

An error of the peer carries its wire code and the id of the rule that it enforces (a row in
``rfc_notes/``), so that the layer's single ``except`` can answer and report without looking at
types.  A class exists only where the handling differs; the rule id tells the rest apart.

Time-outs of your own calls are the built-in ``TimeoutError``; wrong arguments are ``TypeError`` and
``ValueError``.
"""

from __future__ import annotations

import sys

from .layer import Failed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "RawsioError",
    "LocalProtocolError",
    "RemoteProtocolError",
    "HTTPError",
    "WebSocketError",
    "EngineIOError",
    "SocketIOError",
    "RESPError",
    "ConnectionClosed",
    "Refused",
    "escaped",
    "in_words",
    "leaves_the_loop",
    "meant",
    "refusal_in",
    "sendable",
    "welcomed_by",
]


class RawsioError(Exception):
    """The base of every error that rawsio raises."""


class LocalProtocolError(RawsioError):
    """You asked a layer for something that is illegal now; the layer did not change."""


class RemoteProtocolError(RawsioError):
    """The peer broke a rule.

    ``message`` is one sentence: what was expected and what came, wire text escaped (use
    :func:`escaped`).  ``rule`` is the id in ``rfc_notes/``.  ``code`` goes on the wire.
    """

    layer = "?"
    default_code = 0

    def __init__(self, message: str, rule: str, code: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.rule = rule
        self.code = self.default_code if code is None else code

    def as_event(self) -> Failed:
        """Return the terminal event that says the same, with plain fields only.

        >>> WebSocketError("not masked", "6455-5.1-mask").as_event()
        Failed(layer='websocket', rule='6455-5.1-mask', code=1002, message='not masked')
        """
        return Failed(self.layer, self.rule, self.code, self.message)


class HTTPError(RemoteProtocolError):
    """A message that is not HTTP/1.1 as RFC 9110 and RFC 9112 have it; ``code`` is the status."""

    layer = "http"
    default_code = 400


class WebSocketError(RemoteProtocolError):
    """A frame that breaks RFC 6455 or RFC 7692; ``code`` is the close code (section 7.4.1)."""

    layer = "websocket"
    default_code = 1002


class EngineIOError(RemoteProtocolError):
    """A packet or request that breaks Engine.IO; ``code`` is the one of the JSON error body."""

    layer = "engineio"
    default_code = 3


class SocketIOError(RemoteProtocolError):
    """A packet that breaks Socket.IO; the connection is closed ("parse error")."""

    layer = "socketio"


class RESPError(RemoteProtocolError):
    """Bytes that are not RESP, or a reply that nobody asked for; the connection is closed."""

    layer = "redis"


class ConnectionClosed(RawsioError):
    """You used a connection, socket or reply that is over; the text says why it ended."""


class Refused(RawsioError):
    """Raise it in middleware to refuse a client, with a message and optional data for it.

    The client receives CONNECT_ERROR ``{"message": ..., "data": ...}`` (Socket.IO protocol v5).

    Elsewhere it means: in ``socket.use``, the event stops there; in a handler of ``connection``,
    the client is disconnected (it was in already, and its data stays here); in a handler of an
    event, the event is not acknowledged.  The log has one line about it, without a traceback.

    >>> Refused("not authorized", {"retry": False}).data
    {'retry': False}
    """

    namespace: str | None = None
    """Which namespace the server refused, in an error that a client raises."""

    def __init__(self, message: str, data: object = None) -> None:
        if not isinstance(message, str):
            raise TypeError(
                f"Refused: the message is a str, not {message!r} (data is for the rest)"
            )
        super().__init__(message)
        self.message = message
        self.data = data

    def __str__(self) -> str:
        if self.namespace is None:
            return self.message
        return f"the server refused the namespace {self.namespace!r}: {self.message}"


def refusal_in(value: object, hook: str) -> Refused | None:
    """Return the refusal that the returned value of a hook means, or ``None`` for agreement.

    ``None`` and ``True`` agree, ``False`` and a :class:`Refused` refuse.  ``hook`` names it.

    Raises:
        TypeError: it is anything else, which is no judgement; the caller refuses.

    >>> refusal_in(True, "use"), refusal_in(False, "use")
    (None, Refused('Forbidden'))
    >>> refusal_in("no", "a middleware")
    Traceback (most recent call last):
    TypeError: a middleware returned 'no': None and True agree, False and a Refused refuse
    """
    if value is None or value is True:
        return None
    if value is False:
        return Refused("Forbidden")
    if isinstance(value, Refused):
        return value
    shown = escaped(value) if isinstance(value, str) else type(value).__name__
    raise TypeError(f"{hook} returned {shown}: None and True agree, False and a Refused refuse")


def welcomed_by(value: object, hook: str) -> bool:
    """Tell whether the returned value of a hook that names whom it welcomes says yes.

    Only ``True`` does; ``False``, ``None`` and a :class:`Refused` say no.

    Raises:
        TypeError: it is anything else; the caller refuses.

    >>> welcomed_by(True, "a function of cors"), welcomed_by(None, "a function of cors")
    (True, False)
    """
    if value is None or isinstance(value, (bool, Refused)):
        return value is True
    kind = type(value).__name__
    raise TypeError(f"{hook} returned {kind}: it says yes with True, and no with False or None")


def sendable(text: str) -> bool:
    r"""Say whether a text can be sent: it has no lone surrogates.

    >>> sendable("caf\u00e9"), sendable("caf\udce9")
    (True, False)
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def meant(name: object, known: Iterable[str]) -> str:
    """Return the end of a message about a name that there is not: what was meant, and all others.

    >>> meant("conection", ["connection", "drain"])
    ' (did you mean connection?); there are: connection, drain'
    """
    from difflib import get_close_matches

    listed = list(known)
    near = get_close_matches(str(name).lower(), listed, 1)
    hint = f" (did you mean {near[0]}?)" if near else ""
    return f"{hint}; there are: {', '.join(listed)}"


def escaped(wire: bytes | str, limit: int = 40) -> str:
    r"""Return wire text for a message or a log: quoted, control characters escaped, cut short.

    >>> escaped(b"GET /\x1b[2J")
    "'GET /\\x1b[2J'"
    >>> escaped("x" * 50, limit=3)
    "'xxx'... (50 in all)"
    """
    text = wire if isinstance(wire, str) else str(wire, "latin-1")
    shown = ascii(text[:limit])
    return shown if len(text) <= limit else f"{shown}... ({len(text)} in all)"


def in_words(error: BaseException, ask: Callable[[BaseException], str] = repr) -> str:
    """Return an exception as ``repr`` or ``str`` has it, whatever its class does when it is asked.

    >>> class Broken(Exception):
    ...     def __repr__(self):
    ...         raise RuntimeError
    >>> in_words(ValueError("no")), in_words(Broken())
    ("ValueError('no')", 'Broken(), whose repr() fails')
    """
    try:
        return ask(error)
    except Exception:  # noqa: BLE001 - a function of the user's
        return f"{type(error).__name__}(), whose {ask.__name__}() fails"


def leaves_the_loop(error: BaseException) -> bool:
    """Return whether an exception of a user's function is for whoever runs the loop.

    ``SystemExit``, ``KeyboardInterrupt`` and their like are.  An ``Exception`` is an error of that
    function alone, and so are ``GeneratorExit`` and asyncio's ``CancelledError``, which mean
    nothing outside a generator or a task.

    >>> [leaves_the_loop(kind()) for kind in (SystemExit, ValueError, GeneratorExit)]
    [True, False, False]
    """
    if isinstance(error, (Exception, GeneratorExit)):
        return False
    asyncio = sys.modules.get("asyncio")
    return asyncio is None or not isinstance(error, asyncio.CancelledError)
