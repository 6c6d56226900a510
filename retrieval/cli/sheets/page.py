"""A contact sheet as HTML: one page without scripts that asks for nothing elsewhere."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator

from retrieval.cli.printing import printable
from retrieval.cli.sheets.entries import Entry, Line, Run

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.4 system-ui, sans-serif }
body { margin: 1.5rem; max-width: 90rem }
h1 { font-size: 1.3rem }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: 1.2rem }
ol { padding: 0; list-style: none }
img { display: block; max-width: 100%; height: 11rem; object-fit: contain; object-position: left; background: #8882 }
.none { height: 11rem; display: grid; place-items: center; background: #8882; color: GrayText }
.name { display: block; font-weight: 600; overflow-wrap: anywhere }
.shown { position: relative; width: fit-content; max-width: 100% }
.moment { position: absolute; top: .4rem; right: .4rem; padding: .05rem .35rem; border-radius: 4px; font-size: .78rem }
.moment { color: #fff; background: #000a; font-variant-numeric: tabular-nums }
mark { color: inherit; border-radius: .2rem }
p { margin: .25rem 0 } small { color: GrayText; overflow-wrap: anywhere }
"""


def page_of(title: str, entries: Iterable[Entry]) -> str:
    """Write the page; what others wrote becomes text, never HTML."""
    shown = _text(printable(title))
    return (
        '<!doctype html><html><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{shown}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{shown}</h1><ol>{''.join(map(_entry, entries))}</ol></body></html>\n"
    )


def _entry(entry: Entry) -> str:
    return f"<li>{''.join(_picture(entry))}{''.join(map(_line, entry.lines))}</li>"


def _picture(entry: Entry) -> Iterator[str]:
    from retrieval.evaluation.report.thumbnails import jpeg_uri

    badge = f'<span class="moment">{entry.moment}</span>' if entry.moment else ""
    if entry.jpeg is not None:
        alt = _text(printable(entry.name))
        yield f'<div class="shown"><img src="{jpeg_uri(entry.jpeg)}" alt="{alt}">{badge}</div>'
    elif entry.missing:
        yield f'<div class="shown"><div class="none">{entry.missing}</div>{badge}</div>'


def _line(line: Line) -> str:
    return f"<p>{''.join(map(_run, line))}</p>"


def _run(run: Run) -> str:
    text = _text(run.text)
    if run.share is not None:
        return f'<mark style="background:rgb(255 150 0 / {0.85 * run.share:.2f})">{text}</mark>'
    if run.style == "small":
        return f"<small>{text}</small>"
    return f'<span class="name">{text}</span>' if run.style == "name" else text


def _text(text: str) -> str:
    return html.escape(text)
