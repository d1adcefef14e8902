"""The registry of sessions: which session a request or packet belongs to, and what it gets.

Below the registry are TCP connections, above it sessions, and several connections may serve one
session in turn.  The registry sees a connection as a *link* (:mod:`rawsio.engineio.server.links`),
tells the connection's owner by a verdict what to do with each request, and gives events as pairs of
session and event, the first one of a session being ``Opened``.

It does no IO and reads no clock.  Session ids are made here of 144 random bits and only ever looked
up in a dict: they are as good as a password.  After the verdict ``UPGRADE`` the caller makes the
WebSocket handshake, then calls :meth:`SessionRegistry.accept_websocket`.
"""

from __future__ import annotations

from binascii import b2a_base64
from os import urandom

from rawsio.engineio.connection import EngineIOConnection
from rawsio.engineio.packets import Message, Opened, check_sid
from rawsio.engineio.states import State, Transport
from rawsio.errors import EngineIOError, LocalProtocolError
from rawsio.http.messages import accepted_coding
from rawsio.layer import Failed, Role
from rawsio.limits import DEFAULT
from rawsio.log import write

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
from .links import BODY, RESPONDED, UPGRADE, WAITING, Verdict
from .options import EngineOptions
from .polling import (
    empty_answer,
    error_answer,
    freeze,
    ok_answer,
)
from .response_headers import Replies
from .session import Session
from .transports import Polling

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any

    from rawsio.errors import HTTPError
    from rawsio.http.messages import Request
    from rawsio.limits import Limits

    from .links import Link
    from .polling import Compression, Query

    Events = list[tuple[Session, Any]]
    Pairs = list[tuple[str, str]]

__all__ = ["Verdict", "RESPONDED", "BODY", "WAITING", "UPGRADE", "SessionRegistry"]


class SessionRegistry:
    """Maps links to sessions; see the module.

    ``touched(session)`` is called when a session has something to flush, or when its deadline may
    have come nearer: the driver flushes it at the end of the turn, and looks at the deadline.
    ``gone(session)`` is called once when it is over, from whichever side: the driver forgets it.
    ``log`` is called as a :class:`rawsio.log.Log`.  With ``guests`` every session is a guest, which
    may have to make room for another one, until :meth:`Session.confirm` is called.
    """

    __slots__ = (
        *("options", "limits", "sessions"),
        *("_admission", "_replies", "_path", "_random_bytes", "_touched", "_gone", "_guest"),
    )

    def __init__(
        self,
        options: EngineOptions | None = None,
        limits: Limits = DEFAULT,
        *,
        random_bytes: Callable[[int], bytes] = urandom,
        touched: Callable[[Session], None] = lambda _session: None,
        gone: Callable[[Session], None] = lambda _session: None,
        log: Callable[..., object] = write,
        guests: bool = False,
    ) -> None:
        self.options = options if options is not None else EngineOptions()
        self.options.check()
        self.limits = limits
        self.sessions: dict[str, Session] = {}
        """The sessions that are not over, by their ids."""
        self._replies = Replies(self.options, log)
        self._admission = Admission(limits)
        self._guest = self._admission.confirmed if guests else None
        self._path = self.options.full_path()
        self._random_bytes = random_bytes
        self._touched = touched
        self._gone = gone

    def serves(self, request: Request) -> bool:
        """Return whether a request is ours, by its path."""
        target, ours = request.target, self._path
        # What begins with another path need not be taken apart; a whole URL must.
        return (target.startswith(ours) or target[:1] != "/") and request.path == ours

    # Requests

    def receive_request(
        self, link: Link, request: Request, now: float, answers: HookResults | None = None
    ) -> tuple[Verdict, Events]:
        """Take the head of a request.

        Raises ``HookPending`` if a hook is a coroutine function: nothing has happened then, and the
        same request is to be given again with its ``answers``.
        """
        try:
            return self._request(link, request, now, HookResults() if answers is None else answers)
        except RequestError as error:
            self._replies.refuse(link, request, error)
            return RESPONDED, []

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

    def _request(
        self, link: Link, request: Request, now: float, answers: HookResults
    ) -> tuple[Verdict, Events]:
        options = self.options
        check_host(options, request)
        check_middleware(options, request, answers)
        if request.method == "OPTIONS" and self._replies.policy.cors is not None:
            check_origin(self._replies.policy, request, secure=link.secure)
            link.respond(*empty_answer(204, self._replies.preflight(request)))
            return RESPONDED, []
        query = check_query(options, request)
        check_origin(self._replies.policy, request, secure=link.secure)
        if query.sid is None:
            return self._handshake(link, request, query, now, answers)
        session = self._known(request, query)
        if query.upgrade:
            link.session = session
            return UPGRADE, []
        if request.method == "GET":
            return self._poll(session, link, request)
        if request.method == "POST":
            return self._post(session, link, request)
        raise RequestError(2, "engineio-v4-polling-method", {"method": request.method})

    def _known(self, request: Request, query: Query) -> Session:
        context: dict[str, Any]
        session = self.sessions.get(query.sid or "")
        if session is None:
            raise RequestError(1, "engineio-v4-http-session", {"sid": query.sid})
        allowed = (
            self.options.allow_upgrades if query.upgrade else query.transport == session.transport
        )
        if not allowed:
            context = {
                "name": "TRANSPORT_MISMATCH",
                "transport": query.transport,
                "previousTransport": session.transport,
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
        if query.transport == "websocket" and not query.upgrade:
            raise RequestError(3, "engineio-v4-http-upgrade", no_upgrade(request))
        return session

    def upgrade_headers(self, link: Link, request: Request) -> Pairs:
        """Return the header fields that the 101 for this request should have besides its own."""
        session = link.session
        new = session is not None and session.state is State.OPENING
        return self._replies.fields(request, session.id if session and new else None)

    # New sessions

    def _handshake(
        self, link: Link, request: Request, query: Query, now: float, answers: HookResults
    ) -> tuple[Verdict, Events]:
        revision = check_handshake(self.options, request, query, answers)
        if query.jsonp is not None:
            check_origin(self._replies.policy, request, secure=link.secure, script=True)
        # The id before the admission, which counts: whoever makes it may be waited for.
        sid = self._new_id(request, answers)
        oldest = self._admission.check(link.address, len(self.sessions), now)
        evicted = [] if oldest is None else self._evict(oldest)
        session = Session(
            sid,
            EngineIOConnection(Role.SERVER, self.limits, revision=revision, base64=query.base64),
            # A hook may have left something in it, or keep it to do so later.
            first=request if self.options.hooked() else freeze(request),
            address=link.address,
            secure=link.secure,
            limits=self.limits,
            touched=self._touched,
            ended=self._forget,
        )
        session.certificate = link.certificate if link.secure else None
        if self._guest is not None:
            session.be_guest(self._guest)
        if query.transport == "websocket":
            link.session = session
            return UPGRADE, evicted
        session.polling = Polling(query.jsonp)
        fields = self._replies.fields(request, sid)
        upgrades = self.options.allow_upgrades and "websocket" in self.options.transports
        events = self._open(session, ("websocket",) if upgrades else ())
        session.park(link, fields, self._compression(request))
        return RESPONDED, evicted + events

    def _evict(self, session: Session) -> Events:
        message = "the table of sessions is full, and this one has joined no namespace"
        events = session.fail(EngineIOError(message, "engineio-v4-handshake-evicted"))
        return [(session, event) for event in events]

    def _new_id(self, request: Request, answers: HookResults) -> str:
        make = self.options.generate_id
        try:
            sid = self._random_id() if make is None else answers.ask(make, request)
            check_sid(sid)
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

    def _open(self, session: Session, upgrades: tuple[str, ...]) -> Events:
        options = self.options
        opened = Opened(
            session.id,
            upgrades,
            options.ping_interval,
            options.ping_timeout,
            options.max_http_buffer_size,
        )
        session.connection.send(opened)
        session.stage = Transport.POLLING if session.polling is not None else Transport.WEBSOCKET
        self.sessions[session.id] = session
        self._admission.opened(session)
        if options.initial_packet is not None:
            session.connection.send(Message(options.initial_packet))
        self._touched(session)
        return [(session, opened)]

    def _forget(self, session: Session) -> None:
        if self.sessions.pop(session.id, None) is not None:
            self._admission.closed(session)
            self._gone(session)

    # Polling

    def _compression(self, request: Request) -> Compression | None:
        size = self.options.compression_size()
        coding = None if size is None else accepted_coding(request)
        return None if size is None or coding is None else (coding, size)

    def _poll(self, session: Session, link: Link, request: Request) -> tuple[Verdict, Events]:
        polling = session.polling
        if polling is not None and polling.poll is not None:
            error = EngineIOError("two polls at a time", "engineio-v4-polling-overlap")
            return self._fail(session, link, request, error)
        waits = session.park(link, self._replies.fields(request), self._compression(request))
        return (WAITING if waits else RESPONDED), []

    def _post(self, session: Session, link: Link, request: Request) -> tuple[Verdict, Events]:
        polling = session.polling
        if polling is None or polling.post is not None:
            error = EngineIOError("two posts at a time", "engineio-v4-polling-overlap")
            return self._fail(session, link, request, error)
        kind = (request.headers.get("content-type") or "").partition(";")[0].strip(" \t").lower()
        polling.binary = kind == "application/octet-stream"
        if polling.binary and session.revision == 4:
            error = EngineIOError("a binary body", "engineio-v4-polling-content")
            return self._fail(session, link, request, error)
        length = request.headers.get("content-length") or "0"
        if len(length) > 15 or int(length) > self.options.max_http_buffer_size:
            context = {"name": "TOO_LONG", "limit": self.options.max_http_buffer_size}
            self._replies.report(request, RequestError(3, "engineio-v4-polling-size", context))
            return self._too_long(session, link, self._replies.fields(request))
        polling.post, polling.post_fields = link, self._replies.fields(request)
        link.session = session
        return BODY, []

    def _fail(
        self, session: Session, link: Link, request: Request, error: EngineIOError
    ) -> tuple[Verdict, Events]:
        events = session.fail(error)
        context = {"name": "SESSION_FAILED", "message": error.message}
        self._replies.report(request, RequestError(3, error.rule, context))
        link.respond(*error_answer(400, 3, fields=self._replies.fields(request)))
        return RESPONDED, [(session, event) for event in events]

    def _too_long(self, session: Session, link: Link, fields: Pairs) -> tuple[Verdict, Events]:
        link.respond(*empty_answer(413, fields))
        events = session.fail(EngineIOError("a body is too long", "engineio-v4-polling-size"))
        return RESPONDED, [(session, event) for event in events]

    def receive_body(self, link: Link, body: bytes, now: float) -> Iterable[tuple[Session, Any]]:
        """Take the body of a request whose verdict was ``BODY``.

        The events are made one after the other, while the caller takes them: see
        :meth:`Session.receive_post`.
        """
        del now
        session = link.session
        if session is not None:
            self._touched(session)
        polling = session.polling if session is not None else None
        if session is None or polling is None:
            # The session ended, or went to a WebSocket, while the body was on its way.
            link.session = None
            link.respond(*error_answer(400, 3))
            return []
        fields = polling.post_fields
        if len(body) > self.options.max_http_buffer_size:
            return self._too_long(session, link, fields)[1]
        try:
            packets = polling.packets(session.revision, body, self.limits.payload_packets)
        except EngineIOError as error:
            events = [(session, event) for event in session.fail(error)]
            link.respond(*error_answer(400, 3, fields=fields))
            return events
        return self._work_off(session, polling, link, packets)

    def _work_off(
        self, session: Session, polling: Polling, link: Link, packets: list[Any]
    ) -> Iterator[tuple[Session, Any]]:
        event: Any = None
        for event in session.receive_post(packets):
            yield session, event
        waits = polling.paused or polling.rest
        if waits and session.polling is polling and session.state is State.OPEN:
            polling.held = True
            return
        if polling.post is link:
            polling.post = link.session = None
        if event.__class__ is Failed:
            link.respond(*error_answer(400, 3, fields=polling.post_fields))
        else:
            link.respond(*ok_answer(polling.post_fields))

    # WebSockets

    def accept_websocket(self, link: Link, request: Request, now: float) -> Events:
        """Take a link that has become a WebSocket, after the verdict ``UPGRADE``."""
        del request, now
        session = link.session
        if session is None or session.state is State.CLOSED:
            link.session = None
            link.close()
            return []
        if session.state is State.OPENING:
            session.link = link
            events = self._open(session, ())
            session.settle()
            return events
        session.probe(link, self.options.upgrade_timeout)
        return []

    def refused(self, link: Link) -> None:
        """Take note that the WebSocket handshake failed after the verdict ``UPGRADE``."""
        link.session = None

    def refuse(self, link: Link, request: Request, error: HTTPError, fields: Pairs) -> None:
        """Answer a WebSocket handshake that failed after the verdict ``UPGRADE``."""
        link.session = None
        context = {"name": "TRANSPORT_HANDSHAKE_ERROR", "message": error.message}
        refusal = RequestError(3, error.rule, context, status=error.code, message=error.message)
        self._replies.refuse(link, request, refusal, fields)

    def receive_packet(self, link: Link, packet: str | bytes, now: float) -> Events:
        """Take one WebSocket message: of a session, or of a candidate for one."""
        del now
        session = link.session
        if session is None:
            return []
        if session.link is link:
            return [(session, event) for event in session.receive(packet)]
        return [(session, event) for event in session.receive_candidate(packet)]

    def link_lost(self, link: Link, reason: str, now: float) -> Events:
        """Take note that a link is gone; ``reason`` is ``"transport close"`` or an error."""
        del now
        session = link.session
        if session is None:
            return []
        return [(session, event) for event in session.lost(link, reason)]

    def close(self, reason: str = "server shutting down") -> None:
        """Admit nobody any more, and end every session as ``Session.close`` does.

        So ``sessions`` is empty once the polls have taken what was queued for them.
        """
        self._admission.shut = True
        for session in list(self.sessions.values()):
            session.close(reason)


_URL_SAFE = bytes.maketrans(b"+/", b"-_")
