"""A recording link, and a registry with hands on it, for the tests of sessions."""

from __future__ import annotations

from typing import Any

from rawsio.engineio.packets import Message
from rawsio.engineio.server.links import BODY, NOBODY, UPGRADE, WAITING, LinkUser, Verdict
from rawsio.engineio.server.options import EngineOptions
from rawsio.engineio.server.session import Session
from rawsio.http.headers import Headers
from rawsio.http.messages import Request, Response
from rawsio.limits import DEFAULT, Limits

from .users import Recorder, RecordingRegistry

__all__ = ["RecordingLink", "Bench"]


class RecordingLink:
    """A TCP connection that writes down what it is told."""

    def __init__(self, address: str = "192.0.2.1:1", *, secure: bool = False) -> None:
        self.user: LinkUser = NOBODY
        self.address = address
        self.secure = secure
        self.certificate: dict[str, Any] | None = None
        self.buffered_amount = 0
        self.incoming = 0
        self.responses: list[tuple[Response, bytes]] = []
        self.packets: list[Any] = []
        self.closed: list[tuple[int, str]] = []
        self.told: list[str] = []
        self.content = b""
        self.tcp_info = None
        self.outlet = self
        self.plain = None

    @property
    def session(self) -> Session | None:
        return self.user.session

    def assign(self, user: LinkUser) -> None:
        self.user = user

    def release(self) -> None:
        self.user = NOBODY

    def begin(self, response: Response) -> bool:
        self.responses.append((response, b""))
        return True

    def send_content(self, data: bytes) -> None:
        self.content += data

    def finish(self) -> None:
        self.told.append("finish")

    def defer(self) -> None:
        self.told.append("defer")

    def pause(self) -> None:
        self.told.append("pause")

    def resume(self) -> None:
        self.told.append("resume")

    def await_drain(self) -> None:
        self.told.append("await_drain")

    def abort(self, reason: str) -> None:
        self.told.append(f"abort: {reason}")

    def respond(self, response: Response, body: bytes) -> None:
        declared = response.headers.get("content-length")
        assert response.status == 204 or declared == str(len(body))
        response.headers.block  # noqa: B018 - raises for fields that may not be written
        self.responses.append((response, body))

    def send(self, packet: str | bytes) -> None:
        assert isinstance(packet, (str, bytes))
        self.packets.append(packet)

    def send_prepared(self, prepared: Any) -> None:
        self.packets += prepared.packets()

    def close(self, code: int = 1005, reason: str = "") -> None:
        self.closed.append((code, reason))

    @property
    def status(self) -> int:
        return self.responses[-1][0].status

    @property
    def body(self) -> bytes:
        return self.responses[-1][1]

    @property
    def headers(self) -> Headers:
        return self.responses[-1][0].headers

    def answer(self) -> tuple[int, bytes]:
        """Return the only answer, and forget it."""
        assert len(self.responses) == 1, self.responses
        response, body = self.responses.pop()
        return response.status, body

    def drain(self) -> list[Any]:
        """Return the WebSocket messages since the last call."""
        packets, self.packets = self.packets, []
        return packets


class Bench:
    """A registry under test: requests as in a browser's network tab, time by hand."""

    def __init__(
        self, options: EngineOptions | None = None, limits: Limits = DEFAULT, **more: Any
    ) -> None:
        self.now = 1000.0
        self.recorder = Recorder()
        self.recorder.now = lambda: self.now
        self.touched, self.events = self.recorder.touches, self.recorder.events
        counter = iter(range(10**9))
        self.server = RecordingRegistry(
            options or EngineOptions(),
            limits,
            recorder=self.recorder,
            random_bytes=lambda n: next(counter).to_bytes(n, "big"),
            **more,
        )

    def request(
        self,
        query: str,
        method: str = "GET",
        *,
        body: bytes | None = None,
        link: RecordingLink | None = None,
        path: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> RecordingLink:
        """Send a request (and its body); return the link, whose answer may be pending."""
        link = link or RecordingLink()
        fields = {"Host": "localhost:3000", **(headers or {})}
        if body is not None:
            fields.setdefault("Content-Length", str(len(body)))
            fields.setdefault("Content-Type", "text/plain;charset=UTF-8")
        request = Request(
            method,
            f"{path or self.server.options.full_path()}?{query}",
            Headers(list(fields.items())),
        )
        self.verdict = self.server.receive_request(link, request, self.now)
        if self.verdict is BODY:
            link.user.receive_body(link, body or b"")
        elif self.verdict is UPGRADE:
            link.user.accepted(link)
        assert isinstance(self.verdict, Verdict)
        self.settle()
        return link

    # Shorthands for requests of one protocol

    def q(self, sid: str | None = None, transport: str = "polling", eio: int = 4) -> str:
        return f"EIO={eio}&transport={transport}" + (f"&sid={sid}" if sid else "")

    def open(self, **more: Any) -> Session:
        """Open a polling session."""
        link = self.request(self.q(**more))
        assert link.status == 200, link.body
        return self.events[-1][0]

    def open_websocket(self, **more: Any) -> tuple[Session, RecordingLink]:
        link = self.websocket(**more)
        return self.events[-1][0], link

    def websocket(self, sid: str | None = None, **more: Any) -> RecordingLink:
        return self.request(
            self.q(sid, "websocket", **more),
            headers={"Upgrade": "websocket", "Connection": "Upgrade"},
        )

    def poll(self, session: Session | str) -> RecordingLink:
        sid = session if isinstance(session, str) else session.id
        eio = 4 if isinstance(session, str) else session.revision
        return self.request(self.q(sid, eio=eio))

    def parked(self, session: Session) -> RecordingLink:
        link = self.poll(session)
        assert self.verdict is WAITING
        return link

    def post(self, session: Session | str, body: bytes | str, **more: Any) -> RecordingLink:
        sid = session if isinstance(session, str) else session.id
        eio = 4 if isinstance(session, str) else session.revision
        body = body.encode() if isinstance(body, str) else body
        return self.request(self.q(sid, eio=eio), "POST", body=body, **more)

    def packet(self, link: RecordingLink, *packets: str | bytes) -> None:
        for packet in packets:
            link.user.receive_packet(packet)
        self.settle()

    def lose(self, link: RecordingLink, reason: str = "transport close") -> None:
        link.user.lost(link, reason)
        self.settle()

    def send(self, session: Session, *messages: str | bytes) -> None:
        for message in messages:
            session.send(Message(message))
        self.settle()

    def pass_time(self, seconds: float) -> None:
        """Let time pass, ticking at every deadline on the way, as a driver does."""
        end = self.now + seconds
        for _ in range(100_000):
            due = [s.deadline for s in self._living() if s.deadline is not None]
            due = [when for when in due if when <= end]
            if not due:
                break
            self.now = max(self.now, min(due))
            for session in self._living():
                deadline = session.deadline
                if deadline is not None and deadline <= self.now:
                    assert session.tick(self.now) == []
                    assert session.deadline != 0.0
            for session in self._living():
                session.flush()
        else:
            raise AssertionError("deadlines never end")
        self.now = end

    def _living(self) -> list[Session]:
        return list(self.server.sessions.values())

    def settle(self) -> None:
        """End of a turn: tick what asks for it at once, flush what was touched."""
        for _ in range(3):
            touched, self.touched[:] = list(self.touched), []
            for session in touched:
                if session.deadline == 0.0:
                    assert session.tick(self.now) == []
                session.flush()

    def taken(self) -> list[Any]:
        """Return the events since the last call, without their sessions."""
        return self.recorder.taken()
