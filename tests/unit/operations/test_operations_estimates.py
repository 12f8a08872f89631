"""Estimates: the shape agrees with a real model's, the packing with the trainer's, and every setting pulls the right way."""

import json

import pytest

from rlhf_desktop.core.errors import ModelTrouble
from rlhf_desktop.core.measures import Line, Rates, RowSize
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.operations.estimates import RowSizes, RunPlan, _packed, estimate, model_shape
from rlhf_desktop.training.batch import Group, micro_batches

CPU = {"device": "cpu", "fast_dtype": "bfloat16"}
SMOL = {
    "hidden_size": 576, "num_attention_heads": 9, "num_hidden_layers": 30, "num_key_value_heads": 3, "intermediate_size": 1536,
    "vocab_size": 49152, "tie_word_embeddings": True, "head_dim": 64,
}  # fmt: skip
RATES = Rates(
    base_hash="b", device="cpu", dtype="bfloat16", parameters=134515008,
    forward=Line(fixed_s=0.05, each_s=0.0003), train=Line(fixed_s=0.2, each_s=0.001), train_wide=Line(fixed_s=0.25, each_s=0.0012),
    attention_forward_s=1e-8, attention_train_s=4e-8, new_forward=Line(fixed_s=0.1, each_s=0.0001),
    new_train=Line(fixed_s=0.2, each_s=0.0002),
    head_forward_s=0.0001, head_train_s=0.0004, decode=Line(fixed_s=0.04, each_s=0.002), optimizer_s=2e-9, checkpoint_s=5e-8,
    answer_tokens=[40, 80, 160, 160], loaded_bytes=750_000_000,
)  # fmt: skip
SIZES = RowSizes(
    tuple(RowSize(prompt=50, answers=[60, 40]) for _ in range(40)), tuple(RowSize(prompt=50, answers=[60, 40]) for _ in range(6))
)


@pytest.fixture
def base(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(SMOL))
    return ModelRef(name="smol", path=str(tmp_path / "model"), hash="b")


def made(base, algorithm="dpo", rates=RATES, sizes=SIZES, free_bytes=30 * 10**9, reward=None, **settings):
    return estimate(RunPlan(algorithm, base, settings, reward=reward), sizes, CPU, rates, free_bytes=free_bytes)


def test_the_shape_counts_what_the_starter_model_has(base):
    shape = model_shape(base)
    assert shape.parameters == 134_515_008
    assert shape.adapter_parameters(16) == 4_884_480


def test_the_shape_agrees_with_a_model_in_memory(tiny_model):
    from rlhf_desktop.inference.adapters import AdapterHost
    from rlhf_desktop.inference.model import load_base

    host = AdapterHost(load_base(tiny_model, dtype="float32", device="cpu"))
    shape = model_shape(tiny_model)
    assert shape.parameters == sum(p.numel() for p in host.model.parameters())
    host.add("narrow", rank=4, alpha=4, seed=0)
    assert shape.adapter_parameters(4) == sum(p.numel() for p in host.parameters("narrow").values())


def test_packing_is_the_trainers_own():
    sizes = [
        RowSize(prompt=p, answers=[a]) for p, a in [(40, 60), (90, 200), (10, 5), (300, 300), (64, 64), (50, 50), *[(12, 8)] * 40]
    ]
    groups = [Group([0] * row.prompt, [[0] * row.answers[0]]) for row in sizes]
    theirs = [[groups[i].tokens for i in picks] for picks in micro_batches(groups, 512)]
    assert [[row.tokens for row in part] for part in _packed(sizes, 512)] == theirs


def test_a_missing_or_foreign_folder_is_said(tmp_path):
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(ModelTrouble, match="size of “x” cannot be read"):
            model_shape(ModelRef(name="x", path=str(path), hash=""))


@pytest.mark.parametrize(
    ("algorithm", "more"),
    [
        ("sft", {"lora_rank": 64}),
        ("sft", {"dtype": "float32"}),
        ("reward", {"ensemble": 4}),
        ("dpo", {"lora_rank": 128}),
    ],
)
def test_more_of_it_takes_more_memory(base, algorithm, more):
    assert made(base, algorithm, **more).peak_bytes > 1.02 * made(base, algorithm).peak_bytes


def test_a_model_in_4_bit_numbers_takes_about_a_quarter(base):
    full, quantized = (made(base, rates=None, quantization=q).parts["model"] for q in ("none", "4bit"))
    weights = model_shape(base).linear_parameters
    assert full - quantized == pytest.approx(weights * 2 * 2 - weights * 0.52, rel=0.01)  # nor are they packed a second time


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
def test_more_of_it_takes_more_time(base, algorithm, more, tmp_path):
    reward = AdapterRef(name="r", path=str(tmp_path), hash="r", base_hash="b") if algorithm == "ppo" else None
    assert made(base, algorithm, reward=reward, **more).wall_s > 1.1 * made(base, algorithm, reward=reward).wall_s


def test_many_different_passes_leave_compiled_products_up_to_a_limit(base):
    def compiled(count, **settings):
        sizes = RowSizes(tuple(RowSize(prompt=40 + n, answers=[30 + n * n % 37]) for n in range(count)))
        return made(base, "sft", sizes=sizes, epochs=1, **settings).parts["compiled products"]

    assert 0 < compiled(8) < compiled(80) < compiled(800) == compiled(2000)
    assert compiled(80, dtype="float32") == 0
    alike = RowSizes(tuple(RowSize(prompt=40, answers=[30]) for _ in range(80)))
    assert made(base, "sft", sizes=alike, epochs=1).parts["compiled products"] < compiled(8)


def test_time_adds_up_the_passes(base):
    """SFT without watching or held-out rows, by hand: 8 rows of 110 tokens, batches of 4 in one micro-batch each, 2 passes."""
    sizes = RowSizes(tuple(RowSize(prompt=50, answers=[60]) for _ in range(8)))
    found = made(base, "sft", sizes=sizes, epochs=2, batch_size=4, watched_prompts=0)
    learning = 2 * (2 * (0.2 + 0.001 * 440 + 4e-8 * 4 * 110**2) + 0.0004 * 60 * 8)
    assert found.phases["learning"] == pytest.approx(learning)
    once = 0.2 + 0.0002 * 440  # every pass has one size
    assert found.wall_s == pytest.approx(learning + once + 4 * (2e-9 + 5e-8) * 4_884_480)  # and four updates, each kept
    assert found.tokens == 2 * 8 * 110


def test_passes_of_a_new_size_take_longer_and_those_that_came_before_do_not(base):
    def extra(count, epochs=1, **settings):
        sizes = RowSizes(tuple(RowSize(prompt=40 + n, answers=[30]) for n in range(count)))
        return made(base, "sft", sizes=sizes, epochs=epochs, batch_size=1, **settings).phases["new sizes"]

    each = [0.2 + 0.0002 * (70 + n) for n in range(200)]
    assert extra(40) == pytest.approx(sum(each[:40]))
    assert extra(40, epochs=3) == pytest.approx(sum(each[:40]))  # still compiled
    assert extra(200, epochs=2) > 1.2 * sum(each)  # more than are kept


def test_one_long_row_takes_more_than_its_tokens_in_many(base):
    long, short = RowSizes((RowSize(prompt=300, answers=[600]),) * 4), RowSizes((RowSize(prompt=30, answers=[60]),) * 40)
    one, many = (made(base, "sft", sizes=sizes, epochs=1, batch_size=1, watched_prompts=0) for sizes in (long, short))
    assert one.phases["learning"] == pytest.approx(4 * (0.2 + 0.001 * 900 + 4e-8 * 900**2 + 0.0004 * 600))
    assert many.phases["learning"] == pytest.approx(40 * (0.2 + 0.001 * 90 + 4e-8 * 90**2 + 0.0004 * 60))


def test_a_narrow_adapter_is_no_faster(base):
    narrow, usual, wide = (made(base, "sft", lora_rank=rank).phases["learning"] for rank in (4, 16, 64))
    assert narrow == usual < wide


def test_checkpoints_are_written_ten_times_or_a_few_more(base):
    def written(count):
        sizes = RowSizes((RowSize(prompt=50, answers=[60]),) * count)
        return made(base, "sft", sizes=sizes, epochs=1, batch_size=1).phases["checkpoints"] / (5e-8 * 4_884_480)

    assert [round(written(count), 6) for count in (4, 34, 100)] == [4, 11, 10]


def test_members_of_an_ensemble_see_other_batches(base):
    uneven = RowSizes(tuple(RowSize(prompt=40 + n, answers=[30 + n * n % 37, 40]) for n in range(30)))
    alone, three = (made(base, "reward", sizes=uneven, epochs=1, ensemble=n) for n in (1, 3))
    assert three.parts["compiled products"] > 1.5 * alone.parts["compiled products"]


def test_what_samples_packs_the_layers_a_second_time(base):
    layers = model_shape(base).linear_parameters - SMOL["vocab_size"] * SMOL["hidden_size"]
    assert made(base, "dpo").parts["joined for sampling"] == pytest.approx(1.33 * 2 * layers, rel=1e-6)
    for less in (made(base, "reward"), made(base, "dpo", watched_prompts=0), made(base, "dpo", dtype="float32")):
        assert less.parts["joined for sampling"] == 0


def test_the_first_updates_passes_are_kept_up_to_a_limit(base, tmp_path):
    """24 answers of 105 tokens on average to prompts of 50: micro-batches of six, the first half of them kept."""
    reward = AdapterRef(name="r", path=str(tmp_path), hash="r", base_hash="b")
    each = model_shape(base).activation_bytes(2)

    def working(**settings):
        return made(base, "ppo", reward=reward, max_new_tokens=160, **settings).parts["working"]

    head = 128 * 12 * SMOL["vocab_size"]
    assert working() == pytest.approx(1.08 * (2 * 6 * 160 * each + head), rel=0.02)
    assert working(minibatches=1) == working()  # a third micro-batch would be too much
    assert working(minibatches=4) == pytest.approx(1.08 * (6 * 160 * each + head), rel=0.1)


def test_without_rates_there_is_memory_but_no_time(base):
    found = made(base, rates=None)
    assert found.wall_s is None
    assert found.peak_bytes > 10**9
    assert found.sentence == f"About {found.peak_bytes / 1e9:.1f} GB; 30 GB are free."


def test_it_says_whether_it_fits(base):
    assert made(base).fits is True
    assert made(base, free_bytes=9 * 10**8).fits is False
    assert made(base, free_bytes=None).fits is None
    assert "and " in made(base).sentence


def test_little_memory_means_smaller_passes(base):
    long = RowSizes(tuple(RowSize(prompt=100, answers=[100]) for _ in range(40)))
    tight, roomy = made(base, "sft", sizes=long, free_bytes=16 * 10**8), made(base, "sft", sizes=long)
    assert tight.parts["working"] < roomy.parts["working"]


def test_rows_are_cut_at_max_length(base):
    long = RowSizes(tuple(RowSize(prompt=3000, answers=[100]) for _ in range(4)))
    assert made(base, "sft", sizes=long, max_length=256, epochs=1).tokens == 4 * 256
