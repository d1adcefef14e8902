"""``rawsio check`` beside other judges: ``python -m tests.interop.compare [autobahn] [suites]``.

``autobahn``: Autobahn's protocol cases and ours on four WebSocket servers; ``suites``: the cases of
the official Engine.IO and Socket.IO suites (``protocol.test.js``) and ours on three servers.  Cases
are grouped by what they are about.  Where one judge finds something FAILED and the other nothing,
:data:`EXPLAINED` says why, or the exit status is 1.  ``--write`` puts the tables into
``rfc_notes/conformance.md``.  Every program that it starts has a bound; one that hangs, or a server
that ends while it is judged, is named, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path
from xml.etree import ElementTree

from rawsio.check.programs import program
from tests.jobs import Stuck, ends_with_sigterm, run

from .autobahn import CASES, is_bad, wstest
from .conformance import rewrite, run_check
from .peers import SERVERS, Missing, Server, foreign, version
from .run import HERE, install

__all__ = ["main"]

AUTOBAHN: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "sizes": (("1.*",), ("ws.size.*",)),
    "pings and pongs": (("2.*",), ("ws.ping.*", "ws.pong.*")),
    "reserved bits": (("3.*",), ("ws.rsv.*",)),
    "opcodes": (("4.*",), ("ws.opcode.*",)),
    "fragments": (("5.*", "10.*"), ("ws.fragment.*", "ws.*.fragmented")),
    "UTF-8": (("6.[1-35-9].*", "6.??.*"), ("ws.utf8.good*", "ws.utf8.bad*[!t]", "ws.utf8.c*")),
    "UTF-8, before the message ends": (("6.4.*",), ("ws.utf8.bad-*-fragment",)),
    "closing": (("7.[1-5].*",), ("ws.close.[!bc]*",)),
    "close codes": (("7.7.*", "7.9.*", "7.13.*"), ("ws.close.code-*", "ws.close.bad-*")),
}
"""Group -> numbers of Autobahn's cases, and ids of ours."""
SUITES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "handshake": (("*.handshake.*",), ("eio.open.*",)),
    "heartbeat": (("*.heartbeat.*",), ("eio.beat.*",)),
    "close": (("*.close.*",), ("eio.close.*",)),
    "upgrade": (("*.upgrade.*",), ("eio.upgrade.*",)),
    "payloads": (("Engine*.messages over polling.*",), ("eio.post.*",)),
    "frames": (("Engine*.messages over WebSocket.*",), ("eio.ws.*",)),
    "connect": (("Socket*.connect.*",), ("sio.connect.*",)),
    "disconnect": (("Socket*.disconnect.*",), ("sio.disconnect.*",)),
    "events": (("Socket*.messages.*",), ("sio.event.*", "sio.ack.*", "sio.binary.*")),
}
_NO_CASE = "The suites have no such cases."
EXPLAINED: dict[tuple[str, str], str] = {
    ("websockets", "closing"): "A close between fragments is answered with 1002 instead of its "
    "code; RFC 6455 section 5.5.1 calls the same code typical: `ws.fragment.close-between` is "
    "NON-STRICT.",
    (
        "aiohttp",
        "close codes",
    ): "Close 1006 is answered with 1000, and the connection ends; "
    "no rule says with which code: `ws.close.bad-1006` is NON-STRICT.",
    ("socket.io", "close"): "A close packet over WebSocket is ignored. " + _NO_CASE,
    ("socket.io", "payloads"): _NO_CASE,
    ("socket.io", "connect"): "41 and 40 in one segment: the second is read while the first is not "
    "carried out yet. " + _NO_CASE,
    ("socket.io", "events"): _NO_CASE,
    (
        "python-socketio",
        "heartbeat",
    ): "Pings by the client are ignored, for which the suites have no case. It looks at its "
    "sessions in turns: a silent one may outlast its 500 ms by 200 more, and the suite waits for "
    "600. `eio.beat.silent-polling` is not judged: the handshake says `pingInterval` 0.",
    ("python-socketio", "frames"): "A packet of type 8 is dropped. " + _NO_CASE,
    ("python-socketio", "connect"): "CONNECT_ERROR says something else; the protocol names no "
    "text: `sio.connect.unknown` is NON-STRICT.",
    ("python-socketio", "events"): _NO_CASE,
}
"""(peer, group) -> why one judge finds something FAILED there and the other nothing."""
_ECHO = Server(lambda _folder: [sys.executable, "-m", "tests.interop.echo_server", "0"])
_WS_PEERS = {
    "rawsio": (_ECHO, "/"),
    "ws": (SERVERS["ws"], "/"),
    "websockets": (SERVERS["websockets"], "/"),
    "aiohttp": (SERVERS["aiohttp"], "/echo"),
}

AUTOBAHN_SECONDS, SUITE_SECONDS = 600.0, 120.0
"""What Autobahn and the suites may take for one peer."""

Marks = dict[str, str]
"""Case -> OK, lax or FAILED: the three that both judges have."""


def _count(marks: Marks, globs: tuple[str, ...]) -> tuple[int, int, list[str]]:
    """Return how many cases of a group are OK and lax, and which are FAILED."""
    found = {n: m for n, m in marks.items() if any(fnmatchcase(n, glob) for glob in globs)}
    values = list(found.values())
    failed = [name for name, mark in found.items() if mark == "FAILED"]
    return values.count("OK"), values.count("lax"), failed


def table(
    groups: dict[str, tuple[tuple[str, ...], tuple[str, ...]]],
    found: dict[str, tuple[Marks, Marks]],
    judge: str,
) -> tuple[list[str], list[str]]:
    """Return the table, and the differences that nobody has explained."""
    lines = [f"| peer | cases about | {judge} | rawsio check |", "|---|---|---:|---:|"]
    notes, open_ = [], []
    for peer, (left_marks, right_marks) in found.items():
        for group, (left, right) in groups.items():
            there, here = _count(left_marks, left), _count(right_marks, right)
            lines.append(
                f"| {peer} | {group} | {there[0]} / {there[1]} / {len(there[2])} "
                f"| {here[0]} / {here[1]} / {len(here[2])} |"
            )
            if bool(there[2]) == bool(here[2]):
                continue
            why = EXPLAINED.get((peer.partition(" ")[0], group))
            who, failed = (judge, there[2]) if there[2] else ("rawsio check", here[2])
            notes.append(f"- {peer}, {group}: FAILED by {who} alone: {', '.join(failed)}. {why}")
            open_ += [] if why else [notes[-1]]
    return [*lines, "", *notes], open_


def _ours(report: dict[str, object]) -> Marks:
    cases: list[dict[str, str]] = report["cases"]  # type: ignore[assignment]
    marks = {"OK": "OK", "FAILED": "FAILED", "UNIMPLEMENTED": "not judged"}
    return {case["id"]: marks.get(case["verdict"], "lax") for case in cases}


# Autobahn


def autobahn() -> dict[str, tuple[Marks, Marks]]:
    """Let both judges test each WebSocket peer."""
    program, found = wstest(), {}
    for name, (peer, path) in _WS_PEERS.items():
        with tempfile.TemporaryDirectory() as one:
            folder = Path(one)
            with peer.running(folder) as url:
                echo = url.replace("http", "ws") + path
                theirs = _fuzz(program, folder, echo)
                options = [url, "--layer", "ws", "--echo", echo]
                ours = _ours(run_check(options, folder / "report.json"))
        found[version(peer.versions)] = theirs, ours
        print(f"{name}: {len(theirs)} and {len(ours)} cases", file=sys.stderr, flush=True)
    return found


def _fuzz(program: str, folder: Path, url: str) -> Marks:
    servers = [{"agent": "peer", "url": url, "options": {"version": 18}}]
    spec = {"outdir": str(folder), "servers": servers, "cases": CASES["protocol"],
            "exclude-cases": [], "exclude-agent-cases": {}}  # fmt: skip
    path = folder / "spec.json"
    path.write_text(json.dumps(spec), "ascii")
    with open(folder / "wstest.log", "w") as log:
        fuzz = [program, "-m", "fuzzingclient", "-s", str(path)]
        code = run(fuzz, AUTOBAHN_SECONDS, stdout=log, stderr=subprocess.STDOUT)
    if code:
        raise Stuck(f"`{' '.join(fuzz)}` ended with {code}")
    index = json.loads((folder / "index.json").read_text("utf-8"))["peer"]
    return {case: _mark([item["behavior"], item["behaviorClose"]]) for case, item in index.items()}


def _mark(verdict: list[str]) -> str:
    if is_bad(verdict):
        return "FAILED"
    return "OK" if verdict == ["OK", "OK"] else "lax"


# The suites


def suites() -> dict[str, tuple[Marks, Marks]]:
    """Let the official suites' cases and ours test each Engine.IO server."""
    modules, found = install(), {}
    commands = {
        "rawsio": [sys.executable, "-m", "tests.interop.interop_server"],
        "socket.io": ["node", str(HERE / "official_server.js")],
        "python-socketio": [sys.executable, "-m", "tests.interop.compare", "--serve"],
    }
    for name, command in commands.items():
        peer = SERVERS[name]
        theirs = _run_suite(command, modules, reference=name == "socket.io")
        with tempfile.TemporaryDirectory() as one, peer.running(Path(one)) as url:
            ours = _ours(run_check([url, "--layer", "eio,sio"], Path(one) / "report.json"))
        found[version(peer.versions)] = theirs, ours
        print(f"{name}: {len(theirs)} and {len(ours)} cases", file=sys.stderr, flush=True)
    return found


def _run_suite(command: list[str], modules: Path, *, reference: bool) -> Marks:
    env = {"NODE_PATH": str(modules), "SERVER_COMMAND": json.dumps(command),
           "REFERENCE": str(int(reference))}  # fmt: skip
    suite = ["node", "--test", "--test-reporter=junit", str(HERE / "protocol.test.js")]
    with tempfile.TemporaryFile() as report:
        run(suite, SUITE_SECONDS, env=env, stdout=report, stderr=subprocess.DEVNULL)
        report.seek(0)
        said = report.read()
    marks: Marks = {}

    def walk(element: ElementTree.Element, names: tuple[str, ...]) -> None:
        for item in element:
            path = (*names, item.get("name", ""))
            if item.tag == "testcase":
                marks[".".join(path)] = "OK" if item.find("failure") is None else "FAILED"
            elif item.tag == "testsuite":
                walk(item, path)

    walk(ElementTree.fromstring(said), ())
    return marks


def serve() -> int:
    """Serve python-socketio's contract as ``harness.js`` wants a server: until SIGTERM.

    Its heartbeat is the suites', not the longer one that ``rawsio check`` asks of a contract.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    text = program("contract", "python-socketio")
    peer = Server(foreign(text.replace('"ping_timeout": 0.7', '"ping_timeout": 0.2')), fast=True)
    # Not apart: who kills the suite with its group kills this server, too.
    with (
        tempfile.TemporaryDirectory() as folder,
        peer.running(Path(folder), apart=False) as url,
    ):
        print(f"PORT {url.rpartition(':')[2]}", flush=True)
        while True:
            signal.pause()


def main(arguments: list[str]) -> int:
    """Compare, and print or write the tables; return 1 if a difference is not explained."""
    if arguments[:1] == ["--serve"]:
        return serve()
    ends_with_sigterm()
    parser = argparse.ArgumentParser(prog="python -m tests.interop.compare")
    parser.add_argument("judges", nargs="*", default=["autobahn", "suites"])
    parser.add_argument("--write", action="store_true", help="put the tables into the note")
    given = parser.parse_args(arguments)
    unexplained: list[str] = []
    for name, judge, groups, ask in (
        ("autobahn", "Autobahn", AUTOBAHN, autobahn),
        ("suites", "protocol suites", SUITES, suites),
    ):
        if name not in given.judges:
            continue
        try:
            lines, open_ = table(groups, ask(), judge)
        except Missing as error:
            print(f"{name}: {error} is missing", file=sys.stderr)
            return 1
        except Stuck as error:
            print(f"{name}: {error}", file=sys.stderr)
            unexplained.append(f"{name}: {error}")
            continue
        text = "\n".join(lines)
        print(text)
        if given.write:
            rewrite(name, text + "\n")
        unexplained += open_
    print("\n".join(f"not explained: {line}" for line in unexplained) or "all is explained")
    return 1 if unexplained else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
