"""Several processes that serve one address: a parent that accepts, and workers that serve.

::

    client --> parent: accepts, looks at the first line, passes the connection on
                 |  |
          worker 1  worker 2        each a whole server, with sessions of its own
                 \\__/
            a socket pair: what the adapter of each namespace has to say to the others

Nobody needs sticky sessions: the id of an Engine.IO session begins with the number of its worker,
so whoever sees a request knows whose it is (:mod:`.owner`).  The parent passes a new connection to
the owner of its first request.  A worker that reads a request of another's session from a
connection that is kept, passes the connection on, or, where TLS binds it to the process, stands
between (:mod:`.relay`).  The parent takes no part in what follows: it starts workers, and starts
them again (:mod:`.parent`).

Linux only: descriptors are passed by ``SCM_RIGHTS``, processes are watched by ``pidfd``.
"""

from __future__ import annotations

from .parent import Place, run_workers
from .sharing import check_shared

__all__ = ["Place", "check_shared", "run_workers"]
