"""`worker calibrate` on a tiny model: every rate is there, positive where time passes, and memory is that of this process."""

import pytest

from rlhf_desktop.core.measures import CalibrateRequest
from rlhf_desktop.worker import calibrate as module


@pytest.fixture
def rates(tiny_model, monkeypatch, tmp_path):
    monkeypatch.setenv("RLHF_DESKTOP_STATE", str(tmp_path))
    monkeypatch.setattr(module, "ANSWER_TOKENS", 8)
    return module.calibrate(CalibrateRequest(base=tiny_model, dtype="float32"))


def test_every_rate_is_measured(rates, tiny_model):
    assert (rates.base_hash, rates.dtype) == (tiny_model.hash, "float32")
    for line in (rates.forward, rates.train, rates.train_wide, rates.decode):
        assert line.at(1000) > 0
    assert rates.new_train.fixed_s >= 0 <= rates.new_forward.fixed_s
    assert rates.optimizer_s > 0
    assert rates.checkpoint_s > 0
    assert rates.head_train_s >= 0
    assert all(1 <= tokens <= 8 for tokens in rates.answer_tokens)
    assert len(rates.answer_tokens) == len(module.QUESTIONS)
    assert rates.loaded_bytes > 50 * 2**20


def test_attention_is_what_one_wide_row_takes_more():
    apart = module._pairs(module.LONG) - module._pairs(module.FULL)
    assert apart > 500_000
    assert module._attention(0.5) * apart == pytest.approx(0.5)
    assert module._attention(-0.1) == 0  # noise: never a negative time
    assert module._less([1.0, 2.0], 0.001, [500, 3000]) == [pytest.approx(0.5), 0.0]


def test_a_new_size_takes_what_its_first_pass_takes_more_than_its_second(monkeypatch):
    took, sizes = iter([5.0, 1.0, 4.0, 2.0]), []
    monkeypatch.setattr(module, "_batch", lambda _host, rows: sizes.append(sum(p + sum(a) for p, a in rows)))
    monkeypatch.setattr(module, "_timed", lambda _host, _work: next(took))
    assert module._first(None, lambda _host, _batch: None, [(9, (3,)), (7, (2,))], 1) == pytest.approx((4.0 + 2.0) / 2)
    assert sizes == [20, 19]


def test_a_line_goes_through_both_measures():
    line = module._line((10, 110), [1.0, 3.0])
    assert (line.at(10), line.at(110)) == (pytest.approx(1.0), pytest.approx(3.0))
    assert module._line((10, 110), [3.0, 1.0]).each_s == 0  # noise: never a negative time
