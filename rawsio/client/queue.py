"""A durable queue of a server, as a client uses it: ``socket.queue("jobs")``.

::

    import rawsio
    from rawsio.client.queue import RemoteMessage

    socket = rawsio.connect("http://localhost:3000/queue")
    jobs = socket.queue("jobs")
    jobs.publish({"pic": 7}, key="pic-7").result(timeout=5)

    @jobs.handler(credit=10)
    def resize(message: RemoteMessage) -> None:
        print(message.body)

It is sugar over events that any Socket.IO client can send (:mod:`rawsio.queue.wire`).  A handler's
return acknowledges the message, what it raises gives it back.  After a reconnection consuming goes
on by itself; what was held before the cut is delivered again, to this client or another one.
"""

from __future__ import annotations

from functools import partial

from rawsio.app.handlers import check_function, shape
from rawsio.app.reply import Promise, Reply
from rawsio.errors import ConnectionClosed, escaped, in_words
from rawsio.log import ERROR, WARNING
from rawsio.queue.bodies import each_body
from rawsio.queue.messages import Dead, Published, QueueError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any, TypeVar, overload

    from typing_extensions import Unpack

    from rawsio.queue.messages import PublishKeywords

    from .socket import ClientSocket

    FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

__all__ = ["RemoteMessage", "RemoteQueue"]

_NONE = (AttributeError, LookupError, TypeError, ValueError)
"""What comes of reading an answer or a message that is none."""


class RemoteMessage:
    """What a handler gets: ``id body deliveries published key group``, as in the server."""

    __slots__ = ("id", "token", "body", "deliveries", "published", "key", "group", "_queue")

    def __init__(self, queue: RemoteQueue, given: dict[str, Any]) -> None:
        self.id: int = given["id"]
        self.token: str = given["token"]
        self.body: Any = given["body"]
        self.deliveries: int = given["deliveries"]
        self.published: float = given["published"]
        self.key: str | None = given.get("key")
        self.group: str | None = given.get("group")
        self._queue = queue

    def extend(self, seconds: float) -> Reply[float]:
        """Let the lease end so many seconds from now; the reply is that time, since 1970."""
        return self._queue.ask("extend", self.token, seconds, shape=lambda value: value["until"])

    def __repr__(self) -> str:
        return f"<RemoteMessage {self.id} of {self._queue.name}, delivery {self.deliveries}>"


class RemoteQueue:
    """One queue of a server, through one socket."""

    def __init__(self, socket: ClientSocket, name: str) -> None:
        self.socket = socket
        self.name = name
        self._host = socket.client.host

    # Requests

    def ask(
        self, name: str, *args: Any, shape: Callable[[Any], Any] = lambda value: value
    ) -> Reply[Any]:
        """Send a request; the reply fails with ``QueueError`` if it is refused."""
        reply: Promise[Any] = Promise(self._host)
        self.socket.emit_with_ack(name, *args).add_done_callback(partial(_settle, reply, shape))
        return reply

    def publish(self, body: Any, **options: Unpack[PublishKeywords]) -> Reply[Published]:
        """Store a message; the reply is ``Published(id, duplicate)``, after the commit.

        ``options`` are ``key delay priority group expires``; see :meth:`rawsio.queue.jobs.Jobs
        .publish`.  The reply fails with :class:`~rawsio.queue.QueueError`, or with
        ``ConnectionClosed`` if the answer was lost: with a ``key`` it is safe to publish again.
        """
        return self.ask("publish", self.name, body, options, shape=_published)

    def publish_many(
        self, bodies: Iterable[Any], **options: Unpack[PublishKeywords]
    ) -> Reply[list[Published | QueueError]]:
        """Publish each body in one transaction; the reply is a list.

        Its items are ``Published``, or the ``QueueError`` of those that were refused.
        """
        items = [[body, options] for body in each_body(bodies)]
        return self.ask("publish_many", self.name, items, shape=_each)

    def stats(self) -> Reply[dict[str, float]]:
        """Ask how the queue stands; management has to be allowed by the server."""
        return self.ask("stats", self.name)

    def peek(
        self, state: str | None = None, limit: int = 10, after: int = 0
    ) -> Reply[list[dict[str, Any]]]:
        """Ask for messages without taking them, oldest first."""
        return self.ask("peek", self.name, {"state": state, "count": limit, "after": after})

    def purge(self, *states: str) -> Reply[int]:
        """Delete messages that nobody holds; the reply is how many."""
        given = list(states) or None
        return self.ask("purge", self.name, given, shape=lambda value: value["purged"])

    def redrive(self, limit: int = 1000) -> Reply[int]:
        """Give dead letters new deliveries; the reply is how many."""
        return self.ask("redrive", self.name, limit, shape=lambda value: value["redriven"])

    # Processing

    if TYPE_CHECKING:

        @overload
        def handler(
            self,
            fn: None = None,
            *,
            credit: int = ...,
            batch: int = ...,
            linger: float = ...,
            lease: float | None = ...,
            concurrent: bool = ...,
        ) -> Callable[[FunctionT], FunctionT]: ...
        @overload
        def handler(
            self,
            fn: FunctionT,
            *,
            credit: int = ...,
            batch: int = ...,
            linger: float = ...,
            lease: float | None = ...,
            concurrent: bool = ...,
        ) -> FunctionT: ...

    def handler(
        self,
        fn: FunctionT | None = None,
        *,
        credit: int = 10,
        batch: int = 1,
        linger: float = 0.0,
        lease: float | None = None,
        concurrent: bool = False,
    ) -> FunctionT | Callable[[FunctionT], FunctionT]:
        """Call ``fn(message)`` for each message; also a decorator.

        At most ``credit`` messages are held at a time, by default handled one after another;
        ``concurrent=True`` lets the next call begin before this one has ended (on threads, or as
        tasks).  With ``batch`` it gets lists, ``linger`` seconds after the first at the latest.
        """
        if fn is None:
            return lambda fn: self.handler(
                fn,
                credit=credit,
                batch=batch,
                linger=linger,
                lease=lease,
                concurrent=concurrent,
            )
        check_function(fn, "a handler of a queue")
        options: dict[str, Any] = {"credit": credit, "batch": batch, "linger": linger}
        if lease is not None:
            options["lease"] = lease
        event = "messages" if batch > 1 else "message"
        take = self._take_async if shape(fn)[2] else self._take
        self.socket.on(event, partial(take, fn), concurrent=concurrent)
        self.socket.on("connect", partial(self._consume, options))
        if self.socket.connected:
            self._consume(options)
        return fn

    def _consume(self, options: dict[str, Any]) -> None:
        self.ask("consume", self.name, options).add_done_callback(self._began)

    def _began(self, reply: Reply) -> None:
        error = reply.exception()
        if error is not None and not isinstance(error, ConnectionClosed):
            line = f"messages of the queue {self.name} do not come: {error}"
            self._host.log("queue", WARNING, line)

    def _take(self, fn: Callable[..., Any], given: Any) -> Any:
        messages = self._mine(given)
        if messages is None:
            return None
        try:
            fn(messages)
        except Exception as error:  # noqa: BLE001 - it is told to the server
            return self._failed(error, given)
        return None

    async def _take_async(self, fn: Callable[..., Any], given: Any) -> Any:
        messages = self._mine(given)
        if messages is None:
            return None
        try:
            await fn(messages)
        except Exception as error:  # noqa: BLE001 - it is told to the server
            return self._failed(error, given)
        return None

    def _mine(self, given: Any) -> Any:
        try:
            first = given[0] if isinstance(given, list) else given
            if first["queue"] != self.name:
                return None
            if isinstance(given, list):
                return [RemoteMessage(self, message) for message in given]
            return RemoteMessage(self, given)
        except _NONE:
            line = f"a message of the queue {self.name} was left out: it has not the fields of one"
            self._host.log("queue", WARNING, line)
            return None

    def _failed(self, error: Exception, given: Any) -> Any:
        if isinstance(error, Dead):
            answer = {"error": in_words(error, str), "dead": True}
        else:
            self._host.log("handler", ERROR, f"a handler of the queue {self.name} failed", error)
            answer = {"error": in_words(error)}
        # A list is the answers to a batch, by position.
        return [answer] * len(given) if isinstance(given, list) else answer


def _settle(reply: Promise, shape: Callable[[Any], Any], asked: Reply) -> None:
    error = asked.exception()
    if error is not None:
        reply.fail(error)
        return
    found = asked.result()
    try:
        refusal, value = found if isinstance(found, tuple) else (found, None)
        shaped = None if isinstance(refusal, dict) else shape(value)
    except _NONE:
        text = f"the server answered as no queue does: {escaped(repr(found)[:200])}"
        reply.fail(QueueError("bad_answer", text))
        return
    if isinstance(refusal, dict):
        reply.fail(_refusal(refusal))
    else:
        reply.resolve(shaped)


def _refusal(given: dict[str, Any]) -> QueueError:
    return QueueError(str(given.get("code")), str(given.get("message")))


def _published(value: dict[str, Any]) -> Published:
    return Published(value["id"], bool(value.get("duplicate")))


def _each(values: list[dict[str, Any]]) -> list[Any]:
    return [_refusal(value) if "code" in value else _published(value) for value in values]
