"""The transports that are built in: polling and WebSocket.

:class:`Polling`: a poll (GET) is parked until there is something to say, and answered with all of
it; a post (POST) brings packets.  At most one of each may be in work.

:class:`WebSocket`: every packet goes to the link at once.
"""

from __future__ import annotations

from rawsio.engineio.packets import CLOSE, NOOP, decode_payload
from rawsio.engineio.states import SessionState
from rawsio.errors import EngineIOError, LocalProtocolError
from rawsio.http.messages import accepted_coding

from .links import BODY, ENDED, RESPONDED, WAITING
from .polling import empty_answer, error_answer, form_field, ok_answer, payload_answer
from .transport import TooLong, Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from typing import Any, ClassVar

    from rawsio.http.messages import Request

    from .links import Link, LinkUser, Outlet, Verdict
    from .polling import Compression, Query
    from .transport import CarriedSession, TransportOptions

    Pairs = list[tuple[str, str]]

__all__ = ["BUILT_IN", "Polling", "WebSocket"]

_NEVER = float("inf")


class Polling(Transport):
    """HTTP long polling; the links are those of the poll that waits and the post in work."""

    __slots__ = (
        *("_options", "_jsonp", "_base64", "_poll", "_poll_fields", "_compression"),
        *("_post", "_post_fields", "_binary", "_held", "_rest", "_deferred"),
        *("_paused", "_crowded", "_waits_for_reader", "_taker"),
    )

    name = "polling"
    payloads = True
    upgrades: ClassVar[tuple[str, ...]] = ("websocket",)

    def __init__(self, session: CarriedSession, options: TransportOptions, query: Query) -> None:
        self.session = session
        self._options = options
        # The index of the client's function, for a client that polls by script elements.
        self._jsonp = query.jsonp
        self._base64 = query.base64
        # Where a GET waits for packets, the fields of its answer, and how that is compressed.
        self._poll: Link | None = None
        self._poll_fields: Pairs = []
        self._compression: Compression | None = None
        # Where a POST is read or answered, the fields of its answer, whether its body is binary,
        # and whether the answer is held back.
        self._post: Link | None = None
        self._post_fields: Pairs = []
        self._binary = self._held = False
        # Packets of a post that wait: until less waits for a poll, or, if that is deferred, until
        # it is the turn of its link again.
        self._rest: deque[Any] | None = None
        self._deferred = False
        # Whether answers to posts are held back, and whether somebody waits for the next poll.
        self._paused = self._crowded = False
        # Whether the layer above has not read what came last.
        self._waits_for_reader = False
        # Who hears packets first, and gives the session what is unusual.
        self._taker: LinkUser | None = None

    # Requests

    def receive_request(self, link: Link, request: Request, fields: Pairs) -> Verdict:
        """Park a poll, or begin a post."""
        if request.method == "GET":
            return self._park(link, request, fields)
        return self._begin_post(link, request, fields)

    def _park(self, link: Link, request: Request, fields: Pairs) -> Verdict:
        if self._poll is not None:
            message = "a second poll, while one waits for its answer"
            raise EngineIOError(message, "engineio-v4-polling-overlap")
        self._compression = self._coding(request)
        self._poll, self._poll_fields = link, fields
        link.assign(self)
        self.session.carry_on()
        return WAITING if self._poll is link else RESPONDED

    def _coding(self, request: Request) -> Compression | None:
        size = self._options.compression_size()
        coding = None if size is None else accepted_coding(request)
        return None if size is None or coding is None else (coding, size)

    def _begin_post(self, link: Link, request: Request, fields: Pairs) -> Verdict:
        if self._post is not None:
            message = "a second post, while one is not answered"
            raise EngineIOError(message, "engineio-v4-polling-overlap")
        self._binary = _is_binary(request)
        if self._binary and self.session.revision == 4:
            message = "a binary body: protocol 4 has bytes as base64, in text"
            raise EngineIOError(message, "engineio-v4-polling-content")
        length = request.headers.get("content-length") or "0"
        if len(length) > 15 or int(length) > self._options.max_http_buffer_size:
            raise self._too_long(length[:20])
        self._post, self._post_fields = link, fields
        link.assign(self)
        return BODY

    # Requests whose heads were judged before

    def repeats(self, request: Request) -> tuple[Compression | None, bool] | None:
        """Return what follows from the head of a request that was taken before: how its answer is
        compressed, and whether its body is binary; ``None`` where a class of one's own takes it.
        """
        if type(self) is not Polling:
            return None
        if request.method == "GET":
            return self._coding(request), False
        return None, _is_binary(request)  # a post that is too long has ended its session

    @property
    def posting(self) -> bool:
        """Whether a post is in work: a second one is a mistake, as a second poll is."""
        return self._post is not None

    def poll_again(self, link: Link, fields: Pairs, compression: Compression | None) -> None:
        """Park a poll."""
        self._poll, self._poll_fields, self._compression = link, fields, compression
        link.assign(self)
        self.session.carry_on()

    def post_again(self, link: Link, fields: Pairs, body: bytes, *, binary: bool) -> None:
        """Take a post and its body."""
        self._binary = binary
        self._post, self._post_fields = link, fields
        link.assign(self)
        self.receive_body(link, body)

    def _too_long(self, size: int | str) -> TooLong:
        most = self._options.max_http_buffer_size
        message = f"a body of {size} bytes: max_http_buffer_size is {most}"
        return TooLong(message, "engineio-v4-polling-size")

    def receive_body(self, link: Link, body: bytes) -> None:
        """Take the packets of a post, and answer it when all have been handled."""
        session, fields = self.session, self._post_fields
        session.touch()
        if len(body) > self._options.max_http_buffer_size:
            self._let_go(link)
            link.respond(*empty_answer(413, fields))
            session.fail(self._too_long(len(body)))
            return
        try:
            packets = self._packets(body)
        except EngineIOError as error:
            self._let_go(link)
            link.respond(*error_answer(400, 3, fields=fields))
            session.fail(error)
            return
        try:
            whole = self._take(packets)
        except BaseException:
            # Should the program go on, so does the post.
            self._held = True
            self._go_on_later(link)
            raise
        self._conclude(link, whole=whole)

    def _conclude(self, link: Link, *, whole: bool) -> None:
        """Answer a post, unless some of its packets have not been handled, or it is held back."""
        session, fields = self.session, self._post_fields
        waits = self._paused or self._rest or self._waits_for_reader
        if whole and waits and session.carried_by(self):
            self._held = True
            if self._waits_for_reader or (self._rest and not session.crowded):
                self._go_on_later(link)
            return
        self._held = False
        self._let_go(link)
        link.respond(*(ok_answer(fields) if whole else error_answer(400, 3, fields=fields)))

    def _go_on_later(self, link: Link) -> None:
        self._deferred = True
        link.defer()

    def wait_for_reader(self) -> None:
        """Give the session no further packet of the post, and no answer."""
        self._waits_for_reader = True

    def go_on(self, link: Link) -> None:
        """Give the session the next packets of a post."""
        self._deferred = self._waits_for_reader = False
        if self._post is link:
            self._conclude(link, whole=self._work(self.session.limits.turn_time))

    def _let_go(self, link: Link) -> None:
        if self._post is link:
            self._post = None
            link.release()

    def _packets(self, body: bytes) -> list[Any]:
        most = self.session.limits.payload_packets
        if self.session.revision == 4:
            return list(decode_payload(body, most))
        from rawsio.engineio.payloads_v3 import decode_binary, decode_jsonp, decode_text

        if self._jsonp is not None:
            return decode_text(decode_jsonp(form_field(body, "d", most)), most)
        if self._binary:
            return decode_binary(body, most)
        return decode_text(body, most)

    def _take(self, packets: list[Any]) -> bool:
        """Give the session the packets of a post; ``False`` if one of them was a mistake.

        Each is given when those before have had their consequences, so their answers are known by
        then: what comes when more than ``limits.unpolled_bytes`` wait for a poll waits as well.
        What the handlers have no time for in this turn waits for the next.
        """
        if self._rest or len(packets) > 1:
            from collections import deque

            self._rest = deque([*(self._rest or ()), *packets])
            return self._work(self.session.limits.turn_time)
        return self._give(packets[0]) if packets else True

    def _give(self, packet: str | bytes) -> bool:
        taker = self._taker
        return self.session.receive(packet) if taker is None else taker.receive_packet(packet)

    def _work(self, seconds: float) -> bool:
        session, seen = self.session, -1
        whole, end = True, session.time() + seconds
        while self._rest and session.transport is self:
            if session.pending != seen:
                if session.crowded:
                    return True
                seen = session.pending
            whole = self._give(self._rest.popleft())
            if session.time() >= end or (self._waits_for_reader and seconds < _NEVER):
                break
        self._rest = self._rest or None
        return whole

    def lost(self, link: Link, reason: str) -> None:
        """A request was cut off: the session is over, as nobody knows what of it was read."""
        link.release()
        if self._poll is link:
            self._poll = None
        elif self._post is link:
            self._post = None
        else:
            return
        words = "was cut off" if reason == "transport close" else f"failed: {reason}"
        self.session.lose(EngineIOError(f"a request {words}", "engineio-v4-polling-aborted"))

    # What is sent

    @property
    def ready(self) -> bool:
        """Whether a poll waits."""
        return self._poll is not None

    def send(self, packet: str | bytes) -> None:
        """Answer the poll with one packet."""
        self._answer([packet])

    def send_all(self, packets: list[Any]) -> None:
        """Answer the poll with these packets."""
        self._answer(packets)

    def flush(self) -> None:
        """Answer the poll that waits with what is queued, or a share of it."""
        packets = [] if self._poll is None else self.session.take_share()
        if packets:
            self._answer(packets)
            if self._crowded and not self.session.pending:
                self._crowded = False
                self.session.drained()
            if self._rest:
                self.session.touch()

    def make_way(self) -> None:
        """End the poll that waits."""
        if self.session.pending:
            self.flush()
        else:
            self._answer([NOOP])

    def _answer(self, packets: list[Any]) -> None:
        link, self._poll = self._poll, None
        if link is None:
            return
        link.release()
        response, body = payload_answer(
            packets,
            revision=self.session.revision,
            base64=self._base64,
            jsonp=self._jsonp,
            compression=self._compression,
            fields=self._poll_fields,
        )
        link.respond(response, body)

    # Back-pressure

    @property
    def incoming(self) -> int:
        """Bytes of a body that is not whole yet."""
        return 0 if self._post is None else self._post.incoming

    @property
    def carrier(self) -> Link | None:
        """The link of the poll that waits."""
        return self._poll

    def pause(self) -> None:
        """Hold back the answers to posts, so that no further one comes."""
        self._paused = True

    def resume(self) -> None:
        """Give the answer that was held back, unless packets of that post wait."""
        self._paused = False
        waits = self._rest or self._waits_for_reader
        if not waits and self._held and self._post is not None:
            link, self._post, self._held = self._post, None, False
            link.release()
            link.respond(*ok_answer(self._post_fields))

    def await_drain(self) -> None:
        """The queue is drained when a poll takes it."""
        self._crowded = True

    # The end

    def divert(self, user: LinkUser) -> None:
        """Let somebody else hear the packets of posts first."""
        self._taker = None if user is self else user

    def finish(self) -> None:
        """Give the session the packets that wait."""
        self._work(_NEVER)

    def close(self) -> bool:
        """Answer the last polls; ``False`` if one more has to come."""
        session = self.session
        if session.lingers and self._poll is None:
            return False
        packets = session.take_share()
        if session.lingers and session.pending:
            self._answer(packets)
            return False
        packets += session.take()
        if session.lingers and len(packets) > 1:
            # The close goes into an answer of its own: official clients act on it before they
            # hand up the messages of the same payload, so a DISCONNECT before it would be lost.
            self._answer(packets[:-1])
            return False
        self._answer(packets or [CLOSE if session.lingers else NOOP])
        return True

    def end(self) -> None:
        """Answer what waits; let go of a post that is still being read."""
        # A client that obeys has no request running when another transport takes over; one that
        # does not gets an answer.
        self._answer([NOOP])
        self._rest = self._taker = None
        self._waits_for_reader = False
        self.resume()
        if self._post is not None:
            if self.session.state is SessionState.CLOSED:
                self._post.assign(ENDED)
            else:
                self._post.release()
            self._post = None
        if self._crowded:
            self._crowded = False
            if self.session.state is not SessionState.CLOSED:
                self.session.drained()

    # Time

    @property
    def deadline(self) -> float | None:
        """``0.0`` while packets of a post can be worked off."""
        if self._rest and not self._deferred and not self.session.crowded:
            return 0.0
        return None

    def tick(self, now: float) -> None:
        """Work off the packets that waited for a poll."""
        link = self._post
        if self._rest and not self._deferred and link is not None:
            self._conclude(link, whole=self._work(self.session.limits.turn_time))


def _is_binary(request: Request) -> bool:
    kind = (request.headers.get("content-type") or "").partition(";")[0]
    return kind.strip(" \t").lower() == "application/octet-stream"


class WebSocket(Transport):
    """A WebSocket; ``link`` is where, ``None`` before its handshake and after its end."""

    __slots__ = ("link", "_outlet")

    name = "websocket"
    websocket = True
    immediate = True

    def __init__(self, session: CarriedSession, _options: TransportOptions, _query: Query) -> None:
        self.session = session
        self.link: Link | None = None
        self._outlet: Outlet | None = None

    def accepted(self, link: Link) -> None:
        """Begin the session, or offer to take it over."""
        self.carry(link)
        self.session.accepted(self)

    def carry(self, link: Link) -> None:
        """Take note that the WebSocket is there."""
        self.link, self._outlet = link, link.outlet

    def lost(self, link: Link, reason: str) -> None:
        """The WebSocket is gone, and the session with it."""
        link.release()
        if self.link is link:
            self.link = None
            rule = "engineio-v4-transport-error"
            orderly = reason == "transport close"
            self.session.lose(
                None if orderly else EngineIOError(f"the WebSocket broke: {reason}", rule)
            )

    def wait_for_reader(self) -> None:
        """Let what comes behind the long message wait, too."""
        if self.link is not None:
            self.link.defer()

    # What is sent

    @property
    def ready(self) -> bool:
        """Whether the WebSocket is there."""
        return self.link is not None

    def flush(self) -> None:
        """Send what waits: nothing, as a rule, since packets leave when they are sent."""
        if self.link is not None and self.session.pending:
            self.send_all(self.session.take())

    def send(self, packet: str | bytes) -> None:
        """Send one packet; a WebSocket that began to close in this very turn drops it."""
        if self.link is not None:
            try:
                self.link.send(packet)
            except LocalProtocolError:
                return  # we are about to be told

    def send_all(self, packets: list[Any]) -> None:
        """Send these packets now."""
        link, outlet = self.link, self._outlet
        if link is None or outlet is None:
            return
        for packet in packets:
            # The closing handshake says what "1" says over polling; compared by identity, because
            # no packet of the application is this object.
            if packet is CLOSE:
                continue
            try:
                if packet.__class__ is str or packet.__class__ is bytes:
                    link.send(packet)
                elif self.session.revision == 4:
                    outlet.send_prepared(packet)
                else:
                    self.send_prepared(packet)
            except LocalProtocolError:
                continue  # as in send()

    # Back-pressure

    @property
    def buffered_amount(self) -> int:
        """Bytes that the link has not sent yet."""
        return 0 if self.link is None else self.link.buffered_amount

    @property
    def incoming(self) -> int:
        """Bytes of a message that is not whole yet."""
        return 0 if self.link is None else self.link.incoming

    @property
    def carrier(self) -> Link | None:
        """The link."""
        return self.link

    def pause(self) -> None:
        """Stop reading; TCP holds the peer back."""
        if self.link is not None:
            self.link.pause()

    def resume(self) -> None:
        """Read again."""
        if self.link is not None:
            self.link.resume()

    def await_drain(self) -> None:
        """The link tells when it has sent enough."""
        if self.link is not None:
            self.link.await_drain()

    # The way in, and the end

    def divert(self, user: LinkUser) -> None:
        """Let somebody else have what comes over the link."""
        if self.link is not None:
            self.link.assign(user)

    def close(self) -> bool:
        """Send what waits."""
        if self.link is not None:
            self.send_all(self.session.take())
        return True

    def end(self) -> None:
        """Begin the closing handshake, and let go of the link."""
        link, self.link = self.link, None
        if link is not None:
            link.release()
            link.close()

    def abort(self, reason: str) -> None:
        """Cut the connection."""
        link, self.link = self.link, None
        if link is not None:
            link.release()
            link.abort(reason)


BUILT_IN: dict[str, type[Transport]] = {"polling": Polling, "websocket": WebSocket}
"""The transports that the option ``transports`` names."""
