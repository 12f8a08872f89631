"""Time of a run: every setting pulls the right way, and the phases add up by hand."""

import pytest
from estimates_helpers import made

from rlhf_desktop.core.measures import RowSize
from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.operations.workload import RowSizes


@pytest.mark.parametrize(
    ("algorithm", "more"),
    [
        ("sft", {"epochs": 6}),
        ("sft", {"batch_size": 1}),
        ("sft", {"lora_rank": 64}),
        ("reward", {"ensemble": 2}),
        ("ppo", {"episodes": 2000}),
        ("ppo", {"ppo_epochs": 4}),
        ("ppo", {"max_new_tokens": 160}),
    ],
)
def test_more_of_it_takes_more_time(smol, algorithm, more, tmp_path):
    reward = AdapterRef(name="r", path=str(tmp_path), hash="r", base_hash="b") if algorithm == "ppo" else None
    assert made(smol, algorithm, reward=reward, **more).wall_s > 1.1 * made(smol, algorithm, reward=reward).wall_s


def test_time_adds_up_the_passes(smol):
    """SFT without watching or held-out rows, by hand: 8 rows of 110 tokens, batches of 4 in one micro-batch each, 2 passes."""
    sizes = RowSizes(tuple(RowSize(prompt=50, answers=[60]) for _ in range(8)))
    found = made(smol, "sft", sizes=sizes, epochs=2, batch_size=4, watched_prompts=0)
    learning = 2 * (2 * (0.2 + 0.001 * 440 + 4e-8 * 4 * 110**2) + 0.0004 * 60 * 8)
    assert found.phases["learning"] == pytest.approx(learning)
    once = 0.2 + 0.0002 * 440  # every pass has one size
    assert found.wall_s == pytest.approx(learning + once + 4 * (2e-9 + 5e-8) * 4_884_480)  # and four updates, each kept
    assert found.tokens == 2 * 8 * 110


def test_passes_of_a_new_size_take_longer_and_those_that_came_before_do_not(smol):
    def extra(count, epochs=1, **settings):
        sizes = RowSizes(tuple(RowSize(prompt=40 + n, answers=[30]) for n in range(count)))
        return made(smol, "sft", sizes=sizes, epochs=epochs, batch_size=1, **settings).phases["new sizes"]

    each = [0.2 + 0.0002 * (70 + n) for n in range(200)]
    assert extra(40) == pytest.approx(sum(each[:40]))
    assert extra(40, epochs=3) == pytest.approx(sum(each[:40]))  # still compiled
    assert extra(200, epochs=2) > 1.2 * sum(each)  # more than are kept


def test_ppo_is_calibrated_on_more_prompts_than_its_first_batch_has(smol, tmp_path):
    reward = AdapterRef(name="r", path=str(tmp_path), hash="r", base_hash="b")
    sizes = RowSizes((RowSize(prompt=50, answers=[]),) * 60)

    def calibrating(**settings):
        return made(smol, "ppo", sizes=sizes, reward=reward, episodes=768, batch_size=32, **settings).phases["calibration"]

    assert calibrating(samples_per_prompt=8) == calibrating(samples_per_prompt=4) > 0  # 48 answers for either
    assert calibrating(samples_per_prompt=8, max_new_tokens=160) > calibrating(samples_per_prompt=8)
    assert made(smol, "ppo", sizes=sizes, reward=reward, episodes=96).phases["calibration"] == 0


def test_one_long_row_takes_more_than_its_tokens_in_many(smol):
    long, short = RowSizes((RowSize(prompt=300, answers=[600]),) * 4), RowSizes((RowSize(prompt=30, answers=[60]),) * 40)
    one, many = (made(smol, "sft", sizes=sizes, epochs=1, batch_size=1, watched_prompts=0) for sizes in (long, short))
    assert one.phases["learning"] == pytest.approx(4 * (0.2 + 0.001 * 900 + 4e-8 * 900**2 + 0.0004 * 600))
    assert many.phases["learning"] == pytest.approx(40 * (0.2 + 0.001 * 90 + 4e-8 * 90**2 + 0.0004 * 60))


def test_a_narrow_adapter_is_no_faster(smol):
    narrow, usual, wide = (made(smol, "sft", lora_rank=rank).phases["learning"] for rank in (4, 16, 64))
    assert narrow == usual < wide


def test_checkpoints_are_written_ten_times_or_a_few_more(smol):
    def written(count):
        sizes = RowSizes((RowSize(prompt=50, answers=[60]),) * count)
        return made(smol, "sft", sizes=sizes, epochs=1, batch_size=1).phases["checkpoints"] / (5e-8 * 4_884_480)

    assert [round(written(count), 6) for count in (4, 34, 100)] == [4, 11, 10]
