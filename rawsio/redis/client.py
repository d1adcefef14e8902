"""A client of one Redis server that stays connected: commands, subscriptions, and coming back.

::

    IDLE --start--> CONNECTING -> GREETING -> SUBSCRIBING -> READY
                        ^                                     |
                        +--- back-off <- WAITING <--- lost ---+        close: CLOSED, from anywhere

The client runs on any loop with asyncio's names and never blocks it.  What it promises:

- **Answers.**  Each command ends with exactly one answer.  A command that was sent before a cut is
  not sent again: whether it ran is not known, and its answer says so.
- **Subscriptions outlive connections.**  They are kept here and made again on each connection; the
  client is READY only when the server has confirmed every one.
- **Bounds.**  What is asked while there is no connection waits in a queue with limits.  Beyond
  them the policy decides: ``"refuse"`` fails the new command, ``"drop_oldest"`` the oldest one.
- **No ghosts.**  What the server still has of a connection that is lost is ended by the next one
  (:mod:`rawsio.redis.greeting`).
- **Others first.**  A server that was away comes back to all its clients, and what one of them
  publishes at once is lost for those that are still on their way.  With ``rest`` a client that had
  to try more than once sends nothing but subscriptions for so many seconds.

Use two clients where a command blocks the connection on purpose (``XREAD BLOCK``), or where the
server speaks version 2 and one connection has subscriptions.
"""

from __future__ import annotations

import os
from collections import deque
from enum import Enum
from functools import partial

from rawsio import log
from rawsio.errors import ConnectionClosed, LocalProtocolError
from rawsio.layer import Closed, Closing, Role, check_fields, record
from rawsio.limits import DEFAULT
from rawsio.net.connecting import Dialer, default_tls
from rawsio.net.driver import Driver
from rawsio.net.liveness import watch_silence
from rawsio.net.tcp import TCPStream
from rawsio.net.unix_client import connect_unix

from .address import RedisAddress, parse_url
from .answer import Answer, RedisError
from .connection import RESPConnection
from .events import Command, Completed, Push, Reply
from .greeting import greet
from .resp import ErrorReply, command
from .states import CONFIRMED, MESSAGES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

    from rawsio.layer import ByteLayer, Failed
    from rawsio.limits import Limits

    from .greeting import Ghost

    Heard = Callable[[bytes, bytes], object]
    Greeting = Generator[list[bytes], Any, int | None]

__all__ = ["RedisClient", "RedisOptions", "RedisState"]

_POLICIES = ("refuse", "drop_oldest")
_KINDS = ("subscribe", "psubscribe", "ssubscribe")


class RedisState(Enum):
    """How far a client is; see the module's figure."""

    IDLE = "idle"
    CONNECTING = "connecting"
    GREETING = "greeting"
    SUBSCRIBING = "subscribing"
    READY = "ready"
    WAITING = "waiting"
    CLOSED = "closed"


@record
class RedisOptions:
    """How a client behaves; a keyword of :class:`RedisClient`."""

    policy: str = "refuse"
    """What happens to commands beyond ``Limits.redis_queue`` while there is no connection:
    ``"refuse"`` fails the new one, ``"drop_oldest"`` the oldest."""
    version: int = 3
    """The version of RESP; 2 also where the server has no other."""
    tls: Any = None
    """An ``ssl.SSLContext`` for ``rediss://``; the system's trust without it."""
    name: str = "rawsio"
    """What ``CLIENT LIST`` shows."""

    @classmethod
    def of(cls, given: RedisOptions | None, **instead: Any) -> RedisOptions:
        """Return the options that were given, checked; those of ``instead`` for ``None``.

        >>> RedisOptions.of({"version": 2})
        Traceback (most recent call last):
        TypeError: redis: RedisOptions(...) is expected, not a dict
        """
        if given is not None and not isinstance(given, cls):
            what = type(given).__name__  # a URL in the wrong place has a password
            raise TypeError(f"redis: RedisOptions(...) is expected, not a {what}")
        options = cls(**instead) if given is None else given
        options.check()
        return options

    def address_of(self, url: str | RedisAddress) -> RedisAddress:
        """Return the address in a URL; ``ValueError`` if it is none, or ``tls`` is not for it."""
        address = url if isinstance(url, RedisAddress) else parse_url(url)
        if self.tls is not None and not address.secure:
            raise ValueError(f"tls is for rediss://, which {address.shown} is not: write rediss://")
        return address

    def check(self) -> None:
        """Raise ``ValueError`` for a choice that there is not, ``TypeError`` for other nonsense."""
        check_fields(self)
        if self.tls is not None and not hasattr(self.tls, "wrap_bio"):
            raise TypeError(f"tls: an ssl.SSLContext is expected, not {self.tls!r}")
        if self.policy not in _POLICIES:
            choices = " or ".join(map(repr, _POLICIES))
            raise ValueError(f"policy: {choices} is expected, not {self.policy!r}")
        if self.version not in (2, 3):
            raise ValueError(f"version: 2 or 3 is expected, not {self.version!r}")


class RedisClient:
    """A connection to Redis that is made again when it is lost; see the module's essay.

    ``loop`` is a :class:`rawsio.net.loop.Loop` or a :class:`rawsio.net.aio.AsyncioLoop`, and
    everything here is called on its thread.  ``on_state(state, reason)`` is told of each change.
    ``on_refused(channel, error)`` is told of a subscription that the server refuses or ends (in a
    Redis Cluster with ``MOVED``); where it returns ``True`` the subscription is dropped, and the
    rest goes on.  ``connect`` makes connections, as :func:`rawsio.net.connecting.connect_tcp`,
    for tests; ``random_bytes`` spreads the times of attempts.

    Raises ``ValueError`` for a URL that is none.
    """

    rest = 0.0
    """Seconds that a client which comes back after several attempts sends no commands."""

    _resting: Any = None
    _ready_since = 0.0
    # What the server may still have of the last connection.
    _ghost: Ghost | None = None

    def __init__(
        self,
        loop: Any,
        url: str | RedisAddress,
        limits: Limits = DEFAULT,
        *,
        options: RedisOptions | None = None,
        on_state: Callable[[RedisState, str], object] | None = None,
        on_refused: Callable[[bytes, RedisError], bool] | None = None,
        connect: Callable[..., Any] | None = None,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.options = RedisOptions.of(options)
        self.address = self.options.address_of(url)
        self.limits = limits
        self.state = RedisState.IDLE
        self.dropped = 0
        self.on_state = on_state
        self.on_refused = on_refused
        self._loop = loop
        self._driver = Driver(loop, limits)
        self._dialer = _dialer(limits)
        self._connect = connect or self._dialer.connect
        self._random_bytes = random_bytes
        self._attempts = 0
        self._dialing: Any = None
        self._timer: Any = None
        self._layer: RESPConnection | None = None
        self._stream: TCPStream | None = None
        # Commands that were sent, then those that wait for a connection, each in order.
        self._sent: deque[Answer] = deque()
        self._queue: deque[tuple[Command, Answer]] = deque()
        self._queued_bytes = 0
        self._subscriptions: dict[tuple[str, bytes], Heard] = {}
        # Changes of subscriptions that wait until the connection takes more commands.
        self._changes: deque[tuple[Command, Answer]] = deque()
        # Answers to subscribe() that come with the next connection.
        self._expecting: list[Answer] = []
        self._reason = ""

    # Commands

    def execute(self, name: str, *arguments: str | bytes | float, wait: float = 0.0) -> Answer:
        """Send a command, now or once there is a connection; returns its answer.

        ``wait`` are seconds that the server may take on purpose (``XREAD BLOCK``).  Raises
        ``TypeError`` for an argument that has no form, ``LocalProtocolError`` for a command that
        may not be sent here; subscriptions have methods of their own.
        """
        args = command(name, *arguments)
        if name.lower() in CONFIRMED:
            raise LocalProtocolError(f"{name.upper()}: use subscribe() and unsubscribe()")
        answer = Answer()
        if self.state is RedisState.CLOSED:
            answer.fail(ConnectionClosed(f"the client of {self.address.shown} is closed"))
        elif self._is_open() and self._can_send() and not self._queue:
            self._send(Command(args, wait), answer)
        else:
            self._enqueue(Command(args, wait), answer)
        return answer

    @property
    def queued(self) -> int:
        """How many commands wait for a connection."""
        return len(self._queue)

    def _is_open(self) -> bool:
        """Tell whether commands are sent: it is READY, and does not rest."""
        return self.state is RedisState.READY and self._resting is None

    def _can_send(self) -> bool:
        layer, stream = self._layer, self._stream
        return (
            self.state in (RedisState.SUBSCRIBING, RedisState.READY)
            and layer is not None
            and stream is not None
            and layer.waiting < self.limits.resp_pending
            and stream.buffered_amount < self.limits.high_water
        )

    def _send(self, sent: Command, answer: Answer) -> None:
        layer, stream = self._layer, self._stream
        if layer is None or stream is None:
            raise LocalProtocolError(f"there is no connection to {self.address.shown}")
        layer.send(sent)
        self._sent.append(answer)
        stream.touch()

    def _enqueue(self, waiting: Command, answer: Answer) -> None:
        size = sum(map(len, waiting.args))
        while self._queue and self.options.policy == "drop_oldest" and self._too_much(size):
            self._drop(self._dequeue()[1])
        if self._too_much(size):
            self._drop(answer)
            return
        self._queue.append((waiting, answer))
        self._queued_bytes += size

    def _too_much(self, size: int) -> bool:
        limits = self.limits
        return (
            len(self._queue) >= limits.redis_queue
            or self._queued_bytes + size > limits.redis_queue_bytes
        )

    def _dequeue(self) -> tuple[Command, Answer]:
        waiting, answer = self._queue.popleft()
        self._queued_bytes -= sum(map(len, waiting.args))
        return waiting, answer

    def _drop(self, answer: Answer) -> None:
        self.dropped += 1
        answer.fail(
            ConnectionClosed(
                f"dropped: {self.address.shown} is {self.state.value}, and too much waits for it "
                f"(Limits.redis_queue, redis_queue_bytes)"
            )
        )

    def _send_queued(self) -> None:
        while self._changes and self._can_send():
            self._send(*self._changes.popleft())
        while self._queue and self._is_open() and self._can_send():
            waiting, answer = self._dequeue()
            try:
                self._send(waiting, answer)
            except LocalProtocolError as error:
                answer.fail(error)

    # Subscriptions

    def subscribe(self, channel: str | bytes, heard: Heard, *, kind: str = "subscribe") -> Answer:
        """Call ``heard(channel, payload)`` for what is published there.

        ``kind`` is ``"subscribe"``, ``"psubscribe"`` (a pattern) or ``"ssubscribe"`` (sharded, for
        Redis 7).  The answer comes when the server has confirmed it; without a connection, with
        the next one.  A second call for the same channel replaces the function.
        """
        if kind not in _KINDS:
            raise ValueError(f"kind: one of {', '.join(_KINDS)} is expected, not {kind!r}")
        (name,) = command(channel if isinstance(channel, str) else "")
        name = channel if isinstance(channel, bytes) else name
        known = (kind, name) in self._subscriptions
        self._subscriptions[kind, name] = heard
        answer = Answer()
        if self.state is RedisState.CLOSED:
            answer.fail(ConnectionClosed(f"the client of {self.address.shown} is closed"))
        elif self.state not in (RedisState.SUBSCRIBING, RedisState.READY):
            self._expecting.append(answer)
        elif known:
            answer.settle(kind)
        else:
            answer.add_done_callback(partial(self._subscribed, kind, name))
            self._change(Command([kind.upper().encode(), name]), answer)
        return answer

    def _change(self, change: Command, answer: Answer) -> None:
        """Send a change of subscriptions behind those that wait already."""
        self._changes.append((change, answer))
        self._send_queued()

    def _subscribed(self, kind: str, name: bytes, answer: Answer) -> None:
        if isinstance(answer.error, RedisError):  # refused; a lost connection will be made again
            self._subscriptions.pop((kind, name), None)
            self._is_settled(name, answer.error)

    def _is_settled(self, name: bytes, error: RedisError) -> bool:
        """Tell who listens that a subscription is not to be had here; ``True`` if it took note."""
        try:
            return self.on_refused is not None and self.on_refused(name, error)
        except Exception as raised:  # noqa: BLE001 - the application's mistake
            self._driver.log("redis", log.ERROR, "on_refused raised an exception", raised)
            return False

    def unsubscribe(self, channel: str | bytes, *, kind: str = "subscribe") -> Answer:
        """Hear no more of a channel; the answer comes when the server has confirmed it."""
        name = channel if isinstance(channel, bytes) else command(channel)[0]
        answer = Answer()
        known = self._subscriptions.pop((kind, name), None) is not None
        if known and self.state in (RedisState.SUBSCRIBING, RedisState.READY):
            word = kind.replace("subscribe", "unsubscribe").upper().encode()
            self._change(Command([word, name]), answer)
        else:
            answer.settle(None)
        return answer

    def _heard(self, push: Push) -> None:
        kind, items = push.kind, push.items
        if kind == "sunsubscribe" and ("ssubscribe", items[0]) in self._subscriptions:
            # The slot of the channel has moved to another server of the cluster.
            given_up = self._subscriptions.pop(("ssubscribe", items[0]))
            if not self._is_settled(items[0], RedisError("MOVED", "")):
                self._subscriptions["ssubscribe", items[0]] = given_up
                self._give_up(f"the server gave up the channel {items[0]!r}")
            return
        if kind not in MESSAGES or len(items) != 2 + (kind == "pmessage"):
            return
        subscription = kind.replace("message", "subscribe")
        heard = self._subscriptions.get((subscription, items[0]))
        if heard is None:  # it was on its way when we unsubscribed
            return
        try:
            heard(items[-2], items[-1])
        except Exception as error:  # noqa: BLE001 - the application's; the next message counts
            self._driver.log("redis", log.ERROR, f"a function that hears {items[0]!r}", error)

    # The life of a connection

    def start(self) -> None:
        """Connect, and stay connected until :meth:`close`."""
        if self.state is RedisState.IDLE:
            self._begin()

    def _begin(self) -> None:
        self._timer = None
        if not self._become(RedisState.CONNECTING):
            return
        address, late = self.address, self.limits.redis_connect_time
        self._timer = self._loop.call_later(late, self._give_up, f"no connection within {late:g} s")
        if address.path:
            self._dialing = connect_unix(self._loop, address.path, self._connected, self._failed)
        else:
            self._dialing = self._connect(
                self._loop, address.host, address.port, self._connected, self._failed
            )

    def _failed(self, text: str) -> None:
        self._dialing = None
        self._lost(text)

    def _connected(self, sock: Any) -> None:
        self._dialing = None
        self._layer = layer = RESPConnection(Role.CLIENT, self.limits)
        below: ByteLayer = self._secured(layer) if self.address.secure else layer
        self._stream = TCPStream(self._driver, sock, below, self._received, self._ended)
        self._stream.on_drain = lambda _stream: self._send_queued()
        if self._become(RedisState.GREETING):
            options = self.options
            self._go_on(greet(self.address, options.version, options.name, self._ghost), None)

    def _secured(self, layer: RESPConnection) -> ByteLayer:
        from rawsio.tls import Secured, TLSConnection

        context = default_tls() if self.options.tls is None else self.options.tls
        name = self.address.host
        return Secured(
            TLSConnection(context, Role.CLIENT, self.limits, server_hostname=name), layer
        )

    def _go_on(self, greeting: Greeting, reply: Any) -> None:
        try:
            args = greeting.send(reply)
        except StopIteration as end:
            here = _address_of(self._stream)
            self._ghost = (end.value, here) if end.value is not None and here else None
            self._subscribe_again()
            return
        except RedisError as error:
            self._give_up(f"{error.code}: {error.message}")
            return
        answer = Answer()
        answer.add_done_callback(lambda answer: self._greeted(greeting, answer))
        self._send(Command(args), answer)

    def _greeted(self, greeting: Greeting, answer: Answer) -> None:
        error = answer.error
        if isinstance(error, RedisError):
            self._go_on(greeting, ErrorReply(error.code, error.message))
        elif error is None:
            self._go_on(greeting, answer.result())

    def _subscribe_again(self) -> None:
        if not self._become(RedisState.SUBSCRIBING):
            return
        commands = [
            [kind.upper().encode(), *names]
            for kind in _KINDS[:2]
            if (names := [name for known, name in self._subscriptions if known == kind])
        ]
        # The channels of one SSUBSCRIBE would have to be in the same slot.
        commands += [[b"SSUBSCRIBE", name] for k, name in self._subscriptions if k == "ssubscribe"]
        missing = len(commands)
        if not missing:
            self._ready()

        def confirmed(name: bytes, answer: Answer) -> None:
            nonlocal missing
            missing -= 1
            error = answer.error
            if isinstance(error, RedisError):
                heard = self._subscriptions.pop(("ssubscribe", name), None)
                if heard is None or not self._is_settled(name, error):
                    if heard is not None:
                        self._subscriptions["ssubscribe", name] = heard
                    self._give_up(f"a subscription was refused: {error}")
                    return
            elif error is not None:
                return
            if not missing:
                self._ready()

        for args in commands:
            answer = Answer()
            answer.add_done_callback(partial(confirmed, args[1]))
            self._changes.append((Command(args), answer))
        self._send_queued()

    def _ready(self) -> None:
        if self._attempts > 1:
            tried = f"connected to {self.address.shown} again, with attempt {self._attempts}"
            self._driver.log("redis", log.WARNING, tried)
            if self.rest:
                self._resting = self._loop.call_later(self.rest, self._rested)
        self._ready_since = self._loop.time()
        self._cancel_timer()
        if not self._become(RedisState.READY):
            return
        expecting, self._expecting = self._expecting, []
        for answer in expecting:
            answer.settle(None)
        self._send_queued()

    def _rested(self) -> None:
        self._resting = None
        self._send_queued()

    def _received(self, _stream: TCPStream, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, Push):
                self._heard(event)
            elif isinstance(event, (Reply, Completed)):
                value = event.value if isinstance(event, Reply) else event.kind
                # Given up by what an earlier event of the same read led to.
                if self._sent:
                    self._sent.popleft().settle(value)
            else:
                self._reason = _words(event)
        self._send_queued()

    def _ended(self, stream: TCPStream, reason: str) -> None:
        if stream is self._stream:
            reason, self._reason = self._reason or reason, ""
            self._lost(reason)

    def _give_up(self, reason: str) -> None:
        """End this connection, or the attempt to make it, and try again."""
        dialing, self._dialing = self._dialing, None
        if dialing is not None:
            dialing.cancel()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort(reason)
        self._lost(reason)

    def _lost(self, reason: str) -> None:
        reason = self.address.hide(reason)  # a server may repeat what it was told
        self._cancel_timer()
        self._stop_resting()
        self._stream = self._layer = None
        if self.state is RedisState.CLOSED:
            return
        lived = self._loop.time() - self._ready_since
        if self.state is RedisState.READY and lived >= self.limits.redis_retry_time:
            self._attempts = 0  # else it may be a server that lets us in and throws us out
        if self.state in (RedisState.GREETING, RedisState.SUBSCRIBING):
            self._dialer.doubt(self.address.host, self.address.port)
        waiting = self._become(RedisState.WAITING, reason)
        message = f"no connection to {self.address.shown}: {reason}"
        if not self._attempts:  # the first of a row of failures; READY ends the row
            self._driver.log("redis", log.WARNING, message)
        self._fail_sent(f"{message}; whether the command ran is not known")
        limits = self.limits
        delay = min(limits.redis_retry_time, 0.05 * 2 ** min(self._attempts, 10))
        self._attempts += 1
        # Between half and the whole: the clients of a server that comes back come one by one.
        delay *= 0.5 + self._random_bytes(1)[0] / 510
        if waiting:
            self._timer = self._loop.call_later(delay, self._begin)

    def _fail_sent(self, text: str) -> None:
        sent, self._sent = self._sent, deque()
        changes, self._changes = self._changes, deque()
        for answer in (*sent, *(answer for _change, answer in changes)):
            answer.fail(ConnectionClosed(text))

    def _cancel_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _stop_resting(self) -> None:
        resting, self._resting = self._resting, None
        if resting is not None:
            resting.cancel()

    def _become(self, state: RedisState, reason: str = "") -> bool:
        """Tell who listens; gives ``False`` if that led to another state, such as CLOSED."""
        self.state = state
        if self.on_state is not None:
            try:
                self.on_state(state, reason)
            except Exception as error:  # noqa: BLE001 - the application's mistake
                self._driver.log("redis", log.ERROR, "on_state raised an exception", error)
        return self.state is state

    def close(self) -> None:
        """End the connection for good; what was not answered fails.  Idempotent."""
        if self.state is RedisState.CLOSED:
            return
        self._become(RedisState.CLOSED, "closed")
        self._cancel_timer()
        self._stop_resting()
        dialing, self._dialing = self._dialing, None
        if dialing is not None:
            dialing.cancel()
        layer, self._layer = self._layer, None
        stream, self._stream = self._stream, None
        if layer is not None and stream is not None:
            if layer.closing is Closing.OPEN:
                layer.send(Closed())
            stream.flush()  # at once: the loop may make no further turn
            stream.abort("closed")
        text = f"the client of {self.address.shown} is closed"
        self._fail_sent(text)
        while self._queue:
            self._dequeue()[1].fail(ConnectionClosed(text))
        expecting, self._expecting = self._expecting, []
        for answer in expecting:
            answer.fail(ConnectionClosed(text))


def _address_of(stream: TCPStream | None) -> str:
    """Return the address of our end as Redis writes it; nothing where there is none."""
    name: Any = getattr(stream.sock, "getsockname", str)() if stream is not None else ""
    if type(name) is not tuple:  # a unix socket, or one in memory
        return ""
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _dialer(limits: Limits) -> Dialer:
    return Dialer(partial(watch_silence, seconds=limits.redis_silence))


def _words(event: Closed | Failed) -> str:
    return event.reason if isinstance(event, Closed) else event.message
