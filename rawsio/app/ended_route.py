"""The route of a session that is over: whatever is sent goes nowhere."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .interfaces import Prepared, Route
    from .socket import Socket

__all__ = ["ENDED", "EndedRoute"]


class EndedRoute:
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

    def give_way(self, _route: Route) -> Route:
        """Stay."""
        return self

    def settle(self) -> None:
        """Nothing waits."""

    retire = clog = flow = settle

    def attend(self, socket: Socket) -> None:
        """Nobody is served any more."""


ENDED = EndedRoute()
