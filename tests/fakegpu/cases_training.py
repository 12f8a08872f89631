"""Every trainer on a card: nothing is mixed, and what comes out is what the CPU makes of the same seeds."""

from tests.fakegpu.fakegpu import FakeGpu  # isort: skip  # before torch

import pytest

from tests.fakegpu.runs import assert_alike, train, train_with_a_pause
from tests.training.folders import adapter_of, demonstrations, make_run

SMALL = {"epochs": 1, "batch_size": 3, "watched_prompts": 0}


@pytest.fixture(scope="module")
def start(tmp_path_factory, tiny_model):
    """An adapter to start from, made on the CPU."""
    folder = make_run(tmp_path_factory.mktemp("start") / "run", "sft", tiny_model, demonstrations(), **SMALL)
    train(folder)
    return adapter_of(folder, tiny_model)


def _on_both(tmp_path, make, go=train):
    """The same run on the CPU and on a card."""
    here, there = make(tmp_path / "here"), make(tmp_path / "there")
    go(here)
    with FakeGpu():
        go(there)
    assert_alike(here, there)


def test_a_run_on_a_start_writes_its_result(tmp_path, tiny_model, start):
    """It died there: the factors of the start were on the CPU, the new ones on the card."""
    _on_both(tmp_path, lambda folder: make_run(folder, "sft", tiny_model, demonstrations(), start=start, **SMALL))


def test_a_paused_run_goes_on(tmp_path, tiny_model):
    """It died there: the moments came back on the CPU."""
    _on_both(tmp_path, lambda folder: make_run(folder, "sft", tiny_model, demonstrations(), **SMALL), train_with_a_pause)
