"""A plug-in for pytest: ``pytest --rawsio-check URL`` shows each case as a test.

pytest loads it by its entry point; nothing else imports it.  Options: ``--rawsio-check URL``,
``--rawsio-case GLOB`` (several times), ``--rawsio-slow``.  A case that is FAILED or ERROR is a
failed test, UNIMPLEMENTED is a skipped one; NON-STRICT passes.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .case import Case
    from .runner import Result, Runner

__all__ = ["pytest_addoption", "pytest_collection_modifyitems"]


def pytest_addoption(parser: Any) -> None:
    """Add the options."""
    group = parser.getgroup("rawsio", "conformance of a server (rawsio check)")
    group.addoption("--rawsio-check", metavar="URL", help="check the server at this URL")
    group.addoption(
        "--rawsio-case",
        action="append",
        default=[],
        metavar="GLOB",
        help="only cases with such an id, as ws.close.*",
    )
    group.addoption("--rawsio-slow", action="store_true", help="cases that take minutes, too")


def pytest_collection_modifyitems(session: Any, config: Any, items: list[Any]) -> None:
    """Add a test for each selected case, behind the tests that there are."""
    url = config.getoption("--rawsio-check")
    if not url:
        return
    from .catalogue import Selection, server_cases
    from .probe import alive
    from .runner import Options, Runner
    from .servers import NothingThere, ServerCheck, find

    slow = config.getoption("--rawsio-slow")
    selection = Selection(config.getoption("--rawsio-case"))
    options = Options(fast=not slow, slow=slow)
    try:
        target, world = find(ServerCheck(url, selection, options))
    except (NothingThere, ValueError) as error:
        raise sys.modules["pytest"].UsageError(f"--rawsio-check: {error}") from None
    runner = Runner(target, world, options, alive if target.control else None)
    made = _item_class(runner)
    items.extend(
        made.from_parent(session, name=case.id, case=case)
        for case in selection.of(server_cases())
        if not runner.skipped(case)
    )


def _item_class(runner: Runner) -> Any:
    pytest: Any = sys.modules["pytest"]

    class CaseItem(pytest.Item):  # type: ignore[misc]
        """A case as a test."""

        def __init__(self, *, case: Case, **more: Any) -> None:
            super().__init__(**more)
            self.case = case

        def runtest(self) -> None:
            result = runner.one(self.case)
            if result.verdict == "UNIMPLEMENTED":
                pytest.skip(result.note or "not offered")
            if result.verdict in ("FAILED", "ERROR"):
                pytest.fail(_told(result), pytrace=False)

        def reportinfo(self) -> tuple[str, int, str]:
            return "rawsio check", 0, f"{self.case.id}: {self.case.text}"

    return CaseItem


def _told(result: Result) -> str:
    lines = [f"{result.verdict}: {result.id} [{result.rule}] {result.text}"]
    lines += [f"expected {result.expect}, got {result.got}", result.note]
    for crossing in result.wire[:20]:
        data = repr(crossing.data[:300])[2:-1] if crossing.data else "(end)"
        lines.append(f"{crossing.line} {crossing.at * 1000:5.1f} ms {crossing.way} {data}")
    return "\n".join(line for line in lines if line)
