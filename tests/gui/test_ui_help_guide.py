"""The guide's files: every link, anchor and command in them leads somewhere, and every page is in the contents."""

import re
import shlex
import sys
from pathlib import Path

import click
import pytest

from rlhf_desktop.cli.main import root
from rlhf_desktop.ui.help import guide

sys.path.insert(0, str(Path(__file__).parents[2] / "packaging"))
import guide_pictures

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FILES = sorted(file.stem for file in guide.folder().glob("*.md"))
PICTURE = re.compile(r"!\[([^\]]+)\]\(pictures/([\w-]+)\.png\)")
MOST_BYTES = 1_500_000
COMMAND = re.compile(r"rlhf-desktop ([a-z][^`\n]*)")


def target_exists(target: str) -> bool:
    name, _, anchor = target.partition("#")
    return name in FILES and (not anchor or anchor in {section.anchor for section in guide.page(name).sections})


def test_every_page_is_in_the_contents_once():
    assert sorted(guide.page_names()) == FILES
    links = LINK.findall(guide.page(guide.CONTENTS).markdown)
    assert sorted(link.removesuffix(".md") for link in links) == FILES


@pytest.mark.parametrize("name", FILES)
def test_every_link_of_a_page_leads_somewhere(name):
    links = [link for link in LINK.findall(guide.page(name).markdown) if not link.startswith("pictures/")]
    targets = [guide.resolve(link, name) for link in links]
    assert [link for link, target in zip(links, targets, strict=True) if target and not target_exists(target)] == []


@pytest.mark.parametrize("name", FILES)
def test_every_page_shows_a_picture_that_the_script_makes(name):
    text = guide.page(name).markdown
    shown = [picture for _words, picture in PICTURE.findall(text)]
    assert shown
    assert len(shown) == text.count("![")  # each with words for who cannot see it
    assert set(shown) <= set(guide_pictures.PICTURES)
    for picture in shown:
        assert (guide.folder() / "pictures" / f"{picture}.png").read_bytes().startswith(b"\x89PNG")


def test_the_pictures_are_those_shown_and_small():
    files = sorted((guide.folder() / "pictures").iterdir())
    shown = {picture for name in FILES for _words, picture in PICTURE.findall(guide.page(name).markdown)}
    assert {file.stem for file in files} == shown == set(guide_pictures.PICTURES)
    assert sum(file.stat().st_size for file in files) < MOST_BYTES


def test_a_pages_first_heading_is_its_title():
    for name in FILES:
        page = guide.page(name)
        assert page.markdown.startswith("# ")
        assert page.sections[0].level == 1
        assert len({section.anchor for section in page.sections}) == len(page.sections)


def words_of(line: str) -> list[str]:
    """A command's own words: up to the first argument, option or placeholder."""
    plain = shlex.split(re.split(r"\s{3,}|[|…\[(]", line)[0].replace("'", " "), comments=True)
    kept = []
    for word in plain:
        if word.startswith("-") or not re.fullmatch(r"[a-z][a-z-]*", word):
            break
        kept.append(word)
    return kept


@pytest.mark.parametrize("name", FILES)
def test_every_command_of_a_page_is_one(name):
    for line in COMMAND.findall(guide.page(name).markdown):
        command: click.Command = root
        for word in words_of(line):
            if not isinstance(command, click.Group):
                break
            found = command.get_command(click.Context(command), word)
            assert found is not None, f"rlhf-desktop {line}"
            command = found


def test_links_out_of_the_guide_are_told_from_pages():
    assert guide.resolve("https://example.com/a#b", "chat") is None
    assert guide.resolve("mailto:a@example.com", "chat") is None
    assert guide.resolve("glossary.md#lora", "chat") == "glossary#lora"
    assert guide.resolve("#ask", "chat") == "chat#ask"


def test_plain_text_keeps_no_mark_and_adds_no_space():
    said = "* *Stopped*: press **Restart**, or `Ctrl+R`. See [Chat](chat.md#ask).\n\n| a | b |\n|---|---|\n| c | d |"
    assert guide.plain(said) == "Stopped: press Restart, or Ctrl+R. See Chat. a b c d"


def test_anchors_are_those_that_github_makes():
    assert guide.slug("Before a run: the Train room") == "before-a-run-the-train-room"
    assert guide.slug("Can be taught: 104 families") == "can-be-taught-104-families"
    assert guide.slug("What `max_length` is") == "what-max_length-is"
