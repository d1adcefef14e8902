"""What a command of a Redis client becomes: a value, or an exception."""

from __future__ import annotations

import sys

from rawsio.errors import RawsioError

from .resp import ErrorReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import Any

__all__ = ["Answer", "RedisError"]


class RedisError(RawsioError):
    """Redis answered a command by an error; ``code`` is its first word (``MOVED``, ``OOM``).

    >>> RedisError("WRONGTYPE", "Operation against a key").code
    'WRONGTYPE'
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code} {message}" if message else code)
        self.code = code
        self.message = message


class Answer:
    """The answer to one command, now or later.  Used on the loop's thread alone.

    It can be awaited on asyncio.  An error that Redis answered is raised as :class:`RedisError`; a
    connection that ended first as ``ConnectionClosed``: whether the command ran is not known then.

    >>> answer = Answer()
    >>> answer.add_done_callback(lambda answer: print(answer.result()))
    >>> answer.settle(1)
    1
    """

    __slots__ = ("_callbacks", "_done", "_error", "_value")

    def __init__(self) -> None:
        self._done = False
        self._value: Any = None
        self._error: Exception | None = None
        self._callbacks: list[Callable[[Answer], object]] = []

    def done(self) -> bool:
        """Return whether it is there."""
        return self._done

    def result(self) -> Any:
        """Return the value, or raise what came instead; ``RuntimeError`` while it is not there."""
        if not self._done:
            raise RuntimeError("the answer is not there yet: await it, or add_done_callback")
        if self._error is not None:
            raise self._error
        return self._value

    @property
    def error(self) -> Exception | None:
        """What came instead of a value."""
        return self._error

    def add_done_callback(self, callback: Callable[[Answer], object]) -> None:
        """Call ``callback(answer)`` when the answer is there: now, if it is."""
        if self._done:
            callback(self)
        else:
            self._callbacks.append(callback)

    def settle(self, value: Any) -> None:
        """Give it its value; an ``ErrorReply`` becomes a :class:`RedisError`.  Once."""
        if isinstance(value, ErrorReply):
            self.fail(RedisError(value.code, value.message))
        else:
            self._value = value
            self._finish()

    def fail(self, error: Exception) -> None:
        """Give it an exception.  Once."""
        self._error = error
        self._finish()

    def _finish(self) -> None:
        if self._done:
            raise RuntimeError("an answer is given once")
        self._done = True
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback(self)

    def __await__(self) -> Generator[Any, None, Any]:
        if not self._done:
            # Whoever awaits is a task of asyncio, so somebody has imported it.
            future = sys.modules["asyncio"].get_running_loop().create_future()
            self.add_done_callback(lambda _: None if future.done() else future.set_result(None))
            yield from future
        return self.result()
