"""Datagrams: a UDP socket on any loop, for extensions and adapters.

A datagram is whole or lost, comes from anybody who knows the port, and says who sent it only as far
as its network can be trusted.  So there is nothing to wait for here: what the system does not take
now is lost like what the network loses, and :meth:`Datagrams.send` tells.

Several are read for each event, but not more than a turn's share: whoever sends many waits like a
connection that does.
"""

from __future__ import annotations

import socket

from rawsio.log import ERROR

from .listener import check_address, explained, shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .loop_timers import AnyLoop

    Log = Callable[..., object]

__all__ = ["Datagrams", "open_datagram"]

_LARGEST = 65536
"""More bytes than a datagram may have."""
_AT_A_TIME = 64
"""Most that are read for one event, and for no longer than ``seconds``."""


class Datagrams:
    """A socket for datagrams; ``receive(data, peer)`` is called on the loop for each that comes.

    ``address`` is where it is: ``(host, port)``.  What ``receive`` raises is logged.  Events are
    worked off for ``seconds`` at a time.
    """

    __slots__ = ("address", "_loop", "_sock", "_receive", "_log", "_seconds")

    def __init__(
        self,
        loop: AnyLoop,
        sock: socket.socket,
        receive: Callable[[bytes, Any], object],
        log: Log,
        seconds: float,
    ) -> None:
        sock.setblocking(False)
        self.address = shown(sock)
        self._loop = loop
        self._sock: socket.socket | None = sock
        self._receive = receive
        self._log = log
        self._seconds = seconds
        loop.add_reader(sock.fileno(), self._readable)

    def send(self, data: bytes, peer: Any) -> bool:
        """Send a datagram to ``(host, port)``; ``False`` if it is lost already.

        ``RuntimeError`` after :meth:`close`.
        """
        if self._sock is None:
            raise RuntimeError("these datagrams are closed")
        try:
            return self._sock.sendto(data, peer) == len(data)
        except OSError:
            return False

    def close(self) -> None:
        """Send and receive no more; idempotent."""
        sock, self._sock = self._sock, None
        if sock is not None:
            self._loop.remove_reader(sock.fileno())
            sock.close()

    def _readable(self) -> None:
        end = self._loop.time() + self._seconds
        for _ in range(_AT_A_TIME):
            if self._sock is None:
                return
            try:
                data, peer = self._sock.recvfrom(_LARGEST)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # the network says of one of ours that it did not arrive
                continue
            try:
                self._receive(data, peer)
            except Exception as error:  # noqa: BLE001 - the owner's mistake ends nothing else
                self._log("net", ERROR, "a function for datagrams raised an exception", error)
            if self._loop.time() >= end:
                return


def open_datagram(
    host: str = "127.0.0.1", port: int = 0, group: str | None = None
) -> socket.socket:
    """Return a socket for datagrams; port 0 lets the system choose one.

    With ``group``, an IPv4 multicast address, it hears what is sent there by the interface whose
    address is ``host``, together with other programs at the same port.  Raises as
    :func:`rawsio.net.listener.listen_tcp` does.

    >>> sock = open_datagram()
    >>> sock.getsockname()[0]
    '127.0.0.1'
    >>> sock.close()
    """
    check_address(host, port)
    name = host or "0.0.0.0"
    try:
        found = socket.getaddrinfo(name, port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
        try:
            _bind(sock, address, group)
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise explained(error, f"{name}:{port}/udp") from None
    return sock


def _bind(sock: socket.socket, address: Any, group: str | None) -> None:
    if group is None:
        sock.bind(address)
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    here = socket.inet_aton(address[0])
    sock.bind(("", address[1]))
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, socket.inet_aton(group) + here)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, here)
