"""A report's parts, and how they become an HTML page and a Markdown file that need nothing else: no network, script or font."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import TypeVar

from rlhf_desktop.core.files import write_atomic
from rlhf_desktop.core.paths import resources_dir
from rlhf_desktop.operations.markdown import as_cell, as_line
from rlhf_desktop.operations.rows import disk_troubles

_T = TypeVar("_T")


@dataclass(frozen=True)
class Paragraph:
    """A sentence or more. `kind`: "" | "lead" | "note" | "warn"."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Table:
    """Rows under headings."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Chart:
    """An SVG, what it shows, and the same numbers for a reader of text."""

    svg: str
    caption: str
    numbers: Table


@dataclass(frozen=True)
class Answers:
    """A prompt with answers side by side; `label` and text each."""

    prompt: str
    answers: tuple[tuple[str, str], ...]
    remark: str = ""


Block = Paragraph | Table | Chart | Answers


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Report:
    """A whole report. `name` is what its files are called."""

    name: str
    title: str
    subtitle: str
    sections: tuple[Section, ...]


@dataclass(frozen=True)
class ReportFiles:
    """Where a report was written."""

    html: Path
    markdown: Path


def write_report(report: Report, folder: Path) -> ReportFiles:
    """Write both files, each whole or not at all.

    Raises:
        BadInput: the folder cannot be written.
        NoSpace: the disk is full.
    """
    files = ReportFiles(folder / f"{report.name}.html", folder / f"{report.name}.md")
    with disk_troubles(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(files.html, as_html(report))
        write_atomic(files.markdown, as_markdown(report))
    return files


# --- HTML ---------------------------------------------------------------------------------------------------------------------


def as_html(report: Report) -> str:
    """One page. Its own policy forbids it to load anything or to run a script."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    body = "".join(
        f"<section><h2>{escape(section.title)}</h2>{''.join(map(_html, section.blocks))}</section>" for section in report.sections
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.title)}</title><style>{_style()}</style></head>"
        f'<body><h1>{escape(report.title)}</h1><p class="sub">{escape(report.subtitle)}</p>{body}</body></html>\n'
    )


@cache
def _style() -> str:
    return (resources_dir() / "report" / "style.css").read_text("utf-8")


def _html(block: Block) -> str:
    if isinstance(block, Paragraph):
        kind = f' class="{block.kind}"' if block.kind else ""
        return f"<p{kind}>{escape(block.text)}</p>"
    if isinstance(block, Table):
        head = "".join(f"<th>{escape(cell)}</th>" for cell in block.headings)
        rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in block.rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    if isinstance(block, Chart):
        return f"<figure>{block.svg}<figcaption>{escape(block.caption)}</figcaption></figure>"
    answers = "".join(f"<div><b>{escape(label)}</b>{escape(text)}</div>" for label, text in block.answers)
    remark = f'<p class="note">{escape(block.remark)}</p>' if block.remark else ""
    return f'<div class="pair"><p><b>{escape(block.prompt)}</b></p><div class="answers">{answers}</div>{remark}</div>'


# --- Markdown -----------------------------------------------------------------------------------------------------------------


def as_markdown(report: Report) -> str:
    """The same in Markdown; charts become their numbers."""
    lines = [f"# {as_line(report.title)}", "", as_line(report.subtitle), ""]
    for section in report.sections:
        lines += [f"## {as_line(section.title)}", ""]
        for block in section.blocks:
            lines += [*_markdown(block), ""]
    return "\n".join(lines)


def _markdown(block: Block) -> list[str]:
    if isinstance(block, Paragraph):
        return [f"**{as_line(block.text)}**" if block.kind in ("lead", "warn") else as_line(block.text)]
    if isinstance(block, Table):
        return _table(block)
    if isinstance(block, Chart):
        return [as_line(block.caption), "", *_table(block.numbers)]
    lines = [f"> **{as_line(block.prompt)}**"]
    for label, text in block.answers:
        lines += [">", f"> *{as_line(label)}:* {as_line(text)}"]
    return [*lines, *([">", f"> {as_line(block.remark)}"] if block.remark else [])]


def _table(table: Table) -> list[str]:
    lines = ["| " + " | ".join(map(as_cell, table.headings)) + " |", "|" + "---|" * len(table.headings)]
    return [*lines, *("| " + " | ".join(map(as_cell, row)) + " |" for row in table.rows)]


def sampled(rows: Sequence[_T], most: int = 12) -> tuple[_T, ...]:
    """At most so many rows, evenly spread, the first and last kept."""
    if len(rows) <= most:
        return tuple(rows)
    return tuple(rows[round(i * (len(rows) - 1) / (most - 1))] for i in range(most))
