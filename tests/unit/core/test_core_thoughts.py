import pytest

from rlhf_desktop.core.thoughts import HARMONY, TAGS, THINK, ThoughtSplitter, split_thought

GPT_OSS = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes."
TEXTS = {  # text → thought, answer
    "Yes.": ("", "Yes."),
    "  Yes.\n": ("", "  Yes.\n"),
    "<think>\nHm, < 3?\n</think>\n\nYes.": ("Hm, < 3?", "Yes."),
    "\n<think></think>\nYes.": ("", "Yes."),
    "<think>Hm.</think>": ("Hm.", ""),
    "<think>Hm, and": ("Hm, and", ""),  # cut at the length limit
    "<think>Hm.</thi": ("Hm.</thi", ""),  # … inside the mark
    "<thi": ("", "<thi"),
    "<thinking> is a mark. </think> too.": ("", "<thinking> is a mark. </think> too."),
    "Say <think>this</think>.": ("", "Say <think>this</think>."),
    "<think>a</think>Use <think>b</think>.": ("a", "Use <think>b</think>."),
}


def whole(text: str, pieces: list[str], **how) -> ThoughtSplitter:
    splitter = ThoughtSplitter(**how)
    given = [part for piece in pieces for part in splitter.push(piece)] + splitter.finish()
    assert "".join(part for thought, part in given if thought).strip() == splitter.thought
    assert "".join(part for thought, part in given if not thought) == splitter.answer
    return splitter


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_thought_and_answer_come_apart_however_the_text_is_cut(text, size):
    found = whole(text, [text[at : at + size] for at in range(0, len(text), size)])
    assert (found.thought, found.answer) == TEXTS[text]


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_channels(size):
    pieces = [GPT_OSS[at : at + size] for at in range(0, len(GPT_OSS), size)]
    found = whole(GPT_OSS, pieces, tags=HARMONY)
    assert (found.thought, found.answer) == ("Hm.", "Yes.")
    alone = whole("", ["<|channel|>final<|message|>Yes."], tags=HARMONY)
    assert (alone.thought, alone.answer) == ("", "Yes.")


def test_a_thought_that_the_prompt_has_opened():
    found = whole("", ["Hm.", "</think>\n\n", "Yes."], opened=True)
    assert (found.thought, found.answer, found.closed) == ("Hm.", "Yes.", True)
    cut = whole("", ["Hm, and"], opened=True)
    assert (cut.thought, cut.answer, cut.closed) == ("Hm, and", "", False)


def test_a_thought_that_only_ends():
    splitter = ThoughtSplitter(may_close_unopened=True)
    splitter.push("Hm.</think>\n\nYes.")
    splitter.finish()
    assert (splitter.thought, splitter.answer) == ("Hm.", "Yes.")


def test_nothing_of_a_text_is_ever_lost():
    for text in TEXTS:
        found = whole(text, list(text))
        left = found.thought + found.answer
        assert [c for c in left if not c.isspace()] == [
            c for c in text.replace("<think>", "", text.lstrip().startswith("<think>")).replace(
                "</think>", "", bool(found.closed and text.lstrip().startswith("<think>")))
            if not c.isspace()
        ]  # fmt: skip


def test_a_thought_may_be_ended_from_outside():
    splitter = ThoughtSplitter(opened=True)
    splitter.push("Hm, and</th")
    splitter.close()
    splitter.push("\n\nYes.")
    splitter.finish()
    assert (splitter.thought, splitter.answer) == ("Hm, and</th", "Yes.")


@pytest.mark.parametrize("tags", TAGS)
def test_complete_texts_of_every_format(tags):
    text = f"{tags.opens[0]}\nHm.\n{tags.close}{''.join(tags.leads)}\n\nYes."
    assert split_thought(text) == ("Hm.", "Yes.")
    assert split_thought(text.partition(tags.close)[0]) == ("", text.partition(tags.close)[0])  # not a whole one


def test_a_text_of_nothing_but_a_thought_stays_as_it_is():
    assert split_thought("<think>Hm.</think>") == ("", "<think>Hm.</think>")
    assert split_thought("Yes.") == ("", "Yes.")
    assert THINK in TAGS
