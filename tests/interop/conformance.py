"""Measure peers with ``rawsio check``: ``python -m tests.interop.conformance``.

Each peer is started on a free port, checked with ``--fast`` (servers) or with its driver (clients),
and ended.  What is printed is the table of ``rfc_notes/conformance.md``; ``--write`` puts it there.
Peers whose packages or programs are missing are left out, and named; one that hangs, or ends while
it is checked, is named, too, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from rawsio.check.case import VERDICTS, prefix_of
from rawsio.check.reports import LAYERS
from tests.jobs import Stuck, ends_with_sigterm, run

from .peers import CLIENTS, ROOT, SERVERS, Missing, version

__all__ = ["grouped", "main", "rewrite", "run_check"]

NOTE = ROOT / "rfc_notes" / "conformance.md"
SECONDS = 600.0
"""What one peer's cases may take."""


def run_check(arguments: list[str], report: Path) -> dict[str, Any]:
    """Run ``rawsio check --fast`` and return its JSON report; raises :class:`Stuck`."""
    command = [sys.executable, "-m", "rawsio", "check", "--fast", "--json", str(report), *arguments]
    said = report.with_suffix(".said")
    with said.open("wb") as log:
        code = run(command, SECONDS, stdout=log, stderr=subprocess.STDOUT)
    if not report.exists():
        last = said.read_text("utf-8", "replace").strip().rpartition("\n")[2]
        raise Stuck(f"`{' '.join(command)}` ended with {code} and wrote no report: {last}")
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def server(name: str, folder: Path) -> dict[str, Any]:
    """Check a server; raises :class:`Missing`."""
    peer = SERVERS[name]
    with peer.running(folder) as url:
        options = [item.replace("{ws}", url.replace("http", "ws")) for item in peer.options]
        return run_check([url, *options], folder / "report.json")


def client(name: str, folder: Path) -> dict[str, Any]:
    """Check a client; raises :class:`Missing`."""
    peer = CLIENTS[name]
    arguments = ["--client", "--speaks", peer.speaks, "--", *peer.command(folder)]
    return run_check(arguments, folder / "report.json")


def table(reports: dict[str, dict[str, Any]]) -> list[str]:
    """Return the counts by peer and layer, then the FAILED cases of each."""
    shown = [verdict for verdict in VERDICTS if verdict != "ERROR"]
    lines = [f"| peer | layer | {' | '.join(shown)} |", "|---|---|" + "---:|" * len(shown)]
    for peer, report in reports.items():
        for layer in LAYERS:
            cases = [c for c in report["cases"] if c["id"].partition(".")[0] == layer]
            row = [sum(c["verdict"] == v for c in cases) for v in shown]
            if any(row) and row[3] != sum(row):
                lines.append(f"| {peer} | {layer} | {' | '.join(map(str, row))} |")
    for peer, report in reports.items():
        failed = [c["id"] for c in report["cases"] if c["verdict"] == "FAILED"]
        lines += ["", f"{peer}: {len(failed)} FAILED"]
        lines += [""] * bool(failed)
        lines += [f"- {prefix}: {words}" for prefix, words in grouped(failed).items()]
    return lines


def grouped(ids: list[str]) -> dict[str, str]:
    """Return case ids by their prefix, in few words."""
    found: dict[str, list[str]] = {}
    for case_id in ids:
        prefix, word = prefix_of(case_id)
        found.setdefault(f"`{prefix}`", []).append(word)
    return {prefix: ", ".join(words) for prefix, words in found.items()}


def rewrite(name: str, text: str, path: Path = NOTE) -> None:
    """Put a text between the marks of this name in a note."""
    marks = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    note = path.read_text("utf-8")
    before, found, rest = note.partition(marks[0])
    behind = rest.partition(marks[1])[2]
    if not found:
        raise ValueError(f"{path} has no {marks[0]}")
    path.write_text(f"{before}{marks[0]}\n\n{text}\n{marks[1]}{behind}", "utf-8")


def main(arguments: list[str]) -> int:
    """Measure, and print or write the tables; return 1 if our own server or client FAILED."""
    ends_with_sigterm()
    parser = argparse.ArgumentParser(prog="python -m tests.interop.conformance")
    parser.add_argument("peers", nargs="*", help=f"of {', '.join([*SERVERS, *CLIENTS])}")
    parser.add_argument("--write", action="store_true", help="put the tables into the note")
    given = parser.parse_args(arguments)
    lines: list[str] = []
    stuck: list[str] = []
    wrong = 0
    for title, peers, check in (
        ("### Servers", SERVERS, server), ("### Clients", CLIENTS, client),
    ):  # fmt: skip
        reports = {}
        for name, peer in peers.items():
            if given.peers and name not in given.peers:
                continue
            with tempfile.TemporaryDirectory() as folder:
                try:
                    report = check(name, Path(folder))
                except Missing as error:
                    print(f"left out: {name}: {error}", file=sys.stderr)
                    continue
                except Stuck as error:
                    print(f"{name}: {error}", file=sys.stderr, flush=True)
                    stuck.append(name)
                    continue
            reports[version(peer.versions)] = report
            wrong += (report["counts"]["FAILED"] + report["counts"]["ERROR"]) * (name == "rawsio")
            print(f"{name}: {report['counts']}", file=sys.stderr, flush=True)
        lines += [title, "", *table(reports), ""]
    text = "\n".join(lines)
    print(text)
    if stuck:
        print(f"not measured, and nothing written: {', '.join(stuck)}", file=sys.stderr)
    elif given.write:
        rewrite("measured", text)
    return 1 if wrong or stuck else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
