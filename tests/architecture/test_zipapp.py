"""The package runs out of one zip file, with nothing unpacked and nothing installed."""

from __future__ import annotations

import subprocess
import sys
import zipapp
from pathlib import Path

import pytest

from .source import ROOT

SERVE = """
import sys
sys.path.insert(0, sys.argv[1])
from rawsio import Server
server = Server()
address = server.listen()
print(address[1])
print(b"sid" in fetch(server, address, b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1"))
print(b"200 OK" in fetch(server, address, b"GET /socket.io/socket.io.js HTTP/1.1"))
server.close()
"""

FETCH = '''
import socket
def fetch(server, address, start):
    """Send a request over a real connection while this thread steps the server."""
    client = socket.create_connection(address)
    client.settimeout(60)
    client.sendall(start + b"\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n")
    client.setblocking(False)
    answer = b""
    while True:
        server.step(0.05)
        try:
            data = client.recv(65536)
        except BlockingIOError:
            continue
        if not data:
            client.close()
            return answer
        answer += data
'''


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import shutil

    folder = tmp_path_factory.mktemp("zipapp")
    shutil.copytree(
        ROOT / "rawsio", folder / "app" / "rawsio", ignore=shutil.ignore_patterns("__pycache__")
    )
    target = folder / "rawsio.pyz"
    zipapp.create_archive(folder / "app", target, main="rawsio.__main__:main", compressed=True)
    return target


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-S", *arguments],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def test_the_command_line_runs_as_one_file(archive: Path) -> None:
    done = _run(str(archive), "--help")
    assert done.returncode == 0, done.stderr
    assert "serve" in done.stdout


def test_a_command_that_fails_keeps_its_exit_status_out_of_the_zip_file(archive: Path) -> None:
    done = _run(str(archive), "serve", "--host", "192.0.2.1")
    assert done.returncode == 1
    assert done.stderr.startswith("rawsio: cannot listen on 192.0.2.1:3000")
    assert _run(str(archive), "serve", "--port", "99999").returncode == 2


def test_a_server_runs_out_of_the_zip_file(archive: Path) -> None:
    done = _run("-c", FETCH + SERVE, str(archive))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[1:3] == ["True", "True"], done.stdout


def test_no_module_looks_for_files_beside_itself() -> None:
    from .source import modules

    wrong = [m.where(1) for m in modules() if "__file__" in m.text]
    assert not wrong, f"a file beside the module is not there in a zip: {wrong}"
