"""`worker calibrate` on a tiny model: every rate is there, positive where time passes, and memory is that of this process."""

import pytest

from rlhf_desktop.core.measures import CalibrateRequest
from rlhf_desktop.worker import calibrate as module


@pytest.fixture
def rates(tiny_model, monkeypatch):
    monkeypatch.setattr(module, "ANSWER_TOKENS", 8)
    return module.calibrate(CalibrateRequest(base=tiny_model, dtype="float32"))


def test_every_rate_is_measured(rates, tiny_model):
    assert (rates.base_hash, rates.dtype) == (tiny_model.hash, "float32")
    for line in (rates.forward, rates.train, rates.train_wide, rates.decode):
        assert line.at(1000) > 0
    assert rates.train.at(1024) > rates.forward.at(1024)
    assert rates.optimizer_s > 0
    assert rates.head_train_s >= 0
    assert all(1 <= tokens <= 8 for tokens in rates.answer_tokens)
    assert len(rates.answer_tokens) == len(module.QUESTIONS)
    assert rates.loaded_bytes > 50 * 2**20


def test_a_line_goes_through_both_measures():
    line = module._line((10, 110), [1.0, 3.0])
    assert (line.at(10), line.at(110)) == (pytest.approx(1.0), pytest.approx(3.0))
    assert module._line((10, 110), [3.0, 1.0]).each_s == 0  # noise: never a negative time
