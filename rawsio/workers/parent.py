"""The parent: it accepts, finds out whose a connection is, passes it on, and keeps workers alive.

A worker goes through these states; only the parent knows them::

    STARTING --it serves--> READY --another has taken its place--> RETIRING --> LEFT --> ended
        |                    |                                 no session is left
        |                    +-- ended: another one is started at once
        +-- ended: the parent gives up, or tries again later

*Restart.*  SIGHUP replaces the workers one by one: a new one is started, and once it serves, new
connections go there, and the old one is told to end.  Its clients are told so and connect anew; it
passes idle connections on instead of closing them, and the listening sockets, which are the
parent's, are open all the time.  So nobody is refused.

*The end.*  SIGINT and SIGTERM have every worker close, as a server that gets them itself does.  A
second one kills them.

The parent forks between two turns of its loop, with nothing on the stack, and owns no server:
``serve(number, control, contexts)`` is called in the child, and makes one.
"""

from __future__ import annotations

from enum import Enum
from functools import partial
from os import urandom

from rawsio.layer import record
from rawsio.limits import DEFAULT
from rawsio.log import ERROR, INFO, WARNING
from rawsio.net.descriptors import DescriptorChannel, channel_pair, left_over, stream_pair
from rawsio.net.driver import Driver
from rawsio.net.listener import Listener
from rawsio.net.looking import Looking
from rawsio.net.loop import Loop
from rawsio.net.processes import Child, check_forking, fork, most_files
from rawsio.net.signals import Signals

from .control import Go, Leaving, Passed, Peer, Ready, Stop, Torn, decode, encode
from .owner import ANYBODY, LONGEST_LINE, WORKERS, owner_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from typing import Any

    from rawsio.limits import Limits

    Serve = Callable[[int, socket.socket, list[Any]], int]

__all__ = ["Parent", "Place", "run_workers"]

_SOON = 1.0
"""A worker that lived shorter than this many seconds is started again later, and not at once."""
_HANGS = 0.1
"""Seconds after which a worker that has not read what it was sent is passed over."""
_LONGEST_PAUSE = 5.0
"""Seconds after which a worker is tried again, at most."""


@record
class Place:
    """Where the parent listens.  ``tls`` is an ``ssl.SSLContext``, or ``None``."""

    sock: Any
    remove: Any = None
    """Called in the end: it removes the file of a unix socket."""
    tls: Any = None


class _State(Enum):
    STARTING = "starting"
    READY = "ready"
    RETIRING = "retiring"
    LEFT = "left"


class _Worker:
    """What the parent knows of a worker."""

    __slots__ = ("channel", "child", "number", "other_end", "read_at", "since", "slot", "state")

    def __init__(
        self, number: int, slot: int, child: Child, since: float, other_end: socket.socket
    ) -> None:
        self.number = number
        self.slot = slot
        self.child = child
        self.since = since
        self.state = _State.STARTING
        self.channel: DescriptorChannel
        self.other_end = other_end
        """The worker's end of the channel: what it has not read when it dies is read here."""
        self.read_at = since
        """When it had last read all that it was sent."""

    def is_free(self, now: float) -> bool:
        """Tell whether it has read all that it was sent."""
        if self.channel.unread:
            return False
        self.read_at = now
        return True


class Parent:
    """Runs ``count`` workers behind these places; ``ready()`` is called when all of them serve."""

    def __init__(
        self,
        places: list[Place],
        count: int,
        serve: Serve,
        limits: Limits = DEFAULT,
        *,
        ready: Callable[[], object] | None = None,
    ) -> None:
        self.workers: dict[int, _Worker] = {}
        """All that live, by their numbers."""
        self._places = places
        self._serve = serve
        self._limits = limits
        self._on_ready = ready
        self._loop = Loop()
        self._driver = Driver(self._loop, limits)
        self._log = self._driver.log
        self._listeners: list[Listener] = []
        self._looking: list[Looking] = []
        # Connections that came while nobody could take them.
        self._waiting: list[tuple[Passed, socket.socket]] = []
        self._count = count
        self._due = list(range(count))
        self._failures = dict.fromkeys(range(count), 0)
        self._rolling: list[int] = []
        self._replacing: int | None = None
        # Workers between which there will be another stream.
        self._torn: set[tuple[int, int]] = set()
        self._numbers = 0
        self._turn = 0
        self._stopping = self._failed = False
        # So many connections may be kept in each of the places where they wait.
        self._most = min(limits.worker_looks, most_files() * 3 // 4 // (count + 2))

    # The loop

    def run(self) -> None:
        """Serve until a signal; raises ``RuntimeError`` if a worker cannot start."""
        with Signals(self._loop, self._signalled, also=("SIGHUP",)):
            while not (self._stopping and not self.workers):
                while self._due:
                    self._try_to_start(self._due.pop(0))
                self._loop.step()
        self._release()
        if self._failed:
            raise RuntimeError("a worker could not begin to serve; it has said why")

    def _signalled(self, number: int) -> None:
        import signal

        if number == signal.SIGHUP:
            self.restart()
        elif self._stopping:
            self._kill()
        else:
            self.stop()

    # Workers begin

    def _try_to_start(self, slot: int) -> None:
        if self._stopping:
            return
        try:
            self._start(slot)
        except OSError as error:
            self._log("workers", ERROR, f"no worker can be started now: {error.strerror}")
            if not self._listeners:
                self._failed = True
                self.stop()
                return
            self._free()
            self._loop.call_later(_SOON, self._due.append, slot)

    def _free(self) -> bool:
        """Pass on those who have said nothing yet, the oldest half: descriptors are short."""
        freed = [looking.finish((looking.waiting + 1) // 2) for looking in self._looking]
        return any(freed)

    def _start(self, slot: int) -> None:
        while self._numbers in self.workers:
            self._numbers = (self._numbers + 1) % WORKERS
        number = self._numbers
        self._numbers = (number + 1) % WORKERS
        here, there = channel_pair()
        try:
            child = fork(partial(self._in_child, number, here, there))
        except OSError:
            here.close()
            there.close()
            raise
        worker = _Worker(number, slot, child, self._loop.time(), there)
        worker.channel = DescriptorChannel(
            self._loop, here, partial(self._told, worker), lambda: None
        )
        child.watch(self._loop, partial(self._ended, worker))
        self.workers[number] = worker
        for other in self.workers:
            if other != number:
                self._join(number, other)

    def _join(self, one: int, other: int) -> None:
        """Give two workers a stream to each other; it may take the place of one that is torn."""
        again = (one, other) in self._torn
        self._torn.discard((one, other))
        if one not in self.workers or other not in self.workers:
            return
        if again:
            text = f"workers {one} and {other} have lost messages: one of them has read nothing"
            self._log("workers", WARNING, text)
        try:
            ends = stream_pair()
        except OSError as error:
            self._log("workers", ERROR, f"workers {one} and {other}: no stream: {error.strerror}")
            self._join_later(one, other)
            return
        for number, peer, end in ((one, other, ends[0]), (other, one, ends[1])):
            self.workers[number].channel.send(encode(Peer(peer)), end)

    def _join_later(self, one: int, other: int) -> None:
        pair = (min(one, other), max(one, other))
        if pair not in self._torn:
            self._torn.add(pair)
            self._loop.call_later(_SOON, self._join, *pair)

    def _in_child(self, number: int, here: socket.socket, there: socket.socket) -> int:
        here.close()
        self._release()
        return self._serve(number, there, [place.tls for place in self._places])

    def _release(self) -> None:
        """Let go of all descriptors; in the parent that is the end."""
        for worker in self.workers.values():
            worker.channel.close()
            worker.other_end.close()
            worker.child.release()
        for looking in self._looking:
            for sock in looking.sockets():
                sock.close()
        for _message, sock in self._waiting:
            sock.close()
        for listener in self._listeners:
            listener.detach()
        for place in self._places:
            place.sock.close()
        self._loop.close()

    def _told(self, worker: _Worker, data: bytes, sock: socket.socket | None) -> None:
        message = decode(data)
        if isinstance(message, Ready):
            self._begun(worker)
        elif isinstance(message, Leaving):
            if worker.state is _State.READY:  # closed by the application, or a signal of its own
                self._due.append(worker.slot)
            worker.state = _State.LEFT
            worker.channel.send(encode(Go()))
        elif isinstance(message, Torn):
            self._join_later(worker.number, message.number)
        elif isinstance(message, Passed) and sock is not None:
            self._pass(message, sock, worker)

    def _begun(self, worker: _Worker) -> None:
        worker.state = _State.READY
        for old in list(self.workers.values()):
            if old.slot == worker.slot and old is not worker and old.state is _State.READY:
                self._retire(old)
        if not any(old.slot == worker.slot for old in self.workers.values() if old is not worker):
            self._replaced(worker.slot)
        waiting, self._waiting = self._waiting, []
        for message, sock in waiting:
            self._pass(message, sock)
        if not self._listeners and sum(map(_is_ready, self.workers.values())) == self._count:
            self._accept()

    def _retire(self, worker: _Worker) -> None:
        worker.state = _State.RETIRING
        worker.channel.send(encode(Stop(self._limits.worker_retire_time, retire=True)))
        seconds = self._limits.worker_retire_time + self._limits.worker_stop_time
        self._loop.call_later(seconds, worker.child.kill)

    def _accept(self) -> None:
        for number, place in enumerate(self._places):
            looking = Looking(
                self._loop,
                partial(self._seen, number),
                size=LONGEST_LINE,
                seconds=self._limits.worker_look_time,
                most=self._most,
            )
            self._looking.append(looking)
            accepted = partial(self._accepted, number, looking)
            self._listeners.append(
                Listener(self._driver, place.sock, accepted, remove=place.remove, free=self._free)
            )
        if self._on_ready is not None:
            self._on_ready()

    # Connections

    def _accepted(
        self, place: int, looking: Looking, sock: socket.socket, _address: object
    ) -> None:
        if self._places[place].tls is not None:
            # A client makes several connections, and which of them begin sessions nobody can see:
            # taking turns would give all sessions to one worker.
            self._turn += urandom(1)[0]
            self._pass(Passed(ANYBODY, place), sock)
        else:
            looking.look(sock)

    def _seen(self, place: int, sock: socket.socket, first: bytes) -> None:
        number = owner_of(first)
        # Where the first line is not whole yet, the worker goes on looking.
        self._pass(Passed(ANYBODY if number is None else number, place), sock)

    def _pass(self, message: Passed, sock: socket.socket, sender: _Worker | None = None) -> None:
        worker = self.workers.get(message.number)
        if worker is None or worker is sender or worker.state in (_State.STARTING, _State.LEFT):
            # Nobody has that session: whoever is asked says so.
            message.settled = message.settled or message.number != ANYBODY
            worker = self._anybody(sender)
        if worker is None and len(self._waiting) < self._most:
            self._waiting.append((message, sock))
        elif worker is None or worker.channel.waiting >= self._most:
            self._log("workers", WARNING, "a connection is closed: no worker takes it")
            sock.close()
        else:
            worker.channel.send(encode(message), sock)

    def _anybody(self, sender: _Worker | None) -> _Worker | None:
        """Return whose turn it is: of those who have read what they were sent, if there are any.

        Who has read nothing for a while hangs, and is passed over.
        """
        ready = [w for w in self.workers.values() if _is_ready(w) and w is not sender]
        if not ready:
            return None
        self._turn += 1
        turn, now = self._turn % len(ready), self._loop.time()
        ready = ready[turn:] + ready[:turn]
        for worker in ready:
            if worker.is_free(now):
                return worker
        return min(ready, key=lambda worker: now - worker.read_at > _HANGS)

    # Workers end

    def _ended(self, worker: _Worker) -> None:
        worker.channel.drain()  # connections that it passed on in the end
        del self.workers[worker.number]
        unread = [*worker.channel.take_back(), *left_over(worker.other_end)]
        worker.channel.close()
        worker.other_end.close()
        self._pass_again(unread)
        if self._stopping:
            return
        name = f"worker {worker.number} (process {worker.child.pid})"
        if worker.state in (_State.RETIRING, _State.LEFT):
            self._log("workers", INFO, f"{name} has ended, another one serves")
            self._replaced(worker.slot)
        elif not self._listeners:
            self._log("workers", ERROR, f"{name} ended before it served: {worker.child.status}")
            self._failed = True
            self.stop()
        else:
            self._replace(worker, name)

    def _pass_again(self, unread: list[tuple[bytes, socket.socket | None]]) -> None:
        """Pass on the connections that a worker has not taken before it died."""
        for data, sock in unread:
            message = decode(data)
            if sock is not None and isinstance(message, Passed) and not self._stopping:
                self._pass(message, sock)
            elif sock is not None:
                sock.close()

    def _replace(self, worker: _Worker, name: str) -> None:
        status, slot = worker.child.status, worker.slot
        lived = self._loop.time() - worker.since
        if worker.state is _State.STARTING and slot == self._replacing:
            text = f"{name} ended with {status} before it served: the old ones go on"
            self._log("workers", ERROR, text)
            self._replacing, self._rolling = None, []
            return
        self._failures[slot] = 0 if lived > _SOON else self._failures[slot] + 1
        pause = min(_LONGEST_PAUSE, 0.1 * 2 ** min(self._failures[slot], 10) - 0.1)
        text = f"{name} ended with {status}: another one is started in {pause:g} s"
        self._log("workers", ERROR, text)
        if slot == self._replacing:
            self._replacing = None
        self._loop.call_later(pause, self._due.append, slot)

    def _replaced(self, slot: int) -> None:
        if slot == self._replacing:
            self._replacing = None
            self._roll()

    def restart(self) -> None:
        """Replace the workers, one by one."""
        if not self._stopping:
            self._rolling = list(range(self._count))
            self._roll()

    def _roll(self) -> None:
        if self._replacing is None and self._rolling:
            self._replacing = self._rolling.pop(0)
            self._due.append(self._replacing)

    def stop(self) -> None:
        """Have all workers end, and accept nobody any more."""
        self._stopping = True
        for listener in self._listeners:
            listener.close()
        for looking in self._looking:
            looking.finish()
        for worker in self.workers.values():
            worker.channel.send(encode(Stop(self._limits.worker_end_time)))
        self._loop.call_later(self._limits.worker_stop_time, self._kill)

    def _kill(self) -> None:
        for worker in self.workers.values():
            self._log("workers", WARNING, f"worker {worker.number} is killed: it has not ended")
            worker.child.kill()


def _is_ready(worker: _Worker) -> bool:
    return worker.state is _State.READY


def run_workers(
    make_server: Callable[[], Any],
    places: list[Place],
    count: int,
    limits: Limits = DEFAULT,
    *,
    ready: Callable[[], object] | None = None,
) -> None:
    """Serve at these places by ``count`` processes until a signal.

    ``make_server()`` is called in each of them.  ``RuntimeError`` where there can be no workers, or
    if one cannot begin; ``ValueError`` for a number of workers that is none.
    """
    if type(count) is not int or not 1 <= count <= _MOST:
        raise ValueError(f"workers: a number from 1 to {_MOST} is expected, not {count!r}")
    check_forking()

    def serve(number: int, control: socket.socket, contexts: list[Any]) -> int:
        from .worker import Worker

        return Worker(make_server(), number, control, contexts).run()

    Parent(places, count, serve, limits, ready=ready).run()


_MOST = 1024
