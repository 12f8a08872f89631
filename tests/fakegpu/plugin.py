"""`pytest -p tests.fakegpu.plugin`: the guard is loaded before anything imports torch, and the cases share what they start from."""

import pytest

from tests.fakegpu.fakegpu import FakeGpu  # before torch
from tests.fakegpu.runs import train
from tests.fakegpu.tally import TALLY
from tests.training.folders import adapter_of, demonstrations, make_run, marked, rankings, ratings


@pytest.fixture
def card():
    """The computer has one card until the test ends; the tally counts from zero."""
    with FakeGpu() as there:
        TALLY.clear()
        yield there


@pytest.fixture(scope="session")
def start(tmp_path_factory, tiny_model):
    """An adapter to start from, made on the CPU."""
    folder = make_run(
        tmp_path_factory.mktemp("start") / "run", "sft", tiny_model, demonstrations(), epochs=1, batch_size=3, watched_prompts=0
    )
    train(folder)
    return adapter_of(folder, tiny_model)


@pytest.fixture(scope="session")
def judge(tmp_path_factory, tiny_model):
    """A reward model of two members that knows attributes and bad parts, made on the CPU."""
    rows = [*rankings(), *ratings(), *marked()]
    folder = make_run(tmp_path_factory.mktemp("judge") / "run", "reward", tiny_model, rows, epochs=1, batch_size=4, ensemble=2)
    train(folder)
    return adapter_of(folder, tiny_model)
