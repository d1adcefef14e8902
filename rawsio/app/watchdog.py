"""The watchdog: names in the log the handlers that hold up others.

It is an extension of every server and client (:mod:`rawsio.extension`), and looks for two things:

- a function that blocks the loop for more than ``limits.slow_handler`` seconds: nobody is served
  meanwhile.  Whoever calls functions on the loop takes the time, and tells;
- a handler that has not ended after ``limits.held_up_time`` seconds while other events of its
  connection wait.  Often it waits for an answer of the very peer whose events it holds up.
"""

from __future__ import annotations

from rawsio.errors import escaped
from rawsio.log import WARNING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from rawsio.limits import Limits
    from rawsio.socketio.packets import Event

    from .handler_queue import HandlerQueue
    from .handlers import Handler
    from .interfaces import Handle, RuntimeLike

__all__ = ["Watchdog"]


class Watchdog:
    """What a runtime tells of slow functions, and queues of jobs that wait; see the module."""

    __slots__ = ("slow", "held_up", "_runtime")

    def __init__(self, limits: Limits) -> None:
        self.slow = limits.slow_handler
        self.held_up = limits.held_up_time
        self._runtime: RuntimeLike | None = None

    def start(self, runtime: RuntimeLike) -> None:
        """Look after the functions of this runtime."""
        self._runtime = runtime
        runtime.watch(self)

    def stop(self, _deadline: float) -> None:
        """Look after nothing any more."""
        if self._runtime is not None:
            self._runtime.watch(None)
            self._runtime = None

    # Functions that block the loop

    def blocked(self, what: str, seconds: float) -> None:
        """Name a function that has blocked the loop."""
        if self._runtime is not None:
            self._runtime.log("handler", WARNING, f"{what} blocked the loop for {seconds:.2f} s")

    def blocked_by(self, handler: Handler, event: Event, seconds: float) -> None:
        """Name the handler of an event that has blocked the loop."""
        name = event.args[0]
        shown = escaped(name) if isinstance(name, str) else str(name)
        self.blocked(f"{handler!r} of {shown} in {escaped(event.namespace)}", seconds)

    # Handlers that hold up the events behind them

    def watch(self, queue: HandlerQueue) -> Handle | None:
        """Look in a while whether a queue goes on; the timer, for who does not wait any more."""
        runtime = self._runtime
        if runtime is None:
            return None
        return runtime.call_later(self.held_up, self._look, queue, queue.running)

    def _look(self, queue: HandlerQueue, running: tuple[Any, ...]) -> None:
        waits = queue.queued > 0
        if waits and running is not queue.running:
            queue.watched(self.watch(queue))
            return
        queue.watched(None)
        if waits and self._runtime is not None:
            line = self._held_up(running, queue.queued)
            self._runtime.log("handler", WARNING, line)

    def _held_up(self, running: tuple[Any, ...], waiting: int) -> str:
        """Return the line about a job; ``running`` are its arguments, the event last, if any."""
        event = running[-1] if running else None
        args = getattr(event, "args", None)
        if event is None or not args:
            return (
                f"a handler has not ended for {self.held_up:g} s, and {waiting} events wait for it"
            )
        shown = escaped(args[0]) if isinstance(args[0], str) else str(args[0])
        return (
            f"the handler of {shown} in {escaped(event.namespace)} has not ended for"
            f" {self.held_up:g} s, and {waiting} events of the same connection wait for it; if it"
            f" waits for an answer of the other end, register it with on({shown}, ...,"
            " concurrent=True)"
        )
