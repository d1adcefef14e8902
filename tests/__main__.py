"""``python3 -m tests``: make an environment for the tests if there is none, and run the suite.

The environment is ``.venv`` in the checkout, made of the interpreter that runs this file, with
the ``test`` extra installed and the checkout itself as an editable package.  A stamp in it holds
what it was made from; when that changes (another Python, other requirements) it is made again.
Arguments and the interpreter's flags go on to pytest: ``python3 -O -m tests -k http`` works.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "EnvironmentFailed", "environment", "main"]

ROOT = Path(__file__).resolve().parent.parent
STAMP = "rawsio-tests.stamp"


class EnvironmentFailed(Exception):
    """The environment cannot be made; the text says why and what helps."""


def _version(python: str) -> str:
    asked = "import sys; print(sys.version, sys.prefix, sys.version_info >= (3, 10))"
    done = subprocess.run([python, "-c", asked], capture_output=True, text=True, check=False)
    if done.returncode:
        raise EnvironmentFailed(f"{python} does not run: {done.stderr.strip()}")
    if not done.stdout.strip().endswith("True"):
        raise EnvironmentFailed(f"rawsio needs Python 3.10 or later, {python} is {done.stdout}")
    return done.stdout.strip()


def _run(what: str, command: list[str], help_: str) -> None:
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise EnvironmentFailed(f"{what} failed.\n{done.stdout.strip()}\n\n{help_}")


def environment(
    folder: Path, requirements: list[str] | None = None, python: str = sys.executable
) -> str:
    """Return the interpreter of the environment in ``folder``, making it if it is not fresh.

    ``requirements`` are pip's arguments; without any, the checkout is installed with its
    ``test`` extra.  Raises ``EnvironmentFailed``.
    """
    bin_ = folder / ("Scripts" if os.name == "nt" else "bin")
    inside = str(bin_ / ("python.exe" if os.name == "nt" else "python"))
    wanted = requirements or ["--editable", ".[test]"]
    facts = [_version(python), str(folder), *wanted]
    if requirements is None:
        facts.append((ROOT / "pyproject.toml").read_text("utf-8"))
    fresh = hashlib.sha256("\n".join(facts).encode()).hexdigest()
    stamp = folder / STAMP
    if stamp.exists() and stamp.read_text("ascii") == fresh and Path(inside).exists():
        return inside
    print(f"making the environment {folder} ...", file=sys.stderr, flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    _run(
        "making the virtual environment",
        [python, "-m", "venv", str(folder)],
        "On Debian and Ubuntu the module venv is a package of its own: apt-get install "
        "python3-venv",
    )
    _run(
        "installing " + " ".join(wanted),
        [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted],
        "pip needs the network or an index that is configured. Without one: install hypothesis "
        "and pytest in an environment of your own and run `python -m pytest` there.",
    )
    stamp.write_text(fresh, "ascii")
    return inside


def main(arguments: list[str]) -> int:
    """Run pytest in the environment; return its exit code."""
    folder = ROOT / ".venv"
    try:
        inside = sys.executable
        if Path(sys.prefix).resolve() != folder.resolve():
            inside = environment(folder)
    except EnvironmentFailed as error:
        print(f"python -m tests: {error}", file=sys.stderr)
        return 2
    flags = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined]
    return subprocess.call([inside, *flags, "-m", "pytest", *arguments], cwd=ROOT)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
