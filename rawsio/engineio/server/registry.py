"""The registry of sessions: which session a request or packet belongs to, and what it gets.

Below the registry are TCP connections, above it sessions, and several connections may serve one
session in turn.  The registry sees a connection as a *link* (:mod:`rawsio.engineio.server.links`),
tells the connection's owner by a verdict what to do with each request, and gives the requests of a
session to its transport.  It is the owner of all sessions, and tells its own owner of each that
begins, has something to flush, or ends.

It does no IO and reads no clock.  Session ids are made here of 144 random bits and only ever looked
up in a dict: they are as good as a password.  What follows a request (its body, the WebSocket after
the verdict ``UPGRADE``) goes to the *user* of the link, which the registry assigns.
"""

from __future__ import annotations

from binascii import b2a_base64
from os import urandom

from rawsio.engineio.connection import EngineIOConnection
from rawsio.engineio.packets import Message, Opened, check_sid
from rawsio.engineio.states import SessionState
from rawsio.errors import EngineIOError, LocalProtocolError
from rawsio.layer import Role
from rawsio.limits import DEFAULT
from rawsio.log import DEBUG, WARNING, write

from .admission import Admission
from .checks import (
    HookPending,
    HookResults,
    RequestError,
    check_handshake,
    check_host,
    check_middleware,
    check_origin,
    check_query,
    check_revision,
    no_upgrade,
)
from .links import RESPONDED, UPGRADE, Verdict
from .options import EngineOptions
from .polling import empty_answer, error_answer, freeze
from .response_headers import Replies
from .session import Session
from .transport import TooLong
from .transports import WebSocket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from rawsio.engineio.packets import Times
    from rawsio.errors import HTTPError
    from rawsio.http.messages import Request
    from rawsio.layer import Failed
    from rawsio.limits import Limits

    from .links import Link
    from .polling import FirstRequest, Query
    from .transport import Transport
    from .transports import Polling

    Pairs = list[tuple[str, str]]

    class Known(Protocol):
        """What was made of a request that has begun a session."""

        @property
        def query(self) -> Query:
            """What it asked for."""
            ...

        @property
        def revision(self) -> int:
            """The protocol."""
            ...

    class Found(FirstRequest, Protocol):
        """A request that is known (``rawsio.stack.Recognised``)."""

        @property
        def handshake(self) -> Any:
            """What was made of the one before: :class:`Known`."""

    class RegistryOwner(Protocol):
        """Who is told of sessions: the server."""

        def time(self) -> float:
            """Return the clock, in seconds."""
            ...

        def opened(self, session: Session, /) -> None:
            """A session is open: ``session.bind`` gives it the layer above."""

        def touched(self, session: Session, /) -> None:
            """``flush`` is to be called at the end of the turn."""

        def flushed(self, session: Session, /) -> None:
            """It was; the session is to be ticked at its deadline, which may have come nearer."""

        def gone(self, session: Session, /) -> None:
            """It is over, from whichever side; called once."""

else:
    RegistryOwner = object


__all__ = ["NoOwner", "RegistryOwner", "SessionRegistry"]


_POLLING = "polling"
_EVERYDAY = {
    "engineio-v4-heartbeat-timeout",
    "engineio-v4-polling-aborted",
    "engineio-v4-transport-error",
}
"""Rules that clients break who just lose their network."""


class NoOwner:
    """The owner of a registry that is driven by hand."""

    __slots__ = ()

    def time(self) -> float:
        """No time passes."""
        return 0.0

    def opened(self, session: Session) -> None:
        """Do nothing."""

    touched = flushed = gone = opened


class SessionRegistry:
    """Maps requests to sessions; see the module.

    ``log`` is called as a :class:`rawsio.log.Log`.  With ``guests`` every session is a guest, which
    may have to make room for another one, until :meth:`Session.confirm` is called.
    """

    __slots__ = (
        *("options", "limits", "sessions", "time", "touched", "flushed", "confirmed"),
        "id_prefix",
        *("_owner", "_admission", "_replies", "_path", "_random_bytes", "_log", "_guests"),
        *("_kinds", "_repeatable", "_times"),
    )

    def __init__(
        self,
        options: EngineOptions | None = None,
        limits: Limits = DEFAULT,
        owner: RegistryOwner | None = None,
        *,
        random_bytes: Callable[[int], bytes] = urandom,
        log: Callable[..., object] = write,
        guests: bool = False,
    ) -> None:
        self.options = options if options is not None else EngineOptions()
        self.options.check()
        self.limits = limits
        self.sessions: dict[str, Session] = {}
        """The sessions that are not over, by their ids."""
        self.id_prefix = ""
        """What every id begins with: the number of this worker, where there are several."""
        self._owner: RegistryOwner = NoOwner() if owner is None else owner
        self._replies = Replies(self.options, log)
        self._admission = Admission(limits)
        # What sessions say of themselves and is only passed on is one call.
        self.time = self._owner.time
        self.touched = self._owner.touched
        self.flushed = self._owner.flushed
        self.confirmed = self._admission.confirmed
        self._guests = guests
        self._path = self.options.full_path()
        self._random_bytes = random_bytes
        self._log = log
        self._kinds = self.options.kinds()
        self._repeatable = self.options.repeatable()
        self._times = self._times_of(())

    def attach(
        self, touched: Callable[[Session], None], flushed: Callable[[Session], None]
    ) -> None:
        """Let these hear of sessions that the owner would only pass on."""
        self.touched, self.flushed = touched, flushed

    def serves(self, request: Request) -> bool:
        """Return whether a request is ours, by its path."""
        target, ours = request.target, self._path
        # What begins with another path need not be taken apart, nor what is ours and a query; a
        # whole URL must.
        if target.startswith(ours):
            return target[len(ours) : len(ours) + 1] == "?" or request.path == ours
        return target[:1] != "/" and request.path == ours

    # Requests

    def receive_request(
        self, link: Link, request: Request, now: float, answers: HookResults | None = None
    ) -> Verdict:
        """Take the head of a request.

        Raises ``HookPending`` if a hook is a coroutine function: nothing has happened then, and the
        same request is to be given again with its ``answers``.
        """
        try:
            return self._request(link, request, now, HookResults() if answers is None else answers)
        except RequestError as error:
            self._replies.refuse(link, request, error)
            return RESPONDED

    def allows_host(self, request: Request) -> bool:
        """Return whether the Host of a request is allowed; nothing is done."""
        try:
            check_host(self.options, request)
        except RequestError:
            return False
        return True

    def refuses_host(self, link: Link, request: Request) -> bool:
        """Answer a request whose Host is not allowed, and tell whether that was so.

        :meth:`receive_request` does so by itself; this is for requests that others answer.
        """
        try:
            check_host(self.options, request)
        except RequestError as error:
            self._replies.refuse(link, request, error)
            return True
        return False

    def _request(self, link: Link, request: Request, now: float, answers: HookResults) -> Verdict:
        options, replies = self.options, self._replies
        check_host(options, request)
        check_middleware(options, request, answers)
        if request.method == "OPTIONS" and replies.policy.cors is not None:
            check_origin(replies.policy, request, secure=link.secure)
            link.respond(*empty_answer(204, replies.preflight(request)))
            return RESPONDED
        query, kind = check_query(self._kinds, request)
        check_origin(replies.policy, request, secure=link.secure)
        if query.sid is None:
            return self._handshake(link, request, query, kind, now, answers)
        session = self._known(request, query, kind)
        if kind.websocket:
            link.assign(kind(session, options, query))
            return UPGRADE
        if request.method not in kind.methods:
            raise RequestError(2, "engineio-v4-polling-method", {"method": request.method})
        return self._give(session, link, request, replies.fields(request))

    def find_polled(self, link: Link, request: Request) -> tuple[str, Pairs] | None:
        """Return whose request of polling this is, and the fields of its answer.

        ``None`` for any other request, for one that is refused, and where the next one with the
        same head may be judged otherwise.  Nothing is done.
        """
        if not self._repeatable or request.method not in ("GET", "POST"):
            return None
        policy = self._replies.policy
        try:
            check_host(self.options, request)
            query, kind = check_query(self._kinds, request)
            check_origin(policy, request, secure=link.secure)
            if kind.name != _POLLING or query.sid is None or query.jsonp is not None:
                return None
            session = self._known(request, query, kind)
        except RequestError:
            return None
        return session.id, self._replies.fields(request)

    def polling(self, sid: str) -> Polling | None:
        """Return what carries a session, if that is polling."""
        session = self.sessions.get(sid)
        transport: Any = None if session is None else session.transport
        return transport if transport is not None and transport.name == _POLLING else None

    def _give(self, session: Session, link: Link, request: Request, fields: Pairs) -> Verdict:
        """Give a request to the transport of its session."""
        try:
            return session.transport.receive_request(link, request, fields)
        except TooLong as error:
            context = {"name": "TOO_LONG", "limit": self.options.max_http_buffer_size}
            self._replies.report(request, RequestError(3, error.rule, context))
            link.respond(*empty_answer(413, fields))
            session.fail(error)
        except EngineIOError as error:
            session.fail(error)
            context = {"name": "SESSION_FAILED", "message": error.message}
            self._replies.report(request, RequestError(3, error.rule, context))
            link.respond(*error_answer(400, 3, fields=fields))
        return RESPONDED

    def _known(self, request: Request, query: Query, kind: type[Transport]) -> Session:
        context: dict[str, Any]
        session = self.sessions.get(query.sid or "")
        if session is None:
            raise RequestError(1, "engineio-v4-http-session", {"sid": query.sid})
        carried_by = session.transport.name
        allowed = self.options.allow_upgrades if query.upgrade else kind.name == carried_by
        if not allowed:
            context = {
                "name": "TRANSPORT_MISMATCH",
                "transport": query.transport,
                "previousTransport": carried_by,
            }
            raise RequestError(3, "engineio-v4-http-mismatch", context)
        if check_revision(query.protocol) != session.revision:
            context = {
                "name": "PROTOCOL_MISMATCH",
                "protocol": query.protocol,
                "previousProtocol": session.revision,
            }
            raise RequestError(3, "engineio-v4-http-protocol", context)
        if query.upgrade and request.method != "GET":
            raise RequestError(2, "engineio-v4-handshake-method", {"method": request.method})
        if kind.websocket and not query.upgrade:
            raise RequestError(3, "engineio-v4-http-upgrade", no_upgrade(request))
        return session

    def upgrade_headers(self, link: Link, request: Request) -> Pairs:
        """Return the header fields that the 101 for this request should have besides its own."""
        session = link.user.session
        new = session is not None and session.state is SessionState.OPENING
        return self._replies.fields(request, session.id if session and new else None)

    # New sessions

    def _handshake(
        self,
        link: Link,
        request: Request,
        query: Query,
        kind: type[Transport],
        now: float,
        answers: HookResults,
    ) -> Verdict:
        options = self.options
        revision = check_handshake(options, request, query, kind, answers)
        if query.jsonp is not None:
            check_origin(self._replies.policy, request, secure=link.secure, script=True)
        # The id before the admission, which counts: whoever makes it may be waited for.
        sid = self._new_id(request, answers)
        oldest = self._admission.check(link.address, len(self.sessions), now)
        if oldest is not None:
            self._evict(oldest)
        # A hook may have left something in it, or keep it to do so later.
        first = request if options.hooked() else freeze(request)
        session = self._new_session(sid, revision, query, kind, link, first)
        if kind.websocket:
            link.assign(session.transport)
            return UPGRADE
        fields = self._replies.fields(request, sid)
        self._open(session, kind.upgrades)
        verdict = self._give(session, link, request, fields)
        self._owner.opened(session)
        return verdict

    def _new_session(
        self,
        sid: str,
        revision: int,
        query: Query,
        kind: type[Transport],
        link: Link,
        first: bytes | Request | FirstRequest,
    ) -> Session:
        connection = EngineIOConnection(
            Role.SERVER, self.limits, revision=revision, base64=query.base64
        )
        return Session(sid, connection, kind, query, self, link, first=first, guest=self._guests)

    # Requests that are known already: their bytes have begun sessions before

    def begun(self, link: Link) -> Session | None:
        """Return the session that a WebSocket is about to begin, if others like it may do the same.

        ``None`` where more than the bytes of the request counts: hooks, a cookie.
        """
        session = link.user.session if type(link.user) is WebSocket else None
        if (
            self._repeatable
            and isinstance(session, Session)
            and session.state is SessionState.OPENING
        ):
            return session
        return None

    def begin(self, link: Link, found: Found, now: float) -> Session | None:
        """Open a session by a WebSocket; ``None`` if there is no place for it.

        Then nothing has happened, and :meth:`receive_request` refuses the request.  Else the link
        is to become a WebSocket that sends what waits in the session, before :meth:`carry`.
        """
        try:
            oldest = self._admission.check(link.address, len(self.sessions), now)
        except RequestError:
            self._admission.take_back(link.address)
            return None
        sid, known, initial = self._random_id(), found.handshake, self.options.initial_packet
        if oldest is not None:
            self._evict(oldest)
        session = self._new_session(sid, known.revision, known.query, WebSocket, link, found)
        session.connection.begin(sid, self._times, now)
        if initial is not None:
            session.connection.send(Message(initial))
        session.begin()
        self.sessions[sid] = session
        self._admission.opened(session)
        return session

    def carry(self, link: Link, session: Session) -> None:
        """Take note that the link carries a session that has begun by it."""
        transport: Any = session.transport
        transport.carry(link)
        link.assign(transport)
        self._owner.opened(session)

    def _evict(self, session: Session) -> None:
        message = "the table of sessions is full, and this one has joined no namespace"
        session.fail(EngineIOError(message, "engineio-v4-handshake-evicted"))

    def _new_id(self, request: Request, answers: HookResults) -> str:
        make = self.options.generate_id
        try:
            sid = self._random_id() if make is None else answers.ask(make, request)
            check_sid(sid)
            sid = self.id_prefix + sid
            if sid in self.sessions:
                raise LocalProtocolError(
                    "generate_id has returned the id of a session that is open: a new one each time"
                )
        except HookPending:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it raises, there is no session
            context = {"name": "ID_GENERATION_ERROR", "error": error}
            raise RequestError(3, "engineio-v4-handshake-id", context) from None
        return sid

    def _random_id(self) -> str:
        # 18 bytes, 144 bits: at least 128, and a whole number of base64 characters.
        text = b2a_base64(self._random_bytes(18), newline=False)
        return text.translate(_URL_SAFE).decode("ascii")

    def _open(self, session: Session, upgrades: tuple[str, ...] = ()) -> None:
        options = self.options
        served = [name for name in upgrades if name in self._kinds] if upgrades else ()
        times = self._times_of(tuple(served) if options.allow_upgrades else ())
        session.connection.send(Opened(session.id, *times))
        session.connection.tick(self.time())  # its heartbeat begins now
        session.begin()
        self.sessions[session.id] = session
        self._admission.opened(session)
        if options.initial_packet is not None:
            session.connection.send(Message(options.initial_packet))
        self._owner.touched(session)

    def _times_of(self, upgrades: tuple[str, ...]) -> Times:
        o = self.options
        return upgrades, o.ping_interval, o.ping_timeout, o.max_http_buffer_size

    # What sessions say

    def accepted(self, session: Session, transport: Transport) -> None:
        """Open a session whose WebSocket is there, or let it probe another transport."""
        if session.state is SessionState.OPENING:
            self._open(session)
            session.settle()
            self._owner.opened(session)
        elif session.state is SessionState.CLOSED:
            transport.end()
        else:
            session.probe(transport, self.options.upgrade_timeout)

    def failed(self, session: Session, failure: Failed) -> None:
        """Log the mistake that ended a session."""
        level = DEBUG if failure.rule in _EVERYDAY else WARNING
        self._log("engineio", level, f"{session.address}: {failure.message} [{failure.rule}]")

    def cut(self, session: Session, message: str, rule: str) -> None:
        """Log why a session is cut off."""
        self._log("net", WARNING, f"{session.address}: {message} [{rule}]")

    def ended(self, session: Session) -> None:
        """Forget a session."""
        if self.sessions.pop(session.id, None) is not None:
            self._admission.closed(session)
            self._owner.gone(session)

    # WebSocket handshakes

    def refused(self, link: Link) -> None:
        """Take note that the WebSocket handshake failed after the verdict ``UPGRADE``."""
        link.release()

    def refuse(self, link: Link, request: Request, error: HTTPError, fields: Pairs) -> None:
        """Answer a WebSocket handshake that failed after the verdict ``UPGRADE``."""
        link.release()
        context = {"name": "TRANSPORT_HANDSHAKE_ERROR", "message": error.message}
        refusal = RequestError(3, error.rule, context, status=error.code, message=error.message)
        self._replies.refuse(link, request, refusal, fields)

    def admit(self, ready: bool) -> None:  # noqa: FBT001 - a state, not a flag
        """Open new sessions, or none for now."""
        self._admission.short = not ready

    def close(self, reason: str = "server shutting down") -> None:
        """Admit nobody any more, and end every session as ``Session.close`` does.

        So ``sessions`` is empty once the polls have taken what was queued for them.
        """
        self._admission.shut = True
        for session in list(self.sessions.values()):
            session.close(reason)


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
