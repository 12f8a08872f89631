"""Thoughts and answers of one request, on a tokenizer with a template and a sampler that plays what a model would write."""

from dataclasses import replace

import pytest
import torch

from rlhf_desktop.core.protocol import Begun, Completion, Generate, Sampling, Token
from rlhf_desktop.inference.chat_text import thinking_of
from rlhf_desktop.inference.model import BaseModel, find_end_ids, find_pad_id
from rlhf_desktop.inference.sampler import SampledAnswer
from rlhf_desktop.inference.template import prompt_ids
from rlhf_desktop.worker.writing import Writer, thought_room
from tests.templates import CASES, made, talk
from tests.tiny import make_tiny_tokenizer

END = 2


def base_of(tokenizer, end="<|im_end|>"):
    ends = find_end_ids(tokenizer)
    assert tokenizer.convert_ids_to_tokens(ends[0]) == end
    return BaseModel(None, tokenizer, torch.device("cpu"), torch.float32, find_pad_id(tokenizer, ends), ends, "0" * 64)


class Played:
    """A sampler that writes what it was given for each prompt and answer, obeying the room and the ends as the real one does."""

    def __init__(self, tokenizer, texts, stop_after=10**9):
        self.tokenizer, self.texts, self.stop_after = tokenizer, list(texts), stop_after
        self.asked = []

    def __call__(self, *, prompts, k, sampling, end_ids, seed, on_tokens, on_answer, should_stop):
        self.asked.append((prompts, k, sampling.max_new_tokens, seed))
        answers = [self._one(j, i, sampling, end_ids, on_tokens, should_stop) for j in range(len(prompts)) for i in range(k)]
        for answer in answers if on_answer else ():
            on_answer(answer)
        return answers

    def _one(self, j, i, sampling, end_ids, on_tokens, should_stop):
        ids = []
        for token in self.tokenizer.encode(self.texts.pop(0), add_special_tokens=False):
            if should_stop() or self.stop_after == 0:
                return SampledAnswer(j, i, ids, "cancelled")
            self.stop_after -= 1
            ids.append(token)
            if token in end_ids:
                return SampledAnswer(j, i, ids, "end")
            on_tokens([(j, i, token)])
            if len(ids) == sampling.max_new_tokens:
                return SampledAnswer(j, i, ids, "length")
        return SampledAnswer(j, i, ids, "cancelled")


def write(case, texts, *, k=1, thought=100, new=50, begun=None, **played):
    tokenizer = made(case)
    sampling = Sampling(max_new_tokens=new, max_thought_tokens=thought)
    request = Generate(id="r", prompts=[talk("Why?")], k=k, sampling=sampling, seed=7, begun=begun)
    said = []
    writer = Writer(base_of(tokenizer, case.end), request, said.append)
    play = Played(tokenizer, texts, **played)
    prompts = [prompt_ids(tokenizer, messages, thinking=writer.room > 0) for messages in request.prompts]
    play.begun = writer.begun_ids
    writer.write(prompts, play, lambda: False)
    completions = [reply for reply in said if isinstance(reply, Completion)]
    for reply in completions:  # what was streamed is what is complete
        streamed = {t: "".join(r.text for r in said if isinstance(r, Token) and r.completion == reply.completion and r.thought is t)
                    for t in (True, False)}  # fmt: skip
        assert (streamed[True].strip(), streamed[False]) == (reply.thought, reply.text)
    return completions, play, tokenizer, prompts[0]


SWITCH, OPENS = CASES["enable_thinking"], CASES["thinking opened, closed in answers"]
PLAIN_MARKS, HARMONY = CASES["enable_thinking, marks not in the vocabulary"], CASES["harmony"]


def test_without_a_thought_it_is_one_request_with_the_thought_closed():
    (answer,), play, tokenizer, prompt = write(SWITCH, ["Because.<|im_end|>"], thought=0)
    assert tokenizer.decode(prompt).endswith("<think>\n\n</think>\n\n")
    assert (answer.text, answer.thought, answer.thought_tokens, answer.finish) == ("Because.", "", 0, "end")
    assert [asked[2:] for asked in play.asked] == [(50, 7)]
    assert answer.tokens == len(tokenizer.encode("Because.<|im_end|>", add_special_tokens=False))


def test_a_thought_and_its_answer_have_rooms_of_their_own():
    (answer,), play, tokenizer, prompt = write(SWITCH, ["<think>\nHm.\n</think>", "\n\nBecause.<|im_end|>"])
    assert (answer.thought, answer.text, answer.finish) == ("Hm.", "Because.", "end")
    assert [asked[2] for asked in play.asked] == [100, 50]
    (went_on,) = play.asked[1][0]
    assert went_on == prompt + tokenizer.encode("<think>\nHm.\n</think>", add_special_tokens=False)
    assert answer.thought_tokens >= 4
    assert answer.tokens <= 1 + len(tokenizer.encode("\n\nBecause.", add_special_tokens=False))


def test_a_thought_whose_room_is_used_up_is_closed_and_answered():
    (answer,), play, tokenizer, prompt = write(OPENS, ["Hm, and again " * 30, "Because.<|im_end|>"], thought=20)
    assert answer.text == "Because."
    assert "Hm, and again".startswith(answer.thought[:13])
    (went_on,) = play.asked[1][0]
    assert tokenizer.decode(went_on).endswith("\n</think>\n\n")
    assert len(went_on) == len(prompt) + 20 + len(tokenizer.encode("\n</think>\n\n", add_special_tokens=False))


def test_a_model_that_ends_its_turn_while_thinking_answers_all_the_same():
    (answer,), play, *_ = write(OPENS, ["Hm.<|im_end|>", "Because.<|im_end|>"])
    assert (answer.thought, answer.text) == ("Hm.", "Because.")
    assert END not in play.asked[1][0][0][-12:]


def test_a_model_that_may_think_and_does_not():
    (answer,), play, *_ = write(SWITCH, ["Because.<|im_end|>"])
    assert (answer.thought, answer.text, answer.finish) == ("", "Because.", "end")
    assert len(play.asked) == 1


def test_marks_of_several_tokens():
    (answer,), *_ = write(PLAIN_MARKS, ["<think>Hm.</think>\n\nBecause.<|im_end|>"])
    assert (answer.thought, answer.text, answer.finish) == ("Hm.", "Because.", "end")
    (long,), *_ = write(PLAIN_MARKS, ["<think>Hm.</think>\n\nBecause " + "so " * 99, "it is.<|im_end|>"], thought=30)
    assert (long.thought, long.text.endswith("it is.")) == ("Hm.", True)


def test_channels_of_special_tokens():
    thought = "<|channel|>analysis<|message|>Hm.<|end|>"
    (answer,), *_ = write(HARMONY, [thought, "<|start|>assistant<|channel|>final<|message|>Because.<|return|>"])
    assert (answer.thought, answer.text, answer.finish) == ("Hm.", "Because.", "end")
    (cut,), play, tokenizer, _ = write(
        HARMONY, ["<|channel|>analysis<|message|>Hm, " + "so " * 99, "Because.<|return|>"], thought=9
    )
    assert cut.text == "Because."
    assert tokenizer.decode(play.asked[1][0][0]).endswith("<|end|><|start|>assistant<|channel|>final<|message|>")


def test_each_answer_goes_on_from_its_own_thought():
    texts = ["One.</think>", "Two.</think>", "\n\nA.<|im_end|>", "\n\nB.<|im_end|>"]
    answers, play, *_ = write(OPENS, texts, k=2)
    assert [(a.completion, a.thought, a.text) for a in answers] == [(0, "One.", "A."), (1, "Two.", "B.")]
    assert (play.asked[1][1], len(play.asked[1][0])) == (1, 2)
    assert play.asked[0][3] != play.asked[1][3]  # other draws


def test_what_was_thought_is_kept_when_it_is_stopped():
    (answer,), *_ = write(OPENS, ["Hm, and so on"], stop_after=3)
    assert (answer.finish, answer.text) == ("cancelled", "")
    assert answer.thought


def test_a_model_without_a_template_ends_where_it_would_write_the_next_turn():
    plain = CASES["no template"]
    (answer,), *_ = write(plain, [" Because.\n\nUser: And why"], thought=500)
    assert (answer.text, answer.finish, answer.thought) == ("Because.", "end", "")
    (other,), *_ = write(plain, [" One.\n\nUsers like it.<|im_end|>"])
    assert other.text == "One.\n\nUsers like it."


@pytest.mark.parametrize(("name", "room"), [("enable_thinking", 0), ("harmony", 1024), ("no template", 0)])
def test_how_much_room_a_thought_has_by_default(name, room):
    thinking = thinking_of(made(CASES[name]))
    assert thought_room(thinking, Sampling()) == room
    assert thought_room(thinking, Sampling(max_thought_tokens=99)) == (99 if name != "no template" else 0)


@pytest.mark.parametrize("text", ["<think>Hm.</think>Because.", "Because."])
def test_a_model_that_nobody_expected_to_think(text):
    tokenizer = make_tiny_tokenizer()
    said = []
    writer = Writer(base_of(tokenizer), Generate(id="r", prompts=[talk("Why?")]), said.append)
    writer.write([prompt_ids(tokenizer, talk("Why?"))], Played(tokenizer, [text + "<|im_end|>"]), lambda: False)
    assert said[-1].text == "Because."


LONG = "It is broken, and I am very sorry to hear it. We will send you a new one today, with your lamp and your kettle."


@pytest.mark.parametrize(("thought", "new", "cut"), [(100, 7, 7), (7, 12, 12), (7, 200, None)])
def test_an_answer_without_the_thought_that_was_awaited_is_as_long_as_any(thought, new, cut):
    ids = made(SWITCH).encode(LONG, add_special_tokens=False)
    rest = made(SWITCH).decode(ids[thought:])
    (answer,), play, tokenizer, _ = write(SWITCH, [f"{LONG}<|im_end|>", f"{rest}<|im_end|>"], thought=thought, new=new)
    assert (answer.text, answer.thought) == (tokenizer.decode(ids[:cut]), "")
    assert (answer.tokens, answer.finish) == ((cut, "length") if cut else (len(ids) + 1, "end"))
    assert len(play.asked) == (1 if new < thought else 2)


def goes_on(case, texts, rest, whole, **how):
    """Cut an answer, go on with it, and look at what the model read again."""
    (cut,), first, _, prompt = write(case, texts, new=2, **how)
    assert cut.finish == "length"
    assert whole.startswith(cut.text)
    rest = whole[len(cut.text) :] + rest
    (answer,), again, *_ = write(case, [rest], begun=Begun(text=cut.text, written=cut.written), **how)
    assert (answer.text, answer.finish, answer.thought) == (whole, "end", cut.thought)
    (read,) = again.asked[-1][0]
    (before,) = first.asked[-1][0]  # what the answer was written after, with its thought
    assert read == [*prompt, *again.begun]
    assert read[: len(before)] == before
    assert len(read) == len(before) + cut.tokens


WHOLE = "Because it is broken, and nobody has repaired it."


@pytest.mark.parametrize("name", CASES)
def test_an_answer_without_a_thought_goes_on_under_every_template(name):
    case = CASES[name]
    tokenizer = made(case)
    if thinking_of(tokenizer).kind not in ("none", "switch"):
        pytest.skip("it always thinks first")
    case = replace(case, end=tokenizer.convert_ids_to_tokens(find_end_ids(tokenizer)[0]))
    goes_on(case, [f"{WHOLE}{case.end}"], case.end, WHOLE, thought=0)


@pytest.mark.parametrize(
    ("case", "thought", "end"),
    [
        (SWITCH, "<think>\nHm.\n</think>", "<|im_end|>"),
        (OPENS, "Hm.\n</think>", "<|im_end|>"),
        (HARMONY, "<|channel|>analysis<|message|>Hm.<|end|>", "<|return|>"),
    ],
    ids=["switch", "opened", "harmony"],
)
def test_an_answer_goes_on_after_the_thought_it_was_begun_after(case, thought, end):
    lead = "<|start|>assistant<|channel|>final<|message|>" if case is HARMONY else ""
    room = 9 + len(made(case).encode(lead, add_special_tokens=False))
    (cut,), *_ = write(case, [thought, f"{lead}{WHOLE}{end}"], new=room)
    assert (cut.thought, cut.finish, cut.written.closing != []) == ("Hm.", "length", True)
    (answer,), again, *_ = write(case, [f"{WHOLE[len(cut.text) :]}{end}"], begun=Begun(text=cut.text, written=cut.written))
    assert (answer.text, answer.thought, answer.thought_tokens) == (WHOLE, "Hm.", cut.thought_tokens)
    assert [asked[2] for asked in again.asked] == [50]  # it does not think again
