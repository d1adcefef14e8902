"""Acknowledgements that are given together, as one commit answers many clients.

An acknowledgement by itself passes the socket, the route and the WebSocket, and each of them asks
whether it may.  Where a socket has a lane (:class:`rawsio.app.interfaces.Lane`) the answer to all
of these questions is known: nothing is to be done but to put a frame into its outbox.
"""

from __future__ import annotations

from rawsio.websocket.frames import TEXT_HEADERS, text_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["acknowledge_all"]

_OVERHEAD = 32
"""More than a frame has beside its namespace and its values: two digits, an id, a header."""


def acknowledge_all(namespace: str, acks: list[Any], texts: list[str]) -> list[int]:
    """Give acknowledgements of one namespace, each with values that are encoded: a list of JSON.

    ``acks`` are what handlers were given to answer with (:class:`~rawsio.app.socket.Acknowledge`).
    The values are plain, and nested no deeper than the limits allow.  Returns the positions of
    those that have not been given: ``None``, and where more is to be done.
    """
    head = "43" if namespace == "/" else f"43{namespace},"
    most = sum(map(len, texts)) + len(texts) * (len(head) + _OVERHEAD)
    left: list[int] = []
    fresh: list[Any] = []
    first: Any = None
    at = -1
    try:
        for ack, text in zip(acks, texts, strict=True):
            at += 1
            lane = None if ack is None else ack._socket._lane
            if lane is None or not (first or lane.holds(most)):
                left.append(at)
                continue
            first = first or lane
            if (number := ack._packet_id) is None:
                continue
            ack._packet_id, outbox = None, lane.outbox
            if not outbox:
                fresh.append(lane.stream)
            size = len(body := f"{head}{number}{text}".encode())
            outbox.append(TEXT_HEADERS[size] + body if size < 126 else text_frame(body))
    finally:
        if first is not None:
            first.touch(fresh)
    return left
