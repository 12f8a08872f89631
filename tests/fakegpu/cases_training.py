"""Every trainer on a card: nothing is mixed, and what comes out is what the CPU makes of the same seeds."""

from tests.fakegpu.fakegpu import CardFacts, FakeGpu  # isort: skip  # before torch

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakegpu.runs import assert_alike, train, train_with_a_pause
from tests.training.folders import demonstrations, make_run, marked, practice, rankings, ratings, thumbs

POLICY = {"epochs": 1, "batch_size": 3, "watched_prompts": 0}
JUDGE = {"epochs": 1, "batch_size": 4}
PPO = {"episodes": 8, "batch_size": 4, "samples_per_prompt": 2, "max_new_tokens": 6, "ppo_epochs": 2, "watched_prompts": 0}


@pytest.fixture
def make(tiny_model, start, judge) -> Callable[..., Callable[[Path], Path]]:
    """How to make a run of an algorithm in a folder."""
    kinds = {
        "sft": (demonstrations(), POLICY),
        "dpo": (rankings(), POLICY),
        "kto": (thumbs(), POLICY),
        "reward": ([*rankings(), *ratings(), *marked()], JUDGE),
        "ppo": (practice(), PPO),
    }

    def made(algorithm: str, *, on_start: bool = False, **more) -> Callable[[Path], Path]:
        rows, settings = kinds[algorithm]
        more |= {"start": start} if on_start else {}
        more |= {"reward": judge} if algorithm == "ppo" else {}
        return lambda folder: make_run(folder, algorithm, tiny_model, rows, **{**settings, **more})

    return made


def _on_both(tmp_path: Path, made: Callable[[Path], Path], go: Callable[[Path], object] = train) -> None:
    """The same run on the CPU and on a card."""
    here, there = made(tmp_path / "here"), made(tmp_path / "there")
    go(here)
    with FakeGpu():
        go(there)
    assert_alike(here, there)


ALGORITHMS = ["sft", "dpo", "kto", "reward", "ppo"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_plain(tmp_path, make, algorithm):
    _on_both(tmp_path, make(algorithm))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_on_a_start(tmp_path, make, algorithm):
    """Each died when it wrote its result: the factors of the start were on the CPU, the new ones on the card."""
    _on_both(tmp_path, make(algorithm, on_start=True))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_paused_and_resumed(tmp_path, make, algorithm):
    """Each died when it went on: the moments came back on the CPU."""
    _on_both(tmp_path, make(algorithm), train_with_a_pause)


def test_two_members(tmp_path, make):
    _on_both(tmp_path, make("reward", ensemble=2, on_start=True), train_with_a_pause)


@pytest.mark.parametrize("baseline", ["rloo", "grpo"])
def test_ppo_without_a_value_head(tmp_path, make, baseline):
    _on_both(tmp_path, make("ppo", baseline=baseline))


def test_ipo(tmp_path, make):
    """Divides by lengths that are made on the CPU."""
    _on_both(tmp_path, make("dpo", loss="ipo", margin=0.5))


@pytest.mark.slow
def test_watched_prompts(tmp_path, make):
    """Answers by chat's sampling, top_p too, with scores by the reward model."""
    _on_both(tmp_path, make("ppo", watched_prompts=1, episodes=4))


def test_a_checkpoint_of_the_cpu_goes_on_on_a_card(tmp_path, make):
    """The device may change between a pause and the rest: the moments follow."""
    here, there = (make("sft")(tmp_path / name) for name in ("here", "there"))
    train_with_a_pause(here)
    train(there, pause_after=1)
    (there / "control.jsonl").unlink()
    with FakeGpu():
        assert train(there) == "done"
    assert_alike(here, there, devices=("cpu", "cpu"))


def test_the_second_of_two_cards(tmp_path, make, monkeypatch):
    """All of a run stays on the card it was given."""
    monkeypatch.setenv("RLHF_DESKTOP_DEVICE", "cuda:1")
    run = make("dpo", on_start=True)(tmp_path / "run")
    with FakeGpu(CardFacts(), CardFacts(uuid="5c0c3a2e-0000-4000-8000-000000000001")) as cards:
        before = cards.peak_bytes(0)  # what other tests left to be collected
        train_with_a_pause(run)
        assert cards.peak_bytes(1) > 100_000
        assert cards.peak_bytes(0) == before
