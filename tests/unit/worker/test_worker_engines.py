"""A session whose answers llama.cpp computes: what the user reads and what is kept of it are as from torch."""

from pathlib import Path

import psutil
import pytest
import torch

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.protocol import Begun, Generate, Likelihood, Load, Sampling, Score, Token
from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.engines import llama_binding
from rlhf_desktop.inference.gguf_export import export_gguf
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.jobs.chat_client import ChatWorker
from rlhf_desktop.training.reward_model import HEAD, RewardModel
from rlhf_desktop.worker.session import Session
from tests.templates import CASES, made
from tests.tiny import make_tiny_model
from tests.unit.inference.engine_cases import random_adapter, with_gguf

pytestmark = pytest.mark.skipif(bool(llama_binding.trouble()), reason=f"llama.cpp: {llama_binding.trouble()}")

PROMPTS = [[{"role": "user", "content": "Why?"}], [{"role": "user", "content": "My printer does not print 🦄."}]]
COMPLETIONS = [["It is off.", "I do not know. Is it plugged in?"], ["Why?", "Turn it on and off again."]]


def both(base, folder):
    """The same model by torch and by llama.cpp."""
    export_gguf(Path(base.path), None, folder / "m.gguf", base.name, "F32")
    fast = with_gguf(base, folder / "m.gguf", "F32")
    return Session(Load(id="l", base=base, dtype="float32")), Session(Load(id="l", base=fast, dtype="float32"))


@pytest.fixture(scope="module")
def sessions(tiny_model, tmp_path_factory):
    yield from opened(tiny_model, tmp_path_factory.mktemp("gguf"))


@pytest.fixture(scope="module", params=[name for name in CASES if name.startswith("thinking opened")])
def thinkers(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("thinker")
    yield from opened(make_tiny_model(folder / "model", tokenizer=made(CASES[request.param])), folder)


def opened(base, folder):
    pair = both(base, folder)
    yield pair
    for session in pair:
        session.close()


def replies(session, request, stop=lambda sent: False):
    sent = []
    session.generate(request, sent.append, lambda: stop(sent))
    return sent


def answered(session, request, stop=lambda sent: False):
    """Each answer, whose stream was the same text."""
    sent = replies(session, request, stop)
    found = sorted((reply for reply in sent if reply.type == "completion"), key=lambda a: (a.prompt, a.completion))
    for answer in found:
        owner = (answer.prompt, answer.completion)
        tokens = [reply for reply in sent if isinstance(reply, Token) and (reply.prompt, reply.completion) == owner]
        assert "".join(reply.text for reply in tokens if not reply.thought) == answer.text
    return found


def heard(monkeypatch, session):
    """What its engine is asked while it answers."""
    plain, read = session.engine.sample, []

    def sample(**asked):
        read.append((asked["prompts"], asked["end_ids"], asked["seed"]))
        return plain(**asked)

    monkeypatch.setattr(session.engine, "sample", sample)
    sampling = Sampling(temperature=0, max_new_tokens=4, max_thought_tokens=12)
    replies(session, Generate(id="g", prompts=PROMPTS, sampling=sampling))
    return read


def test_both_engines_read_the_same_tokens(sessions, monkeypatch):
    torchs, llamas = (heard(monkeypatch, session) for session in sessions)
    assert llamas == torchs
    assert len(llamas) == 1


def test_both_engines_read_the_same_thoughts(thinkers, monkeypatch):
    torchs, llamas = (heard(monkeypatch, session) for session in thinkers)
    assert llamas == torchs
    assert len(llamas) == 2


@pytest.mark.parametrize("new", [1, 6, 24])
def test_greedy_answers_are_torchs(sessions, new):
    request = Generate(id="g", prompts=PROMPTS, sampling=Sampling(temperature=0, max_new_tokens=new))
    torchs, llamas = (answered(session, request) for session in sessions)
    assert llamas == torchs
    assert {answer.finish for answer in llamas} == {"length"}


def test_thoughts_are_told_apart_closed_and_answered_as_from_torch(thinkers):
    request = Generate(id="g", prompts=PROMPTS, sampling=Sampling(temperature=0, max_new_tokens=8, max_thought_tokens=12))
    torchs, llamas = (answered(session, request) for session in thinkers)
    assert llamas == torchs
    assert any(answer.thought for answer in llamas)


@pytest.mark.parametrize("cut", [1, 7, 19])
def test_an_answer_cut_and_continued_is_the_answer_that_was_not_cut(sessions, cut):
    _, session = sessions

    def ask(new, begun=None):
        return Generate(
            id="g", prompts=PROMPTS[1:], sampling=Sampling(temperature=0, max_new_tokens=new), begun=begun
        )  # fmt: skip

    (whole,) = answered(session, ask(20))
    (first,) = answered(session, ask(cut))
    assert (first.finish, first.written.answer) == ("length", whole.written.answer[:cut])
    (again,) = answered(session, ask(20 - cut, Begun(text=first.text, written=first.written)))
    assert again == whole


def test_a_character_of_several_tokens_is_kept_token_by_token(sessions, monkeypatch):
    """The tiny model's tokens for it are its bytes; what is continued has all of them."""
    torchs, session = sessions
    unicorn = torchs.engine.voice.tokenizer.encode("🦄", add_special_tokens=False)
    assert len(unicorn) == 4
    forced = iter([*unicorn, *unicorn[:2]])

    def choose(logits, uniforms, sampling):
        return torch.tensor([next(forced)])

    monkeypatch.setattr("rlhf_desktop.inference.engines.llamacpp.choose", choose)
    (answer,) = answered(session, Generate(id="g", prompts=PROMPTS[:1], sampling=Sampling(temperature=0, max_new_tokens=6)))
    assert answer.text.startswith("🦄")
    assert answer.written.answer == [*unicorn, *unicorn[:2]]


def test_a_stopped_answer_is_kept_and_goes_on(sessions):
    _, session = sessions
    request = Generate(id="g", prompts=PROMPTS[:1], sampling=Sampling(temperature=0, max_new_tokens=20))
    (whole,) = answered(session, request)
    (stopped,) = answered(session, request, lambda sent: sum(reply.type == "token" for reply in sent) >= 3)
    assert stopped.finish == "cancelled"
    assert 0 < len(stopped.written.answer) < 20
    rest = Sampling(temperature=0, max_new_tokens=20 - len(stopped.written.answer))
    (again,) = answered(session, Generate(
        id="g", prompts=PROMPTS[:1], sampling=rest, begun=Begun(text=stopped.text, written=stopped.written)
    ))  # fmt: skip
    assert again == whole


def test_four_answers_are_streamed_at_once_and_are_the_same_with_the_same_seed(sessions):
    _, session = sessions
    request = Generate(id="g", prompts=PROMPTS[:1], k=4, sampling=Sampling(temperature=1, max_new_tokens=8), seed=7)
    sent = [reply.completion for reply in replies(session, request) if isinstance(reply, Token)]
    first_of_last, last_of_first = (sent.index(max(sent)), len(sent) - 1 - sent[::-1].index(min(sent)))
    assert first_of_last < last_of_first, "one after the other"
    answers = answered(session, request)
    assert answers == answered(session, request)
    assert len({answer.text for answer in answers}) == 4


def test_adapters_and_likelihoods_are_torchs(sessions, tiny_model, tmp_path):
    adapter = random_adapter(tmp_path / "adapter", tiny_model)
    for asked in (None, adapter):
        numbers = []
        for session in sessions:
            sent = []
            session.likelihood(
                Likelihood(id="k", adapter=asked, prompts=PROMPTS, completions=COMPLETIONS), sent.append, lambda: False
            )
            numbers.append(torch.tensor(sent[0].logprobs) / torch.tensor(sent[0].tokens))
        assert (numbers[0] - numbers[1]).abs().max() < 0.02


def test_scores_are_computed_by_torch_beside_it(sessions, tiny_model, tmp_path):
    made = RewardModel.create(AdapterHost(load_base(tiny_model, dtype="float32")), count=1, rank=4, alpha=8, seed=0)
    (member,) = made.members
    masters = {f"{member.name}/{name}": p.detach().clone() for name, p in made.host.parameters(member.name).items()}
    made.save(tmp_path, masters | {f"{member.name}/{HEAD}": member.head.detach()}, {})
    reward = AdapterRef(name="r", path=str(tmp_path), hash="r", base_hash=tiny_model.hash)
    told = []
    for session in sessions:
        session.score(Score(id="s", reward=reward, prompts=PROMPTS, completions=COMPLETIONS), told.append, lambda: False)
    assert told[0] == told[1]
    assert sessions[1].engine.held.engine == "llama.cpp"


def test_a_session_is_for_one_engine(sessions, tiny_model):
    torchs, llamas = sessions
    plain = Load(id="l", base=tiny_model, dtype="float32")
    assert (torchs.is_for(plain), llamas.is_for(plain)) == (True, False)


def test_an_unknown_file_is_one_clear_no(tiny_model, tmp_path):
    with pytest.raises(ModelTrouble):
        Session(Load(id="l", base=with_gguf(tiny_model, tmp_path / "none.gguf")))


def test_the_process_that_answers_listens_to_nothing(tiny_model, tmp_path):
    export_gguf(Path(tiny_model.path), None, tmp_path / "m.gguf", "tiny")
    with ChatWorker() as worker:
        loaded = worker.load(with_gguf(tiny_model, tmp_path / "m.gguf"))
        ((answer,),) = worker.generate(PROMPTS[:1], sampling=Sampling(temperature=0, max_new_tokens=4))
        ours = [child for child in psutil.Process().children(recursive=True) if "rlhf_desktop.worker" in child.cmdline()]
        sockets = [entry for process in ours for entry in process.net_connections("inet")]
    assert (loaded.engine, loaded.dtype, answer.tokens, len(ours) > 0, sockets) == ("llama.cpp", "F16", 4, True, [])
