"""``.ci/run`` and ``.ci/full``: every check, one after the other, and one summary.

``python3 -m tests.ci run`` is what must hold before a change is shared, in under 15 minutes;
``full`` takes two hours and more.  ``--only NAME`` runs some sections, ``--list`` names them with
their budgets: a section that takes more seconds is killed and has failed; ``--seconds N`` sets
another budget.  ``--examples N`` has the laws run with fewer examples than 20,000.  Sections:

=============  ================================================================================
prepare        environments under ``.interop``, node, npm packages, Chromium, Redis (run and full)
lint           ruff check, ruff format --check
types          mypy --strict and pyright; both on programs that use the public interface
suite          the whole suite, 500 derandomised examples for each property (250 in run), in
               two halves
pythons        the suite on the other Pythons from 3.10 to 3.13 that pyenv has, and on this one
               with ``-O`` (in run: that is 3.12) and with ``-bb -W error -X dev``: 50 examples
               (10 in run), two at a time
laws           full only: every ``test_laws.py``, and the model of queues in Redis, with 20,000
               random examples, two at a time
autobahn       Autobahn|Testsuite on the WebSocket layer in both roles: ``protocol``, or all cases
interop        the official client, the protocol suites' cases, our browser client, the demo
               page and the proxy's in Chromium (``tests/interop/run.py``); the HTTP vectors of
               the file that ``HTTP_VECTORS`` names, if it does
starvation     full only: how long a quiet client waits beside floods, and beside broadcasts
               (``tests/bench/starvation.py``)
check          full only: ``rawsio check``: every case against our own server and client, as they
               are, slow, cut and behind haproxy; every mutant; other peers and other judges
               (``tests/check``)
soak           full only: leaks, slow readers, memory, idle turns, ten minutes of cuts and
               hostile peers (``tests/soak``)
explore        full only: every order of deliveries, breaks, timers and calls in small worlds
               (``tests/explore``), deeper than the suite goes
simulation     full only: clusters with faults, from 10,000 seeds (``tests/simulation``)
queue          full only: the durable queue, killed 100 times, without power, on a full disk, and
               misused; a server with 200 recoverable clients, killed 20 times (``tests/soak``);
               the speed of the queue beside plain sqlite3 (``tests/bench/queue.py``)
trace          full only: 10,000 conversations through the proxy, the official clients and server
               with it between them, captures beside tshark (``tests/interop/captures.py``), its
               speed (``tests/bench/proxy.py``)
mutation       full only: 200 mutants of the library, drawn from a seed; nine tenths must be noticed
               by the tests of their own package (``tests/mutation.py``)
=============  ================================================================================

A failure does not stop the sections that follow.  A test that was skipped is an error, unless
``tests/skips.txt`` names it.  Logs of what runs beside each other go into ``.interop/logs``.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from tests.__main__ import ROOT, EnvironmentFailed, environment
from tests.caches import keep_compiled
from tests.jobs import end, ends_with_sigterm
from tests.skips import unexpected

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SECTIONS", "Job", "main"]

FOLDER = ROOT / ".interop"
LOGS = FOLDER / "logs"
LINT = ["ruff==0.17.6", "mypy==2.4.1", "pyright==1.1.414"]
VERSIONS = ("3.10", "3.11", "3.12", "3.13")
RUN_SECONDS = 840.0
"""What the sections of ``run`` may take together; a job that is not done by then is killed."""


@dataclass
class Job:
    """One command; ``report`` is the JUnit file that it writes, if it is pytest."""

    name: str
    command: list[str]
    report: Path | None = None
    env: dict[str, str] = field(default_factory=dict)


@dataclass
class Context:
    """Which script runs, and what its sections found wrong."""

    script: str
    examples: int = 20_000
    deadline: float = math.inf
    """When the section must be done, by ``time.monotonic()``."""
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def run(self, job: Job, output: int | None = None) -> bool:
        """Run a job to its end, or to the section's deadline; note what went wrong."""
        started = time.monotonic()
        child = subprocess.Popen(
            job.command,
            cwd=ROOT,
            env={**os.environ, "RAWSIO_CI": self.script, **job.env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if output is None else subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = child.wait(max(0.0, self.deadline - started))
        except subprocess.TimeoutExpired:
            seconds = time.monotonic() - started
            self.problems.append(f"{job.name}: killed after {seconds:.0f} s, its budget is used up")
            code = None
        finally:
            end(child)
        if output is None:
            seconds = time.monotonic() - started
            print(f"--- {job.name}: {seconds:.1f} s", flush=True)
            self.notes.append(f"{job.name}: {seconds:.1f} s")
        if code:
            self.problems.append(f"{job.name}: exit code {code}")
        return not code and code is not None and self._check_skips(job)

    def _check_skips(self, job: Job) -> bool:
        if job.report is None:
            return True
        counts, skipped = read_junit(job.report)
        self.notes.append(f"{job.name}: {counts}")
        wrong = unexpected(skipped, self.script)
        self.problems += [f"{job.name}: {line}" for line in wrong]
        return not wrong

    def run_two_at_a_time(self, jobs: list[Job]) -> None:
        """Run jobs beside each other, each with its own log; show the log of one that failed."""

        def one(job: Job) -> None:
            path = LOGS / f"{re.sub('[^a-z0-9.]+', '-', job.name.lower())}.log"
            started = time.monotonic()
            with path.open("wb") as log:
                good = self.run(job, log.fileno())
            seconds = time.monotonic() - started
            print(f"{'ok  ' if good else 'FAIL'} {seconds:6.1f} s  {job.name}", flush=True)
            if not good:
                text = path.read_text("utf-8", "replace").split("\n")
                print("\n".join(f"    {line}" for line in text[-60:]), flush=True)

        with ThreadPoolExecutor(2) as pool:
            list(pool.map(one, jobs))


def read_junit(path: Path) -> tuple[str, dict[str, str]]:
    """Return a line of counts, and the skipped tests with their reasons."""
    total, skipped = 0, {}
    for case in ElementTree.parse(path).iter("testcase"):
        total += 1
        reason = case.find("skipped")
        if reason is not None:
            name = f"{case.get('classname')}.{case.get('name')}"
            skipped[name] = reason.get("message") or "no reason"
    return f"{total} tests, {len(skipped)} skipped", skipped


def other_pythons() -> dict[str, str]:
    """Return version -> interpreter, for those of pyenv that are not the one running this."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = {}
    for version in VERSIONS:
        if version == "{}.{}".format(*sys.version_info):
            continue
        candidates = [p for p in root.glob(f"{version}.*/bin/python") if p.exists()]
        if candidates:
            newest = max(candidates, key=lambda p: int(re.sub(r"\D", "", p.parts[-3][5:]) or 0))
            found[version] = str(newest)
    return found


def _test_requirements() -> list[str]:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    match = re.search(r"^test = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
    return re.findall(r'"([^"]+)"', match[1]) if match else ["hypothesis", "pytest"]


def _suite_python() -> str:
    return environment(ROOT / ".venv")


def _lint_python() -> str:
    return environment(FOLDER / "lint", [*LINT, *_test_requirements()])


def _python(version: str, interpreter: str) -> str:
    return environment(FOLDER / f"python{version}", _test_requirements(), interpreter)


def _pytest(name: str, python: str, flags: list[str], *arguments: str) -> Job:
    report = LOGS / f"{re.sub('[^a-z0-9.]+', '-', name.lower())}.xml"
    report.unlink(missing_ok=True)
    # Jobs run beside each other in one checkout: none of them keeps pytest's cache.
    command = [python, *flags, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return Job(name, [*command, f"--junitxml={report}", *arguments], report)


def _apt_get(ctx: Context, packages: list[str]) -> None:
    command = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
    env = {"DEBIAN_FRONTEND": "noninteractive"}
    if os.geteuid() != 0:
        command = ["sudo", "-n", *command]
    ctx.run(Job("apt-get update", [*command[: command.index("install")], "update"], env=env))
    ctx.run(Job("apt-get install " + " ".join(packages), command, env=env))


def prepare(ctx: Context) -> None:
    """Make the environments and install what the sections below need."""
    wanted = {
        **{"node": "nodejs", "npm": "npm", "chromium": "chromium"},
        **{"redis-server": "redis-server", "openssl": "openssl"},
        **{"tshark": "tshark", "tcpdump": "tcpdump"},
    }
    if ctx.script == "full":
        wanted |= {"haproxy": "haproxy", "nginx": "nginx-light"}
    missing = [package for program, package in wanted.items() if shutil.which(program) is None]
    if find_spec("ensurepip") is None:  # Debian keeps it apart from its Python
        missing.append("python3-venv")
    if missing:
        _apt_get(ctx, missing)
    _suite_python()
    _lint_python()
    pythons = other_pythons()
    for version, interpreter in pythons.items():
        _python(version, interpreter)
    ours = "{}.{}".format(*sys.version_info)
    ctx.notes.append(f"Pythons: {ours} and {', '.join(pythons) or 'no other'}")
    ctx.run(Job("npm packages", [sys.executable, "-m", "tests.interop.run", "--install"]))


def lint(ctx: Context) -> None:
    """Check style and habits."""
    python = _lint_python()
    ctx.run(Job("ruff check", [python, "-m", "ruff", "check", "."]))
    ctx.run(Job("ruff format", [python, "-m", "ruff", "format", "--check", "."]))


def types(ctx: Context) -> None:
    """Check types, strictly: the package, and programs that use its public interface."""
    ctx.run(Job("mypy", [_lint_python(), "-m", "mypy"]))
    ctx.run(Job("pyright", [_lint_python(), "-m", "pyright", "rawsio"]))
    ctx.run(Job("typing_api", [_lint_python(), "-m", "tests.typing_api"]))


_BESIDE_LAWS = (
    *("tests/net", "tests/server", "tests/workers"),
    *("tests/test_express.py", "tests/test_farewell.py"),
)
"""Folders and files that are in the first half of the suite, with the laws."""


def suite(ctx: Context) -> None:
    """Run the whole suite with many examples, in two halves that take about as long."""
    python, laws_only = _suite_python(), [p.relative_to(ROOT).as_posix() for p in _laws()]
    first = [*laws_only, *_BESIDE_LAWS]
    second = [f"--ignore={name}" for name in first]
    profile = f"--hypothesis-profile={'ci' if ctx.script == 'full' else 'run'}"
    jobs = [
        _pytest(f"suite, {what}", python, [], profile, *arguments)
        for what, arguments in (("laws and sockets", first), ("all the rest", second))
    ]
    ctx.run_two_at_a_time(jobs)


def pythons(ctx: Context) -> None:
    """Run the suite on every other Python, and with the flags that change what a program does."""
    ours = _suite_python()
    examples = [] if ctx.script == "full" else ["--hypothesis-profile=quick"]
    others = {version: _python(version, path) for version, path in other_pythons().items()}
    flags: dict[str, list[str]] = {}
    if ctx.script != "full" and "3.12" in others:
        flags["3.12"] = ["-O"]  # two in one
    jobs = [
        _pytest(" ".join(["python", version, *flags.get(version, [])]), python,
                flags.get(version, []), *examples)
        for version, python in others.items()
    ]  # fmt: skip
    if not flags:
        jobs.append(_pytest("python -O", ours, ["-O"], *examples))
    strict = ["-bb", "-W", "error", "-X", "dev"]
    jobs.append(_pytest("python -bb -W error -X dev", ours, strict, *examples))
    ctx.run_two_at_a_time(jobs)


def _laws() -> list[Path]:
    return sorted((ROOT / "tests").rglob("test_laws*.py"))


def laws(ctx: Context) -> None:
    """Run the laws of every layer with 20,000 examples, or as many as were asked for."""
    jobs = []
    for path in _laws():
        name = path.relative_to(ROOT).as_posix()
        python = _suite_python()
        job = _pytest(f"laws {name}", python, [], "--hypothesis-profile=deep", name)
        job.env["RAWSIO_EXAMPLES"] = str(ctx.examples)
        jobs.append(job)
    if not jobs:
        ctx.problems.append("laws: there is no test_laws.py")
    redis = ["-m", "tests.interop.redis_queue", "-k", "TestMachine"]
    jobs.append(
        Job("laws of queues in Redis", [_suite_python(), *redis, "--examples", str(ctx.examples)])
    )
    ctx.run_two_at_a_time(jobs)


def autobahn(ctx: Context) -> None:
    """Let Autobahn judge the WebSocket layer, as server and as client."""
    cases = "protocol" if ctx.script == "run" else "full"
    ctx.run(Job("autobahn", [_suite_python(), "-m", "tests.interop.autobahn", cases]))


def interop(ctx: Context) -> None:
    """Let the official clients and a browser use the server."""
    ctx.run(Job("interop", [_suite_python(), "-m", "tests.interop.run"]))
    vectors = os.environ.get("HTTP_VECTORS")
    if vectors:
        ctx.run(Job("http vectors", [_suite_python(), "-m", "tests.interop.http_vectors", vectors]))


def soak(ctx: Context) -> None:
    """Load a server and hold it to bounds, one script after the other: they measure."""
    for name in ("leak", "slow_reader", "memory", "idle", "lossless", "workers"):
        ctx.run(Job(f"soak {name}", [_suite_python(), "-m", f"tests.soak.{name}"]))


def explore(ctx: Context) -> None:
    """Explore interleavings, 30 seconds for each scenario: breadth first, as deep as that goes."""
    ctx.run(Job("explore", [_suite_python(), "-m", "tests.explore", "--seconds", "30"]))


def simulation(ctx: Context) -> None:
    """Run clusters with faults from 10,000 seeds, in two halves."""
    command = [_suite_python(), "-m", "tests.simulation", "--seeds", "5000", "--step", "2"]
    ctx.run_two_at_a_time(
        [Job(f"simulation {first}", [*command, "--first", str(first)]) for first in (0, 1)]
    )


def check(ctx: Context) -> None:
    """Check our own server and client with every case, and measure other peers."""
    ctx.run(Job("check, in memory", [_suite_python(), "-m", "tests.check.full"]))
    ctx.run(Job("check, behind haproxy", [_suite_python(), "-m", "tests.interop.behind"]))
    ctx.run(Job("check, other judges", [_suite_python(), "-m", "tests.interop.compare"]))
    ctx.run(Job("check, peers", [_suite_python(), "-m", "tests.interop.conformance"]))


def queue(ctx: Context) -> None:
    """Kill servers with a durable queue, cut their power, fill their disks, misuse them, time."""
    for name in ("queue_kill", "queue_power", "queue_full", "queue_attack", "recovery"):
        ctx.run(Job(name, [_suite_python(), "-m", f"tests.soak.{name}"]))
    misuse = ["--polling", "--msgpack", "--seconds", "1.5"]
    ctx.run(Job("misuse, polling", [_suite_python(), "-m", "tests.soak.queue_attack", *misuse]))
    power = ["--clients", "40", "--kills", "8", "--power", "FULL"]
    ctx.run(Job("recovery, power", [_suite_python(), "-m", "tests.soak.recovery", *power]))
    rows = ["callers", "chains", "websocket", "node", "end", "echo"]
    ctx.run(Job("bench queue", [_suite_python(), "-m", "tests.bench.queue", "--only", *rows]))


def trace(ctx: Context) -> None:
    """Judge the proxy and what is read from captures."""
    python = _suite_python()
    ctx.run(Job("conversations", [python, "-m", "tests.soak.proxy"]))
    suites = ["--traced=--split 100", "--reference", "official_client"]
    ctx.run(Job("behind the proxy", [python, "-m", "tests.interop.run", *suites]))
    ctx.run(Job("captures", [python, "-m", "tests.interop.captures"]))
    ctx.run(Job("bench proxy", [python, "-m", "tests.bench.proxy"]))


def starvation(ctx: Context) -> None:
    """Measure who waits beside floods, and beside broadcasts."""
    command = [_suite_python(), "-m", "tests.bench.starvation", "--check"]
    ctx.run(Job("starvation", command))
    ctx.run(Job("starvation, broadcasts", [*command, "--told", "9000"]))


def mutation(ctx: Context) -> None:
    """Break the library in 200 places, one at a time, and count what its tests notice."""
    ctx.run(Job("mutation", [_suite_python(), "-m", "tests.mutation", "--seconds", "1200"]))


SECTIONS: dict[str, tuple[Callable[[Context], None], float]] = {
    "prepare": (prepare, 900),
    "lint": (lint, 120),
    "types": (types, 300),
    "suite": (suite, 600),
    "pythons": (pythons, 900),
    "laws": (laws, 9000),
    "autobahn": (autobahn, 2700),
    "interop": (interop, 600),
    "starvation": (starvation, 1800),
    "soak": (soak, 1320),
    "explore": (explore, 720),
    "simulation": (simulation, 900),
    "queue": (queue, 900),
    "check": (check, 2400),
    "trace": (trace, 900),
    "mutation": (mutation, 1320),
}
"""Name -> what it does, and the seconds that it may take in ``full``."""
ONLY_IN_FULL = {
    "laws",
    "starvation",
    "soak",
    "explore",
    "simulation",
    "queue",
    "check",
    "trace",
    "mutation",
}


def _section(ctx: Context, name: str, seconds: float | None) -> str:
    print(f"\n=== {name} {'=' * (74 - len(name))}", flush=True)
    started, before = time.monotonic(), len(ctx.problems)
    check, budget = SECTIONS[name]
    if ctx.script == "full":
        ctx.deadline = started + (budget if seconds is None else seconds)
    try:
        check(ctx)
    except (EnvironmentFailed, OSError) as error:
        ctx.problems.append(f"{name}: {error}")
    seconds = time.monotonic() - started
    verdict = "ok" if len(ctx.problems) == before else "FAILED"
    print(f"=== {name}: {verdict}, {seconds:.1f} s", flush=True)
    return f"{verdict:<7} {seconds:8.1f} s  {name}"


def main(arguments: list[str]) -> int:
    """Run the sections of a script; return 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.ci")
    parser.add_argument("script", choices=["run", "full"])
    parser.add_argument("--only", nargs="+", choices=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--list", action="store_true", help="name the sections and their budgets")
    parser.add_argument("--seconds", type=float, help="the budget of each section of full")
    parser.add_argument("--examples", type=int, default=20_000, help="examples for each law")
    given = parser.parse_args(arguments)
    names = given.only or [n for n in SECTIONS if given.script == "full" or n not in ONLY_IN_FULL]
    if given.list:
        print("\n".join(f"{name:<10} {SECTIONS[name][1]:6.0f} s" for name in names))
        return 0
    # Whoever ends this program means everything that it started, too.
    ends_with_sigterm()
    keep_compiled()
    LOGS.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    ctx = Context(given.script, given.examples, started + RUN_SECONDS)
    lines = [_section(ctx, name, given.seconds) for name in names]
    print(f"\n=== summary of {given.script}: {time.monotonic() - started:.1f} s")
    print("\n".join([*lines, *ctx.notes]))
    print("\n".join(f"  wrong: {problem}" for problem in ctx.problems) or "nothing is wrong")
    return 1 if ctx.problems else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
