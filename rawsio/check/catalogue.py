"""The catalogue: every case, in its order, and which of them a run selects.

Families are imported here and nowhere else; a family is a module with a list ``CASES``.
"""

from __future__ import annotations

from rawsio.layer import record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from .case import Case

__all__ = ["SERVER_FAMILIES", "Selection", "client_cases", "server_cases"]

SERVER_FAMILIES = (
    "http_line",
    "http_fields",
    "http_body",
    "http_keep",
    "http_answer",
    "http_limits",
    "ws_open",
    "ws_frames",
    "ws_text",
    "ws_deflate",
    "eio_open",
    "eio_post",
    "eio_life",
    "eio_upgrade",
    "sio_connect",
    "sio_event",
    "sio_room",
)
CLIENT_FAMILIES = ("client_http", "client_ws", "client_eio", "client_sio")


def _load(names: Sequence[str]) -> list[Case]:
    found: list[Case] = []
    for name in names:
        found += __import__(f"rawsio.check.{name}", fromlist=["CASES"]).CASES
    return found


def server_cases() -> list[Case]:
    """Return the cases for servers.

    >>> len({case.id for case in server_cases()}) == len(server_cases())
    True
    """
    return _load(SERVER_FAMILIES)


def client_cases() -> list[Case]:
    """Return the cases for clients."""
    return _load(CLIENT_FAMILIES)


@record
class Selection:
    """Which cases are wanted: globs for ids, layers, rules, levels; empty means all."""

    cases: Sequence[str] = ()
    without: Sequence[str] = ()
    layers: Sequence[str] = ()
    rules: Sequence[str] = ()
    levels: Sequence[str] = ()

    def of(self, cases: Sequence[Case]) -> list[Case]:
        """Return the selected ones, in their order.

        >>> from rawsio.check.case import Case, fine
        >>> some = [Case("ws.close.tcp", "r", "MUST", "STEP", "", b"", lambda t, c: fine())]
        >>> len(Selection(["ws.close.*"]).of(some)), len(Selection(layers=["http"]).of(some))
        (1, 0)
        """
        return [case for case in cases if self._wants(case)]

    def _wants(self, case: Case) -> bool:
        from fnmatch import fnmatchcase

        return (
            (not self.cases or any(fnmatchcase(case.id, glob) for glob in self.cases))
            and not any(fnmatchcase(case.id, glob) for glob in self.without)
            and (not self.layers or case.layer in self.layers)
            and (not self.rules or any(fnmatchcase(case.rule, glob) for glob in self.rules))
            and (not self.levels or case.level in self.levels)
        )
