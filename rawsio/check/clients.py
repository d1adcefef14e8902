"""Check a client: its command is started once a case, and judged by the wire and by what it says.

The tester is the server here.  A command that speaks Socket.IO runs every case of ``client.*``; one
that speaks plain WebSocket (and echoes) runs those of ``client.ws``.
"""

from __future__ import annotations

from rawsio.layer import record

from .asked_cases import AskedCases
from .callers import OneProcess, ProcessCaller
from .catalogue import Selection, client_cases
from .desk import Desk, DeskCaller, desk_files
from .outcome import report as make_report
from .runner import Options, Runner
from .servers import tool
from .sockets import Listener, SocketWorld
from .target import Target

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from .case import Case
    from .runner import Result

__all__ = ["ClientCheck", "check_asking", "check_at_desk", "check_client"]

_AT_ONCE = 4


def check_asking(
    check: ClientCheck,
    port: int,
    *,
    planned: Callable[[dict[str, Any], Sequence[Case]], Callable[[Result], object]],
    listening: Callable[[str], object],
) -> tuple[list[Result], dict[str, Any]]:
    """Let WebSocket clients ask for the selected cases; see :mod:`rawsio.check.asked_cases`.

    ``listening`` is told the URL.  Ends with ``/stopServer``, or a KeyboardInterrupt.
    """
    from datetime import datetime, timezone

    world, target, listener = SocketWorld({}), Target("http://127.0.0.1"), Listener(port=port)
    runner = Runner(target, world, check.options, None, None)
    cases = [case for case in check.selection.of(client_cases()) if not runner.skipped(case)]
    cases = [case for case in cases if case.id.startswith("client.ws.")]
    shown = {
        "url": f"ws://{listener.address[0]}:{listener.address[1]}",
        "probe": {"contract": "cases that are asked for"},
    }
    told = planned(shown, cases)
    listening(str(shown["url"]))
    started, began = datetime.now(timezone.utc), world.time()
    try:
        results = AskedCases(cases, runner.one_with).serve(listener, told)
    finally:
        listener.close()
    return results, make_report(
        results,
        shown,
        tool=tool(),
        started=started.isoformat(timespec="seconds"),
        duration=world.time() - began,
        repeat=f"python3 -m rawsio check --client --listen {port}",
    )


@record
class ClientCheck:
    """What is to be checked: a command, and whether it ``speaks`` ``socketio`` or ``ws``."""

    command: Sequence[str]
    selection: Selection
    options: Options
    speaks: str = "socketio"


def check_client(
    check: ClientCheck,
    *,
    planned: Callable[[dict[str, Any], Sequence[Case]], Callable[[Result], object]] | None = None,
) -> tuple[list[Result], dict[str, Any]]:
    """Run the selected cases against the command; return the results and the report.

    Raises :class:`~rawsio.check.callers.CommandNotFound` (a ``ValueError``).
    """
    from datetime import datetime, timezone

    scheme = "ws" if check.speaks == "ws" else "http"
    ProcessCaller(check.command, scheme)
    world = SocketWorld({})
    target = Target("http://127.0.0.1")
    check.options.jobs = min(check.options.jobs, _AT_ONCE)
    runner = Runner(
        target, world, check.options, None, lambda _case: ProcessCaller(check.command, scheme)
    )
    cases = [case for case in check.selection.of(client_cases()) if not runner.skipped(case)]
    if check.speaks == "ws":
        cases = [case for case in cases if case.id.startswith("client.ws.")]
    words = " ".join(check.command)
    shown = {"url": words, "probe": {"contract": f"driver, {check.speaks}"}}
    told = planned(shown, cases) if planned is not None else None
    started, began = datetime.now(timezone.utc), world.time()
    results = runner.run(cases, told or (lambda _result: None))
    return results, make_report(
        results,
        shown,
        tool=tool(),
        started=started.isoformat(timespec="seconds"),
        duration=world.time() - began,
        repeat=f"python3 -m rawsio check --client --speaks {check.speaks} -- {words}",
    )


def check_at_desk(
    check: ClientCheck,
    port: int = 0,
    *,
    planned: Callable[[dict[str, Any], Sequence[Case]], Callable[[Result], object]] | None = None,
    listening: Callable[[str], object] = lambda _url: None,
) -> tuple[list[Result], dict[str, Any]]:
    """Run the selected cases against a client that asks for them; see :mod:`rawsio.check.desk`.

    With a command it is started once, and anew when it does not come; without one ``listening`` is
    told the URL of a page for browsers, and whoever comes is the client.
    """
    from datetime import datetime, timezone

    listener, process = Listener(port=port), None
    desk = Desk(listener, desk_files())
    if check.command:
        process = OneProcess(check.command, desk.url)
    world, target = SocketWorld({}), Target("http://127.0.0.1")
    check.options.jobs = 1
    again = process.start if process is not None else None
    runner = Runner(
        target, world, check.options, None,
        lambda case: DeskCaller(desk, case.id, world.time, again),
    )  # fmt: skip
    cases = [case for case in check.selection.of(client_cases()) if not runner.skipped(case)]
    words = " ".join(check.command)
    shown = {"url": words or desk.url, "probe": {"contract": "a client that asks for its cases"}}
    told = planned(shown, cases) if planned is not None else None
    listening(f"{desk.url}/")
    started, began = datetime.now(timezone.utc), world.time()
    try:
        if process is not None:
            process.start()
        results = runner.run(cases, told or (lambda _result: None))
        until = world.time() + 1.0
        while not desk.asking and desk.met and world.time() < until:
            desk.turn(0.05)
        desk.end()
    finally:
        if process is not None:
            process.stop()
        listener.close()
    manner = f"--persistent -- {words}" if words else f"--listen {port}"
    return results, make_report(
        results,
        shown,
        tool=tool(),
        started=started.isoformat(timespec="seconds"),
        duration=world.time() - began,
        repeat=f"python3 -m rawsio check --client {manner}",
    )
