"""The same driver on an asyncio loop, uvloop included.

asyncio's loops have every method that a driver needs, by the same names, so the bound methods are
taken over by :class:`AsyncioLoop`; only the question of whose thread it is has to be answered here.
A flush is one ``call_soon`` there too, for all that was touched.

Windows' default loop (the proactor) cannot watch descriptors: use ``SelectorEventLoop`` there, or
our own.  ``asyncio`` is imported when something here is called.  asyncio's transports and protocols
are not used: they would come between us and the socket.
"""

from __future__ import annotations

from _thread import get_ident

from .signals import TOGETHER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["AsyncioLoop", "finish", "run_coroutine", "take_sigint", "take_sigterm"]

_NAMES = (
    *("time", "add_reader", "remove_reader", "add_writer", "remove_writer"),
    *("call_soon", "call_soon_threadsafe", "call_later"),
)


_QUIET = 5
"""Turns of asyncio's loop without a handler after which none will follow."""


class AsyncioLoop:
    """What a :class:`~rawsio.net.driver.Driver` needs of the asyncio loop that runs here.

    ``loop`` is the running one unless given.  The calling thread is its owner.  Raises
    ``RuntimeError`` if no loop is running here, or if it cannot watch descriptors.

    >>> import asyncio
    >>> async def main():
    ...     return AsyncioLoop().owned()
    >>> asyncio.run(main())
    True
    """

    __slots__ = ("asyncio_loop", "owner", *_NAMES)

    if TYPE_CHECKING:
        time: Any
        add_reader: Any
        remove_reader: Any
        add_writer: Any
        remove_writer: Any
        call_soon: Any
        call_soon_threadsafe: Any
        call_later: Any

    def __init__(self, loop: Any = None) -> None:
        if loop is None:
            from asyncio import get_running_loop

            loop = get_running_loop()
        self.asyncio_loop = loop
        self.owner = get_ident()
        try:
            loop.remove_reader(-1)
        except NotImplementedError:
            kind = type(loop).__name__
            raise RuntimeError(f"{kind} cannot watch sockets; use SelectorEventLoop") from None
        except (OSError, ValueError):  # it looked at the descriptor, so it would watch another
            pass
        for name in _NAMES:
            setattr(self, name, getattr(loop, name))

    def owned(self) -> bool:
        """Return whether the calling thread is the one that the loop runs in."""
        return get_ident() == self.owner


async def finish(pending: set[Any], seconds: float) -> None:
    """Wait until this set of tasks or futures is empty, for so many seconds at most.

    It may change meanwhile: who ends may make room for another, which begins some turns of the
    loop later.  A task that waits for itself is not waited for.

    >>> import asyncio
    >>> async def main():
    ...     await finish({asyncio.get_running_loop().create_future()}, 0.01)
    >>> asyncio.run(main())
    """
    from asyncio import current_task, get_running_loop, sleep, wait

    time, here = get_running_loop().time, current_task()
    end, quiet = time() + seconds, 0
    while quiet < _QUIET:
        others = [task for task in pending if task is not here and not task.done()]
        left = end - time()
        if others and left > 0:
            await wait(others, timeout=left)
        quiet = 0 if others and left > 0 else quiet + 1
        await sleep(0)


def run_coroutine(coroutine: Any) -> Any:
    """Return what a coroutine returns, run on a new asyncio loop."""
    from asyncio import run

    return run(coroutine)


def take_sigterm(loop: Any, callback: Callable[[], object]) -> Callable[[], object]:
    """Call back for SIGTERM where it would end the program without a word.

    That is in the main thread, unless the program has a handler of its own.  Returns a function
    that takes it back.
    """
    import signal

    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return bool
    try:
        loop.add_signal_handler(signal.SIGTERM, callback)
    except (NotImplementedError, RuntimeError, ValueError):  # another thread, or Windows
        return bool
    return lambda: loop.remove_signal_handler(signal.SIGTERM)


def take_sigint(loop: Any, callback: Callable[[], object]) -> Callable[[], object]:
    """Call back for SIGINT where it would leave asyncio's loop at once, and cancel every task.

    That is in the main thread, and before Python 3.11, or without ``asyncio.run``; unless the
    program has a handler of its own.  A second one raises ``KeyboardInterrupt`` in what runs then.
    Returns a function that takes it back.
    """
    import signal

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return bool
    first: list[float] = []

    def arrived(_number: int, _frame: object) -> None:
        if not first:
            first.append(loop.time())
            loop.call_soon_threadsafe(callback)
        elif loop.time() - first[0] >= TOGETHER:
            raise KeyboardInterrupt

    try:
        signal.signal(signal.SIGINT, arrived)
    except ValueError:  # another thread
        return bool
    return lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
