"""Memory of a run: every setting pulls the right way, and each part is what it is by hand."""

import pytest
from estimates_helpers import SMOL, made

from rlhf_desktop.core.measures import RowSize
from rlhf_desktop.core.passes import CPU_SLACK
from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.core.trunk import pass_bytes
from rlhf_desktop.operations.model_shape import model_shape
from rlhf_desktop.operations.workload import RowSizes


@pytest.mark.parametrize(
    ("algorithm", "more"),
    [
        ("sft", {"lora_rank": 64}),
        ("sft", {"dtype": "float32"}),
        ("reward", {"ensemble": 4}),
        ("dpo", {"lora_rank": 128}),
    ],
)
def test_more_of_it_takes_more_memory(smol, algorithm, more):
    assert made(smol, algorithm, **more).peak_bytes > 1.02 * made(smol, algorithm).peak_bytes


def test_many_different_passes_leave_compiled_products_up_to_a_limit(smol):
    def compiled(count, **settings):
        sizes = RowSizes(tuple(RowSize(prompt=40 + n, answers=[30 + n * n % 37]) for n in range(count)))
        return made(smol, "sft", sizes=sizes, epochs=1, **settings).parts["compiled products"]

    assert 0 < compiled(8) < compiled(80) < compiled(800) == compiled(2000)
    assert compiled(80, dtype="float32") == 0
    alike = RowSizes(tuple(RowSize(prompt=40, answers=[30]) for _ in range(80)))
    assert made(smol, "sft", sizes=alike, epochs=1).parts["compiled products"] < compiled(8)


def test_what_samples_packs_the_layers_a_second_time(smol):
    layers = model_shape(smol).linear_parameters - SMOL["vocab_size"] * SMOL["hidden_size"]
    assert made(smol, "dpo").parts["joined for sampling"] == pytest.approx(1.33 * 2 * layers, rel=1e-6)
    for less in (made(smol, "reward"), made(smol, "dpo", watched_prompts=0), made(smol, "dpo", dtype="float32")):
        assert less.parts["joined for sampling"] == 0


def test_the_first_updates_passes_are_kept_up_to_a_limit(smol, tmp_path):
    """24 answers of 105 tokens on average to prompts of 50: micro-batches of six, the first half of them kept."""
    reward = AdapterRef(name="r", path=str(tmp_path), hash="r", base_hash="b")
    trunk = model_shape(smol).trunk
    six = pass_bytes(trunk, tokens=6 * 160, places=6 * 160, width=160, number_bytes=2, device="cpu")

    def working(**settings):
        return made(smol, "ppo", reward=reward, max_new_tokens=160, **settings).parts["working"]

    head = 128 * 12 * SMOL["vocab_size"]
    assert working() == pytest.approx(CPU_SLACK * (2 * six + head), rel=0.02)
    assert working(minibatches=1) == working()  # a third micro-batch would be too much
    assert working(minibatches=4) == pytest.approx(CPU_SLACK * (six + head), rel=0.02)


def test_little_memory_means_smaller_passes(smol):
    long = RowSizes(tuple(RowSize(prompt=100, answers=[100]) for _ in range(40)))
    tight, roomy = made(smol, "sft", sizes=long, free_bytes=16 * 10**8), made(smol, "sft", sizes=long)
    assert tight.parts["working"] < roomy.parts["working"]


def test_on_the_general_road_every_answer_has_its_prompt_in_a_row_of_its_own(smol):
    rows = RowSizes((RowSize(prompt=300, answers=[20, 30, 20, 30]),) * 2)
    trunk = model_shape(smol).trunk
    row = pass_bytes(trunk, tokens=4 * 330, places=4 * 330, width=330, number_bytes=2, device="cpu")
    head = 128 * 12 * SMOL["vocab_size"]
    general = made(smol, "dpo", sizes=rows, road="general", watched_prompts=0)
    assert general.parts["working"] == pytest.approx(CPU_SLACK * (row + head), rel=0.02)
    assert general.parts["working"] > 1.5 * made(smol, "dpo", sizes=rows, watched_prompts=0).parts["working"]


def test_members_of_an_ensemble_see_other_batches(smol):
    uneven = RowSizes(tuple(RowSize(prompt=40 + n, answers=[30 + n * n % 37, 40]) for n in range(30)))
    alone, three = (made(smol, "reward", sizes=uneven, epochs=1, ensemble=n) for n in (1, 3))
    assert three.parts["compiled products"] > 1.5 * alone.parts["compiled products"]


def test_a_model_in_4_bit_numbers_takes_about_a_quarter(smol):
    full, quantized = (made(smol, rates=None, quantization=q).parts["model"] for q in ("none", "4bit"))
    weights = model_shape(smol).linear_parameters
    layers = weights - SMOL["vocab_size"] * SMOL["hidden_size"]  # the head keeps its format
    assert full - quantized == pytest.approx(weights * 2 + layers * (2 - 0.52), rel=0.01)  # nor are they packed a second time


def test_probabilities_that_plain_products_keep_are_counted(smol):
    """Rows twice as wide and half as many: as many tokens, twice as many probabilities."""
    wide, narrow = (
        made(smol, "reward", sizes=RowSizes(tuple(RowSize(prompt=100, answers=[n // 2 - 50] * 2) for _ in range(800 // n))))
        for n in (400, 200)
    )
    more = 30 * 9 * 2 * 800 * 200
    assert wide.parts["working"] - narrow.parts["working"] == pytest.approx(CPU_SLACK * more, rel=0.02)
