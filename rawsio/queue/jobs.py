"""A queue as applications use it: ``io.queue("jobs", ...)``.

Publishing may be done from any thread and from coroutines: ``jobs.publish(body)`` gives a
:class:`~rawsio.app.reply.Reply` that ends with the commit.  Handlers run as event handlers do:
on the loop, on the executor's threads, or as tasks.  What a handler returns does not matter; that
it returns acknowledges the message, and what it raises gives the message back.
"""

from __future__ import annotations

from collections import deque
from functools import partial

from rawsio.app.handlers import check_function
from rawsio.app.reply import Promise, Reply
from rawsio.errors import meant
from rawsio.layer import check_number
from rawsio.log import INFO
from rawsio.net.forking import watch

from .bodies import each_body, encode_body, shown
from .handling import Handling, Message
from .messages import (
    Buried,
    Deliver,
    Drained,
    Published,
    QueueError,
    QueueOptions,
    Rejected,
    Settled,
    Stored,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, TypeVar, overload

    from typing_extensions import Unpack

    from .keeper import Keeper
    from .messages import PublishKeywords
    from .queue import Queue
    from .transactions import Transaction

    # A ticket, an encoded body, and what else is said of the message; or no body, and a request.
    Asked = tuple[Any, bytes | None, dict[str, Any]]
    FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

__all__ = ["Jobs"]

_OF_MESSAGES = ("key", "delay", "priority", "group", "expires")
_NOW, _USUAL = 0.0, 0
"""The delay and the priority of a message whose publisher says nothing about them."""
_NO_MORE = (None, None, None)
_NONE: dict[str, Any] = {}
_SMALL, _MANY = 1024, 256
"""What is published while a transaction runs is kept until its end: bodies of so many bytes at
most, and so many of them; then the queue is told, which has bounds."""
_STRIDE, _STRIDES = 100, 10
"""A thread is held up when more than so many times so many publishes of threads wait for their
commit; only the last of each stride is looked at."""


class Jobs:
    """One queue of a server; made by :meth:`rawsio.Server.queue`.

    >>> from rawsio import Server
    >>> from rawsio.testing import TestKit
    >>> io = Server()
    >>> jobs = io.queue("jobs")
    >>> @jobs.handler
    ... def resize(message):
    ...     print(message.id, message.body)
    >>> with TestKit(io) as kit:
    ...     published = jobs.publish({"pic": 7})
    ...     kit.run()
    ...     published.result()
    1 {'pic': 7}
    Published(id=1, duplicate=False)
    """

    def __init__(self, keeper: Keeper, queue: Queue) -> None:
        self.keeper = keeper
        self.queue = queue
        self.name = queue.name
        self._host = keeper.host
        self._consumers: dict[Any, Callable[[list[Any]], None]] = {}
        self._drained: dict[Any, Callable[[], None]] = {}
        self._handlings: list[Handling] = []
        self._window: deque[Reply] = deque()
        self._strides = 0
        # What was published in this turn, until the queue gets all of it.
        self._asked: list[Asked] = []
        # What other threads have published, until the loop takes all of it at once.
        self._handed: deque[Asked] = deque()
        self._handing = False
        self.ended: Callable[[], None] = _nothing
        self.answer: Callable[[list[Any], Sequence[int]], Iterable[tuple[Any, int]]] = _pairs
        """Answers publishes that are stored, by their tickets and ids, and returns the others."""
        watch(self)

    def forked(self) -> None:
        """In a child process a file is the parent's: what is asked for there would wait for ever.

        Not even a loop that runs there would be allowed to write.
        """
        if self.keeper.worker is not None:
            vars(self).update(_publish=self._refuse, _request=self._refuse)

    def _refuse(self, *_args: Any, **_options: Any) -> Any:
        text = (
            f"the file of the queue {self.name} was opened before this process was forked, and is"
            " its parent's: fork first, and make queues in the process that uses them"
        )
        reply: Promise[Any] = Promise(self._host)
        reply.fail(QueueError("unavailable", text))
        return reply

    # Publishing

    def publish(
        self,
        body: Any,
        *,
        key: str | None = None,
        delay: float = _NOW,
        priority: int = _USUAL,
        group: str | None = None,
        expires: float | None = None,
    ) -> Reply[Published]:
        """Store a message; the reply is ``Published(id, duplicate)``, after the commit.

        ``body`` is whatever an event may carry.  A second message with the same ``key`` is not
        stored (``duplicate``).  It is delivered not before ``delay`` seconds, and not after
        ``expires`` seconds; higher ``priority`` first; messages of a ``group`` one at a time, in
        order.  The reply fails with :class:`~rawsio.queue.QueueError`: ``full``, ``too_large``,
        ``bad_request``, ``unavailable`` or ``closing``.  A body that cannot be encoded raises
        ``LocalProtocolError`` here.  A thread that publishes faster than the disk takes it waits.
        """
        encoded = encode_body(body, self._host.limits)
        options = _NONE
        if delay is not _NOW or priority is not _USUAL or (key, group, expires) != _NO_MORE:
            options = _named(key, delay, priority, group, expires)
        return self._publish(encoded, options)

    def _publish(self, body: bytes, options: dict[str, Any]) -> Reply[Published]:
        reply: Promise[Published] = Promise(self._host)
        if self._host.on_loop():
            self.enqueue(reply, body, options)
            return reply
        handed = self._handed
        handed.append((reply, body, options))
        # Behind that: a transaction that still runs now will collect it at its end.
        if not self._handing and not self._may_wait(len(handed), body):
            self._announce()
        self._strides += 1
        if self._strides >= _STRIDE:
            self._strides = 0
            self._hold_up(reply)
        return reply

    def _announce(self) -> None:
        """Have the loop take what other threads ask for."""
        self._handing = True
        self._host.call_soon_threadsafe(self._take_handed)

    def _may_wait(self, many: int, body: bytes) -> bool:
        """Tell whether a transaction runs, and so little waits that its end is soon enough."""
        if not self.keeper.busy or self.queue.closing:
            return False
        return many < _MANY and len(body) <= _SMALL

    def _take_handed(self) -> None:
        # Before the list is looked at: what comes later is announced again.
        self._handing = False
        self._ask_soon()

    def _hold_up(self, reply: Reply) -> None:
        window = self._window
        window.append(reply)
        while len(window) > _STRIDES:
            try:
                oldest = window.popleft()
            except IndexError:
                return
            oldest.exception()

    def publish_many(
        self, bodies: Iterable[Any], **options: Unpack[PublishKeywords]
    ) -> list[Reply[Published]]:
        """Publish each body; see :meth:`publish`.  They go into one transaction, if they fit."""
        for name in options:
            if name not in _OF_MESSAGES:
                raise TypeError(f"a message has no option {name!r}{meant(name, _OF_MESSAGES)}")
        encoded = [encode_body(body, self._host.limits) for body in each_body(bodies)]
        given: Any = options
        return [self._publish(body, given) for body in encoded]

    # Processing

    if TYPE_CHECKING:

        @overload
        def handler(
            self,
            fn: None = None,
            *,
            concurrency: int = ...,
            batch: int = ...,
            linger: float = ...,
            prefetch: int | None = ...,
            lease: float | None = ...,
        ) -> Callable[[FunctionT], FunctionT]: ...
        @overload
        def handler(
            self,
            fn: FunctionT,
            *,
            concurrency: int = ...,
            batch: int = ...,
            linger: float = ...,
            prefetch: int | None = ...,
            lease: float | None = ...,
        ) -> FunctionT: ...

    def handler(
        self,
        fn: FunctionT | None = None,
        *,
        concurrency: int = 1,
        batch: int = 1,
        linger: float = 0.0,
        prefetch: int | None = None,
        lease: float | None = None,
    ) -> FunctionT | Callable[[FunctionT], FunctionT]:
        """Call ``fn(message)`` for each message; also a decorator.

        When it returns, the message is done.  When it raises, the message is delivered again after
        a wait that grows (``backoff``), and becomes a dead letter after ``max_deliveries``;
        :class:`~rawsio.queue.Dead` makes it one at once.  ``concurrency`` calls run at a time,
        where handlers run on threads or as tasks.  With ``batch`` it gets lists of at most so many
        messages, ``linger`` seconds after the first at the latest, and all of a list succeed or
        fail together.  ``prefetch`` messages (``concurrency`` calls' worth if not given) are
        fetched ahead; more is faster, but all that are fetched count as delivered when the process
        dies.  ``lease`` seconds after a call began the message is given to somebody else.
        """
        if fn is None:
            return lambda fn: self.handler(
                fn,
                concurrency=concurrency,
                batch=batch,
                linger=linger,
                prefetch=prefetch,
                lease=lease,
            )
        check_function(fn, "a handler of a queue")
        credit = _credit(concurrency, batch, prefetch, self._host.limits.queue_credit)
        self._host.expect(fn)
        made = Handling(self, fn, concurrency, many=batch > 1)
        name = ("handler", len(self._handlings) + 1)
        self.consume(
            name,
            made.give,
            credit=credit,
            batch=batch,
            linger=linger,
            lease=lease,
            waits=True,
        )
        self._handlings.append(made)
        return fn

    def transaction(self, message: Message) -> Transaction:
        """Let your SQL and the end of a message be one transaction: a context manager.

        ::

            with jobs.transaction(message) as db:
                db.execute("INSERT INTO thumbs VALUES (?)", (message.body["pic"],))

        It commits both or, if the block raises or the lease has ended meanwhile, neither: then it
        raises ``QueueError`` (``stale``).  It waits for its turn at the file, so it is for threads
        (``Server(executor=...)``) and, as ``async with`` and ``await db.execute(...)``, for
        coroutines; on the loop's thread ``with`` raises ``RuntimeError`` at once, and so does one
        inside of another.  Others wait meanwhile: keep it short; when the lease ends, it is undone
        wherever it stands.  What a queue of the file is asked for inside is done behind it, so a
        reply that is waited for there does not come.
        """
        from .transactions import Transaction

        return Transaction(self, message)

    # Management

    def redrive(self, limit: int = 1000) -> Reply[int]:
        """Give the oldest dead letters new deliveries; the reply is how many."""
        return self._request(self.queue.redrive, limit)

    def purge(self, *states: str) -> Reply[int]:
        """Delete messages that nobody holds; the reply is how many.

        ``states`` are of ``ready``, ``delayed``, ``blocked`` and ``dead``; without any: all but
        the dead letters.
        """
        return self._request(self.queue.purge, states or ("ready", "delayed", "blocked"))

    def peek(
        self, state: str | None = None, limit: int = 10, after: int = 0
    ) -> Reply[list[dict[str, Any]]]:
        """Look at messages without taking them; the reply is a list of dicts, oldest first.

        Where bodies are long there are fewer than ``limit``: go on with ``after``, an id.
        """
        limits = self._host.limits

        def shape(rows: list[Any]) -> list[Any]:
            return [shown(row, limits) for row in rows]

        return self._request(self.queue.peek, state, limit, after, shape=shape)

    def _request(
        self,
        request: Callable[..., None],
        *args: Any,
        shape: Callable[[Any], Iterable[Any]] | None = None,
    ) -> Reply[Any]:
        reply: Promise[Any] = Promise(self._host)
        ticket: Any = reply if shape is None else _Shaped(reply, shape)
        if self._host.on_loop():
            self.request(ticket, request, ticket, *args)
        else:
            # In the order of what this thread has published.
            self._handed.append((ticket, None, {"request": partial(request, ticket, *args)}))
            if not self._handing:
                self._announce()
        return reply

    def stats(self) -> dict[str, float]:
        """Return how the queue stands, and what it did since the start.

        Messages by state (``ready delayed blocked leased dead``), ``bytes`` of bodies, ``waiting``
        operations, ``consumers``, free ``credit``, ``oldest_age`` of the message that is next, in
        seconds; since the start ``published duplicates refused delivered acked nacked returned
        lapsed expired dropped buried``; and ``commit_ms_p50`` and ``commit_ms_p99``.
        """
        median, worst = self.keeper.commit_times()
        shown = {**self.queue.stats(), "commit_ms_p50": median, "commit_ms_p99": worst}
        shown["waiting"] += len(self._asked) + len(self._handed)
        return shown

    def consumers(self) -> list[dict[str, Any]]:
        """Return who consumes: ``name``, ``credit``, how many messages it holds (``held``), and
        its ``failures`` in a row.

        A client's name is its socket's id and a number; that of a handler is ``handler`` and one.
        """
        return [
            {
                "name": " ".join(map(str, consumer.name)),
                "credit": consumer.credit,
                "held": len(consumer.leases),
                "failures": consumer.failures,
            }
            for consumer in self.queue.consumers()
        ]

    @property
    def options(self) -> QueueOptions:
        """The options, with the bounds filled in."""
        return self.queue.options

    # On the loop's thread: for handlers and the wire

    def request(self, ticket: Any, request: Callable[..., Any], *args: Any) -> Any:
        """Make a request of the queue; what it refuses fails the ticket."""
        self.collect()  # which was asked for before
        try:
            return request(*args)
        except QueueError as error:
            ticket.fail(error)
        finally:
            self.keeper.touch()

    def enqueue(self, ticket: Any, body: bytes, options: dict[str, Any]) -> None:
        """Publish a body that is encoded, at the end of this turn together with all others."""
        asked = self._asked
        asked.append((ticket, body, options))
        many = len(asked)
        if 1 < many < _MANY and len(body) <= _SMALL:
            return  # the first of them is looked for already, and so are these
        if not self._may_wait(many, body):
            self._ask_soon()

    def _ask_soon(self) -> None:
        if self.queue.closing:
            self.collect()  # nobody may look for it any more
        else:
            self.keeper.touch()

    def collect(self) -> None:
        """Give the queue what was published since the last call."""
        if self._handed:
            take = self._handed.popleft
            self._asked += [take() for _ in range(len(self._handed))]
        if not self._asked:
            return
        asked, self._asked = self._asked, []
        tickets, bodies, options = map(list, zip(*asked, strict=True))
        if not any(options) and self.queue.publish_bodies(tickets, bodies):
            return
        for ticket, body, said in asked:
            try:
                if body is None:
                    said["request"]()
                elif said or not self.queue.publish_bodies([ticket], [body]):
                    self.queue.publish(ticket, body, **said)
            except QueueError as error:
                ticket.fail(error)

    def consume(
        self,
        name: Any,
        give: Callable[[list[Any]], None],
        drained: Callable[[], None] | None = None,
        **options: Any,
    ) -> None:
        """Add a consumer: ``give(deliveries)`` is called for each batch."""
        self.queue.consume(name, **options)
        self._consumers[name] = give
        if drained is not None:
            self._drained[name] = drained
        self.keeper.touch()

    def cancel(self, name: Any, *, keep: bool = False) -> int:
        """Remove a consumer; what it holds is given back."""
        self._consumers.pop(name, None)
        self._drained.pop(name, None)
        returned = self.queue.cancel(name, keep=keep)
        self.keeper.touch()
        return returned

    def take(self, events: list[Any]) -> None:
        """Take what the queue gave."""
        for event in events:
            kind = event.__class__
            if kind is Stored:
                for ticket, number in self.answer(event.tickets, event.ids):
                    ticket.resolve(Published(number))
            elif kind is Settled:
                if event.ticket is not None:
                    event.ticket.resolve(event.value)
            elif kind is Deliver:
                give = self._consumers.get(event.consumer)
                if give is not None:
                    give(event.deliveries)
            elif kind is Rejected:
                event.ticket.fail(event.error)
            elif kind is Drained:
                self._drained.get(event.consumer, _nothing)()
            elif kind is Buried:
                line = f"message {event.id} of {self.name} is a dead letter: {event.error[:200]}"
                self._host.log("queue", INFO, line)

    # The end

    @property
    def busy(self) -> bool:
        """Whether handlers are at work."""
        return any(handling.running for handling in self._handlings)

    def pause(self, ended: Callable[[], None]) -> None:
        """Deliver nothing any more; handlers that have begun go on, and ``ended`` is called."""
        self.ended = ended
        self.collect()
        self.queue.closing = True
        for handling in self._handlings:
            handling.stop()


class _Shaped:
    def __init__(self, reply: Promise, shape: Callable[[Any], Iterable[Any]]) -> None:
        self._reply = reply
        self._shape = shape

    def resolve(self, value: Any) -> None:
        self._reply.resolve(list(self._shape(value)))

    def fail(self, error: BaseException) -> None:
        self._reply.fail(error)


def _named(
    key: str | None, delay: float, priority: int, group: str | None, expires: float | None
) -> dict[str, Any]:
    """Return the options that say something: most messages have none."""
    options: dict[str, Any] = {}
    if key is not None:
        options["key"] = key
    if delay != 0.0 or delay.__class__ is bool:
        options["delay"] = delay
    if priority != 0 or priority.__class__ is not int:
        options["priority"] = priority
    if group is not None:
        options["group"] = group
    if expires is not None:
        options["expires"] = expires
    return options


def _nothing() -> None:
    return


def _pairs(tickets: list[Any], ids: Sequence[int]) -> Iterable[tuple[Any, int]]:
    return zip(tickets, ids, strict=True)


def _credit(concurrency: Any, batch: Any, prefetch: Any, most: int) -> int:
    """Return how many messages a handler may hold; refuse what is no number of messages."""
    given = {"concurrency": concurrency, "batch": batch}
    if prefetch is not None:
        given["prefetch"] = prefetch
    for name, value in given.items():
        _check_most(name, value, most)
    if prefetch is not None:
        return int(max(prefetch, batch))
    _check_most("concurrency * batch", concurrency * batch, most)
    return int(concurrency * batch)


def _check_most(name: str, value: Any, most: int) -> None:
    check_number(name, value, whole=True)
    if not 1 <= value <= most:
        raise ValueError(f"{name}: a number from 1 to {most} is expected, not {value}")
