"""The conformance tester: whether a peer's HTTP, WebSocket, Engine.IO and Socket.IO is right.

``python3 -m rawsio check URL`` is the command; :func:`run` is the same for programs::

    from rawsio.check import run

    for result in run("http://127.0.0.1:3000", ["ws.close.*"]):
        print(result.verdict, result.id, result.note)

Read it in this order:

- ``case`` has the words: cases, verdicts, findings; ``catalogue`` finds all cases;
- a family is one file of rows, as ``http_line`` or ``ws_frames``: a case is found there by its id;
- ``http_judges`` and ``ws_judges`` know what an expectation means, and no sockets;
- ``talk`` is the conversation of one case; ``sockets`` is the world it happens in;
- ``runner`` runs cases and knows no protocol; ``probe`` finds out what is there before it does;
- ``outcome``, ``console``, ``reports`` and ``page`` tell what came of it.

No server imports any of this.
"""

from __future__ import annotations

from rawsio.lazy import lazily

TYPE_CHECKING = False
if TYPE_CHECKING:
    from rawsio.check.case import Case
    from rawsio.check.catalogue import server_cases
    from rawsio.check.runner import Result, counts
    from rawsio.check.servers import NothingThere, run

__all__ = ["Case", "NothingThere", "Result", "counts", "run", "server_cases"]

_HOMES = {
    "Case": "rawsio.check.case",
    "NothingThere": "rawsio.check.servers",
    "Result": "rawsio.check.runner",
    "counts": "rawsio.check.runner",
    "run": "rawsio.check.servers",
    "server_cases": "rawsio.check.catalogue",
}

if not TYPE_CHECKING:  # so that a checker knows which names there are
    __getattr__, __dir__ = lazily(globals(), _HOMES)
