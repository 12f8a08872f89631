"""The guide as text: its pages in reading order, their sections, and what a link in them points to. No Qt."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rlhf_desktop.core.paths import resources_dir

_HEADING = re.compile(r"(#{1,4}) +(.+)")
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_MARKUP = re.compile(r"^[ |:-]+$|[|>#]|^\* ", re.MULTILINE)
_EMPHASIS = re.compile(r"[*`]")
_ALSO = re.compile(r"^\*Also: (.+)\*$", re.MULTILINE)
CONTENTS = "contents"


@dataclass(frozen=True)
class Group:
    """Pages that belong together, in reading order."""

    title: str
    pages: tuple[str, ...]


GROUPS = (
    Group("Begin here", ("first-round", "rlhf", "glossary")),
    Group("The rooms", ("chat", "label", "feedback", "training", "evaluation", "models", "settings", "projects")),
    Group("More about feedback", ("signals", "feedback_files")),
    Group("More about training", ("trainers", "reward-models", "families")),
    Group("Your data", ("privacy", "encryption", "trust")),
)


@dataclass(frozen=True)
class Section:
    """What stands under one heading, up to the next."""

    page: str
    title: str
    anchor: str  # "" for what comes before the first section of a page
    level: int
    text: str  # without markup
    also: str = ""  # other names for it, with commas between

    @property
    def target(self) -> str:
        """What a link to it says."""
        return f"{self.page}#{self.anchor}" if self.anchor else self.page


@dataclass(frozen=True)
class Page:
    """One file of the guide."""

    name: str
    markdown: str
    sections: tuple[Section, ...]

    @property
    def title(self) -> str:
        """Its first heading."""
        return self.sections[0].title


def folder() -> Path:
    """Where the guide lies."""
    return resources_dir() / "guide"


def page_names() -> list[str]:
    """Every page, in reading order."""
    there = {file.stem for file in folder().glob("*.md")}
    return [name for group in GROUPS for name in group.pages if name in there]


@cache
def page(name: str) -> Page:
    """A page of the guide; the contents page is made here.

    Raises:
        KeyError: there is no such page.
    """
    if name == CONTENTS:
        return _page(name, _contents())
    if name not in page_names():
        raise KeyError(name)
    return _page(name, (folder() / f"{name}.md").read_text("utf-8"))


def sections() -> Iterator[Section]:
    """Every section of every page."""
    for name in page_names():
        yield from page(name).sections


def resolve(link: str, here: str) -> str | None:
    """The target (`page` or `page#anchor`) a link on page `here` means; None for one that leads out of the guide."""
    if "://" in link or link.startswith("mailto:"):
        return None
    file, _, anchor = link.partition("#")
    name = file.removesuffix(".md") if file else here
    return f"{name}#{anchor}" if anchor else name


def slug(title: str) -> str:
    """A heading's anchor, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", plain(title).casefold()).strip().replace(" ", "-")


def plain(markdown: str) -> str:
    """Text without markup: what a search reads."""
    return " ".join(_EMPHASIS.sub("", _MARKUP.sub(" ", _LINK.sub(r"\1", _IMAGE.sub("", markdown)))).split())


def _page(name: str, markdown: str) -> Page:
    return Page(name, markdown, tuple(_sections(name, markdown)))


def _sections(name: str, markdown: str) -> Iterator[Section]:
    title, anchor, level, lines, fenced = name, "", 1, [], False
    for line in markdown.splitlines():
        fenced ^= line.startswith("```")
        found = None if fenced else _HEADING.fullmatch(line)
        if found is None:
            lines.append(line)
            continue
        if lines or anchor:
            yield _section(name, title, anchor, level, "\n".join(lines))
        title, level, lines = plain(found[2]), len(found[1]), []
        anchor = "" if level == 1 else slug(found[2])
    yield _section(name, title, anchor, level, "\n".join(lines))


def _section(name: str, title: str, anchor: str, level: int, markdown: str) -> Section:
    also = _ALSO.search(markdown)
    return Section(name, title, anchor, level, plain(_ALSO.sub("", markdown)), also[1] if also else "")


def _contents() -> str:
    lines = ["# The guide", ""]
    for group in GROUPS:
        there = [name for name in group.pages if name in page_names()]
        if there:
            lines += [f"## {group.title}", "", *(f"* [{page(name).title}]({name}.md)" for name in there), ""]
    return "\n".join(lines)
