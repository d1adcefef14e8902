"""A server without sockets: the host that peers need, and clients fed by hand.

``World`` is a host with a virtual clock and handlers that run at once (or when a test says so);
``Client`` is the client side of one session: a real ``SocketIOConnection``, joined by lists.

With ``Recovery(path=...)`` a world has a file, which is written at the end of its turn: whenever a
client takes what has arrived.  :meth:`World.crash` is the end of its process.
"""

from __future__ import annotations

import heapq
import os
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rawsio.app.multiplexer import Multiplexer
from rawsio.app.namespaces import Namespaces
from rawsio.app.recovery import ConnectionStateRecovery, Recovery
from rawsio.app.watchdog import Watchdog
from rawsio.http.headers import Headers
from rawsio.http.messages import Request
from rawsio.layer import Role
from rawsio.limits import Limits
from rawsio.prepared import Prepared, prepare
from rawsio.queue.keeper import Keeper
from rawsio.queue.recovery import DurableRecovery
from rawsio.queue.sqlite import SQLiteStore
from rawsio.queue.stores import Stores
from rawsio.routes import Layered
from rawsio.socketio.connection import SocketIOConnection
from rawsio.socketio.packets import Ack, Connect, Disconnect, Event

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rawsio.app.interfaces import Told

__all__ = ["Client", "World", "drive", "quick_folder"]

FIRST = Request("GET", "/socket.io/?EIO=4&transport=websocket", Headers([("Host", "here")]))


class Timer:
    def __init__(self, when: float, fn: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.when, self.fn, self.args, self.cancelled = when, fn, args, False

    def __lt__(self, other: Timer) -> bool:
        return self.when < other.when

    def cancel(self) -> None:
        self.cancelled = True


def drive(coroutine: Any) -> Any:
    """Run a coroutine that never really waits."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the coroutine waits for something")


def quick_folder() -> str:
    """Return a new folder where a commit costs no disk, if there is such a place."""
    return tempfile.mkdtemp(prefix="rawsio-", dir="/dev/shm" if Path("/dev/shm").is_dir() else None)


class StoresWithoutThreads(Stores):
    """Files that are written at the end of a turn, before the next one."""

    def _make(self, host: Any, name: str | None, synchronous: str) -> Keeper:
        assert name is not None
        store = self._files[name] = SQLiteStore(name, synchronous=synchronous)
        return Keeper(host, store)


class World:
    """A host: ``policy`` is ``"inline"``, or ``"deferred"``: handlers wait in ``started``."""

    def __init__(
        self,
        *,
        policy: str = "inline",
        recovery: Recovery | None = None,
        limits: Limits | None = None,
        now: float = 1000.0,
        begin: bool = True,
        **options: Any,
    ) -> None:
        self.limits = limits or Limits()
        self.inline = policy == "inline"
        self.recovery = recovery
        Watchdog(self.limits).start(self)
        self.error_handlers: tuple[Told, ...] = ()
        self.random_bytes = os.urandom
        self.now = now
        self.owned = True
        self.lines: list[tuple[str, int, str]] = []
        self.errors: list[BaseException] = []
        self.prepared: list[Any] = []
        self.started: deque[tuple[Callable[..., Any], tuple[Any, ...], Any]] = deque()
        self.calls: deque[tuple[Callable[..., None], tuple[Any, ...]]] = deque()
        self.soon: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._timers: list[Timer] = []
        self.keeping: Any = None
        if recovery is not None and "make_adapter" not in options:
            self.keeping = ConnectionStateRecovery(recovery)
            if recovery.path is not None:
                self.keeping = DurableRecovery(recovery)
                self.keeping.stores = StoresWithoutThreads()
            options["make_adapter"] = self.keeping.adapter
        self.namespaces = Namespaces(self, **options)
        self.io = self.namespaces.main
        if begin:
            self.begin()

    def begin(self) -> None:
        """Begin, as a server that runs."""
        if self.keeping is not None:
            self.keeping.start(self)

    # The host

    def watch(self, watchdog: Watchdog | None, /) -> None:
        self.watchdog = watchdog
        self.slow_handler = float("inf") if watchdog is None else watchdog.slow

    def expect(self, fn: Any, /) -> None:
        """Coroutines are driven here: every function can be called."""

    def prepare(self, event: Any, /, *, compress: bool = True) -> Prepared:
        made = prepare(event, compress=compress)
        self.prepared.append(made)
        return made

    def time(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now

    def call_later(self, delay: float, fn: Callable[..., None], /, *args: Any) -> Timer:
        timer = Timer(self.now + delay, fn, args)
        heapq.heappush(self._timers, timer)
        return timer

    def call_soon(self, fn: Callable[..., Any], *args: Any) -> None:
        self.soon.append((fn, args))

    call_soon_threadsafe = call_soon

    def on_loop(self) -> bool:
        return self.owned

    def call(self, fn: Callable[..., None], /, *args: Any) -> None:
        if self.owned:
            fn(*args)
        else:
            self.calls.append((fn, args))

    def start(self, fn: Callable[..., Any], args: tuple[Any, ...], done: Any, /) -> None:
        if self.inline:
            self._run(fn, args, done)
        else:
            self.started.append((fn, args, done))

    def _run(self, fn: Callable[..., Any], args: tuple[Any, ...], done: Any) -> None:
        try:
            result = fn(*args)
            if hasattr(result, "send"):
                result = drive(result)
        except Exception as error:  # noqa: BLE001
            done(None, error)
        else:
            done(result, None)

    def wait(self, reply: Any, timeout: float | None, /) -> None:
        raise RuntimeError("this thread runs the loop")

    def log(
        self, channel: str, level: int, message: str, error: BaseException | None = None, /
    ) -> None:
        self.lines.append((channel, level, message))
        if error is not None:
            self.errors.append(error)

    # The test's side

    def finish(self, position: int = 0) -> None:
        """Run one of the handlers that were started."""
        job = self.started[position]
        del self.started[position]
        self._run(*job)

    def run_calls(self) -> None:
        """The loop's turn: run what other threads have queued."""
        owned, self.owned = self.owned, True
        while self.calls:
            fn, args = self.calls.popleft()
            fn(*args)
        self.owned = owned

    def turn(self) -> None:
        """End the turn: what was to be done soon is done, files are written."""
        while self.soon:
            fn, args = self.soon.popleft()
            fn(*args)

    def store(self) -> Any:
        """Return the store of the file of recovery."""
        return self.keeping.stores.store(self.recovery.path if self.recovery else None)

    def crash(self) -> None:
        """End as a process that is killed: what is committed is there, and nobody hears of it."""
        database = self.store().database
        database.connection.close()
        database._lock.release()
        self.turn = lambda: None  # type: ignore[method-assign]

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and run the timers that are due."""
        end = self.now + seconds
        while self._timers and self._timers[0].when <= end:
            timer = heapq.heappop(self._timers)
            self.now = max(self.now, timer.when)
            if not timer.cancelled:
                timer.fn(*timer.args)
        self.now = end

    def timers(self) -> int:
        """How many timers are armed, but that of a queue in which nobody waits."""
        joining = self.namespaces.joining
        self.namespaces.answering.rest()
        armed = [timer.fn for timer in self._timers if not timer.cancelled]
        return len(armed) - (not len(joining) and joining._look in armed)

    def client(self, namespace: str | None = "/", auth: Any = None) -> Client:
        """Open a session, and join a namespace unless it is ``None``."""
        client = Client(self)
        if namespace is not None:
            client.send(Connect(namespace, auth))
        return client


class Client:
    """One session: the sink of its peer, and the client at the other end of it."""

    OVERHEAD = room = 0
    address = "192.0.2.1"
    secure = False
    issued = 0.0

    def glance(self) -> Request:
        return FIRST

    def __init__(
        self,
        world: World,
        protocol: SocketIOConnection | None = None,
        base_id: str | None = None,
    ) -> None:
        self.world = world
        self.protocol = SocketIOConnection(Role.CLIENT, world.limits)
        self.inbox: list[Any] = []
        self.sent: list[Any] = []
        self.writable = True
        self.buffered_amount = 0
        self.closed: str | None = None
        self.paused = False
        self.tidings: list[Any] = []
        self.peer = Multiplexer(
            world,
            world.namespaces,
            self,
            protocol or SocketIOConnection(Role.SERVER, world.limits),
            base_id=base_id,
        )

    # The sink

    def route(self, multiplexer: Multiplexer) -> Any:
        route = Layered(multiplexer, self)
        gate = None if self.world.keeping is None else self.world.keeping.gate
        return route if gate is None else gate.route(multiplexer, route)

    def send_units(self, units: list[Any]) -> None:
        for unit in units:
            self.sent.append(unit)
            for message in unit.messages if isinstance(unit, Prepared) else (unit,):
                self.inbox += self.protocol.receive(message)

    def close(self, reason: str) -> None:
        if self.closed is None:
            self.closed = reason
            self.peer.ended(reason)

    def pause(self, paused: bool) -> None:
        self.paused = paused

    def joined(self) -> None:
        self.place = True

    def told(self, name: str, *values: Any) -> None:
        self.tidings.append((name, *values))

    # The client

    def send(self, *what: Any) -> Any:
        """Two in one: a peer's ``send(units)``, and a client that sends packets."""
        if len(what) == 1 and isinstance(what[0], list):
            self.send_units(what[0])
            return
        for packet in what:
            self.protocol.send(packet)
            self.raw(*self.protocol.data_to_send())

    def raw(self, *messages: str | bytes) -> None:
        """Feed the server with messages as they are."""
        for message in messages:
            self.peer.receive(message)

    def emit(self, name: Any, *args: Any, ack: int | None = None, namespace: str = "/") -> None:
        self.send(Event(namespace, [name, *args], ack))

    def answer(self, event: Event, *values: Any) -> None:
        assert event.id is not None
        self.send(Ack(event.namespace, list(values), event.id))

    def leave(self, namespace: str = "/") -> None:
        self.send(Disconnect(namespace))

    def cut(self, reason: str = "transport close") -> None:
        self.closed = reason
        self.peer.ended(reason)

    def take(self) -> list[Any]:
        """Return what has arrived since the last time, at the end of the turn."""
        self.world.turn()
        taken, self.inbox = self.inbox, []
        return taken

    def events(self) -> list[list[Any]]:
        """Return the arguments of the events that have arrived since the last time."""
        return [packet.args for packet in self.take() if isinstance(packet, Event)]

    def socket(self, namespace: str = "/") -> Any:
        return self.peer.sockets[namespace]
