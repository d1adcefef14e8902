"""Checks of what users and peers ask of a queue.

Each function returns the value, or raises :class:`~rawsio.queue.messages.QueueError` with the code
``bad_request`` and a text that says what was expected and what came.
"""

from __future__ import annotations

from .messages import LONGEST, QueueError
from .operations import STATES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["as_seconds", "as_state", "as_text", "as_whole", "storable"]


def _refuse(what: str, expected: str, value: Any) -> QueueError:
    shown = repr(value)
    shown = shown if len(shown) <= 40 else shown[:40] + "..."
    return QueueError("bad_request", f"{what}: {expected} expected, not {shown}")


def as_seconds(what: str, value: Any, least: float = 0.0) -> float:
    """Return a time in seconds.

    >>> as_seconds("delay", 5)
    5.0
    """
    if value.__class__ in (int, float) and least <= value <= LONGEST:
        return float(value)
    raise _refuse(what, f"seconds from {least} to {LONGEST} are", value)


def as_whole(what: str, value: Any, least: int, most: int) -> int:
    """Return an integer in bounds."""
    if value.__class__ is int and least <= value <= most:
        return int(value)
    raise _refuse(what, f"an integer from {least} to {most} is", value)


def as_text(what: str, value: Any, most: int) -> str | None:
    """Return a text that is not empty and that a store can keep, or ``None``."""
    if value is None:
        return None
    if value.__class__ is str and 0 < len(value) <= most and storable(value) == value:
        return str(value)
    raise _refuse(what, f"1 to {most} whole characters are", value)


def storable(text: str) -> str:
    r"""Return a text as every store can keep it: half a surrogate pair has no UTF-8.

    >>> storable("half \ud83d")
    'half \\ud83d'
    """
    return str(text.encode("utf-8", "backslashreplace"), "utf-8")


def as_state(value: Any, *, leased: bool) -> int:
    """Return the number of a state; ``leased`` may be one of them."""
    known = [name for name in STATES if leased or name != "leased"]
    if value.__class__ is str and value in known:
        return STATES.index(value)
    raise _refuse("state", f"one of {', '.join(known)} is", value)
