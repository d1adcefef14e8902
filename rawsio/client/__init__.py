"""The client: :class:`Client` and :func:`connect`, and the parts that they are made of.

Read them in this order, which is that of the imports, from below:

- ``options``: where to connect to, and how long to wait before the next attempt;
- ``stack`` is one TCP connection as a single layer, ``session`` joins several to one Engine.IO
  session, both without sockets;
- ``stay`` is one time of being in a namespace, ``hearing`` what comes in, ``socket`` what the
  application holds;
- ``wires`` has the sockets: connecting, the loop, the thread;
- ``client`` keeps one connection up: the public interface.

What is left out: the layers themselves, and where handlers run (:mod:`rawsio.runtime`).
"""

from __future__ import annotations

from .client import Client, connect

__all__ = ["Client", "connect"]
