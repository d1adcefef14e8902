"""A queue in a Socket.IO namespace: any client, in any language, is a producer or a consumer.

Requests are events with acknowledgements.  An answer is ``null`` and a value, or an error as
``{"code": ..., "message": ...}``; it is sent after the commit::

    socket.emit("publish", "jobs", {pic: 7}, {key: "pic-7"}, (error, published) => ...);

    socket.on("message", async (message, ack) => { await resize(message.body); ack(); });
    socket.emit("consume", "jobs", {credit: 10}, (error, consumer) => ...);

A delivery is the event ``message``, and the client's acknowledgement is the message's: ``ack()`` is
done, ``ack({error, delay, dead})`` gives it back.  With ``batch`` it is ``messages``, a list, and a
list of such answers, by position, if not all went well.

A client that disconnects gives back what it holds at once, or with ``on_disconnect: "lease"`` when
the leases end.  Deliveries are no part of connection state recovery: the lease is.  The table of
all events stands in ``rfc_notes/queue.md``.
"""

from __future__ import annotations

from functools import partial
from itertools import count

from rawsio.answers import acknowledge_all
from rawsio.app.handler_queue import report_failure
from rawsio.errors import LocalProtocolError, welcomed_by
from rawsio.log import WARNING
from rawsio.prepared import Prepared
from rawsio.socketio.packets import Event
from rawsio.socketio.values import HasBinary, Unsendable, encode_plain

from .bodies import decode_body, encode_body, parts_of, shown
from .messages import Published, QueueError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from rawsio.app.namespace import Namespace

    from .jobs import Jobs
    from .messages import Delivery

    Allow = Callable[[Any, str, str], object]

__all__ = ["MANAGEMENT", "QueueNamespace", "allow_work"]

MANAGEMENT = ("peek", "stats", "purge", "redrive")
"""Operations that are refused unless ``allow`` says otherwise."""
_PUBLISH = ("key", "delay", "priority", "group", "expires")
_CONSUME = ("credit", "lease", "batch", "linger", "drained", "on_disconnect")
_ANSWER = ("error", "delay", "dead")
_NO_OPTIONS: dict[str, Any] = {}
_CREDIT = 10
"""The credit of a consumer that names none."""


def allow_work(_socket: Any, operation: str, _queue: str) -> bool:
    """Allow everybody to publish and to consume, and nobody to manage: the default.

    >>> allow_work(None, "publish", "jobs"), allow_work(None, "purge", "jobs")
    (True, False)
    """
    return operation not in MANAGEMENT


class QueueNamespace:
    """The queues of one namespace."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace
        self._host = namespace.host
        self._queues: dict[str, tuple[Jobs, Allow]] = {}
        self._numbers = count(1)
        # For each socket its consumers: number -> (queue, what becomes of its leases).
        self._consumers: dict[str, dict[str, tuple[Jobs, bool]]] = {}
        probe = self._host.prepare(Event(namespace.name, ["probe"]))
        self._standard = probe.parser is None
        # Queues to which everybody may publish, in JSON.
        self._open: dict[str, Jobs] = {}
        for name, handler in _HANDLERS.items():
            take = self._take_publish if name == "publish" else partial(self._take, handler)
            namespace.on(name, take, ack=True)
        namespace.on("disconnect", self._gone)

    def add(self, jobs: Jobs, allow: Allow | None) -> None:
        """Let clients use a queue; ``allow(socket, operation, queue)`` decides who may do what."""
        self._queues[jobs.name] = (jobs, allow_work if allow is None else allow)
        if not self._standard:
            return
        if allow is None:
            self._open[jobs.name] = jobs
        if self._host.limits.json_depth > 1:
            jobs.answer = self._answer

    # Requests

    def _take(self, handler: Callable[..., None], socket: Any, *args: Any) -> None:
        *given, ack = args
        if self._host.inline:
            self._perform(handler, socket, given, _Ticket(ack))
        else:  # on an executor's thread, and queues are used on the loop's
            self._host.call(self._perform, handler, socket, given, _Ticket(ack))

    def _take_publish(self, socket: Any, *args: Any) -> None:
        """Do as :meth:`_take` does, in fewer steps where nothing but a body is published."""
        name = args[0]
        if (
            name.__class__ is str
            and name in self._open
            and (len(args) == 3 or (len(args) == 4 and args[2] == _NO_OPTIONS))
            and self._host.inline
        ):
            try:
                # What was decoded within all limits is within them as it is; bytes need a check.
                encoded = encode_plain(args[1]).encode()
            except (HasBinary, Unsendable):
                pass
            else:
                self._open[name].enqueue(_Ticket(args[-1]), encoded, _NO_OPTIONS)
                return
        self._take(QueueNamespace._publish, socket, *args)

    def _answer(self, tickets: list[Any], ids: Sequence[int]) -> list[tuple[Any, int]]:
        """Answer publishes that are stored; return those for which more is to be done."""
        acks = [ticket._ack if ticket.__class__ is _Ticket else None for ticket in tickets]
        left = acknowledge_all(self.namespace.name, acks, ('[null,{"id":', "}]"), ids)
        return [(tickets[ids.index(number)], number) for number in left]

    def _perform(
        self, handler: Callable[..., None], socket: Any, given: list[Any], ticket: _Ticket
    ) -> None:
        try:
            handler(self, socket, ticket, *given)
        except QueueError as error:
            ticket.fail(error)
        except TypeError as error:
            if error.__traceback__ is not None and error.__traceback__.tb_next is not None:
                raise
            ticket.fail(QueueError("bad_request", "too few arguments, or too many"))

    def _queue(self, socket: Any, operation: str, name: Any) -> Jobs:
        """Return a queue that this client may use so."""
        found = self._queues.get(name) if name.__class__ is str else None
        if found is None:
            raise QueueError("no_such_queue", f"there is no queue {str(name)[:40]!r} here")
        jobs, allow = found
        if allow is allow_work and operation not in MANAGEMENT:
            return jobs
        try:
            allowed = welcomed_by(allow(socket, operation, name), "it")
        except Exception as error:  # noqa: BLE001 - the application's
            report_failure(self._host, f"allow() of the queue {name}", error, socket=socket)
            allowed = False
        if not allowed:
            text = f"you may not {operation} here: the queue's option allow says who may"
            raise QueueError("forbidden", text)
        return jobs

    def _publish(
        self, socket: Any, ticket: _Ticket, queue: Any, body: Any, options: Any = None
    ) -> None:
        jobs = self._queue(socket, "publish", queue)
        jobs.enqueue(ticket, self._encoded(body), _options(options, _PUBLISH))

    def _encoded(self, body: Any) -> bytes:
        try:
            return encode_body(body, self._host.limits)
        except LocalProtocolError as error:
            raise QueueError("bad_request", str(error)) from None

    def _publish_many(self, socket: Any, ticket: _Ticket, queue: Any, items: Any) -> None:
        jobs = self._queue(socket, "publish", queue)
        most = self._host.limits.queue_many
        if items.__class__ is not list or not 0 < len(items) <= most:
            raise QueueError("bad_request", f"a list of 1 to {most} [body, options] is expected")
        gathering = _Gathering(len(items), ticket.resolve)
        for position, item in enumerate(items):
            told = _Told(gathering.part(position), _published)
            try:
                if item.__class__ is not list or not 1 <= len(item) <= 2:
                    raise QueueError("bad_request", "[body] or [body, options] is expected")
                options = _options(item[1] if len(item) > 1 else None, _PUBLISH)
                jobs.enqueue(told, self._encoded(item[0]), options)
            except QueueError as error:
                told.fail(error)

    def _consume(self, socket: Any, ticket: _Ticket, queue: Any, options: Any = None) -> None:
        jobs = self._queue(socket, "consume", queue)
        given = _options(options, _CONSUME)
        ending = given.pop("on_disconnect", "return")
        if ending not in ("return", "lease"):
            raise QueueError("bad_request", "on_disconnect: 'return' or 'lease' is expected")
        mine = self._consumers.setdefault(socket.id, {})
        if len(mine) >= self._host.limits.namespaces:
            raise QueueError("full", f"{len(mine)} consumers of one client already")
        number = str(next(self._numbers))
        name = (socket.id, number)
        drained = partial(socket.emit, "drained", queue) if given.pop("drained", False) else None
        batch = given.get("batch", 1)
        given.setdefault("credit", max(_CREDIT, batch) if batch.__class__ is int else _CREDIT)
        give = partial(self._give, socket, jobs, name, many=batch != 1)
        jobs.consume(name, give, drained, **given)
        mine[number] = (jobs, ending == "lease")
        # Its answer is sent before the first delivery, which takes a transaction.
        ticket.resolve({"consumer": number})

    def _consumer(self, socket: Any, number: Any) -> tuple[Jobs, Any]:
        mine = self._consumers.get(socket.id, {})
        if number.__class__ is not str or number not in mine:
            raise QueueError("bad_request", f"no consumer {str(number)[:40]!r} of yours")
        return mine[number][0], (socket.id, number)

    def _credit(self, socket: Any, ticket: _Ticket, consumer: Any, more: Any) -> None:
        jobs, name = self._consumer(socket, consumer)
        jobs.queue.credit(name, more)
        jobs.keeper.touch()
        ticket.resolve({})

    def _cancel(self, socket: Any, ticket: _Ticket, consumer: Any) -> None:
        jobs, name = self._consumer(socket, consumer)
        del self._consumers[socket.id][consumer]
        ticket.resolve({"returned": jobs.cancel(name)})

    # What becomes of messages

    def _held(self, socket: Any, act: Callable[[Jobs, Any], Any]) -> Any:
        """Do something for the consumer of this client that has the message; or ``stale``."""
        error = QueueError("stale", "no lease of yours has this token now")
        for number, (jobs, _) in self._consumers.get(socket.id, {}).items():
            try:
                result = act(jobs, (socket.id, number))
            except QueueError as refused:
                if refused.code != "stale":
                    raise
            else:
                jobs.keeper.touch()
                return result
        raise error

    def _ack(self, socket: Any, ticket: _Ticket, tokens: Any) -> None:
        given = tokens if tokens.__class__ is list else [tokens]
        most = self._host.limits.queue_many
        if len(given) > most:
            raise QueueError("bad_request", f"at most {most} tokens at a time")

        def done(answers: list[Any]) -> None:
            stale = [t for t, answer in zip(given, answers, strict=True) if answer is not True]
            ticket.resolve({"done": len(answers) - len(stale), "stale": stale})

        gathering = _Gathering(len(given), done)
        for position, token in enumerate(given):
            part = gathering.part(position)
            try:
                self._held(socket, partial(_acknowledge, token, part))
            except QueueError as error:
                part.fail(error)
        if not given:
            done([])

    def _nack(self, socket: Any, ticket: _Ticket, token: Any, options: Any = None) -> None:
        given = _failure(options)
        self._held(socket, lambda jobs, name: jobs.queue.nack(token, name, ticket, **given))

    def _extend(self, socket: Any, ticket: _Ticket, token: Any, seconds: Any) -> None:
        until = self._held(socket, lambda jobs, name: jobs.queue.extend(token, seconds, name))
        ticket.resolve({"until": until})

    # Management

    def _peek(self, socket: Any, ticket: _Ticket, queue: Any, options: Any = None) -> None:
        jobs = self._queue(socket, "peek", queue)
        given = _options(options, ("state", "count", "after"))
        rows = _Told(ticket, lambda rows: [shown(row, self._host.limits) for row in rows])
        jobs.request(rows, partial(jobs.queue.peek, rows, **given))

    def _stats(self, socket: Any, ticket: _Ticket, queue: Any) -> None:
        ticket.resolve(self._queue(socket, "stats", queue).stats())

    def _purge(self, socket: Any, ticket: _Ticket, queue: Any, states: Any = None) -> None:
        jobs = self._queue(socket, "purge", queue)
        if states is not None and states.__class__ is not list:
            raise QueueError("bad_request", "a list of states is expected")
        told = _Told(ticket, lambda number: {"purged": number})
        given = () if states is None else (states,)
        jobs.request(told, jobs.queue.purge, told, *given)

    def _redrive(self, socket: Any, ticket: _Ticket, queue: Any, limit: Any = 1000) -> None:
        jobs = self._queue(socket, "redrive", queue)
        told = _Told(ticket, lambda number: {"redriven": number})
        jobs.request(told, jobs.queue.redrive, told, limit)

    # Deliveries

    def _give(
        self, socket: Any, jobs: Jobs, name: Any, deliveries: list[Delivery], *, many: bool
    ) -> None:
        if not many:
            for delivery in deliveries:
                self._send(socket, jobs, name, [delivery], many=False)
            return
        limits = self._host.limits
        part: list[Delivery] = []
        attachments = size = 0
        for delivery in deliveries:
            more = len(parts_of(delivery.body)[1])
            over = attachments + more > limits.attachments
            if part and (over or size + len(delivery.body) > limits.message // 2):
                self._send(socket, jobs, name, part, many=True)
                part, attachments, size = [], 0, 0
            part.append(delivery)
            attachments, size = attachments + more, size + len(delivery.body)
        self._send(socket, jobs, name, part, many=True)

    def _send(
        self, socket: Any, jobs: Jobs, name: Any, deliveries: list[Delivery], *, many: bool
    ) -> None:
        number = self.namespace.next_id()
        try:
            prepared = self._prepared(socket, jobs.name, deliveries, number, many=many)
        except LocalProtocolError as error:
            self._host.log("queue", WARNING, f"a message of {jobs.name} cannot be sent: {error}")
            for delivery in deliveries:
                jobs.queue.nack(delivery.token, error=str(error), dead=True)
            return
        socket._ask(prepared, _Delivered(self, socket, jobs, name, deliveries))

    def _prepared(
        self, socket: Any, queue: str, deliveries: list[Delivery], number: int, *, many: bool
    ) -> Any:
        """Return the event of a delivery; its bodies are what was stored, as far as can be."""
        space = self.namespace.name
        plain = self._standard and not (socket._hooks and socket._hooks.outgoing)
        if plain and socket._peer.base_id is None:
            parts = [parts_of(delivery.body) for delivery in deliveries]
            if len(parts) == 1 or not any(attachments for _, attachments in parts):
                texts = [
                    f'{encode_plain(_head(queue, d))[:-1]},"body":{text}}}'
                    for d, (text, _) in zip(deliveries, parts, strict=True)
                ]
                attachments = parts[0][1]
                kind = f"5{len(attachments)}-" if attachments else "2"
                where = f"{space}," if space != "/" else ""
                value = f'["messages",[{",".join(texts)}]]' if many else f'["message",{texts[0]}]'
                event = Event(space, ["messages" if many else "message"], number)
                return Prepared(event, (f"{kind}{where}{number}{value}", *attachments))
        limits = self._host.limits
        values = [{**_head(queue, d), "body": decode_body(d.body, limits)} for d in deliveries]
        args = ["messages", values] if many else ["message", values[0]]
        return self._host.prepare(Event(space, args, number))

    def answered(self, jobs: Jobs, name: Any, delivery: Delivery, answer: Any) -> None:
        """A client has said what became of a message."""
        failed = answer.__class__ is dict and any(word in answer for word in _ANSWER)
        try:
            if failed:
                jobs.queue.nack(delivery.token, name, **_failure(answer))
            else:
                jobs.queue.ack(delivery.token, name)
        except QueueError as error:
            if error.code != "stale":
                self._host.log("queue", WARNING, f"an answer to message {delivery.id}: {error}")
                jobs.queue.nack(delivery.token, name, error=str(error))
        jobs.keeper.touch()

    def lost(self, socket: Any, jobs: Jobs, deliveries: list[Delivery]) -> None:
        """A delivery will not be answered: the client has gone, or was not sent it."""
        if not socket.connected:
            if socket.id in self._consumers:
                self._gone(socket)
            return
        for delivery in deliveries:
            jobs.queue.unsee(delivery.token)
        jobs.keeper.touch()

    def _gone(self, socket: Any) -> None:
        self._host.call(self._forget, socket.id)

    def _forget(self, sid: str) -> None:
        self._cancel_all(sid, self._consumers.pop(sid, {}))

    def _cancel_all(self, sid: str, consumers: dict[str, tuple[Jobs, bool]]) -> None:
        """Give back what a client held: each consumer's in a turn of its own, it may be much."""
        while consumers:
            number, (jobs, keep) = consumers.popitem()
            try:
                held = jobs.cancel((sid, number), keep=keep)
            except QueueError:
                continue  # the queue has closed before
            if held and consumers:
                jobs.keeper.host.call_soon(self._cancel_all, sid, consumers)
                return


_HANDLERS: dict[str, Callable[..., None]] = {
    "publish": QueueNamespace._publish,
    "publish_many": QueueNamespace._publish_many,
    "consume": QueueNamespace._consume,
    "credit": QueueNamespace._credit,
    "cancel": QueueNamespace._cancel,
    "ack": QueueNamespace._ack,
    "nack": QueueNamespace._nack,
    "extend": QueueNamespace._extend,
    "peek": QueueNamespace._peek,
    "stats": QueueNamespace._stats,
    "purge": QueueNamespace._purge,
    "redrive": QueueNamespace._redrive,
}


def _acknowledge(token: Any, ticket: Any, jobs: Jobs, name: Any) -> None:
    jobs.queue.ack(token, name, ticket)


def _head(queue: str, delivery: Delivery) -> dict[str, Any]:
    head: dict[str, Any] = {
        "id": delivery.id,
        "token": delivery.token,
        "queue": queue,
        "deliveries": delivery.deliveries,
        "published": delivery.published,
    }
    if delivery.key is not None:
        head["key"] = delivery.key
    if delivery.group is not None:
        head["group"] = delivery.group
    return head


def _options(given: Any, known: tuple[str, ...]) -> dict[str, Any]:
    if not given and (given is None or given.__class__ is dict):
        return {}
    if given.__class__ is not dict:
        raise QueueError("bad_request", f"options are an object, not {str(given)[:40]!r}")
    for name in given:
        if name not in known:
            text = f"no option {name[:40]!r}; there are {', '.join(known)}"
            raise QueueError("bad_request", text)
    # JSON has no way to leave out a value but null.
    return {name: value for name, value in given.items() if value is not None}


def _failure(given: Any) -> dict[str, Any]:
    options = _options(given, _ANSWER)
    if "error" in options:
        options["error"] = str(options["error"])
    options["dead"] = options.get("dead", False) is True
    return options


class _Ticket:
    """The answer to one request; it is given once."""

    __slots__ = ("_ack",)

    def __init__(self, ack: Callable[..., None]) -> None:
        self._ack = ack

    def resolve(self, value: Any) -> None:
        if value.__class__ is Published:
            value = _published(value)
        elif value is None or value.__class__ is bool:
            value = {}
        self._ack(None, value)

    def fail(self, error: QueueError) -> None:
        self._ack({"code": error.code, "message": error.message})


class _Told:
    """A ticket whose value is shaped for the wire."""

    __slots__ = ("_ticket", "_shape")

    def __init__(self, ticket: Any, shape: Callable[[Any], Any]) -> None:
        self._ticket = ticket
        self._shape = shape

    def resolve(self, value: Any) -> None:
        self._ticket.resolve(self._shape(value))

    def fail(self, error: QueueError) -> None:
        self._ticket.fail(error)


def _published(value: Published) -> dict[str, Any]:
    return {"id": value.id, "duplicate": True} if value.duplicate else {"id": value.id}


class _Gathering:
    """Collects several answers, by position."""

    def __init__(self, many: int, done: Callable[[list[Any]], None]) -> None:
        self._answers: list[Any] = [None] * many
        self._left = many
        self._done = done

    def part(self, position: int) -> _Part:
        return _Part(self, position)

    def take(self, position: int, answer: Any) -> None:
        self._answers[position] = answer
        self._left -= 1
        if not self._left:
            self._done(self._answers)


class _Part:
    __slots__ = ("_gathering", "_position")

    def __init__(self, gathering: _Gathering, position: int) -> None:
        self._gathering = gathering
        self._position = position

    def resolve(self, value: Any) -> None:
        self._gathering.take(self._position, value)

    def fail(self, error: QueueError) -> None:
        answer = {"code": error.code, "message": error.message}
        self._gathering.take(self._position, answer)


class _Delivered:
    """Messages that a client has been sent, until it says what became of them."""

    __slots__ = ("_space", "_socket", "_jobs", "_name", "_deliveries")

    def __init__(
        self,
        space: QueueNamespace,
        socket: Any,
        jobs: Jobs,
        name: Any,
        deliveries: list[Delivery],
    ) -> None:
        self._space = space
        self._socket = socket
        self._jobs = jobs
        self._name = name
        self._deliveries = deliveries

    def answered(self, _sid: str, args: list[Any]) -> None:
        answer = args[0] if args else None
        several = answer if answer.__class__ is list else None
        for position, delivery in enumerate(self._deliveries):
            if several is not None:
                answer = several[position] if position < len(several) else None
            self._space.answered(self._jobs, self._name, delivery, answer)

    def lost(self, _sid: str, _reason: str) -> None:
        self._space.lost(self._socket, self._jobs, self._deliveries)
