"""The client: :class:`Client` and :func:`connect`, and the parts that they are made of.

In the order of the imports, from below:

- ``options``: where to connect to, and how long to wait before the next attempt;
- ``stack`` is one TCP connection as a single layer, ``session`` joins several to one Engine.IO
  session, both without sockets;
- ``membership`` is one stay in a namespace, ``listeners`` what comes in, ``retries`` emits that are
  sent again, ``queue`` a durable queue of the server, ``socket`` what the application holds;
- ``connector`` has the sockets: connecting, the loop, the thread;
- ``client`` keeps one connection up: the public interface.

:mod:`rawsio.runtime` says where handlers run.
"""

from __future__ import annotations

from .client import Client, connect

__all__ = ["Client", "connect"]
