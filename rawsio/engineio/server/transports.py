"""What a session has only for as long as a certain transport carries it.

:class:`Polling` is where a poll and a post may be in work, :class:`Candidate` a WebSocket that may
take over from it.  Both go when the session moves to the WebSocket, and most sessions do at once:
that is why they are objects of their own, and an idle session is small.
:class:`~rawsio.engineio.server.session.Session` decides what happens to them.
"""

from __future__ import annotations

from rawsio.engineio.packets import Probed, decode_payload
from rawsio.engineio.payloads_v3 import decode_binary, decode_jsonp, decode_text
from rawsio.engineio.probe import Probe
from rawsio.layer import Role

from .links import deliver
from .polling import form_field, ok_answer, payload_answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Callable
    from typing import Any

    from rawsio.engineio.states import ProbeState

    from .links import Link
    from .polling import Compression

    Pairs = list[tuple[str, str]]

__all__ = ["NOOP_INTERVAL", "Polling", "Candidate"]

NOOP_INTERVAL = 0.1
"""Seconds between the noops that end a waiting poll while a WebSocket is probed."""


class Polling:
    """What a session has only while it runs over polling."""

    __slots__ = (
        "jsonp",
        "poll",
        "poll_fields",
        "compression",
        "post",
        "post_fields",
        "binary",
        "grace",
        "taken",
        "paused",
        "held",
        "rest",
    )

    def __init__(self, jsonp: str | None = None) -> None:
        self.jsonp = jsonp
        """The index of the client's function, for a client that polls by script elements."""
        self.poll: Link | None = None
        """Where a GET waits for packets; and the header fields of its answer."""
        self.poll_fields: Pairs = []
        self.compression: Compression | None = None
        """How that answer is compressed, and from which size on; ``None`` for never."""
        self.post: Link | None = None
        """Where a POST is being read; and the header fields of its answer."""
        self.post_fields: Pairs = []
        self.binary = False
        """Whether its body is of the binary form."""
        self.grace: float | None = None
        """After our close: until when a last poll is waited for."""
        self.taken: Callable[[], None] | None = None
        """Called once, when the queue is taken: who put much into it waits for that."""

        self.paused = False
        """Whether the answers to POSTs are held back, so that no further one comes."""
        self.held = False
        """Whether one is."""
        self.rest: deque[Any] | None = None
        """Packets of posts that wait until less waits for a poll; their post waits as well."""

    def release(self) -> None:
        """Give the answer that was held back, unless packets of that post wait."""
        self.paused = False
        if not self.rest and self.held and self.post is not None:
            link, self.post, self.held = self.post, None, False
            link.session = None
            link.respond(*ok_answer(self.post_fields))

    def end(self) -> None:
        """Let go of the POST in work, with an answer if there is one to give."""
        self.rest = None
        self.release()
        self.grace = None
        if self.post is not None:
            self.post.session = None
            self.post = None

    def packets(self, revision: int, body: bytes, most: int) -> list[Any]:
        """Return the packets of a post, ``most`` of them; raises ``EngineIOError``."""
        if revision == 4:
            return list(decode_payload(body, most))
        if self.jsonp is not None:
            return decode_text(decode_jsonp(form_field(body, "d", most)), most)
        if self.binary:
            return decode_binary(body, most)
        return decode_text(body, most)

    def take(self) -> None:
        """Tell who waits for it that the queue was taken."""
        taken, self.taken = self.taken, None
        if taken is not None:
            taken()

    def answer(self, packets: list[Any], *, revision: int, base64: bool) -> None:
        """Answer the poll that waits, if one does, with these packets."""
        if self.poll is None:
            return
        link, self.poll = self.poll, None
        link.session = None
        response, body = payload_answer(
            packets,
            revision=revision,
            base64=base64,
            jsonp=self.jsonp,
            compression=self.compression,
            fields=self.poll_fields,
        )
        link.respond(response, body)


class Candidate:
    """A WebSocket that is probed, and may become the session's transport."""

    __slots__ = ("link", "probe", "noop")

    def __init__(self, link: Link, timeout: float) -> None:
        self.link = link
        self.probe = Probe(Role.SERVER, timeout=timeout)
        self.noop: float | None = None
        """When the next noop is due; ``None`` before the probe."""

    @property
    def deadline(self) -> float | None:
        """When the probe or the noop is due."""
        due = self.probe.deadline
        return due if self.noop is None or due is None else min(due, self.noop)

    def receive(self, packet: str | bytes) -> ProbeState:
        """Feed one packet, send the reply; return how far the probe is."""
        if any(event.__class__ is Probed for event in self.probe.receive(packet)):
            # The first noop comes from the timer: often the poll ends by itself before.
            self.noop = 0.0
        for reply in self.probe.data_to_send():
            deliver(self.link, reply, 4)
        return self.probe.state

    def tick(self, now: float) -> bool:
        """Tell the time; return whether a waiting poll should be ended now."""
        self.probe.tick(now)
        if self.noop is None or now < self.noop:
            return False
        due = self.noop != 0.0
        self.noop = now + NOOP_INTERVAL
        return due
