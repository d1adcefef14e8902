"""The servers of this library in a cluster, by name.

Redis tells how many servers listen, and not who.  So those of this library announce themselves to
each other every few seconds, on a channel that others do not know.  That is how a silent server
gets a name, and how one that leaves is not waited for::

    {"uid": "aB3xY9", "state": "new"}      "new" is answered by "here"; "left" is the last word
"""

from __future__ import annotations

from rawsio.errors import LocalProtocolError, RemoteProtocolError

from .fields import decode, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["Membership"]


class Membership:
    """Announces one server, and keeps the list of the others.

    ``say(payload)`` publishes an announcement; ``left(uid)`` is called when a server has gone, or
    was not heard for ``timeout`` seconds.
    """

    def __init__(
        self,
        host: Any,
        uid: str,
        say: Callable[[bytes], object],
        left: Callable[[str], object],
        *,
        interval: float,
        timeout: float,
    ) -> None:
        self._host = host
        self._uid = uid
        self._say = say
        self._left = left
        self._interval = interval
        self._timeout = timeout
        self._timer: Any = None
        self._stopped = False
        # uid -> when it was heard last.
        self._nodes: dict[str, float] = {}

    def start(self) -> None:
        """Begin to announce, every ``interval`` seconds."""
        self._timer = self._host.call_later(self._interval, self._tick)

    def stop(self) -> None:
        """Say that we leave; hear nobody any more."""
        self._stopped = True
        if self._timer is not None:
            self.announce("left")
            self._timer.cancel()

    def nodes(self) -> list[str]:
        """Return the names of the others."""
        return sorted(self._nodes)

    def announce(self, state: str) -> None:
        """Tell the others: we are ``new``, ``here``, or have ``left``."""
        self._say(b'{"uid":"%b","state":"%b"}' % (self._uid.encode(), state.encode()))

    def _tick(self) -> None:
        self.announce("here")
        before = self._host.time() - self._timeout
        for uid in [uid for uid, heard in self._nodes.items() if heard < before]:
            self._forget(uid)
        self._timer = self._host.call_later(self._interval, self._tick)

    def heard(self, payload: bytes) -> None:
        """Take an announcement."""
        try:
            fields = decode(payload, self._host.limits)
            uid, state = text(fields, "uid"), text(fields, "state")
        except (RemoteProtocolError, LocalProtocolError, AttributeError):
            return  # somebody else's channel
        if uid == self._uid or self._stopped:
            return
        if state == "left":
            self._forget(uid)
        elif uid in self._nodes or len(self._nodes) < self._host.limits.cluster_nodes:
            self._nodes[uid] = self._host.time()
        if state == "new":
            self.announce("here")

    def _forget(self, uid: str) -> None:
        if self._nodes.pop(uid, None) is not None:
            self._left(uid)
