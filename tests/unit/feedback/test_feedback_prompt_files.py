import json

import pytest

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.feedback.prompt_files import read_prompts


def user(text: str) -> list:
    return [{"role": "user", "content": text}]


def test_objects_messages_and_plain_texts_are_prompts(tmp_path):
    path = tmp_path / "p.jsonl"
    rows = [{"prompt": "One"}, {"prompt": user("Two"), "completions": [{"text": "x"}]}, "Three"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_prompts(path) == [user("One"), user("Two"), user("Three")]


def test_a_text_file_has_one_prompt_a_line(tmp_path):
    path = tmp_path / "p.txt"
    path.write_text('One\n\n  Two "quoted" — Ünïcode  \n')
    assert read_prompts(path) == [user("One"), user('Two "quoted" — Ünïcode')]


@pytest.mark.parametrize("name", ["p.jsonl", "p.txt"])
@pytest.mark.parametrize("content", ["", "\n \n"])
def test_an_empty_file(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    with pytest.raises(BadInput, match=rf"{name} (is empty|holds no prompts)\.") as caught:
        read_prompts(tmp_path / name)
    assert "a line" in caught.value.hint


@pytest.mark.parametrize(
    ("line", "said", "remedy"),
    [
        ("not json", r"p\.jsonl, line 2: it is not JSON\.", "one prompt a line"),
        ('{"question": "x"}', "line 2: it has no “prompt”", "one prompt a line"),
        ("17", "line 2: the prompt is not a list of messages", "one prompt a line"),
        ('{"prompt": []}', "line 2: the prompt is not a list of messages", "one prompt a line"),
        (json.dumps({"prompt": "x" * 10**6}), "line 2: the prompt has 1,000,000 characters; at most 32,768", "Shorten"),
        (json.dumps({"prompt": user("x" * 20_000) * 2}), "line 2: the prompt has 40,000 characters", "Shorten"),
        (json.dumps({"prompt": user("x" * 10**6)}), "line 2: the user message has 1,000,000 characters", "Shorten"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_with_a_remedy(tmp_path, line, said, remedy):
    path = tmp_path / "p.jsonl"
    path.write_text(f'{{"prompt": "fine"}}\n{line}\n')
    with pytest.raises(BadInput, match=said) as caught:
        read_prompts(path)
    assert remedy in caught.value.hint


def test_a_list_instead_of_lines_is_named(tmp_path):
    (tmp_path / "p.jsonl").write_text('["One",\n"Two"]')
    with pytest.raises(BadInput, match="JSON Lines"):
        read_prompts(tmp_path / "p.jsonl")


def test_a_million_characters_in_a_text_file(tmp_path):
    (tmp_path / "p.txt").write_text("fine\n" + "x" * 10**6)
    with pytest.raises(BadInput, match="line 2: the prompt has 1,000,000 characters"):
        read_prompts(tmp_path / "p.txt")


def test_a_missing_file_and_one_that_is_not_text(tmp_path):
    with pytest.raises(NotFound, match="no file"):
        read_prompts(tmp_path / "none.jsonl")
    (tmp_path / "p.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInput, match="line 1: it is not UTF-8"):
        read_prompts(tmp_path / "p.txt")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.csv", b'prompt,tag\nOne?,x\n"Two, or\nthree?",y\n'),
        ("excel.csv", 'Nr;Frage\r\n1;One?\r\n2;"Two, or\nthree?"\r\n'.encode("utf-8-sig")),
        ("p.tsv", 'id\tx\n1\tOne?\n2\t"Two, or\nthree?"\n'.encode("utf-16")),
        ("only.csv", b'alpha\nOne?\n"Two, or\nthree?"\n'),
    ],
)
def test_a_table_of_prompts(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert read_prompts(tmp_path / name) == [user("One?"), user("Two, or\nthree?")]


def test_a_table_whose_prompts_are_not_to_be_found_says_so(tmp_path):
    (tmp_path / "p.csv").write_text("alpha,beta\nx,y\n")
    with pytest.raises(BadInput, match=r"none of its columns says that it holds the prompts \(alpha, beta\)") as caught:
        read_prompts(tmp_path / "p.csv")
    assert "prompt" in caught.value.hint
    (tmp_path / "p.csv").write_text("prompt,beta\n,y\nx,y\n")
    with pytest.raises(BadInput, match="line 1: the prompt is empty"):
        read_prompts(tmp_path / "p.csv")
