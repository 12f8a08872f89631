"""The list of recommended models holds together, and only has what can be taught here."""

import re
from datetime import date

import pytest

from rlhf_desktop.core.families import TRAINS, verdict
from rlhf_desktop.core.recommended import LICENCES, RECOMMENDED, REVIEWED

CLASSES = {"gemma3": "Gemma3ForConditionalGeneration", "gemma3_text": "Gemma3ForCausalLM", "smollm3": "SmolLM3ForCausalLM"}


@pytest.mark.parametrize("model", RECOMMENDED, ids=lambda model: model.name)
def test_each_is_of_a_family_that_trains(model):
    config = {"model_type": model.family, "architectures": [CLASSES.get(model.family, f"{model.family.title()}ForCausalLM")]}
    assert verdict(config).kind == "trains"
    assert model.family in TRAINS


@pytest.mark.parametrize("model", RECOMMENDED, ids=lambda model: model.name)
def test_each_says_what_one_chooses_by(model):
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", model.repo)
    assert model.terms.meaning
    assert model.note
    assert 1.9 <= model.download_bytes / model.parameters <= 2.6  # two bytes a parameter, and perhaps the embeddings twice
    assert model.terms.accept == (model.licence not in ("apache-2.0", "mit"))


def test_the_list_is_in_order_and_names_nothing_twice():
    sizes = [model.parameters for model in RECOMMENDED]
    assert sizes == sorted(sizes)
    assert len({model.name for model in RECOMMENDED}) == len(RECOMMENDED)
    assert {model.licence for model in RECOMMENDED} == set(LICENCES)
    assert date.fromisoformat(REVIEWED)


def test_there_is_something_for_every_computer_and_without_an_account():
    free = [model for model in RECOMMENDED if not model.terms.accept]
    assert min(model.parameters for model in free) < 0.5e9
    assert max(model.parameters for model in free) > 7e9
