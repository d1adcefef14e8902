"""The time of day, for those who need a date rather than a duration.

Durations come from the loop's monotonic clock; this is the other one, which people set.  The one
idea: the date that HTTP wants changes once a second, so it is made once a second.  What is left
out: time zones, because HTTP knows none.
"""

from __future__ import annotations

from time import gmtime
from time import time as wall

__all__ = ["wall", "http_date"]

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)

_last: tuple[int, str] = (-1, "")


def http_date(now: float | None = None) -> str:
    """Return the time as a ``Date`` field has it (RFC 9110 section 5.6.7), cached for its second.

    >>> http_date(784111777)
    'Sun, 06 Nov 1994 08:49:37 GMT'
    """
    global _last  # noqa: PLW0603 - one cache for the process is the point
    second = int(wall() if now is None else now)
    if _last[0] != second:
        t = gmtime(second)
        clock = f"{t.tm_hour:02}:{t.tm_min:02}:{t.tm_sec:02}"
        date = f"{_DAYS[t.tm_wday]}, {t.tm_mday:02} {_MONTHS[t.tm_mon - 1]} {t.tm_year}"
        _last = (second, f"{date} {clock} GMT")
    return _last[1]
