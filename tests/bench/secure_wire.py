"""A client's end of a connection in memory, over TLS."""

from __future__ import annotations

import contextlib
import functools
import ssl
from typing import Any

from rawsio.testing import TestKit

from .peers import certificate

__all__ = ["SecureWire", "server_context"]


@functools.cache
def server_context() -> ssl.SSLContext:
    """Return what a server needs for TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate())
    return context


class SecureWire:
    """A client's end of a wire, behind TLS."""

    def __init__(self, wire: Any, kit: TestKit) -> None:
        self.wire = wire
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._tls = context.wrap_bio(self._incoming, self._outgoing)
        for _ in range(2):
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.do_handshake()
            wire.send(self._outgoing.read())
            kit.run()
            self._incoming.write(wire.recv(1 << 16))

    def send(self, data: bytes) -> int:
        """Encrypt and send bytes."""
        self._tls.write(data)
        self.wire.send(self._outgoing.read())
        return len(data)

    def recv(self, size: int) -> bytes:
        """Return what can be decrypted, if anything."""
        self._incoming.write(self.wire.recv(size))
        found = b""
        while self._incoming.pending:
            try:
                found += self._tls.read(size)
            except ssl.SSLWantReadError:
                break
        return found
