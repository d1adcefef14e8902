"""What a frozen program takes along: the files for browsers, and modules imported by name."""

from __future__ import annotations

import runpy
from importlib import import_module
from pathlib import Path

import rawsio
from rawsio import _pyinstaller
from tests.architecture.source import ROOT, modules


def test_the_hook_names_every_module_and_every_file_that_is_no_module() -> None:
    (folder,) = _pyinstaller.hook_dirs()
    hook = runpy.run_path(str(Path(folder, "hook-rawsio.py")))
    known = {f"rawsio.{module.name}".removesuffix(".") for module in modules()}
    assert set(hook["hiddenimports"]) == known - {"rawsio._pyinstaller"}
    package = Path(rawsio.__file__).parent
    kinds = (".js", ".html", ".css", ".tsv", ".txt")
    files = {str(file) for file in package.rglob("*.*") if file.suffix in kinds}
    assert {file for file, _ in hook["datas"]} == files
    assert all(Path(file).parent == package.parent / target for file, target in hook["datas"])


def test_the_entry_point_that_leads_to_it_exists() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    assert (
        '[project.entry-points.pyinstaller40]\nhook-dirs = "rawsio._pyinstaller:hook_dirs"' in text
    )
    assert import_module("rawsio._pyinstaller").hook_dirs()
