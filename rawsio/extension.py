"""What lives and ends with a server: adapters, queues, announcers, dashboards.

An extension is started when a host begins to run the server, on its loop, and stopped when the
server closes::

    class Announcer:
        def start(self, runtime):
            self.timer = runtime.call_later(1.0, self.announce)

        def stop(self, deadline):
            self.timer.cancel()

    io = Server(extensions=[Announcer()])

Both methods may return something that is waited for: a coroutine (``async def``, where asyncio runs
the server), or whatever has ``add_done_callback``, as a future or a :class:`rawsio.Reply`.
Extensions are started one after the other, in the order in which they were given, before the first
client is served; they are stopped one after the other, the last one first.

A loop may also end without all that: an exception leaves it, or it could not begin.  An extension
that holds what outlives the loop (a file, a thread) has a third method, ``abandon()``, which lets
go of it without waiting.  It is called when the loop has ended, whether ``stop`` was or not.

One that keeps something for all clients of a server in this process, so that several processes
cannot share it, says so by a text ``alone``: why, and what to do.  With workers the server is
refused by it.

Clients have extensions, too: they begin when the client first runs, and end when it is closed.
"""

from __future__ import annotations

from functools import partial

from rawsio.log import ERROR, WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Protocol

    from rawsio.runtime import Runtime

    class Extension(Protocol):
        """What a server starts and stops; see the module."""

        def start(self, runtime: Runtime, /) -> Any:
            """Begin; an exception keeps the server from running."""

        def stop(self, deadline: float, /) -> Any:
            """End, not later than ``deadline`` (of ``runtime.time()``)."""

    class Holding(Extension, Protocol):
        """One that holds what outlives the loop."""

        def abandon(self) -> None:
            """Let go of it without waiting: the loop has ended."""

else:
    Extension = object

__all__ = ["Extension", "Extensions", "check_extensions"]


def check_extensions(given: Iterable[Any]) -> list[Any]:
    """Return them as a list; ``TypeError`` for what has no ``start`` and ``stop``."""
    listed = list(given)
    for extension in listed:
        bare = isinstance(extension, type)
        if bare or not (hasattr(extension, "start") and hasattr(extension, "stop")):
            raise TypeError(
                f"an extension has start(runtime) and stop(deadline), unlike {extension!r}"
            )
    return listed


PATIENCE = 5.0
"""Seconds after its deadline that an extension is waited for."""


class Extensions:
    """The extensions of one server, in their order."""

    __slots__ = ("_runtime", "_all", "_waiting", "_running", "_stopping")

    def __init__(self, runtime: Runtime, given: Iterable[Extension] = ()) -> None:
        self._runtime = runtime
        self._all: list[Extension] = list(given)
        self._waiting: list[Extension] | None = list(given)
        self._running: list[Extension] = []
        self._stopping = False

    def __iter__(self) -> Iterator[Extension]:
        return iter(self._all)

    def add(self, extension: Extension) -> None:
        """Add one: it is started with the others, or now if the server runs; from any thread."""
        self._runtime.call(self._add, extension)

    def _add(self, extension: Extension) -> None:
        if self._stopping:
            return
        self._all.append(extension)
        if self._waiting is not None:
            self._waiting.append(extension)
            return

        def started(error: BaseException | None) -> None:
            if error is not None:
                message = f"the extension {extension!r} could not be started"
                self._runtime.log("server", ERROR, message, error)

        self._start(extension, started)

    def start(
        self, done: Callable[[BaseException | None], None], first: Iterable[Extension] = ()
    ) -> None:
        """Start ``first`` and then all others, in order, and call ``done(error)``.

        The first error keeps the rest from it.
        """
        if self._waiting is not None:
            self._waiting[:0] = first
            self._all[:0] = first
        waiting = self._waiting
        if not waiting:
            self._waiting = None
            done(None)
            return

        def started(error: BaseException | None) -> None:
            if error is not None:
                self._waiting = None
                done(error)
            else:
                self.start(done)

        self._start(waiting.pop(0), started)

    def _start(self, extension: Extension, done: Callable[[BaseException | None], None]) -> None:
        def started(error: BaseException | None) -> None:
            if error is None:
                self._running.append(extension)
            done(error)

        self._await(partial(extension.start, self._runtime), started)

    def stop(self, deadline: float, done: Callable[[], None]) -> None:
        """Stop all that were started, the last one first, and call ``done()``."""
        self._stopping = True
        if not self._running:
            done()
            return
        extension = self._running.pop()
        over: list[None] = []

        def stopped(error: BaseException | None) -> None:
            if over:
                return
            over.append(None)
            late.cancel()
            if error is not None:
                message = f"the extension {extension!r} could not be stopped"
                self._runtime.log("server", ERROR, message, error)
            self.stop(deadline, done)

        def give_up() -> None:
            if not over:
                message = f"the extension {extension!r} has not stopped in time"
                self._runtime.log("server", WARNING, message)
                stopped(None)

        seconds = max(0.0, deadline - self._runtime.time()) + PATIENCE
        late = self._runtime.call_later(seconds, give_up)
        self._await(partial(extension.stop, deadline), stopped)

    def abandon(self) -> None:
        """Have those that hold something let go of it: the loop has ended."""
        held, self._all = self._all, []
        for extension in reversed(held):
            let_go = getattr(extension, "abandon", None)
            if let_go is None:
                continue
            try:
                let_go()
            except Exception as error:  # noqa: BLE001 - the others have to let go, too
                message = f"the extension {extension!r} could not be abandoned"
                self._runtime.log("server", ERROR, message, error)

    def _await(self, step: Callable[[], Any], done: Callable[[BaseException | None], None]) -> None:
        runtime = self._runtime
        try:
            result = step()
        except Exception as error:  # noqa: BLE001 - it is the user's
            done(error)
            return
        if hasattr(result, "add_done_callback"):
            result.add_done_callback(lambda ended: runtime.call(done, _error_of(ended)))
        elif hasattr(result, "cr_code"):
            runtime.drive(result, lambda _result, error: done(error))
        else:
            done(None)


def _error_of(ended: Any) -> BaseException | None:
    try:
        ended.result()
    except Exception as error:  # noqa: BLE001 - it is handed on
        return error
    return None
