"""The checks that a request passes before it is about packets, in their order.

The order decides which error a wrong request gets, and clients and tests know it by heart:
transport, origin; then, with a session id: session, transport, protocol; without one: method,
WebSocket or not, the application's ``allow_request``, protocol, and for JSONP its index and page.

A check returns what it found or raises :class:`RequestError`, which carries all that the refusal
needs: status, code, message, and the *context*, a few named values that tell the operator what the
short message on the wire does not (hook ``on_connection_error``).
"""

from __future__ import annotations

from rawsio.errors import EngineIOError, Refused, escaped, refusal_in
from rawsio.lazy import Pattern

from .origins import host_name
from .polling import MESSAGES, read_query

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio.http.messages import Request

    from .options import EngineOptions
    from .origins import OriginPolicy
    from .polling import Query
    from .transport import Transport

__all__ = [
    "HookResults",
    "RequestError",
    "HookPending",
    "check_host",
    "check_middleware",
    "check_query",
    "check_origin",
    "check_handshake",
    "check_revision",
    "check_jsonp",
    "no_upgrade",
]


# It becomes part of a program in the client's page: digits, and nothing else.
_INDEX = Pattern("[0-9]{1,10}")
_BROWSER = Pattern("(?:Mozilla|Opera)/.*")
_PAGE = Pattern("([A-Za-z][A-Za-z0-9+.-]*://[^/?#]+)[/?#]?.*")


class RequestError(EngineIOError):
    """A request that is refused: ``status`` and ``message`` go out, ``context`` to the operator."""

    def __init__(
        self,
        code: int,
        rule: str,
        context: dict[str, Any],
        *,
        status: int = 400,
        message: str | None = None,
    ) -> None:
        super().__init__(MESSAGES[code] if message is None else message, rule, code)
        self.status = status
        self.context = context


class HookPending(Exception):
    """A hook gave a coroutine: let it run, tell ``answers`` what came of it, and judge anew."""

    def __init__(self, answers: HookResults, coroutine: Any) -> None:
        super().__init__()
        self.answers = answers
        self.coroutine = coroutine


class HookResults:
    """What the application's hooks have said about one request, in the order of asking.

    >>> answers = HookResults()
    >>> answers.ask(len, "abc")
    3
    """

    __slots__ = ("_given", "_next")

    def __init__(self) -> None:
        self._given: list[tuple[Any, BaseException | None]] = []
        self._next = 0

    def ask(self, hook: Callable[[Any], Any], request: Request) -> Any:
        """Return what a hook says, or has said; raises what it raised, or ``HookPending``."""
        at = self._next
        if at == len(self._given):
            answer = hook(request)
            if hasattr(answer, "cr_code"):
                raise HookPending(self, answer)
            self._given.append((answer, None))
        self._next += 1
        answer, error = self._given[at]
        if error is not None:
            raise error
        return answer

    def took(self, answer: Any, error: BaseException | None) -> None:
        """Take what came of a coroutine; the next judgement begins with the first hook."""
        self._given.append((answer, error))
        self._next = 0


def check_host(options: EngineOptions, request: Request) -> None:
    """Refuse a Host that is not one of ``allowed_hosts``."""
    if options.allowed_hosts is None:
        return
    host = request.host
    if host_name(host) not in {name.lower() for name in options.allowed_hosts}:
        raise RequestError(
            4,
            "engineio-v4-http-host",
            {"message": "HOST_NOT_ALLOWED", "host": host},
            status=403,
            message=f"the host {escaped(host)} is not served here; see the option allowed_hosts",
        )


def check_middleware(options: EngineOptions, request: Request, answers: HookResults) -> None:
    """Call the application's middleware; it refuses by what it returns or raises.

    That is ``(status, message)``, ``False``, or :class:`~rawsio.errors.Refused`.
    """
    for middleware in options.middleware:
        try:
            error = _objection(answers.ask(middleware, request))
        except HookPending:
            raise
        except Refused as refused:
            error = _refusal(403, refused.message)
        except Exception as raised:  # noqa: BLE001 - whatever it raises, the request is refused
            error = _refusal(400, MESSAGES[3])
            error.context["error"] = raised
        if error is not None:
            raise error


def _objection(answer: Any) -> RequestError | None:
    if isinstance(answer, tuple):
        return _refusal(*answer)
    refused = refusal_in(answer, "middleware (which also returns (status, message))")
    return None if refused is None else _refusal(403, refused.message)


def _refusal(status: int, message: str) -> RequestError:
    if not isinstance(status, int) or not 400 <= status <= 599 or not isinstance(message, str):
        raise TypeError(
            f"middleware returns None, or a status from 400 to 599 and a message, not {status!r}"
            f" and {message!r}"
        )
    context = {"name": "MIDDLEWARE_FAILURE"}
    return RequestError(3, "engineio-v4-http-middleware", context, status=status, message=message)


def check_query(
    kinds: dict[str, type[Transport]], request: Request
) -> tuple[Query, type[Transport]]:
    """Return what the request asks for, and of which transport.

    Refuses unknown transports and doubled parameters.
    """
    try:
        query = read_query(request)
    except EngineIOError as error:
        context = {"name": "REPEATED_PARAMETER", "message": error.message}
        raise RequestError(3, error.rule, context) from None
    kind = kinds.get(query.transport or "")
    if kind is None:
        raise RequestError(0, "engineio-v4-http-transport", {"transport": query.transport})
    if query.upgrade and not kind.websocket:
        # The reference answers 101 and closes at once, which no client understands.
        raise RequestError(3, "engineio-v4-http-upgrade", {"name": "TRANSPORT_HANDSHAKE_ERROR"})
    return query, kind


def no_upgrade(request: Request) -> dict[str, Any]:
    """Return the context of a request for a WebSocket that does not ask to become one."""
    message = "the request has no 'Upgrade: websocket': use a WebSocket to open it"
    if "sec-websocket-key" in request.headers:
        message = (
            "the request lost its 'Upgrade: websocket' on the way: a proxy has to pass Upgrade and"
            " Connection on, over HTTP/1.1 (nginx: proxy_http_version, proxy_set_header)"
        )
    return {"name": "TRANSPORT_HANDSHAKE_ERROR", "message": message}


def check_origin(
    policy: OriginPolicy, request: Request, *, secure: bool, script: bool = False
) -> None:
    """Refuse pages from elsewhere; see :mod:`rawsio.engineio.server.origins`.

    With ``script`` the answer will be one, which any page could have run, cookies and all, and
    browsers name no Origin for it: then the page that Referer tells has to be allowed.
    """
    origins = request.headers.get_all("origin")
    if not origins and script:
        origins = _page(request)
    if not origins:
        return
    shown = ", ".join(origins)
    if len(origins) > 1 or not shown.isprintable():
        context = {"name": "INVALID_ORIGIN", "origin": shown}
        raise RequestError(3, "engineio-v4-http-origin-form", context)
    if not policy.allows(origins, request.host, secure=secure):
        raise RequestError(
            4,
            "engineio-v4-http-origin",
            {"message": "ORIGIN_NOT_ALLOWED", "origin": shown},
            status=403,
            message=policy.explain(shown, request.host),
        )


def _page(request: Request) -> list[str]:
    headers = request.headers
    site, referer = headers.get("sec-fetch-site"), headers.get("referer")
    if site == "same-origin":
        return []
    if site is referer is None and not _BROWSER.fullmatch(headers.get("user-agent") or ""):
        return []  # a program, which runs no scripts and has nobody's cookies
    page = _PAGE.fullmatch(referer or "")
    # A page that hides where it is from gets the origin that browsers have for that.
    return ["null" if page is None else page[1]]


def check_handshake(
    options: EngineOptions,
    request: Request,
    query: Query,
    kind: type[Transport],
    answers: HookResults,
) -> int:
    """Check the first request of a session; return the protocol that it speaks."""
    if request.method != "GET":
        raise RequestError(2, "engineio-v4-handshake-method", {"method": request.method})
    if kind.websocket and not query.upgrade:
        raise RequestError(3, "engineio-v4-http-upgrade", no_upgrade(request))
    _check_allowed(options, request, answers)
    revision = check_revision(query.protocol)
    if revision != 4 and not (revision == 3 and options.allow_eio3):
        context = {"protocol": query.protocol}
        if revision == 3:
            context["message"] = "clients of Socket.IO v1 and v2 need the option allow_eio3"
        raise RequestError(5, "engineio-v4-handshake-protocol", context)
    check_jsonp(options, query)
    return revision


def _check_allowed(options: EngineOptions, request: Request, answers: HookResults) -> None:
    if options.allow_request is None:
        return
    context: dict[str, Any] = {}
    try:
        answer = answers.ask(options.allow_request, request)
        refused = Refused(answer) if isinstance(answer, str) else _refused_by_value(answer)
        if refused is None:
            return
        message = refused.message
    except HookPending:
        raise
    except Refused as raised:
        message = raised.message
    except Exception as raised:  # noqa: BLE001 - a check that breaks lets nobody pass
        message, context["error"] = MESSAGES[4], raised
    context["message"] = message
    raise RequestError(4, "engineio-v4-handshake-allowed", context, status=403, message=message)


def _refused_by_value(answer: Any) -> Refused | None:
    return refusal_in(answer, "allow_request (which also returns a message)")


def check_revision(protocol: str | None) -> int:
    """Return 3 or 4, or 0 for anything else.

    The reference takes every other value, and none, for 3; that an upgrade without the parameter
    could then change a session's protocol was a hole (CVE-2026-102599).
    """
    return {"3": 3, "4": 4}.get(protocol or "", 0)


def check_jsonp(options: EngineOptions, query: Query) -> None:
    """Refuse a JSONP index unless protocol 3 is served and it is a short number."""
    if query.jsonp is None:
        return
    if not options.allow_eio3 or _INDEX.fullmatch(query.jsonp) is None:
        raise RequestError(3, "engineio-v3-jsonp-index", {"name": "INVALID_JSONP_INDEX"})
