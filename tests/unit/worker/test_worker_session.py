"""A session in this process: what it does when memory runs out, and when the card is lost."""

import io
import threading
from dataclasses import replace

import pytest
import torch
from transformers import LlamaModel

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.files import sha256_file
from rlhf_desktop.core.protocol import (
    RESTART_EXIT,
    Begun,
    Generate,
    Likelihood,
    Load,
    Measure,
    Sampling,
    Score,
    Token,
    Trouble,
    Written,
    parse_reply,
)
from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.inference.template import prompt_ids
from rlhf_desktop.training.reward_model import HEAD, RewardModel
from rlhf_desktop.worker import chat
from rlhf_desktop.worker.session import Session
from tests.templates import CASES, made
from tests.tiny import make_tiny_model

PROMPTS = [[{"role": "user", "content": "Why?"}], [{"role": "user", "content": "My printer does not print."}]]
COMPLETIONS = [["It is off.", "I do not know. Is it plugged in?"], ["Why?", "Turn it on and off again."]]


@pytest.fixture
def session(tiny_model):
    return Session(Load(id="l", base=tiny_model, dtype="float32"))


@pytest.fixture(scope="module")
def reward(tiny_model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reward")
    made = RewardModel.create(AdapterHost(load_base(tiny_model, dtype="float32")), count=1, rank=4, alpha=8, seed=0)
    (member,) = made.members
    masters = {f"{member.name}/{name}": p.detach().clone() for name, p in made.host.parameters(member.name).items()}
    made.save(folder, masters | {f"{member.name}/{HEAD}": member.head.detach()}, {})
    digest = sha256_file(folder / "adapter_model.safetensors")
    return AdapterRef(name="r", path=str(folder), hash=digest, base_hash=tiny_model.hash)


@pytest.fixture
def cramp(monkeypatch):
    """Make the trunk refuse more than so many tokens at once."""
    plain = LlamaModel.forward

    def to(room):
        def cramped(self, input_ids, **options):
            if input_ids.numel() > room:
                raise torch.AcceleratorError("CUDA error: out of memory")
            return plain(self, input_ids=input_ids, **options)

        monkeypatch.setattr(LlamaModel, "forward", cramped)

    return to


def asked(work, request):
    """What is sent, and what is said about it."""
    sent = []
    stats = work(request, sent.append, lambda: False)
    return [reply.model_dump() for reply in sent], stats


def test_answers_scores_and_likelihoods_survive_the_end_of_memory_and_say_so(session, reward, cramp):
    generate = Generate(id="g", prompts=PROMPTS, k=2, sampling=Sampling(temperature=0.0, max_new_tokens=6))
    score = Score(id="s", reward=reward, prompts=PROMPTS, completions=COMPLETIONS)
    likelihood = Likelihood(id="k", prompts=PROMPTS, completions=COMPLETIONS)
    (told, said), (scored, score_said), (likely, likely_said) = (
        asked(session.generate, generate), asked(session.score, score), asked(session.likelihood, likelihood)
    )  # fmt: skip
    assert said.keys() == score_said.keys() == likely_said.keys() == {"tokens"}
    cramp(70)
    less, said = asked(session.generate, generate)
    assert sorted(map(str, less)) == sorted(map(str, told))
    assert said["rows_at_once"] == 2
    (less,), said = asked(session.score, score)
    torch.testing.assert_close(torch.tensor(less["scores"]), torch.tensor(scored[0]["scores"]), atol=1e-5, rtol=1e-4)
    assert 0 < said["tokens_at_once"] <= 70
    (less,), said = asked(session.likelihood, likelihood)
    torch.testing.assert_close(torch.tensor(less["logprobs"]), torch.tensor(likely[0]["logprobs"]), atol=1e-3, rtol=1e-4)
    assert 0 < said["tokens_at_once"] < 4096


def test_a_model_held_in_4_bits_answers_scores_and_weighs(tiny_model, reward):
    small = tiny_model.model_copy(update={"quantization": "4bit"})
    session = Session(Load(id="l", base=small, dtype="float32"))
    assert session.is_for(Load(id="l", base=small, dtype="float32"))
    assert not session.is_for(Load(id="l", base=tiny_model, dtype="float32"))
    assert any(type(module).__name__ == "Linear4bit" for module in session.host.model.modules())
    _, said = asked(session.generate, Generate(id="g", prompts=PROMPTS, sampling=Sampling(max_new_tokens=4)))
    assert said["tokens"] > 0
    (scored,), _ = asked(session.score, Score(id="s", reward=reward, prompts=PROMPTS, completions=COMPLETIONS))
    (likely,), _ = asked(session.likelihood, Likelihood(id="k", prompts=PROMPTS, completions=COMPLETIONS))
    whole = Session(Load(id="l", base=tiny_model, dtype="float32"))
    (plain,), _ = asked(whole.likelihood, Likelihood(id="k", prompts=PROMPTS, completions=COMPLETIONS))
    assert torch.isfinite(torch.tensor(scored["scores"])).all()
    torch.testing.assert_close(torch.tensor(likely["logprobs"]), torch.tensor(plain["logprobs"]), rtol=0.1, atol=0.5)
    assert likely["logprobs"] != plain["logprobs"]


def test_a_process_whose_card_is_lost_says_so_and_ends_to_be_started_anew(tiny_model, monkeypatch):
    def fail(self, **_):
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    class Ended(BaseException):
        pass

    def leave(code):
        raise Ended(code)

    monkeypatch.setattr(LlamaModel, "forward", fail)
    monkeypatch.setattr(chat.os, "_exit", leave)
    question = Likelihood(id="k", prompts=PROMPTS, completions=COMPLETIONS)
    asked = [Load(id="l", base=tiny_model, dtype="float32"), question, question.model_copy(update={"id": "never"})]
    over = threading.Event()

    def lines(_):
        yield from (request.model_dump_json().encode() for request in asked)
        over.wait()  # the input stays open

    monkeypatch.setattr(chat, "read_lines", lines)
    monkeypatch.setattr(chat.sys, "stdin", io.FileIO(0, closefd=False))
    out = io.BytesIO()
    with pytest.raises(Ended) as ended:
        chat.main([], out)
    over.set()
    replies = [parse_reply.validate_json(line) for line in out.getvalue().splitlines()]
    assert ended.value.args == (RESTART_EXIT,)
    assert isinstance(replies[-1], Trouble)
    assert (replies[-1].id, "graphics card has failed" in replies[-1].message, "illegal memory" in replies[-1].detail) == (
        "k", True, True,
    )  # fmt: skip


@pytest.fixture(scope="module")
def thinker(tmp_path_factory):
    """A model whose template always opens a thought."""
    tokenizer = made(CASES["thinking opened, closed in answers"])
    return make_tiny_model(tmp_path_factory.mktemp("thinker") / "model", tokenizer=tokenizer)


def greedy(base, ids, tokens):
    """What transformers writes after some ids."""
    asked = torch.tensor([ids])
    made_ids = base.model.generate(
        asked, attention_mask=torch.ones_like(asked), max_new_tokens=tokens, do_sample=False, eos_token_id=list(base.end_ids)
    )
    return made_ids[0, len(ids) :].tolist()


def test_a_thought_is_cut_at_its_room_and_answered_as_transformers_would(thinker):
    session = Session(Load(id="l", base=thinker, dtype="float32"))
    base = session.host.base
    request = Generate(id="g", prompts=PROMPTS[:1], sampling=Sampling(temperature=0, max_new_tokens=8, max_thought_tokens=12))
    sent, stats = asked(session.generate, request)
    (answer,) = [reply for reply in sent if reply["type"] == "completion"]
    prompt = prompt_ids(base.tokenizer, PROMPTS[0], thinking=True)
    assert base.tokenizer.decode(prompt).endswith("<think>\n")
    thought = greedy(base, prompt, 12)
    assert answer["thought"] == base.tokenizer.decode(thought, skip_special_tokens=True).strip()
    closed = [*prompt, *thought, *base.tokenizer.encode("\n</think>\n\n", add_special_tokens=False)]
    said = greedy(base, closed, 8)
    assert answer["text"] == base.tokenizer.decode(said, skip_special_tokens=True).lstrip()
    assert (answer["tokens"], answer["thought_tokens"]) == (len(said), 13)
    assert stats["tokens"] == len(said) + 13


def test_scores_are_those_of_answers_without_a_thought(thinker):
    session = Session(Load(id="l", base=thinker, dtype="float32"))
    request = Likelihood(id="k", prompts=PROMPTS[:1], completions=[["It is off.", "<think>Hm.</think>\n\nIt is off."]])
    sent, _ = asked(session.likelihood, request)
    (row,), (tokens,) = sent[0]["logprobs"], sent[0]["tokens"]
    assert row[0] == row[1]
    assert tokens[0] == tokens[1]


def test_a_thought_makes_do_with_what_the_model_can_read(thinker):
    session = Session(Load(id="l", base=thinker, dtype="float32"))
    request = Generate(id="g", prompts=PROMPTS, sampling=Sampling(temperature=0, max_new_tokens=8, max_thought_tokens=5000))
    sent, _ = asked(session.generate, request)
    answers = [reply for reply in sent if reply["type"] == "completion"]
    longest = max(len(prompt_ids(session.host.base.tokenizer, prompt, thinking=True)) for prompt in PROMPTS)
    assert [answer["finish"] for answer in answers] == ["length"] * 2
    assert all(answer["thought_tokens"] <= 512 - longest - 8 for answer in answers)
    long = request.model_copy(update={"prompts": [[{"role": "user", "content": "x " * 480}]]})
    with pytest.raises(BadInput, match="too long for this model"):
        session.generate(long, sent.append, lambda: False)


def answered(session, request, stop=lambda sent: False):
    """The one answer, how much of it was new, and what was streamed of it."""
    sent = []
    stats = session.generate(request, sent.append, lambda: stop(sent))
    (answer,) = [reply for reply in sent if reply.type == "completion"]
    streamed = "".join(reply.text for reply in sent if isinstance(reply, Token) and not reply.thought)
    assert streamed == answer.text
    return answer, stats["tokens"]


def begun_with(answer):
    return Begun(text=answer.text, written=answer.written)


@pytest.mark.parametrize("cut", [1, 2, 7, 19])
@pytest.mark.parametrize("text_alone", [False, True], ids=["by its tokens", "by its text"])
def test_an_answer_cut_and_continued_is_the_answer_that_was_not_cut(session, cut, text_alone):
    def ask(new, begun=None):
        sampling = Sampling(temperature=0, max_new_tokens=new)
        return Generate(id="g", prompts=PROMPTS[1:], sampling=sampling, begun=begun)

    whole, _ = answered(session, ask(20))
    first, _ = answered(session, ask(cut))
    assert (first.finish, whole.text.startswith(first.text[:-1])) == ("length", True)
    again, made = answered(session, ask(20 - cut, Begun(text=first.text) if text_alone else begun_with(first)))
    if text_alone:  # the same words, which other tokens may spell
        assert again.text.startswith(first.text)
        assert again.tokens > first.tokens
    else:
        assert again == whole
        assert made == 20 - cut


def test_an_answer_that_ends_by_itself_has_nothing_to_go_on_from(session):
    sampling = Sampling(temperature=0, max_new_tokens=20)
    whole, _ = answered(session, Generate(id="g", prompts=PROMPTS[1:], sampling=sampling))
    base = session.host.base
    session.host.base = replace(base, end_ids=(*base.end_ids, whole.written.answer[9]))
    ended, _ = answered(session, Generate(id="g", prompts=PROMPTS[1:], sampling=sampling))
    assert (ended.finish, ended.written) == ("end", None)
    cut, _ = answered(session, Generate(id="g", prompts=PROMPTS[1:], sampling=Sampling(temperature=0, max_new_tokens=5)))
    again, _ = answered(session, Generate(id="g", prompts=PROMPTS[1:], sampling=sampling, begun=begun_with(cut)))
    assert again == ended


def thinking(new, begun=None):
    sampling = Sampling(temperature=0, max_new_tokens=new, max_thought_tokens=12)
    return Generate(id="g", prompts=PROMPTS[:1], sampling=sampling, begun=begun)


def test_an_answer_after_a_thought_goes_on_after_the_same_thought(thinker):
    session = Session(Load(id="l", base=thinker, dtype="float32"))
    whole, _ = answered(session, thinking(8))
    cut, _ = answered(session, thinking(3))
    assert (len(cut.written.thought), len(cut.written.answer)) == (12, 3)
    again, made = answered(session, thinking(5, begun_with(cut)))
    assert (again, made) == (whole, 5)


def test_a_thought_that_was_stopped_goes_on_and_is_answered(thinker):
    session = Session(Load(id="l", base=thinker, dtype="float32"))
    sent = []
    request = thinking(8)
    stats = session.generate(request, sent.append, lambda: sum(reply.type == "token" for reply in sent) >= 3)
    (cut,) = [reply for reply in sent if reply.type == "completion"]
    assert (cut.finish, cut.text, bool(cut.thought)) == ("cancelled", "", True)
    assert 0 < stats["tokens"] < 12
    again, _ = answered(session, thinking(8, begun_with(cut)))
    base = session.host.base
    prompt = prompt_ids(base.tokenizer, PROMPTS[0], thinking=True)
    thought = greedy(base, prompt, len(cut.written.answer) + 12)
    assert again.written.thought == thought
    assert again.written.answer == greedy(base, [*prompt, *thought, *again.written.closing], 8)


def test_what_is_continued_has_one_beginning_token(session, monkeypatch):
    read = []
    plain = LlamaModel.forward

    def listen(self, input_ids, **options):
        read.append(input_ids.tolist()[0])
        return plain(self, input_ids=input_ids, **options)

    monkeypatch.setattr(LlamaModel, "forward", listen)
    cut, _ = answered(session, Generate(id="g", prompts=PROMPTS[:1], sampling=Sampling(temperature=0, max_new_tokens=4)))
    read.clear()
    answered(
        session, Generate(id="g", prompts=PROMPTS[:1], sampling=Sampling(temperature=0, max_new_tokens=4), begun=begun_with(cut))
    )
    assert read[0] == [*prompt_ids(session.host.base.tokenizer, PROMPTS[0]), *cut.written.answer]


def test_an_answer_that_fills_all_the_model_can_read_is_not_continued(session):
    request = Generate(
        id="g", prompts=PROMPTS[:1], sampling=Sampling(max_new_tokens=8), begun=Begun(text="x", written=Written(answer=[5] * 500))
    )
    with pytest.raises(BadInput, match="no room to continue"):
        session.generate(request, [].append, lambda: False)


def test_measuring_tells_what_an_answer_would_be_read_after(session):
    talk = [turn for n in range(40) for turn in ({"role": "user", "content": f"{n}?"}, {"role": "assistant", "content": "Yes."})]
    sampling = Sampling(max_new_tokens=64)

    def measured(prompt):
        (said,), _ = asked(
            lambda request, send, _stop: session.measure(request, send), Measure(id="m", prompt=prompt, sampling=sampling)
        )
        return said

    short = measured(PROMPTS[0])
    tokenizer = session.host.base.tokenizer
    assert (short["tokens"], short["limit"], short["left_out"]) == (len(prompt_ids(tokenizer, PROMPTS[0])), 512, 0)
    long = measured([*talk, *PROMPTS[0]])
    kept = [*talk, *PROMPTS[0]][long["left_out"] :]
    assert long["tokens"] == len(prompt_ids(tokenizer, kept)) <= 512 - 64
    assert long["left_out"] % 2 == 0
    assert long["left_out"] > 0
