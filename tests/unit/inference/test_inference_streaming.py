import pytest

from rlhf_desktop.inference.streaming import TextStream
from tests.tiny import make_tiny_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return make_tiny_tokenizer()


def stream(tokenizer, ids):
    text = TextStream(tokenizer)
    pieces = [text.push(token) for token in ids]
    pieces.append(text.finish())
    assert "".join(pieces) == text.text
    return pieces


@pytest.mark.parametrize("text", ["The printer is broken.", " leading", "a\n\n b  c", "é😀 👩‍👩‍👧 مرحبا 你好", "�kept�"])
def test_the_pieces_are_the_whole_text(tokenizer, text):
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert "".join(stream(tokenizer, ids)) == text


def test_no_piece_holds_half_a_character(tokenizer):
    ids = tokenizer.encode("a😀b", add_special_tokens=False)
    assert [p for p in stream(tokenizer, ids) if p] == ["a", "😀", "b"]


def test_an_answer_cut_inside_a_character_says_so(tokenizer):
    ids = tokenizer.encode("a😀", add_special_tokens=False)[:-1]
    assert "".join(stream(tokenizer, ids)) == "a\ufffd"


def test_special_tokens_are_not_text(tokenizer):
    ids = [1, *tokenizer.encode("Hi", add_special_tokens=False), 2]
    assert "".join(stream(tokenizer, ids)) == "Hi"


def test_after_the_plain_template_the_first_space_goes():
    tokenizer = make_tiny_tokenizer()
    tokenizer.chat_template = None
    assert "".join(stream(tokenizer, tokenizer.encode(" Yes. No.", add_special_tokens=False))) == "Yes. No."
