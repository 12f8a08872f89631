"""What the worker is asked besides training, on a card: it answers as on the CPU, and mixes nothing."""

from tests.fakegpu.fakegpu import CardFacts, FakeGpu  # isort: skip  # before torch

from itertools import chain

import pytest
import torch

from rlhf_desktop.core.measures import CalibrateRequest
from rlhf_desktop.core.protocol import Generate, Likelihood, Load, Sampling, Score
from rlhf_desktop.worker import calibrate
from rlhf_desktop.worker.export import export
from rlhf_desktop.worker.probe import probe
from rlhf_desktop.worker.session import Session
from tests.fakegpu.runs import near
from tests.fakegpu.tally import TALLY
from tests.training.folders import PROMPTS, ask

ASKED = [ask(text) for text in PROMPTS[:3]]
ANSWERS = [["I am sorry.", "No."], ["Fine."], ["Thank you.", "We will send a new one.", "Help"]]


def _here_and_there(base, ask_for):
    """What a session sends on the CPU and on a card."""
    found = []
    for there in (False, True):
        with FakeGpu() if there else torch.no_grad():
            session = Session(Load(id="l", base=base, dtype="float32"))
            assert session.host.base.device.type == ("cuda" if there else "cpu")
            sent = []
            TALLY.clear()
            ask_for(session, sent.append)
            assert (TALLY.launches > 0) == there
        found.append([reply.model_dump() for reply in sent])
    return found


@pytest.mark.parametrize(
    ("prompts", "k", "sampling"),
    [
        (ASKED[:1], 1, Sampling(max_new_tokens=8, temperature=0.0)),
        (ASKED, 1, Sampling(max_new_tokens=8)),
        (ASKED, 3, Sampling(max_new_tokens=8, top_p=0.7)),
    ],
    ids=["greedy", "several prompts", "several answers, top_p"],
)
def test_chat(tiny_model, start, prompts, k, sampling):
    request = Generate(id="g", prompts=prompts, k=k, adapter=start, sampling=sampling, seed=3)
    here, there = _here_and_there(tiny_model, lambda session, send: session.generate(request, send, lambda: False))
    assert here == there
    assert len([reply for reply in here if reply["type"] == "completion"]) == k * len(prompts)


def test_score(tiny_model, judge):
    request = Score(id="s", reward=judge, prompts=ASKED, completions=ANSWERS)
    (here,), (there,) = _here_and_there(tiny_model, lambda session, send: session.score(request, send, lambda: False))
    for name in ("scores", "std", "least"):
        assert _flat(here[name]) == near(_flat(there[name]))


def test_likelihood(tiny_model, start):
    request = Likelihood(id="p", adapter=start, prompts=ASKED, completions=ANSWERS)
    (here,), (there,) = _here_and_there(tiny_model, lambda session, send: session.likelihood(request, send, lambda: False))
    assert here["tokens"] == there["tokens"]
    assert _flat(here["logprobs"]) == near(_flat(there["logprobs"]))


@pytest.mark.parametrize(("capability", "fast"), [((7, 5), "float16"), ((8, 6), "bfloat16")], ids=["RTX 2080", "RTX 3060"])
def test_probe(capability, fast):
    cards = [CardFacts("Old", capability, memory=8 * 2**30), CardFacts("New", capability, memory=12 * 2**30, uuid="b")]
    with FakeGpu(*cards):
        said = probe()
    assert [device["id"] for device in said["devices"]] == ["cuda:0", "cuda:1", "cpu"]
    assert [device["memory_available_bytes"] for device in said["devices"][:2]] == near([6 * 2**30, 10 * 2**30])
    assert (said["device"], said["name"], said["fast_dtype"]) == ("cuda", "New", fast)


def test_calibrate(tiny_model, card, monkeypatch):
    for name, less in {"STEPS": 1, "ANSWER_TOKENS": 2, "TRIES": 1, "NEW_SIZES": 1, "ROWS": (1, 2), "QUESTIONS": ("Why?",)}.items():
        monkeypatch.setattr(calibrate, name, less)
    rates = calibrate.calibrate(CalibrateRequest(base=tiny_model, dtype="float32"))
    assert rates.device == "cuda"
    assert 0 <= rates.loaded_bytes - 4 * rates.parameters < 4096  # the frequencies of its positions


@pytest.mark.parametrize("form", ["peft", "merged", "gguf"])
def test_export(tmp_path, tiny_model, start, form):
    """Exports go from file to file and leave the card alone."""
    made = []
    for there in (False, True):
        target = tmp_path / str(there)
        target.mkdir()
        request = {"base": tiny_model.path, "base_name": "tiny", "adapter": start.path, "form": form, "title": "t"}
        with FakeGpu() if there else torch.no_grad():
            TALLY.clear()
            export({**request, "target": str(target)})
            assert TALLY.launches == 0
        made.append({file.relative_to(target): file.read_bytes() for file in target.rglob("*") if file.is_file()})
    assert made[0] == made[1]
    assert sum(map(len, made[0].values())) > 10_000


def _flat(rows):
    return list(chain.from_iterable(rows))
