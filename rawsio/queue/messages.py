"""What a queue tells and is told: its options, deliveries, events and errors.

Requests carry a *ticket*, any object of the caller's.  It comes back in :class:`Settled` or
:class:`Stored` when the request is committed, or in :class:`Rejected` when the store could not do
it.
"""

from __future__ import annotations

from rawsio.errors import RawsioError
from rawsio.layer import check_fields, check_number, record
from rawsio.limits import DEFAULT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Literal, TypedDict

    from rawsio.limits import Limits

    FullPolicy = Literal["refuse", "drop_oldest"]

    class QueueKeywords(TypedDict, total=False):
        """The fields of :class:`QueueOptions`, as keywords of :meth:`rawsio.Server.queue`."""

        lease: float
        max_deliveries: int
        backoff: tuple[float, float]
        max_messages: int | None
        max_bytes: int | None
        max_message: int | None
        policy: FullPolicy
        dedup: float
        retention: float | None
        rate: float | None

    class PublishKeywords(TypedDict, total=False):
        """What a message may say besides its body: see :meth:`rawsio.queue.jobs.Jobs.publish`."""

        key: str | None
        delay: float
        priority: int
        group: str | None
        expires: float | None


__all__ = [
    "CODES",
    "LONGEST",
    "Buried",
    "Dead",
    "Delivery",
    "Deliver",
    "Drained",
    "Published",
    "QueueError",
    "QueueOptions",
    "Rejected",
    "Settled",
    "Stored",
]

CODES = (
    "full",
    "too_large",
    "no_such_queue",
    "forbidden",
    "stale",
    "bad_request",
    "unavailable",
    "closing",
)
"""The codes of errors, on the wire and in :class:`QueueError`."""


LONGEST = 10 * 365 * 86400
"""Ten years, in seconds: a longer time is a mistake in the unit."""
_MOST = 2**53
"""The most of anything: what every store, and JSON, can count."""


class QueueError(RawsioError):
    """A request that a queue refuses; ``code`` is one of :data:`CODES`.

    >>> QueueError("full", "the queue jobs holds 5 messages")
    QueueError('full', 'the queue jobs holds 5 messages')
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"


class Dead(RawsioError):
    """Raise it in a handler to make the message a dead letter at once, with this text."""


@record
class QueueOptions:
    """The options of a queue.

    >>> QueueOptions(lease=10).checked().lease
    10
    >>> QueueOptions(policy="forget").checked()
    Traceback (most recent call last):
    ValueError: policy: 'refuse' or 'drop_oldest' is expected, not 'forget'
    """

    lease: float = 30.0
    """Seconds that a consumer has for a message before another one gets it."""
    max_deliveries: int = 5
    """A message that was delivered this often and failed becomes a dead letter."""
    backoff: tuple[float, float] = (1.0, 300.0)
    """Base and cap, in seconds, of the wait after a failure: a random time up to
    ``min(cap, base * 2 ** (deliveries - 1))``."""
    max_messages: int | None = None
    """Most messages, dead letters included; ``None``: ``limits.queue_messages``."""
    max_bytes: int | None = None
    """Most bytes of bodies; ``None``: ``limits.queue_bytes``."""
    max_message: int | None = None
    """Longest body, in bytes; ``None``: ``limits.queue_message``."""
    policy: FullPolicy = "refuse"
    """What a full queue does: ``"refuse"`` the publish, or ``"drop_oldest"``: dead letters first,
    then messages that nobody holds."""
    dedup: float = 300.0
    """Seconds for which a second message with the same ``key`` is a duplicate, counted from the
    first publish."""
    retention: float | None = None
    """Seconds after which a message expires that says nothing about it; ``None``: never."""
    rate: float | None = None
    """Most deliveries a second; ``None``: no bound."""

    def checked(self, limits: Limits = DEFAULT) -> QueueOptions:
        """Return a copy with the bounds filled in; ``TypeError`` or ``ValueError`` for nonsense."""
        check_fields(self)
        for name in ("max_deliveries", "max_messages", "max_bytes", "max_message"):
            _check_amount(name, getattr(self, name), 1, _MOST, whole=True)
        _check_amount("lease", self.lease, 0.1, LONGEST)
        _check_amount("dedup", self.dedup, 0, LONGEST)
        _check_amount("retention", self.retention, 0.001, LONGEST)
        _check_amount("rate", self.rate, 1 / LONGEST, _MOST)
        if self.policy not in ("refuse", "drop_oldest"):
            raise ValueError(f"policy: 'refuse' or 'drop_oldest' is expected, not {self.policy!r}")
        pair = self.backoff
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError(f"backoff: (base, cap) in seconds is expected, not {pair!r}")
        for seconds in pair:
            check_number("backoff", seconds)
            _check_amount("backoff", seconds, 0, LONGEST)
        if not pair[0] <= pair[1]:
            raise ValueError(
                f"backoff: (base, cap), the longer wait last, is expected, not {pair!r}"
            )
        kept: dict[str, Any] = {name: getattr(self, name) for name in self.__match_args__}
        made = QueueOptions(**kept)
        made.max_message, made.max_messages, made.max_bytes = self.bounds(limits)
        return made

    def bounds(self, limits: Limits) -> tuple[int, int, int]:
        """Return the longest body, the most messages, and the most bytes of bodies."""
        return (
            self.max_message or limits.queue_message,
            self.max_messages or limits.queue_messages,
            self.max_bytes or limits.queue_bytes,
        )


def _check_amount(name: str, value: Any, least: float, most: float, *, whole: bool = False) -> None:
    """Refuse what is neither ``None`` nor a number in these bounds."""
    if value is None:
        return
    if not isinstance(value, int if whole else (int, float)) or isinstance(value, bool):
        raise TypeError(f"{name}: a {'whole ' * whole}number or None is expected, not {value!r}")
    if not least <= value <= most:
        raise ValueError(f"{name}: from {least:.16g} to {most:.16g} is expected, not {value!r}")


@record
class Published:
    """The answer to a publish: the message's ``id``; ``duplicate`` if its key was known."""

    id: int
    duplicate: bool = False


@record
class Delivery:
    """One message, leased to one consumer.

    ``token`` names this delivery: an acknowledgement counts only with the latest one.  ``body`` is
    encoded (:mod:`rawsio.queue.bodies`), ``lease`` the number of the claim in the store.
    ``published`` is in seconds since 1970, ``deliveries`` counts this one, too.
    """

    id: int
    token: str
    body: bytes
    lease: int
    deliveries: int
    published: float
    key: str | None = None
    group: str | None = None


# Events


@record
class Settled:
    """A request is committed; ``value`` is its answer."""

    ticket: Any
    value: Any = None


@record
class Stored:
    """Messages are committed that are nothing but a body: their tickets, and their ids."""

    tickets: list[Any]
    ids: Sequence[int]


@record
class Rejected:
    """The store could not do what a request asked for; nothing was changed by it."""

    ticket: Any
    error: QueueError


@record
class Deliver:
    """Messages for a consumer; each is leased to it."""

    consumer: Any
    deliveries: list[Delivery]


@record
class Buried:
    """A message became a dead letter, for this reason."""

    id: int
    error: str


@record
class Drained:
    """No message is left that a consumer could get now, after there was one."""

    consumer: Any
