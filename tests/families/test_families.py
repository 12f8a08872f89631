"""Every family, from chat to export, beside plain transformers; or refused at the door in a sentence. No third outcome.

The ten most used are in the default tests; all others in the slow ones.
"""

import pytest
import torch

from rlhf_desktop.core.families import TRAINS, verdict
from rlhf_desktop.core.paths import resources_dir
from tests.families import guide, harness
from tests.families.harness import PROMPTS, TOLERANCE
from tests.families.table import FAMILIES, REFUSED, USUAL, WHOLES

EACH = [pytest.param(family, marks=() if family in USUAL else pytest.mark.slow) for family in (*FAMILIES, *WHOLES)]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Models by their family, each made once."""
    made = {}

    def folder(family):
        if family not in made:
            made[family] = harness.make_folder(family, tmp_path_factory.mktemp(family) / "model")
        return made[family]

    return folder


@pytest.mark.parametrize("family", EACH)
def test_answers_are_those_of_transformers_alone_and_in_padded_batches(folders, family):
    base, theirs = harness.ours(folders(family)), harness.plain(folders(family).path)
    expected = [harness.greedy(theirs, prompt, base.end_ids) for prompt in PROMPTS]
    for k in (1, 3):
        assert [harness.answers(base, [prompt], k) for prompt in PROMPTS] == [[answer] * k for answer in expected]
        assert harness.answers(base, PROMPTS, k) == [answer for answer in expected for _ in range(k)]


@pytest.mark.parametrize("family", EACH)
def test_log_probabilities_are_those_of_transformers(folders, family):
    theirs = harness.logprobs_of_transformers(harness.plain(folders(family).path))
    found = harness.logprobs(harness.ours(folders(family)).model)
    torch.testing.assert_close(found, theirs, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("family", EACH)
def test_what_is_trained_is_what_others_load(folders, family, tmp_path):
    ref = folders(family)
    runs = harness.train(tmp_path / "runs", ref)
    assert harness.values(runs["dpo"])[0]["rewards/margins"] == pytest.approx(0, abs=TOLERANCE)
    practised = harness.values(runs["ppo"])[0]
    assert practised["policy/first_ratio_error"] < TOLERANCE
    assert practised["policy/sampler_mismatch"] < TOLERANCE

    base = harness.logits(harness.ours(ref).model)
    adapter = runs["dpo"] / "adapter"
    host = harness.hosted(ref, adapter)
    host.activate([])
    assert torch.equal(harness.logits(host.model), base)
    host.activate(["it"])
    taught = harness.logits(host.model)
    assert (taught - base).abs().max() > 10 * TOLERANCE  # or equality below would say nothing
    for found in harness.reloaded(ref, adapter, tmp_path / "merged").values():
        torch.testing.assert_close(found, taught, atol=TOLERANCE, rtol=0)
    host.activate([])
    assert torch.equal(harness.logits(host.model), base)


@pytest.mark.parametrize("family", REFUSED)
def test_others_are_refused_at_the_door_in_a_sentence(family):
    found = verdict({"model_type": family})
    assert found.kind == "refused"
    assert found.reason.endswith(".")


def test_the_doors_table_is_what_was_shown_here():
    assert {
        *FAMILIES,
        *WHOLES,
        "gemma3n",
    } == TRAINS  # whose eyes need a library that is not installed: test_inference_multimodal.py
    assert set(USUAL) <= TRAINS
    assert len(TRAINS) >= 60


def test_the_guides_page_is_made_from_the_table():
    """Stale? `python -m tests.families.guide` writes it anew."""
    assert (resources_dir() / "guide" / guide.PAGE).read_text("utf-8") == guide.page()
