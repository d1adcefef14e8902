"""Acknowledgements that are given together, as one commit answers many clients.

An acknowledgement by itself passes the socket, the route and the WebSocket, and each of them asks
whether it may.  Where a socket has a lane (:class:`rawsio.app.interfaces.Lane`) the answer to all
of these questions is known: nothing is to be done but to put a frame into its outbox.
"""

from __future__ import annotations

from rawsio.websocket.frames import TEXT_HEADERS, text_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["acknowledge_all"]

_OVERHEAD = 48
"""More than a frame has beside these texts: two digits, an id, a number, a header."""


def acknowledge_all(
    namespace: str, acks: list[Any], around: tuple[str, str], numbers: Sequence[int]
) -> list[int]:
    """Give acknowledgements of one namespace, whose values differ in a number.

    ``acks`` are what handlers were given to answer with (:class:`~rawsio.app.socket.Acknowledge`);
    what is ``around`` the number, an integer of 64 bits, makes JSON of it: a list, nested no deeper
    than the limits allow.  Returns the numbers of those that have not been given: ``None``, and
    where more is to be done.
    """
    head = "43" if namespace == "/" else f"43{namespace},"
    before, behind = around
    most = len(acks) * (len(head) + len(before) + len(behind) + _OVERHEAD)
    left: list[int] = []
    fresh: list[Any] = []
    first: Any = None
    try:
        for ack, number in zip(acks, numbers, strict=True):
            lane = ack and ack._socket._lane
            if lane is None:
                left.append(number)
                continue
            if first is None and not lane.holds(most):
                return [*numbers]
            first = lane
            if (packet_id := ack._packet_id) is None:
                continue
            ack._packet_id, outbox = None, lane.outbox
            if not outbox:
                fresh.append(lane.stream)
            size = len(body := f"{head}{packet_id}{before}{number}{behind}".encode())
            outbox.append(TEXT_HEADERS[size] + body if size < 126 else text_frame(body))
    finally:
        if first is not None:
            first.touch(fresh)
    return left
