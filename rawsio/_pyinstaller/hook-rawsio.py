"""PyInstaller runs this for a program that imports rawsio."""

from __future__ import annotations

from rawsio._pyinstaller import files, modules

__all__ = ["datas", "hiddenimports"]

datas = files()
hiddenimports = modules()
