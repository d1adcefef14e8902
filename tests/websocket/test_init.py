"""The names of the package, loaded on first use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import rawsio.websocket


def test_every_name_is_there_and_no_other() -> None:
    for name in rawsio.websocket.__all__:
        assert getattr(rawsio.websocket, name).__name__ == name
        assert name in dir(rawsio.websocket)
    with pytest.raises(AttributeError, match="has no attribute 'Frames'"):
        _ = rawsio.websocket.Frames  # type: ignore[attr-defined]


def test_importing_it_imports_none_of_its_modules_and_never_zlib() -> None:
    program = (
        "import sys, rawsio.websocket; print(sorted(m for m in sys.modules if 'websocket.' in m));"
        "import rawsio.websocket.connection, rawsio.websocket.handshake;"
        "print('zlib' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(rawsio.__file__).parents[1],
    )
    assert done.stdout == "[]\nFalse\n"
