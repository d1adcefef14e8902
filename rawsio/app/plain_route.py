"""A route that serves all sockets alike: the base of others, and that of a session that is over.

Most of what a :class:`~rawsio.app.interfaces.Route` is told concerns routes that have a shorter way
for some sockets (:mod:`rawsio.express`); to the others it means nothing.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .interfaces import Prepared, Route
    from .socket import Socket

__all__ = ["ENDED", "EndedRoute", "PlainRoute"]


class PlainRoute:
    """What a route does that serves every socket in the same way, and on which nothing waits."""

    __slots__ = ()

    def give_way(self, route: Route) -> Route:
        """Return the route of the session when its way has changed to this one."""
        return route

    def settle(self) -> None:
        """Nothing waits here."""

    def retire(self) -> None:
        """Nothing was begun for a socket."""

    def clog(self) -> None:
        """Everything is counted, however much waits below."""

    def flow(self) -> None:
        """Everything is counted, however little waits below."""

    def attend(self, socket: Socket) -> None:
        """Every socket is served in the same way."""


class EndedRoute(PlainRoute):
    """The route of a session that is over: packets are dropped."""

    __slots__ = ()

    def send(self, packet: Any) -> None:
        """Drop a packet."""

    def transmit(self, prepared: Prepared) -> None:
        """Drop an encoded packet."""

    def acknowledge(self, namespace: str, values: list[Any], packet_id: int) -> None:
        """Drop an acknowledgement."""

    def welcome(self, namespace: str, data: dict[str, Any]) -> None:
        """Drop the answer to a CONNECT."""

    def give_way(self, route: Route) -> Route:
        """Stay."""
        return self


ENDED = EndedRoute()
