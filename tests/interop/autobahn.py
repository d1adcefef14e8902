"""Autobahn|Testsuite against our WebSocket, in both roles.

``python -m tests.interop.autobahn [protocol|full] [server|client ...] [--update]``

runs the cases (``protocol``: all but the long ones and compression, 11 seconds a role; ``full``:
517 cases, 14 minutes a role), prints a table, and compares every verdict with
``autobahn-expected.json``.  It exits with 1 if a case failed, closed uncleanly or differs; with
``--update`` the verdicts become the expected ones, unless a case failed.

The judge, ``wstest``, needs CPython 2.7: pyenv's newest, or ``PY27``.  It is installed once into
``.interop/wstest``; ``WSTEST`` names another one.  Reports stay in ``.interop/autobahn``.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from tests.jobs import Stuck, ends_with_sigterm, first_line, free_port, run, serving

__all__ = ["main"]

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
WORK = ROOT / ".interop"
EXPECTED = HERE / "autobahn-expected.json"
REQUIREMENTS = HERE / "autobahn-requirements.txt"

CASES = {
    "protocol": ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "10.*"],
    "full": ["*"],
}
SECTIONS = {
    "1": "framing",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "opcodes",
    "5": "fragmentation",
    "6": "UTF-8",
    "7": "close",
    "9": "limits",
    "10": "fragmenting",
    "12": "compression",
    "13": "its parameters",
}
COLUMNS = ["OK", "NON-STRICT", "INFORMATIONAL", "UNIMPLEMENTED", "FAILED"]
GOOD = set(COLUMNS[:3])
GOOD_CLOSE = {"OK", "INFORMATIONAL"}
SECONDS = 1320.0
"""What all cases of one role may take."""
INSTALL_SECONDS = 300.0
"""What each package of the judge may take."""

Verdicts = dict[str, list[str]]


def python27() -> str:
    """Return a CPython 2.7; raises ``SystemExit`` if there is none."""
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    found = sorted(root.glob("versions/2.7.*/bin/python"))
    python = os.environ.get("PY27") or (str(found[-1]) if found else "")
    if not python:
        raise SystemExit("wstest needs CPython 2.7: `pyenv install 2.7.18`, or set PY27")
    return python


def wstest() -> str:
    """Return the path of ``wstest``, installing it first if need be."""
    if "WSTEST" in os.environ:
        return os.environ["WSTEST"]
    folder = WORK / "wstest"
    program = folder / "bin" / "wstest"
    if not program.exists():
        python = python27()
        quiet = ["-W", "ignore", "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        _install([python, *quiet, "virtualenv==20.15.1"])
        _install([python, "-m", "virtualenv", "-q", str(folder)])
        inside = [str(folder / "bin" / "python"), *quiet, "--no-deps", "--no-build-isolation"]
        for group in REQUIREMENTS.read_text("ascii").split("\n\n"):
            packages = [line for line in group.split("\n") if line and not line.startswith("#")]
            # wsaccel only makes the judge faster, and needs a C compiler.
            _install([*inside, *packages], needed=not packages[0].startswith("wsaccel"))
    return str(program)


def _install(command: list[str], *, needed: bool = True) -> None:
    code = run(command, INSTALL_SECONDS)
    if code and needed:
        raise Stuck(f"`{' '.join(command)}` ended with {code}")


def run_server(program: str, folder: Path, cases: list[str]) -> None:
    """Let the fuzzing client test our server."""
    command = [sys.executable, "-m", "tests.interop.echo_server", "0"]
    with serving(command) as server:
        port = first_line(server).split()[-1]
        spec = {
            "outdir": str(folder),
            "cases": cases,
            "exclude-cases": [],
            "exclude-agent-cases": {},
            "servers": [
                {"agent": "rawsio", "url": f"ws://127.0.0.1:{port}", "options": {"version": 18}}
            ],
        }
        path = folder / "spec.json"
        path.write_text(json.dumps(spec), "ascii")
        with open(folder / "wstest.log", "w") as log:
            fuzz = [program, "-m", "fuzzingclient", "-s", str(path)]
            code = run(fuzz, SECONDS, stdout=log, stderr=subprocess.STDOUT)
        if code:
            raise Stuck(f"`{' '.join(fuzz)}` ended with {code}; see {folder / 'wstest.log'}")


def run_client(program: str, folder: Path, cases: list[str]) -> None:
    """Let the fuzzing server test our client."""
    url = f"ws://127.0.0.1:{free_port()}"
    spec = {
        "outdir": str(folder),
        "url": url,
        "cases": cases,
        "exclude-cases": [],
        "exclude-agent-cases": {},
    }
    path = folder / "spec.json"
    path.write_text(json.dumps(spec), "ascii")
    with serving([program, "-m", "fuzzingserver", "-u", "0", "-s", str(path)]):
        wait_for(url)
        command = [sys.executable, "-m", "tests.interop.echo_client", url]
        code = run(command, SECONDS)
        if code:
            raise Stuck(f"`{' '.join(command)}` ended with {code}")
        for _ in range(600):
            if (folder / "index.json").exists():
                break
            time.sleep(0.1)


def wait_for(url: str) -> None:
    """Wait until somebody listens there."""
    host, port = url.removeprefix("ws://").split(":")
    for _ in range(600):
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise Stuck(f"nobody listens at {url}")


def verdicts(folder: Path) -> Verdicts:
    """Return behaviour and closing behaviour of every case, by its number."""
    index = json.loads((folder / "index.json").read_text("utf-8"))["rawsio"]
    in_order = sorted(index, key=lambda case: [int(part) for part in case.split(".")])
    return {case: [index[case]["behavior"], index[case]["behaviorClose"]] for case in in_order}


def is_bad(verdict: list[str]) -> bool:
    """Say whether a verdict is a failure."""
    return verdict[0] not in GOOD or verdict[1] not in GOOD_CLOSE


def table(found: Verdicts) -> str:
    """Return the verdicts of one role, counted by section."""
    sections: dict[str, Counter[str]] = {}
    for case, verdict in found.items():
        column = "FAILED" if is_bad(verdict) and verdict[0] != "UNIMPLEMENTED" else verdict[0]
        sections.setdefault(case.split(".")[0], Counter())[column] += 1
    sections["all"] = sum(sections.values(), Counter())
    lines = ["section".ljust(21) + "".join(c.rjust(15) for c in COLUMNS)]
    for section, counts in sections.items():
        name = f"{section:>3} {SECTIONS.get(section, ''):<17}"
        lines.append(name + "".join(str(counts[c]).rjust(15) for c in COLUMNS))
    return "\n".join(lines)


def compare(
    role: str, found: Verdicts, expected: dict[str, Verdicts], *, complete: bool
) -> list[str]:
    """Return a line for each case that failed, is not as expected, or did not run."""
    wanted = expected.get(role, {})
    missing = [case for case in wanted if complete and case not in found]
    lines = [f"{role} {case}: did not run" for case in missing]
    for case, verdict in found.items():
        usual = wanted.get(case, ["nothing"])
        if is_bad(verdict) or usual != verdict:
            lines.append(f"{role} {case}: {' / '.join(verdict)}, expected {' / '.join(usual)}")
    return lines


def main(arguments: list[str]) -> int:
    """Run what the arguments ask for; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("cases", nargs="?", default="protocol", help="protocol, full or patterns")
    parser.add_argument("roles", nargs="*", default=["server", "client"])
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args(arguments)
    ends_with_sigterm()
    cases = CASES.get(options.cases) or options.cases.split(",")
    program = wstest()
    expected = json.loads(EXPECTED.read_text("ascii")) if EXPECTED.exists() else {}
    differences: list[str] = []
    for role in options.roles:
        folder = WORK / "autobahn" / role
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.json"):
            old.unlink()
        began = time.monotonic()
        try:
            (run_server if role == "server" else run_client)(program, folder, cases)
        except Stuck as error:
            differences.append(f"{role}: {error}")
            continue
        found = verdicts(folder)
        print(f"our {role}: {len(found)} cases in {time.monotonic() - began:.0f} s")
        print(table(found), flush=True)
        if options.update and not any(map(is_bad, found.values())):
            expected[role] = {**expected.get(role, {}), **found}
        differences += compare(role, found, expected, complete=cases == ["*"])
    if options.update:
        EXPECTED.write_text(json.dumps(expected, indent=0) + "\n", "ascii")
    print("\n".join(differences) if differences else "all verdicts are as expected")
    return 1 if differences else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
