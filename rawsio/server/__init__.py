"""The server: :class:`Server`, and the parts that it is made of.

Read them in this order, which is that of the imports, from below:

- ``application`` answers the requests that are not Socket.IO's: files, or a function, as ``static``
  is for a folder; ``wsgi`` asks a WSGI application, ``applications`` tells what a user gave;
- ``streaming`` is content that is made piece by piece, ``answering`` an answer on its way;
- ``gateway`` carries what TCP connections say to sessions, and back, still without sockets;
- ``watchers`` and ``conn`` are a session as the Socket.IO side and the application see it;
- ``running`` has the sockets: accepting, the loop, the end;
- ``assembly`` makes all of them from the options;
- ``server`` is where they meet: the public interface.

What is left out: the layers themselves (:mod:`rawsio.stack` puts them together), and where handlers
run (:mod:`rawsio.runtime`).
"""

from __future__ import annotations

from .server import Server

__all__ = ["Server"]
