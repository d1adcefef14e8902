"""The HTML report: one file that needs nothing else, with every case and its bytes annotated.

The bytes of a line are explained by :mod:`rawsio.explain`: each direction of each connection as a
tree, in which a mistake names the rule that it breaks.  Only cases that are not OK are annotated,
and long ones are cut, so that the file stays small enough to be mailed.
"""

from __future__ import annotations

from rawsio.explain import as_text, explain_http, explain_websocket
from rawsio.layer import Role

from .case import (
    ERROR,
    FAILED,
    INFORMATIONAL,
    NON_STRICT,
    OK,
    UNIMPLEMENTED,
    VERDICTS,
    in_words,
    prefix_of,
)
from .outcome import crossings
from .reports import repeat, wire_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["annotated", "as_html"]

_LONGEST = 4000
_CLASS = {
    OK: "ok",
    NON_STRICT: "lax",
    INFORMATIONAL: "info",
    UNIMPLEMENTED: "none",
    FAILED: "bad",
    ERROR: "error",
}
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --ok: #1a7f37; --lax: #9a6700; --info: #0969da;
  --none: #777; --bad: #cf222e; --error: #8250df; }
@media (prefers-color-scheme: dark) { :root { --ok: #3fb950; --lax: #d29922; --info: #58a6ff;
  --none: #999; --bad: #ff7b72; --error: #d2a8ff; } }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 75rem; margin: auto; padding: 1rem; }
h1 { font-size: 1.4rem; margin: 0; } h2 { font-size: 1.05rem; margin: 1.4rem 0 .3rem; }
.sum { display: flex; flex-wrap: wrap; gap: .2em 1.2em; }
.row { display: flex; flex-wrap: wrap; gap: 3px; }
.row a { width: 1.05rem; height: 1.05rem; border-radius: 3px; background: currentColor;
  display: block; }
.ok { color: var(--ok); } .lax { color: var(--lax); } .info { color: var(--info); }
.none { color: var(--none); } .bad { color: var(--bad); } .error { color: var(--error); }
.tools { position: sticky; top: 0; z-index: 1; background: Canvas; padding: .6rem 0;
  display: flex; gap: .6rem; flex-wrap: wrap; border-bottom: 1px solid var(--line); }
input, select { font: inherit; padding: .25rem .5rem; flex: 1 1 8rem; min-width: 0;
  max-width: 24rem; }
details { border-bottom: 1px solid var(--line); padding: .25rem 0; }
summary { cursor: pointer; overflow-wrap: anywhere; } summary b { font-weight: 600; }
summary small { opacity: .75; } pre { overflow-x: auto; font-size: 12.5px; line-height: 1.35;
  border-left: 3px solid var(--line); padding-left: .7rem; } .hide { display: none; }
"""
_SCRIPT = """
const text = document.getElementById("text"), want = document.getElementById("want");
function filter() {
  const words = text.value.toLowerCase().split(/\\s+/);
  for (const item of document.querySelectorAll("details")) {
    const said = item.dataset.said;
    const kind = !want.value || item.dataset.v === want.value;
    const fits = kind && words.every((w) => said.includes(w));
    item.classList.toggle("hide", !fits);
  }
}
text.addEventListener("input", filter); want.addEventListener("change", filter);
function show() {
  const found = document.getElementById(location.hash.slice(1));
  if (found) { found.open = true; found.scrollIntoView(); }
}
addEventListener("hashchange", show); show();
"""


def _html(text: str) -> str:
    for char, name in (("&", "amp"), ("<", "lt"), (">", "gt"), ('"', "quot")):
        text = text.replace(char, f"&{name};")
    return text


def annotated(case: dict[str, Any]) -> str:
    """Return the bytes of a case as text: each connection, each direction, field by field."""
    lines: dict[int, dict[str, bytes]] = {}
    for _at, way, data, line in crossings(case):
        ways = lines.setdefault(line, {">": b"", "<": b""})
        if len(ways[way]) < _LONGEST:
            ways[way] += data[: _LONGEST - len(ways[way])]
    parts = []
    for number, ways in list(lines.items())[:4]:
        ours, theirs = (Role.CLIENT, Role.SERVER)
        if ways["<"].startswith((b"GET ", b"POST ")):
            ours, theirs = theirs, ours
        for way, role, who in ((">", ours, "tester"), ("<", theirs, "peer")):
            if ways[way]:
                parts.append(f"connection {number}, the {who} sends\n{_explained(ways[way], role)}")
    return "\n".join(parts)


def _explained(data: bytes, sender: Role) -> str:
    head, _, rest = data.partition(b"\r\n\r\n")
    switches = b" 101 " in head[:16] or b"\nsec-websocket-key:" in head.lower()
    if not switches or not rest:
        return as_text(explain_http(data, sender))
    front = as_text(explain_http(head + b"\r\n\r\n", sender))
    return front + as_text(explain_websocket(rest, sender))


def as_html(report: dict[str, Any]) -> str:
    """Return the report as one HTML page: counts, matrix, a filter, and each case."""
    title = f"rawsio check: {report['target']['url']}"
    counted = "".join(
        f'<span class="{_CLASS[v]}">{report["counts"].get(v, 0)} {v}</span>'
        for v in VERDICTS
        if report["counts"].get(v)
    )
    options = "".join(f"<option>{v}</option>" for v in VERDICTS if report["counts"].get(v))
    return "\n".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_html(title)}</title><style>{_STYLE}</style>",
            f"<h1>{_html(title)}</h1>",
            f"<p>{_html(report['tool'])}, {_html(report['started'])}, {report['duration']:.1f} s, "
            f"{len(report['cases'])} cases</p>",
            f'<p class="sum">{counted}</p>',
            *_matrix(report),
            '<h2>Cases</h2><div class="tools"><input id="text" type="search" '
            'placeholder="filter by id, rule, words" aria-label="filter">'
            '<select id="want" aria-label="verdict"><option value="">every verdict</option>'
            f"{options}</select></div>",
            *(_case(report, case) for case in report["cases"]),
            f"<script>{_SCRIPT}</script></html>",
            "",
        ]
    )


def _matrix(report: dict[str, Any]) -> list[str]:
    groups: dict[str, list[dict[str, Any]]] = {}
    for case in report["cases"]:
        groups.setdefault(prefix_of(case["id"])[0], []).append(case)
    lines = []
    for prefix, cases in groups.items():
        cells = "".join(
            f'<a class="{_CLASS[c["verdict"]]}" href="#{_html(c["id"])}" '
            f'title="{_html(c["id"])}: {c["verdict"]}" aria-label="{_html(c["id"])}"></a>'
            for c in cases
        )
        lines.append(f'<h2>{prefix}</h2><div class="row">{cells}</div>')
    return lines


def _case(report: dict[str, Any], case: dict[str, Any]) -> str:
    said = f"{case['id']} {case['rule']} {case['text']} {case['got']} {case['note']}".lower()
    body = [
        f"rule      {case['rule']} ({case['level']})",
        f"expected  {in_words(case['expected'])}",
        f"got       {case['got']}",
    ]
    body += [f"note      {case['note']}"] if case["note"] else []
    body += [f"again     {repeat(report, case['id'])}", "", wire_text(case, 600)]
    if case["verdict"] not in (OK, INFORMATIONAL, UNIMPLEMENTED):
        body += ["", annotated(case)]
    return (
        f'<details id="{_html(case["id"])}" data-v="{case["verdict"]}" data-said="{_html(said)}">'
        f'<summary><b class="{_CLASS[case["verdict"]]}">{case["verdict"]}</b> '
        f"{_html(case['id'])} <small>{_html(case['text'])}</small></summary>"
        f"<pre>{_html(chr(10).join(body))}</pre></details>"
    )
