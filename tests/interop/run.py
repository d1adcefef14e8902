"""Run the outside judges: ``python -m tests.interop.run [--reference] [SUITE ...]``.

Each suite is a ``SUITE.test.js`` in this folder: ``official_client`` and ``protocol`` (the cases
of the official protocol suites) judge the server, ``features`` shows each of its features to three
official clients, ``browser_client`` judges our browser client, ``queue`` is about durable queues,
``demo`` and ``demo_queue`` use the demo's pages in Chromium, ``trace`` the page of ``rawsio
trace``, and ``har`` has it answer requests from a recording.  Five are programs in Python:
``python_client`` tries our client against the official server, ``redis_client`` our client of
Redis against ``redis-server``, ``redis_queue`` queues in it, ``cluster`` our servers beside
official ones on one Redis,
``cluster_peers`` who else is in a cluster: emitters, python-socketio, clients that change servers,
a Redis Cluster.
``workers`` is ``official_client`` against two workers of one server.
Their npm packages go into ``.interop/npm``, in the versions of ``package.json``; ``NODE_MODULES``
names a folder that has them already.

``--reference`` runs the suites against the official server instead of ours, to judge the judges.
``--traced`` puts the proxy of ``rawsio trace`` before the server, to judge the proxy; it may have
options of the proxy, as in ``--traced="--split 100"``.
What the suites write (screenshots) goes into ``.interop/results``.  The exit code is 0 if
every suite passed and no test was skipped that ``tests/skips.txt`` does not name.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.caches import keep_compiled
from tests.jobs import Stuck, ends_with_sigterm, run
from tests.skips import unexpected

__all__ = ["SUITES", "Result", "install", "main", "run_suite"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FOLDER = ROOT / ".interop"
SUITES = (
    *("official_client", "features", "protocol", "browser_client", "demo", "demo_queue"),
    *("trace", "har"),
    *("python_client", "redis_client", "redis_queue", "cluster", "cluster_peers", "queue"),
    "workers",
)
WITH_OPTIONS = {"workers": ("official_client", ("--workers", "2"))}
"""Suites that are another one's tests, of our server with these options."""
WITH_REFERENCE = ("official_client", "protocol", "browser_client")
AGAINST_REFERENCE = ("python_client",)
"""The suites whose judge is the official server."""
SECONDS, INSTALL_SECONDS = 600.0, 600.0
"""What a suite may take, and the installation; one that hangs is killed with all it started."""


class NotInstalled(Exception):
    """A program or package is missing; the text says which, and what helps."""


@dataclass
class Result:
    """What came of one suite."""

    suite: str
    passed: int
    failed: int
    skipped: dict[str, str]
    seconds: float
    code: int

    @property
    def problems(self) -> list[str]:
        """Return what is wrong, a line each; nothing if the suite passed."""
        found = unexpected(self.skipped)
        if self.failed:
            found.append(f"{self.failed} tests failed")
        if self.code:
            found.append(f"the suite ended with {self.code}")
        if not self.passed:
            found.append("no test passed")
        return found


def install() -> Path:
    """Return a node_modules folder with the packages of package.json, installed if need be."""
    given = os.environ.get("NODE_MODULES")
    if given:
        return Path(given)
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise NotInstalled(f"{program} is missing: apt-get install nodejs npm")
    folder = FOLDER / "npm"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = (HERE / "package.json").read_text("utf-8")
    stamp = folder / "installed.json"
    if stamp.exists() and stamp.read_text("utf-8") == wanted:
        return folder / "node_modules"
    (folder / "package.json").write_text(wanted, "utf-8")
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    try:
        code = run(command, INSTALL_SECONDS, cwd=folder)
    except Stuck as error:
        raise NotInstalled(str(error)) from None
    if code:
        raise NotInstalled(f"`{' '.join(command)}` failed in {folder}")
    stamp.write_text(wanted, "utf-8")
    return folder / "node_modules"


def _environment(
    modules: Path, *, reference: bool, traced: str | None = None, options: tuple[str, ...] = ()
) -> dict[str, str]:
    ours = [sys.executable, "-m", "tests.interop.interop_server", *options]
    theirs = ["node", str(HERE / "official_server.js")]
    server = theirs if reference else ours
    if traced is not None:
        proxy = [sys.executable, "-m", "tests.interop.traced_server"]
        server = [*proxy, *server, "--", *traced.split()]
    results = FOLDER / "results"
    results.mkdir(parents=True, exist_ok=True)
    return {
        **os.environ,
        "NODE_PATH": str(modules),
        "PYTHONPATH": str(ROOT),
        "PYTHON": sys.executable,
        "INTEROP_RESULTS": str(results),
        "SERVER_COMMAND": json.dumps(server),
        "REFERENCE": "1" if reference else "0",
    }


def read_tap(text: str) -> tuple[int, int, dict[str, str]]:
    """Count the tests, not the suites around them, in node's TAP report.

    Returns the number that passed, the number that failed, and the skipped ones with reasons.
    """
    passed, failed, skipped = 0, 0, {}
    skip = r"(?: # (SKIP|" + "TO" + r"DO)\s*(.*))?"
    pattern = rf"^ *(not ok|ok) \d+ - (.*?){skip}\n(?: *---\n((?: .*\n)*?) *\.\.\.\n)?"
    for match in re.finditer(pattern, text, re.M):
        verdict, name, directive, reason, details = match.groups()
        if "type: 'suite'" in (details or ""):
            continue
        if directive:
            skipped[name] = reason or directive.lower()
        elif verdict == "ok":
            passed += 1
        else:
            failed += 1
    return passed, failed, skipped


def _child(command: list[str], env: dict[str, str], output: int | None = None) -> int:
    try:
        return run(command, SECONDS, env=env, stdout=output)
    except Stuck as error:
        print(f"{error}: killed", flush=True)
        return -signal.SIGKILL


def run_suite(
    suite: str, modules: Path, *, reference: bool = False, traced: str | None = None
) -> Result:
    """Run one suite and count what came of it."""
    tests, options = WITH_OPTIONS.get(suite, (suite, ()))
    reference = reference or suite in AGAINST_REFERENCE
    env = _environment(modules, reference=reference, traced=traced, options=options)
    report = FOLDER / f"{suite}.tap"
    started = time.monotonic()
    report.write_text("", "utf-8")
    if (HERE / f"{tests}.py").exists():
        with report.open("wb") as tap:
            code = _child([sys.executable, "-m", f"tests.interop.{tests}"], env, tap.fileno())
        print(report.read_text("utf-8"), flush=True)
    else:
        reporters = [
            "--test-reporter=spec",
            "--test-reporter-destination=stdout",
            "--test-reporter=tap",
            f"--test-reporter-destination={report}",
        ]
        code = _child(["node", "--test", *reporters, str(HERE / f"{tests}.test.js")], env)
    passed, failed, skipped = read_tap(report.read_text("utf-8"))
    return Result(suite, passed, failed, skipped, time.monotonic() - started, code)


def main(arguments: list[str]) -> int:
    """Run the suites that are named, or all; return the exit code."""
    ends_with_sigterm()
    keep_compiled()
    parser = argparse.ArgumentParser(prog="python -m tests.interop.run")
    parser.add_argument("--reference", action="store_true", help="judge the official server")
    parser.add_argument("--install", action="store_true", help="install the packages, and stop")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument(
        "--traced", nargs="?", const="", metavar="OPTIONS",
        help="put `rawsio trace` with these options before the server",
    )  # fmt: skip
    given = parser.parse_args(arguments)
    suites = given.suites or list(WITH_REFERENCE if given.reference else SUITES)
    unknown = sorted(set(suites) - set(SUITES))
    if unknown:
        parser.error(f"no suite is called {unknown}; there are {', '.join(SUITES)}")
    try:
        modules = install()
    except NotInstalled as error:
        print(f"tests.interop.run: {error}", file=sys.stderr)
        return 2
    if given.install:
        return 0
    results = []
    for suite in suites:
        print(f"--- {suite}", flush=True)
        results.append(run_suite(suite, modules, reference=given.reference, traced=given.traced))
    print("\n| suite | passed | failed | skipped | seconds |\n|---|---|---|---|---|")
    for r in results:
        print(f"| {r.suite} | {r.passed} | {r.failed} | {len(r.skipped)} | {r.seconds:.1f} |")
    problems = [f"{r.suite}: {problem}" for r in results for problem in r.problems]
    print("\n".join(problems))
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
