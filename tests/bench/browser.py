"""Our browser client beside the official one in Chromium: a part of ``python3 -m tests.bench``.

Both are in pages of our server, which ``python -m tests.bench.browser PORT OFFICIAL`` is; the file
``OFFICIAL`` is the official client's.  One Chromium does all, headless, each measurement in a page
of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.__main__ import ROOT

from .clients import TALKERS, result
from .peers import LOAD_CORE, Missing, Peer, Running, environment_of, machine, node, pinned
from .server import hello, make_server
from .talks import TALKS

__all__ = ["PAGES", "measure"]

PAGES = {"ours": "rawsio", "official": "official"}
"""Page -> title of its client."""
_SCRIPTS = {"/ours": "/socket.io/socket.io.js", "/official": "/official.js"}
_OFFICIAL = ROOT / ".interop/npm/node_modules/socket.io-client"


def chromium() -> str:
    """Return the browser."""
    found = os.environ.get("CHROMIUM", "/usr/bin/chromium")
    if not Path(found).exists():
        raise Missing("there is no Chromium: name one in CHROMIUM")
    return found


def measure(options: Any) -> dict[str, Any]:
    """Do every row in both pages, the repetitions interleaved."""
    script = _OFFICIAL / "dist" / "socket.io.min.js"
    command = [node(), str(TALKERS / "browser.js")]
    python = options.python
    peer = Peer("pages", lambda: python, ("-m", "tests.bench.browser"))
    env = {**environment_of(ROOT), "CHROMIUM": chromium()}
    server = Running(peer, (str(script),))
    child = subprocess.Popen(
        pinned([*command, str(server.port)], LOAD_CORE),
        cwd=ROOT,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    runs = []
    try:
        first = child.stdout.readline()
        if not first:
            raise Missing("Chromium does not start")
        official = json.loads((_OFFICIAL / "package.json").read_text("utf-8"))["version"]
        browser = f"Chromium {json.loads(first)['version']}"
        for row, talk in TALKS.items():
            if options.only and row not in options.only.split(","):
                continue
            for repetition in range(options.repeat):
                for page in PAGES:
                    job = {"page": page, "mode": talk.mode, "depth": talk.depth, "warm": 0.5}
                    print(json.dumps({**job, "seconds": options.seconds}), file=child.stdin)
                    child.stdin.flush()
                    one = result(child.stdout.readline(), options.seconds)
                    runs.append({"row": row, "client": page, "repetition": repetition, **one})
                    figure = one["count"] / one["seconds"] if one["seconds"] else 0.0
                    note = one.get("fail") or ""
                    print(f"{row:16} {page:16} {figure:10,.0f} {note}", file=sys.stderr, flush=True)
    finally:
        child.stdin.close()
        child.wait(30)
        server.stop()
    versions = {"ours": browser, "official": f"{official}, {browser}"}
    return {"facts": {**machine(), "titles": dict(PAGES), "versions": versions}, "runs": runs}


def main(port: str, official: str) -> None:
    """Be the server of the pages, until a signal."""

    def app(request: Any) -> Any:
        if request.path in _SCRIPTS:
            page = f'<!doctype html><script src="{_SCRIPTS[request.path]}"></script>'
            return 200, page, {"Content-Type": "text/html; charset=utf-8"}
        if request.path == "/official.js":
            return 200, Path(official).read_bytes(), {"Content-Type": "text/javascript"}
        return hello(request)

    io = make_server(app=app)
    io.listen(port=int(port))
    io.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
