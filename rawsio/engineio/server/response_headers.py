"""What goes with every answer to a request, and what becomes of a request that is refused.

An answer carries the CORS fields, the first one of a session its cookie, too, and the application
may change them by its hooks.  A refused request is answered with its code; the operator finds one
line in the log, and the hook ``on_connection_error`` is told.

What the hook ``on_connection_error`` raises is logged and changes nothing; what the hooks for
header fields raise, or write that may not stand in a head, goes up before anything has happened,
and whoever owns the link answers 500.
"""

from __future__ import annotations

from rawsio.errors import escaped
from rawsio.http.headers import Headers
from rawsio.log import DEBUG, ERROR, WARNING

from .origins import OriginPolicy
from .polling import error_answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.http.messages import Request

    from .checks import RequestError
    from .links import Link
    from .options import EngineOptions

    Pairs = list[tuple[str, str]]

__all__ = ["Replies"]


class Replies:
    """The fields of answers and the refusals of one server; see the module.

    ``log`` is called as a :class:`rawsio.log.Log`.
    """

    __slots__ = ("options", "policy", "_log")

    def __init__(self, options: EngineOptions, log: Callable[..., object]) -> None:
        self.options = options
        self.policy = OriginPolicy(options.cors_policy())
        self._log = log

    def fields(self, request: Request, new: str | None = None) -> Pairs:
        """Return the fields of an answer; ``new`` is the id of a session that begins with it.

        Raises what the hooks raise, and ``LocalProtocolError`` for fields that may not be written.
        """
        options = self.options
        fields = self.policy.headers(request.headers.get("origin"))
        if new is not None:
            cookie = options.session_cookie()
            fields += [("Set-Cookie", cookie.header(new))] if cookie is not None else []
            self._ask(options.on_initial_headers, fields, request)
        self._ask(options.on_headers, fields, request)
        return fields

    def _ask(
        self, hook: Callable[[Pairs, Request], object] | None, fields: Pairs, request: Request
    ) -> None:
        if hook is not None:
            hook(fields, request)
            Headers(fields).block  # noqa: B018 - raises for what may not be written

    def preflight(self, request: Request) -> Pairs:
        """Return the fields that answer a preflight request."""
        requested = request.headers.get("access-control-request-headers")
        return self.fields(request) + self.policy.preflight(requested)

    def report(self, request: Request, error: RequestError) -> None:
        """Tell the application of a request that was refused, or that ended its session."""
        hook = self.options.on_connection_error
        if hook is None:
            return
        try:
            hook(request, error.code, error.message, error.context)
        except Exception as raised:  # noqa: BLE001 - it is the user's
            self._log("handler", ERROR, "on_connection_error failed", raised)

    def refuse(
        self, link: Link, request: Request, error: RequestError, more: Pairs | None = None
    ) -> None:
        """Answer a request with an error, and tell the operator; ``more`` are further fields."""
        # A client whose session is over asks for it once more: everyday life.
        level = DEBUG if error.code == 1 else WARNING
        cause: Any = error.context.get("error")
        self._log("engineio", level, f"{link.address}: {_told(request, error)}", cause)
        self.report(request, error)
        fields = self.fields(request) + (more or [])
        link.respond(*error_answer(error.status, error.code, error.message, fields))


def _told(request: Request, error: RequestError) -> str:
    # Not the id: one that has just ended somewhere else may still be somebody's secret.
    context = ", ".join(
        f"{name} {escaped(str(value), 200)}"
        for name, value in error.context.items()
        if name not in ("sid", "error")
    )
    cause = error.context.get("error")
    message = f"a {escaped(request.method)} was refused: {error.message}"
    if cause is not None:
        message += f", because a hook failed: {cause!r}"
    return f"{message}{f' ({context})' if context else ''} [{error.rule}]"
