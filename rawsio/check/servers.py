"""Check a server: probe it, select cases, run them, and make the report.

This is what ``python3 -m rawsio check URL`` and :func:`run` do; the command adds printing.
"""

from __future__ import annotations

from rawsio.layer import check_number, record

from .catalogue import Selection, server_cases
from .outcome import report as make_report
from .probe import NothingThere, alive, probe
from .runner import Options, Runner
from .sockets import SocketWorld, is_loopback
from .target import Target, parse_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .case import Case
    from .runner import Result

__all__ = [
    "NotOurs",
    "NothingThere",
    "ServerCheck",
    "check_server",
    "find",
    "run",
    "run_and_report",
]


class NotOurs(ValueError):
    """The host is not this machine, and nobody said that it is theirs."""


def _tool() -> str:
    """Return the name and version of this program."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"rawsio {version('rawsio')}"
    except PackageNotFoundError:
        return "rawsio (from its source)"


@record
class ServerCheck:
    """What is to be checked; ``echo`` and ``engine`` are URLs of endpoints beside the target."""

    url: str
    selection: Selection
    options: Options
    path: str = ""
    echo: str = ""
    engine: str = ""
    own_host: bool = False


def find(check: ServerCheck) -> tuple[Target, SocketWorld]:
    """Probe the target; raises ``ValueError``, :class:`NotOurs` or :class:`NothingThere`."""
    target = Target(check.url)
    for where, url in (("echo", check.echo), ("engine", check.engine)):
        if url:
            _scheme, host, port, path = parse_url(url)
            target.addresses[where] = (host, port)
            target.facts[where] = path or "/"
    foreign = [host for host, _ in target.addresses.values() if not is_loopback(host)]
    if foreign and not check.own_host:
        raise NotOurs(
            f"{foreign[0]} is not this machine: the cases attack what they test; say "
            "--i-own-this-host (own_host=True in a program) if it is yours"
        )
    if foreign:
        check.options.load = False
    world = SocketWorld(target.addresses, secure=target.secure)
    probe(world, target, path=check.path, seed=check.options.seed)
    if target.alone:
        check.options.jobs = 1
    return target, world


def run_and_report(
    run: Callable[[Sequence[Case], Callable[[Result], object]], list[Result]],
    cases: Sequence[Case],
    shown: dict[str, Any],
    time: Callable[[], float],
    *,
    planned: Callable[[dict[str, Any], Sequence[Case]], Callable[[Result], object]] | None,
    repeat: str,
) -> tuple[list[Result], dict[str, Any]]:
    """Run cases and make the report.

    ``planned`` is told the target and the cases, and returns what is told each result.
    """
    from datetime import datetime, timezone

    told = planned(shown, cases) if planned is not None else None
    started, began = datetime.now(timezone.utc), time()
    results = run(cases, told or (lambda _result: None))
    return results, make_report(
        results,
        shown,
        tool=_tool(),
        started=started.isoformat(timespec="seconds"),
        duration=time() - began,
        repeat=repeat,
    )


def check_server(
    check: ServerCheck,
    *,
    planned: Callable[[dict[str, Any], Sequence[Case]], Callable[[Result], object]] | None = None,
    repeat: str = "",
) -> tuple[list[Result], dict[str, Any]]:
    """Run the selected cases; return the results and the report.

    ``planned`` is told what the probes found and which cases will run, and returns what is told
    each result.  Raises what :func:`find` raises.
    """
    target, world = find(check)
    runner = Runner(target, world, check.options, alive if target.control else None)
    cases = [c for c in check.selection.of(server_cases()) if not runner.skipped(c)]
    shown = {"url": check.url, "probe": target.probed()}
    again = repeat or f"python3 -m rawsio check {check.url}"
    return run_and_report(runner.run, cases, shown, world.time, planned=planned, repeat=again)


def run(  # noqa: PLR0913 - keywords, as the command has options
    url: str,
    cases: Sequence[str] = (),
    *,
    fast: bool = True,
    slow: bool = False,
    seed: int = 0,
    timeout: float = 2.0,
    path: str = "",
    echo: str = "",
    engine: str = "",
    own_host: bool = False,
) -> list[Result]:
    """Check a server and return what became of each case.

    ``cases`` are globs of ids (all if there are none).  ``fast`` leaves out the cases that wait or
    load the server, ``slow`` adds those that take minutes.  Raises ``ValueError`` for a URL that is
    none or a host that is not this machine (unless it is your ``own_host``), and
    :class:`NothingThere` if nothing can be judged.
    """
    if not isinstance(cases, (list, tuple)) or not all(isinstance(case, str) for case in cases):
        raise TypeError(f"cases: a list of ids is expected, as ['ws.close.*'], not {cases!r}")
    for name, text in (("path", path), ("echo", echo), ("engine", engine)):
        if not isinstance(text, str):
            raise TypeError(f"{name}: a text is expected, not {text!r}")
    check_number("timeout", timeout)
    options = Options(seed=seed, fast=fast, slow=slow, patience=timeout)
    check = ServerCheck(url, Selection(cases=cases), options, path, echo, engine, own_host)
    return check_server(check)[0]
