"""One line of log, to the application's logging if it has any.

The one idea: importing ``logging`` costs a third of our start-up budget, so nobody pays for it
who does not use it.  If the application has imported ``logging`` by the time that a line is
written, the line goes to the logger ``rawsio.<channel>``; otherwise lines from ``WARNING`` up go
to standard error.  Channels are the layers (``http``, ``websocket``, ``engineio``, ``socketio``),
``net``, ``server`` and ``handler``.

Lines that a peer can cause are limited in rate: ten, then one a second for each channel; the next
line that passes says how many were held back.  What is left out: formatting and levels of
detail, which are the application's; wire text is escaped by whoever writes the line.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DEBUG", "INFO", "WARNING", "ERROR", "Log", "write"]

DEBUG = 10
INFO = 20
WARNING = 30
ERROR = 40

_NAMES = {DEBUG: "debug", INFO: "info", WARNING: "warning", ERROR: "error"}


def write(channel: str, level: int, message: str, error: BaseException | None = None) -> None:
    """Write one line; ``error`` adds its traceback.

    Levels are the numbers of the standard library's ``logging``.
    """
    logging = sys.modules.get("logging")
    if logging is not None:
        logging.getLogger(f"rawsio.{channel}").log(level, message, exc_info=error)
        return
    if level < WARNING or sys.stderr is None:
        return
    sys.stderr.write(f"rawsio.{channel} {_NAMES.get(level, level)}: {message}\n")
    if error is not None:
        from traceback import print_exception

        print_exception(error, file=sys.stderr)


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

    __slots__ = ("_now", "_sink", "_buckets")

    BURST = 10

    def __init__(
        self,
        now: Callable[[], float],
        sink: Callable[[str, int, str, BaseException | None], None] = write,
    ) -> None:
        self._now = now
        self._sink = sink
        self._buckets: dict[str, tuple[float, float, int]] = {}

    def __call__(
        self, channel: str, level: int, message: str, error: BaseException | None = None
    ) -> None:
        """Write the line, or count it as held back."""
        now = self._now()
        tokens, since, held = self._buckets.get(channel, (float(self.BURST), now, 0))
        tokens = min(float(self.BURST), tokens + now - since)
        if tokens < 1.0:
            self._buckets[channel] = (tokens, now, held + 1)
            return
        self._buckets[channel] = (tokens - 1.0, now, 0)
        if held:
            message += f" (and {held} lines held back)"
        self._sink(channel, level, message, error)
