"""``rawsio check``: tests a server against the rules of its protocols, case by case.

Exit status: 0 nothing is wrong outside the allow list, 1 something is, 2 nothing could be judged
(or wrong usage), 3 with ``--strict-allow`` an allowed case passes now.
"""

from __future__ import annotations

import os
import sys

from rawsio.check.programs import program, programs
from rawsio.commands import Stop

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence
    from typing import Any

    from rawsio.check.case import Case
    from rawsio.check.catalogue import Selection
    from rawsio.check.console import Progress
    from rawsio.check.outcome import Allowed
    from rawsio.check.runner import Options, Result

__all__ = ["add_arguments", "run"]

_REPORTS = ("json", "junit", "tap", "markdown", "html")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add target, selection, ways and reports."""
    parser.add_argument("url", nargs="?", help="http, https, ws or wss")
    _add_clients(parser)
    _add_selection(parser)
    ways = parser.add_argument_group("ways")
    ways.add_argument("--fast", action="store_true", help="no case that waits or loads the peer")
    ways.add_argument("--slow", action="store_true", help="cases that take minutes, too")
    ways.add_argument("--seed", type=int, default=0, help="of all random bytes (%(default)s)")
    ways.add_argument("--jobs", type=int, default=16, help="cases side by side (%(default)s)")
    ways.add_argument(
        "--timeout",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="silence after which nothing more is expected (%(default)s)",
    )
    ways.add_argument("--rate", type=float, default=0.0, metavar="N", help="cases a second at most")
    ways.add_argument("--path", default="", help="path that answers plain requests")
    ways.add_argument("--echo", default="", metavar="URL", help="WebSocket that echoes frames")
    ways.add_argument("--engine", default="", metavar="URL", help="Engine.IO that echoes messages")
    ways.add_argument(
        "--i-own-this-host",
        action="store_true",
        dest="own_host",
        help="allow a target that is not this machine",
    )
    _add_judgement(parser)


def _add_clients(parser: argparse.ArgumentParser) -> None:
    from argparse import SUPPRESS

    parser.add_argument("words", nargs="*", help=SUPPRESS)
    clients = parser.add_argument_group("clients")
    clients.add_argument(
        "--client",
        action="store_true",
        help="test a client: check --client [options] -- COMMAND, started once a case",
    )
    clients.add_argument(
        "--speaks",
        choices=["socketio", "ws"],
        default="socketio",
        help="what the client speaks (%(default)s); ws: it echoes messages",
    )
    clients.add_argument(
        "--listen",
        type=int,
        metavar="PORT",
        help="clients ask for cases here: the page at / runs them in a browser; with --speaks ws "
        "as Autobahn's do (/getCaseCount, /runCase)",
    )
    clients.add_argument(
        "--persistent",
        action="store_true",
        help="start the command once; it asks for its cases (/next, /saw, /over)",
    )
    clients.add_argument(
        "--driver",
        choices=programs("driver"),
        help="print a program that drives a client for the cases; run nothing",
    )
    parser.add_argument(
        "--contract",
        choices=programs("contract"),
        help="print a server that keeps the contract of the Socket.IO cases; run nothing",
    )


def _add_selection(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("selection")
    group.add_argument(
        "--case",
        action="append",
        default=[],
        metavar="GLOB",
        dest="cases",
        help="only cases with such an id, as ws.close.*",
    )
    group.add_argument(
        "--not",
        action="append",
        default=[],
        metavar="GLOB",
        dest="without",
        help="no case with such an id",
    )
    group.add_argument("--layer", default="", metavar="NAMES", help="of http,ws,eio,sio")
    group.add_argument(
        "--rule", action="append", default=[], metavar="GLOB", help="as 6455-5.1-mask"
    )
    group.add_argument("--level", default="", metavar="NAMES", help="of MUST,SHOULD,MAY")
    group.add_argument("--rerun", metavar="FILE", help="only what failed in a JSON report")
    group.add_argument("--list", action="store_true", help="print the selected cases; run nothing")


def _add_judgement(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("judgement and reports")
    group.add_argument("--strict", action="store_true", help="NON-STRICT counts as wrong")
    group.add_argument("--allow", metavar="FILE", help="cases that may fail, with their reasons")
    group.add_argument(
        "--strict-allow", action="store_true", help="status 3 when an allowed case passes"
    )
    group.add_argument(
        "--compare", nargs="+", metavar="FILE", help="print a table of JSON reports; run nothing"
    )
    for name in _REPORTS:
        group.add_argument(f"--{name}", metavar="FILE", help=f"write {name}; - is standard output")


_LAYERS, _LEVELS = ("http", "ws", "eio", "sio"), ("MUST", "SHOULD", "MAY")
_REPORTS = ("json", "junit", "tap", "markdown", "html")


def _check_place(path: str | None) -> None:
    """Refuse a report that could not be written, before anything runs."""
    if not path or path == "-":
        return
    if os.path.isdir(path):
        raise Stop(f"{path}: a file is expected, not a folder", 2)
    if not os.path.isdir(os.path.dirname(path) or "."):
        raise Stop(f"{path}: there is no folder {os.path.dirname(path)}", 2)


def run(options: argparse.Namespace) -> int:
    """Check, and report."""
    from rawsio.check.outcome import NotAReport
    from rawsio.check.servers import NothingThere

    try:
        for kind in ("contract", "driver"):
            if getattr(options, kind):
                print(program(kind, getattr(options, kind)), end="")
                return 0
        for name in _REPORTS:
            _check_place(getattr(options, name))
        if options.compare:
            return _compare(options.compare)
        if options.list:
            return _list(_selection(options), client=options.client)
        if options.client:
            return _check_client(options)
        if options.words:
            raise Stop(f"one URL is expected, not {options.words[0]} as well", 2)
        if not options.url:
            raise Stop("a URL is expected: rawsio check http://127.0.0.1:3000", 2)
        return _check(options)
    except (NotAReport, NothingThere, ValueError) as error:
        raise Stop(str(error), 2) from None
    except (FileNotFoundError, PermissionError) as error:
        raise Stop(f"{error.filename}: {error.strerror}", 2) from None


def _selection(options: argparse.Namespace) -> Selection:
    from rawsio.check.catalogue import Selection
    from rawsio.check.outcome import bad, read_report

    cases = list(options.cases)
    if options.rerun:
        cases += [case["id"] for case in bad(read_report(options.rerun)["cases"])]
        if not cases:
            raise Stop(f"nothing failed in {options.rerun}", 0)
    layers = _names("--layer", options.layer, ("client",) if options.client else _LAYERS)
    levels = _names("--level", options.level.upper(), _LEVELS)
    return Selection(cases, options.without, layers, options.rule, levels)


def _names(option: str, text: str, known: tuple[str, ...]) -> list[str]:
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in known:
            raise Stop(f"{option}: {', '.join(known)} are known, not {name}", 2)
    return names


def _options(options: argparse.Namespace) -> Options:
    from rawsio.check.runner import Options

    if options.jobs < 1:
        raise Stop(f"--jobs: 1 or more is expected, not {options.jobs}", 2)
    if not options.timeout > 0:
        raise Stop(f"--timeout: seconds above 0 are expected, not {options.timeout:g}", 2)
    if not options.rate >= 0:
        raise Stop(f"--rate: 0 or more is expected, not {options.rate:g}", 2)
    return Options(
        options.seed,
        options.jobs,
        options.fast,
        options.slow,
        patience=options.timeout,
        rate=options.rate,
    )


def _list(selection: Selection, *, client: bool) -> int:
    from rawsio.check.catalogue import client_cases, server_cases

    for case in selection.of(client_cases() if client else server_cases()):
        print(f"{case.id:<34} {case.level:<6} {case.expect:<10} {case.rule:<34} {case.text}")
    return 0


def _compare(paths: Sequence[str]) -> int:
    from rawsio.check.outcome import read_report
    from rawsio.check.reports import compare

    print(compare([read_report(path) for path in paths], paths), end="")
    return 0


class _Planned:
    """Prints the plan, then counts results."""

    def __init__(self) -> None:
        self.progress: Progress | None = None

    def __call__(self, target: dict[str, Any], cases: Sequence[Case]) -> Callable[[Result], object]:
        from rawsio.check.console import Progress, plan

        if not cases:
            raise Stop("no case is selected", 2)
        print(plan(target, len(cases)), file=sys.stderr)
        self.progress = Progress(sys.stderr, len(cases))
        return self.progress

    def end(self) -> None:
        if self.progress is not None:
            self.progress.end()


def _allowed(options: argparse.Namespace) -> Allowed:
    from rawsio.check.outcome import Allowed, read_allowed

    return read_allowed(options.allow) if options.allow else Allowed({})


def _check_client(options: argparse.Namespace) -> int:
    from rawsio.check.clients import ClientCheck, check_asking, check_client

    command = [*([options.url] if options.url else []), *options.words]
    if options.persistent or (options.listen is not None and options.speaks != "ws"):
        if options.persistent and not command:
            raise Stop("a command is expected: rawsio check --client --persistent -- ...", 2)
        return _check_at_desk(options, command)
    if options.listen is not None and not command:
        allowed, planned = _allowed(options), _Planned()
        check = ClientCheck([], _selection(options), _options(options), "ws")
        _results, report = check_asking(
            check, options.listen, planned=planned, listening=lambda url: print(url, flush=True)
        )
        planned.end()
        return _tell(options, report, allowed)
    if not command:
        raise Stop("a command is expected: rawsio check --client -- node driver.js", 2)
    allowed, planned = _allowed(options), _Planned()
    check = ClientCheck(command, _selection(options), _options(options), options.speaks)
    _results, report = check_client(check, planned=planned)
    planned.end()
    return _tell(options, report, allowed)


def _check_at_desk(options: argparse.Namespace, command: list[str]) -> int:
    from rawsio.check.clients import ClientCheck, check_at_desk

    allowed, planned = _allowed(options), _Planned()
    check = ClientCheck(command, _selection(options), _options(options))
    _results, report = check_at_desk(
        check,
        options.listen or 0,
        planned=planned,
        listening=lambda url: print(url, file=sys.stderr, flush=True),
    )
    planned.end()
    return _tell(options, report, allowed)


def _check(options: argparse.Namespace) -> int:
    from rawsio.check.servers import ServerCheck, check_server

    allowed, planned = _allowed(options), _Planned()
    selection = _selection(options)

    check = ServerCheck(
        options.url,
        selection,
        _options(options),
        options.path,
        options.echo,
        options.engine,
        own_host=options.own_host,
    )
    _results, report = check_server(check, planned=planned, repeat=_repeat(options))
    planned.end()
    return _tell(options, report, allowed)


def _repeat(options: argparse.Namespace) -> str:
    words = ["python3 -m rawsio check", options.url]
    words += [f"--path {options.path}"] if options.path else []
    words += [f"--echo {options.echo}"] if options.echo else []
    words += [f"--engine {options.engine}"] if options.engine else []
    words += [f"--seed {options.seed}"] if options.seed else []
    words += ["--i-own-this-host"] if options.own_host else []
    return " ".join(words)


def _tell(options: argparse.Namespace, report: dict[str, Any], allowed: Allowed) -> int:
    from rawsio.check import page, reports
    from rawsio.check.console import summary
    from rawsio.check.outcome import exit_status

    makers = {
        "json": reports.as_json,
        "junit": reports.as_junit,
        "tap": reports.as_tap,
        "markdown": reports.as_markdown,
        "html": page.as_html,
    }
    printed = False
    for name, make in makers.items():
        path = getattr(options, name)
        if path == "-":
            printed = True
            print(make(report), end="")
        elif path:
            with open(path, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(make(report))
    text = summary(report, allowed, strict=options.strict)
    print(text, file=sys.stderr if printed else sys.stdout)
    return exit_status(
        report["cases"], allowed, strict=options.strict, strict_allow=options.strict_allow
    )
