"""The queue of the demo: what is in it, who works on it, and how it takes a spike, on a page.

``install(io)`` makes the queue ``demo``, in memory.  Who works on it are clients on the namespace
``/work``: those that the page starts, and any Socket.IO client besides.  At most :data:`RATE`
messages a second are delivered, so ten thousand that come at once are smoothed.

A page watches on the namespace ``/board``.  It is sent ``samples``, a list of them, at first those
that are known, then a new one now and then: how the queue stands, what it has done so far, and its
consumers.  A page that cannot keep up is not sent each, so what happened between two is their
difference.

=======================  ==========================================================================
the page sends           and is acknowledged with
=======================  ==========================================================================
``publish kind``         ``{"published": n}``; ``kind`` is one of :data:`KINDS`
``peek state``           a list of messages, without their bodies
``message id``           ``{"message", "deliveries"}``: the message, or ``None`` if it is gone, and
                         when it was delivered, to whom
``redrive``              ``{"redriven": n}``: dead letters get new deliveries
``purge``                ``{"purged": n}``: all that nobody holds is deleted
=======================  ==========================================================================

What fails is acknowledged with ``{"error": why}``.  As the chat, it is an example of the public
interface, and nothing grows without a bound.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from functools import partial

from rawsio.queue import QueueError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from rawsio import Server

__all__ = ["KINDS", "Board", "install"]

RATE = 200.0
"""Most messages that are delivered in a second."""
SPIKE = 10_000
"""Messages of a spike."""
PART = 500
"""Messages of it that are published in one turn: others have theirs in between."""
MOST = 50_000
"""Most messages in the queue; a publish above is refused."""
SAMPLES = 240
"""Samples that are kept."""
INTERVAL = 0.5
"""Seconds between two samples."""
SHOWN = 50
"""Messages in one list."""
REMEMBERED = 2000
"""Messages whose deliveries are remembered."""
DELIVERIES = 20
"""Deliveries of one message that are remembered."""
CONSUMERS = 50
"""Most consumers that a page is shown."""

KINDS: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {
    "one": (1, {"do": "work"}, {}),
    "fails": (1, {"do": "fail"}, {}),
    "later": (1, {"do": "work"}, {"delay": 10.0}),
    "urgent": (1, {"do": "work"}, {"priority": 5}),
    "spike": (SPIKE, {"do": "work"}, {}),
}
"""What can be published: how many, the body of each, options."""

_COUNTED = ("published", "acked", "nacked", "delivered")
_STATES = ("ready", "delayed", "blocked", "leased", "dead")


class Board:
    """The queue, and who looks at it."""

    def __init__(self, io: Server) -> None:
        self.io = io
        self.queue = io.queue(
            "demo",
            namespace="/work",
            allow=lambda _socket, operation, _queue: operation == "consume",
            rate=RATE,
            max_messages=MOST,
            max_deliveries=3,
            lease=10.0,
            backoff=(0.5, 3.0),
        )
        self.samples: deque[dict[str, Any]] = deque(maxlen=SAMPLES)
        self.deliveries: OrderedDict[int, deque[dict[str, Any]]] = OrderedDict()
        self._timer: Any = None
        self._number = 0
        io.of("/work").on("connection", self.worker)
        self.watchers = board = io.of("/board")
        board.on("connection", self.watch)
        board.on("disconnect", self.leave)
        board.on("publish", self.publish, ack=True)
        board.on("peek", self.peek, ack=True)
        board.on("message", self.message, ack=True)
        board.on("redrive", self.redrive, ack=True)
        board.on("purge", self.purge, ack=True)

    # Deliveries

    def worker(self, socket: Any) -> None:
        """Remember what a worker is sent."""
        socket.on_any_outgoing(partial(self.delivered, socket.id))

    def delivered(self, worker: str, name: str, *args: Any) -> None:
        """Remember that messages went to a worker."""
        if name not in ("message", "messages"):
            return
        now = time.time()
        for message in args[0] if name == "messages" else args[:1]:
            known = self.deliveries.setdefault(message["id"], deque(maxlen=DELIVERIES))
            known.append({"time": now, "consumer": worker, "number": message["deliveries"]})
            if len(self.deliveries) > REMEMBERED:
                self.deliveries.popitem(last=False)

    # Samples

    def watch(self, socket: Any) -> None:
        """Show a new page what is known."""
        socket.emit("samples", list(self.samples))
        if self._timer is None:
            self._timer = self.io.every(INTERVAL, self.sample)

    def leave(self, _socket: Any) -> None:
        """Take no samples if nobody looks."""
        if not self.watchers.sockets and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def sample(self) -> None:
        """Take a sample, and show it."""
        stats = self.queue.stats()
        self._number += 1
        made: dict[str, Any] = {
            "number": self._number,
            "time": time.time(),
            **{name: stats[name] for name in _STATES + _COUNTED},
            "consumers": self.queue.consumers()[:CONSUMERS],
        }
        self.samples.append({**made, "consumers": []})
        self.watchers.volatile.emit("samples", [made])

    # What a page asks for

    def publish(self, _socket: Any, kind: Any = None, *rest: Any) -> None:
        """Publish."""
        ack = _ack(kind, rest)
        if not isinstance(kind, str) or kind not in KINDS:
            ack({"error": f"there are {', '.join(KINDS)}"})
            return
        self._publish(*KINDS[kind], ack, [])

    def _publish(
        self,
        count: int,
        body: dict[str, Any],
        options: dict[str, Any],
        ack: Callable[[Any], None],
        replies: list[Any],
    ) -> None:
        replies += self.queue.publish_many([body] * min(count, PART), **options)
        if count > PART:
            self.io.call_later(0.0, self._publish, count - PART, body, options, ack, replies)
        else:
            replies[-1].add_done_callback(lambda _last: ack(_outcome(replies)))

    def peek(self, _socket: Any, state: Any = None, *rest: Any) -> None:
        """Show messages of a state, oldest first."""
        reply = self.queue.peek(state if state in _STATES else None, SHOWN)
        answer = _ack(state, rest)
        self._answer(reply, answer, lambda found: [{**row, "body": None} for row in found])

    def message(self, _socket: Any, number: Any = None, *rest: Any) -> None:
        """Show a message and its deliveries."""
        ack = _ack(number, rest)
        if number.__class__ is not int or not 0 < number < 1 << 53:
            ack({"error": "the id of a message is a number"})
            return

        def shape(found: list[Any]) -> dict[str, Any]:
            here = found[0] if found and found[0]["id"] == number else None
            return {"message": here, "deliveries": list(self.deliveries.get(number, ()))}

        self._answer(self.queue.peek(None, 1, number - 1), ack, shape)

    def redrive(self, _socket: Any, *rest: Any) -> None:
        """Give dead letters new deliveries."""
        self._answer(self.queue.redrive(SHOWN), _ack(None, rest), lambda n: {"redriven": n})

    def purge(self, _socket: Any, *rest: Any) -> None:
        """Delete all that nobody holds."""
        states = ("ready", "delayed", "blocked", "dead")
        self._answer(self.queue.purge(*states), _ack(None, rest), lambda n: {"purged": n})

    @staticmethod
    def _answer(reply: Any, ack: Callable[[Any], None], shape: Callable[[Any], Any]) -> None:
        def done(reply: Any) -> None:
            try:
                value = shape(reply.result())
            except QueueError as error:
                value = {"error": str(error)}
            ack(value)

        reply.add_done_callback(done)


def _ack(first: Any, rest: tuple[Any, ...]) -> Callable[[Any], None]:
    """Return the function that acknowledges: the last argument, however many there are."""
    found: Callable[[Any], None] = rest[-1] if rest else first
    return found


def _outcome(replies: list[Any]) -> dict[str, Any]:
    # They are answered in their order: with the last one all are.
    refused = [reply for reply in replies if reply.exception() is not None]
    if refused:
        return {"error": f"{len(refused)} were refused: {refused[0].exception()}"}
    return {"published": len(replies)}


def install(io: Server) -> None:
    """Make the queue of the demo on a server."""
    Board(io)
