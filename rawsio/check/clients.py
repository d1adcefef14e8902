"""Check a client: it comes to the tester, which is the server here.

Three manners, by how the client gets from case to case: a command that is started once a case
(:func:`check_client`), one that runs on or a page in a browser (:func:`check_at_desk`), and a
WebSocket client that loops as for Autobahn (:func:`check_asking`).  What speaks Socket.IO runs
every case of ``client.*``; what speaks plain WebSocket (and echoes) runs those of ``client.ws``.
"""

from __future__ import annotations

from rawsio.layer import record

from .asked_cases import AskedCases
from .callers import OneProcess, ProcessCaller
from .catalogue import Selection, client_cases
from .desk import Desk, DeskCaller
from .probe import NothingThere
from .runner import Options, Runner
from .servers import run_and_report
from .sockets import Listener, SocketWorld
from .target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeAlias

    from .case import Case
    from .runner import Result
    from .talk import Caller

    Planned: TypeAlias = (
        "Callable[[dict[str, Any], Sequence[Case]], Callable[[Result], object]] | None"
    )

__all__ = ["ClientCheck", "check_asking", "check_at_desk", "check_client"]

_AT_ONCE = 4


@record
class ClientCheck:
    """What is to be checked: a command, and whether it ``speaks`` ``socketio`` or ``ws``."""

    command: Sequence[str]
    selection: Selection
    options: Options
    speaks: str = "socketio"

    def runner(self, caller: Callable[[Case], Caller] | None) -> Runner:
        """Return the runner of these cases."""
        return Runner(Target("http://127.0.0.1"), SocketWorld({}), self.options, None, caller)

    def cases(self, runner: Runner) -> list[Case]:
        """Return the selected cases that the client can run."""
        cases = [case for case in self.selection.of(client_cases()) if not runner.skipped(case)]
        return [case for case in cases if self.speaks != "ws" or case.id.startswith("client.ws.")]


def _shown(url: str, contract: str) -> dict[str, Any]:
    return {"url": url, "probe": {"contract": contract}}


def check_asking(
    check: ClientCheck,
    port: int,
    *,
    planned: Planned = None,
    listening: Callable[[str], object],
) -> tuple[list[Result], dict[str, Any]]:
    """Let WebSocket clients ask for the selected cases; see :mod:`rawsio.check.asked_cases`.

    ``listening`` is told the URL.  Ends with ``/stopServer``, or a KeyboardInterrupt.
    """
    listener, runner = Listener(port=port), check.runner(None)
    url = f"ws://{listener.address[0]}:{listener.address[1]}"

    def run(cases: Sequence[Case], told: Callable[[Result], object]) -> list[Result]:
        listening(url)
        return AskedCases(cases, runner.one_with).serve(listener, told)

    try:
        return run_and_report(
            run,
            check.cases(runner),
            _shown(url, "cases that are asked for"),
            runner.world.time,
            planned=planned,
            repeat=f"python3 -m rawsio check --client --speaks ws --listen {port}",
        )
    finally:
        listener.close()


def check_client(
    check: ClientCheck, *, planned: Planned = None
) -> tuple[list[Result], dict[str, Any]]:
    """Run the selected cases against the command; return the results and the report.

    Raises :class:`~rawsio.check.callers.CommandNotFound` (a ``ValueError``), and
    :class:`~rawsio.check.probe.NothingThere` if no client ever connects.
    """
    scheme = "ws" if check.speaks == "ws" else "http"
    ProcessCaller(check.command, scheme)
    check.options.jobs = min(check.options.jobs, _AT_ONCE)
    runner = check.runner(lambda _case: ProcessCaller(check.command, scheme))
    words = " ".join(check.command)
    found = run_and_report(
        runner.run,
        check.cases(runner),
        _shown(words, f"driver, {check.speaks}"),
        runner.world.time,
        planned=planned,
        repeat=f"python3 -m rawsio check --client --speaks {check.speaks} -- {words}",
    )
    return _met(runner, found)


def _met(
    runner: Runner, found: tuple[list[Result], dict[str, Any]]
) -> tuple[list[Result], dict[str, Any]]:
    """Return what was found, if anybody came."""
    if runner.alone:
        raise NothingThere(
            f"in {runner.away} cases no client has said a word at the URL in RAWSIO_URL, which is"
            " in place of {url} in the command, too; check --driver NAME prints a program that does"
            f" ({runner.why})"
        )
    return found


def check_at_desk(
    check: ClientCheck,
    port: int = 0,
    *,
    planned: Planned = None,
    listening: Callable[[str], object] = lambda _url: None,
) -> tuple[list[Result], dict[str, Any]]:
    """Run the selected cases against a client that asks for them; see :mod:`rawsio.check.desk`.

    With a command it is started once, and anew when it does not come; without one whoever comes is
    the client.  ``listening`` is told the URL of a page for browsers.
    """
    listener, control = Listener(port=port), Listener()
    desk = Desk(listener, control)
    process = OneProcess(check.command, desk.control_url) if check.command else None
    again = process.start if process is not None else None
    check.options.jobs = 1
    runner = check.runner(lambda case: DeskCaller(desk, case.id, runner.world.time, again))

    def run(cases: Sequence[Case], told: Callable[[Result], object]) -> list[Result]:
        listening(f"{desk.url}/")
        if process is not None:
            process.start()
        results = runner.run(cases, told)
        desk.say_goodbye(runner.world.time)
        return results

    words = " ".join(check.command)
    manner = f"--persistent -- {words}" if words else f"--listen {port}"
    try:
        found = run_and_report(
            run,
            check.cases(runner),
            _shown(words or desk.url, "a client that asks for its cases"),
            runner.world.time,
            planned=planned,
            repeat=f"python3 -m rawsio check --client {manner}",
        )
        return _met(runner, found)
    finally:
        if process is not None:
            process.stop()
        control.close()
        listener.close()
