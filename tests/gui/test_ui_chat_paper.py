"""A conversation as PDF: its text is in it, page after page, and nothing in a message reaches out of it."""

import threading

import pytest

from rlhf_desktop.operations.conversation_export import Said, Transcript
from rlhf_desktop.ui.chat.paper import document_of, write_pdf

PdfReader = pytest.importorskip("pypdf").PdfReader

TALK = Transcript(
    "Der Mixer",
    (
        Said("system", "Be brief.", "", ""),
        Said("user", "Is *it* broken? ``` <b>bold</b>", "", ""),
        Said("assistant", "1. Unplug it\n2. Read:\n\n```\nmixer --help", "tiny", "", cut=True),
        Said("user", "![x](/etc/passwd) مرحبا", "", ""),
    ),
)


def read(path):
    return [" ".join(page.extract_text().split()) for page in PdfReader(path).pages]


@pytest.fixture
def pdf(tmp_path, qapp):
    path = tmp_path / "talk.pdf"
    write_pdf(TALK, path)
    return path


def test_all_that_was_said_is_in_it_under_who_said_it(pdf):
    (said,) = read(pdf)
    for words in ("Der Mixer", "Instructions Be brief.", "You Is it broken?", "tiny (cut)", "Unplug it", "mixer --help"):
        assert words in said
    assert "<b>bold</b>" in said  # text, no HTML
    assert "[image: x /etc/passwd]" in said


def test_a_long_conversation_goes_on_on_more_pages(tmp_path, qapp):
    path = tmp_path / "long.pdf"
    write_pdf(Transcript("Long", tuple(Said("user", f"Question {n}. " + "words " * 60, "", "") for n in range(40))), path)
    pages = read(path)
    assert len(pages) > 2
    assert "Question 0." in pages[0]
    assert "Question 39." in pages[-1]


def test_it_is_made_on_another_thread_as_in_the_window(tmp_path, qapp):
    path = tmp_path / "talk.pdf"
    work = threading.Thread(target=write_pdf, args=(TALK, path))
    work.start()
    work.join()
    assert "Unplug it" in read(path)[0]


def test_messages_stay_apart(qapp):
    document = document_of(TALK)
    blocks = []
    block = document.begin()
    while block.isValid():
        blocks.append((block.text(), block.blockFormat().hasProperty(block.blockFormat().Property.BlockCodeFence)))
        block = block.next()
    assert blocks[-2] == ("You", False)  # the code left open before it has ended with its message
