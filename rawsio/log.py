"""One line of log, to the application's logging if it has any, else to standard error.

Importing ``logging`` costs a third of our start-up budget, so nobody pays for it who does not use
it.  If the application has imported ``logging`` and given it a handler, a line goes to the logger
``rawsio.<channel>``; otherwise lines from ``WARNING`` up go to standard error.  Channels are the
layers (``http``, ``websocket``, ``engineio``, ``socketio``), ``net``, ``server`` and ``handler``.

Writing a line never fails and never waits.  A line that cannot be written (the reader of the pipe
is gone, the disk is full, the stream is closed, a logging handler raises) is lost, and so is one
for which a pipe or terminal that nobody reads has no room.  The next line that can be written says
how many were.  Only what waits inside the application's own logging handlers holds up its caller.

Lines that a peer can cause are limited in rate: ten, then one a second for each channel; the next
line that passes says how many were held back.  Wire text is escaped by whoever writes the line.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["DEBUG", "INFO", "WARNING", "ERROR", "Log", "write"]

DEBUG = 10
INFO = 20
WARNING = 30
ERROR = 40

_NAMES = {DEBUG: "debug", INFO: "info", WARNING: "warning", ERROR: "error"}

_PIECE = 1000
"""Characters written at a time: at most 4,000 bytes, for which a pipe with any room has room."""

_lost = 0
"""Lines that could not be written since the last one that could."""


def write(channel: str, level: int, message: str, error: BaseException | None = None) -> None:
    """Write one line; ``error`` adds its traceback.

    Raises no ``Exception``, and no ``SystemExit``: a line that cannot be written must not end the
    server whose peer caused it.

    Levels are the numbers of the standard library's ``logging``.
    """
    global _lost  # noqa: PLW0603 - standard error is one for the process, too
    if _lost:
        message += f" (and {_lost} lines could not be written)"
    try:
        written = _write(channel, level, message, error)
    except (Exception, SystemExit):  # noqa: BLE001 - there is no place left to report it
        written = False
    if written is not None:
        _lost = 0 if written else _lost + 1


def _write(channel: str, level: int, message: str, error: BaseException | None) -> bool | None:
    """Return whether a line was written; ``None`` if nobody wants it."""
    logging = sys.modules.get("logging")
    # Another thread may be in the middle of importing it: then it has no getLogger yet.
    if logging is not None and hasattr(logging, "getLogger"):
        logger = logging.getLogger(f"rawsio.{channel}")
        if logger.hasHandlers():
            if not logger.isEnabledFor(level):
                return None
            logger.log(level, message, exc_info=error)
            return True
        # Without handlers, logging writes to standard error itself, and waits for it.
        if logging.lastResort is None or not logger.isEnabledFor(level):
            return None
    stream = sys.stderr
    if level < WARNING or stream is None:
        return None
    text = f"rawsio.{channel} {_NAMES.get(level, level)}: {message}\n"
    if error is not None:
        from traceback import format_exception

        text += "".join(format_exception(error))
    return _put(stream, text)


_loggers: dict[str, Any] = {}


def _wanted(channel: str, level: int) -> bool:
    """Return whether the application's logging takes such lines, which nobody else does."""
    logging = sys.modules.get("logging")
    if logging is None or not hasattr(logging, "getLogger"):
        return False
    try:
        logger = _loggers.get(channel)
        if logger is None:  # to get one takes a lock
            logger = _loggers[channel] = logging.getLogger(f"rawsio.{channel}")
        return bool(logger.isEnabledFor(level))
    except (Exception, SystemExit):  # noqa: BLE001 - `write` counts what cannot be written
        return True


def _put(stream: Any, text: str) -> bool:
    """Write as much of the text as there is room for; return whether that was all of it."""
    for start in range(0, len(text), _PIECE):
        if not _has_room(stream):
            return False
        stream.write(text[start : start + _PIECE])
        stream.flush()
    return True


def _has_room(stream: Any) -> bool:
    """Return whether writing a piece does not wait, as far as the system can tell."""
    import select

    if not hasattr(select, "poll"):
        return True
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError, ValueError):  # it is no file: a StringIO, a window
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


class Log:
    """Lines that peers can cause, limited in rate for each channel.

    ``now`` is the clock, ``sink`` where lines go (:func:`write` unless a test says otherwise).

    >>> lines = []
    >>> log = Log(now=lambda: 0.0, sink=lambda *line: lines.append(line[2]))
    >>> for number in range(100):
    ...     log("http", WARNING, f"bad request {number}")
    >>> len(lines)
    10
    """

    __slots__ = ("_now", "sink", "_buckets")

    BURST = 10

    def __init__(
        self,
        now: Callable[[], float],
        sink: Callable[[str, int, str, BaseException | None], None] = write,
    ) -> None:
        self._now = now
        self.sink = sink
        self._buckets: dict[str, tuple[float, float, int]] = {}

    def __call__(
        self, channel: str, level: int, message: str, error: BaseException | None = None
    ) -> None:
        """Write the line, or count it as held back."""
        if level < WARNING and self.sink is write and not _wanted(channel, level):
            return
        now = self._now()
        tokens, since, held = self._buckets.get(channel, (float(self.BURST), now, 0))
        tokens = min(float(self.BURST), tokens + now - since)
        if tokens < 1.0:
            self._buckets[channel] = (tokens, now, held + 1)
            return
        self._buckets[channel] = (tokens - 1.0, now, 0)
        if held:
            message += f" (and {held} lines held back)"
        self.sink(channel, level, message, error)
