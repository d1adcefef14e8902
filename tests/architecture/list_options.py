"""Write the tables of ``rfc_notes/options.md`` anew, from the options and their docstrings.

``python -m tests.architecture.list_options``
"""

from __future__ import annotations

import ast
import re

from .source import ROOT

__all__ = ["DOCUMENT", "tables", "written"]

DOCUMENT = ROOT / "rfc_notes" / "options.md"

RECORDS = {
    "server": ("server/config.py", "ServerOptions"),
    "engine": ("engineio/server/options.py", "EngineOptions"),
    "cors": ("engineio/server/options.py", "Cors"),
    "cookie": ("engineio/server/options.py", "Cookie"),
    "recovery": ("app/recovery.py", "Recovery"),
    "deflate": ("websocket/deflate.py", "DeflateOptions"),
    "queue": ("queue/messages.py", "QueueOptions"),
    "limits": ("limits.py", "Limits"),
}
"""The tables by the names of their marks in the document, and where their rows come from."""


def _rows(path: str, name: str) -> list[str]:
    tree = ast.parse((ROOT / "rawsio" / path).read_text("utf-8"))
    constants = {ast.unparse(n.targets[0]): n.value for n in tree.body if isinstance(n, ast.Assign)}
    (record,) = (n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == name)
    rows = []
    for node, after in zip(record.body, [*record.body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or node.value is None:
            continue
        text = ""
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            text = re.sub(r"\s+", " ", str(after.value.value)).strip()
        text = re.sub(r":[a-z]+:`~?[\w.]*?(\w+)`", r"`\1`", text).replace("``", "`")
        default = ast.unparse(constants.get(ast.unparse(node.value), node.value))
        cells = (f"`{ast.unparse(node.target)}`", f"`{default}`", text)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return rows


def tables() -> dict[str, str]:
    """Return each table by its mark."""
    head = "| name | default | meaning |\n|---|---|---|\n"
    return {mark: head + "\n".join(_rows(*place)) for mark, place in RECORDS.items()}


def written() -> str:
    """Return the document with its tables as they should be."""
    text = DOCUMENT.read_text("utf-8")
    for mark, table in tables().items():
        pattern = rf"(<!-- {mark} -->\n).*?(\n<!-- end -->)"
        text = re.sub(pattern, lambda m, t=table: m[1] + t + m[2], text, count=1, flags=re.DOTALL)
    return text


if __name__ == "__main__":
    DOCUMENT.write_text(written(), "utf-8")
