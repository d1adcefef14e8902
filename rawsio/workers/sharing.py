"""What several processes cannot share, found before the first of them begins.

Each worker has a server of its own, with its own sessions, rooms, timers and limits; the adapter
joins their rooms.  Whatever keeps something for all clients of a server in the memory or in a file
of one process would be there once for each worker, and each client would see one of them.  Such a
thing is refused by name.  A plug or an extension says so by ``alone``: why, and what to do.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["check_shared"]

_RECOVERY = (
    "connection_state_recovery keeps sessions in {place}, and a client may come back to any of"
    " them: give adapter=StreamsAdapter(...), whose log all of them read"
)


def check_shared(server: Any) -> None:
    """Raise ``ValueError`` for what a server cannot share with other processes.

    >>> from rawsio import Server
    >>> check_shared(Server())
    >>> check_shared(Server(connection_state_recovery=True))
    Traceback (most recent call last):
    ValueError: workers: connection_state_recovery keeps sessions in the memory of one process, \
and a client may come back to any of them: give adapter=StreamsAdapter(...), whose log all of them \
read
    """
    core = server.core
    hooks = core.config.hooks
    reasons = []
    if core.recovery is not None and hooks.adapter is None:
        path = core.recovery.options.path
        place = "the memory of one process" if path is None else f"{path}, which one process owns"
        reasons.append(_RECOVERY.format(place=place))
    for thing in (hooks.trace, *core.extensions):
        reason = getattr(thing, "alone", "")
        if reason:
            reasons.append(reason)
    if reasons:
        raise ValueError(f"workers: {'; '.join(reasons)}")
