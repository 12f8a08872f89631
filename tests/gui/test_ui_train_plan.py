import pytest

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.recipes import ALGORITHMS, describe
from rlhf_desktop.core.runs import AdapterRef
from rlhf_desktop.ui.train import plan
from rlhf_desktop.ui.train.wording import RECIPES, STATES

REF = AdapterRef(name="Taught", path="/a", hash="h", base_hash="b")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_presets_are_valid_and_scale_the_length(algorithm):
    quick, balanced, thorough = (plan.preset_values(algorithm, p) for p in plan.PRESETS)
    assert balanced == {s.name: s.default for s in describe(algorithm)}
    for values in (quick, thorough):
        plan.check_request(plan.StartRequest(algorithm, "x", None, REF, values))
    length = plan._LENGTH[algorithm]
    assert quick[length] < balanced[length] < thorough[length]


def test_request_keeps_only_what_differs_from_the_defaults():
    values = plan.preset_values("ppo", plan.USUAL) | {"episodes": "96"}
    checked = plan.check_request(plan.StartRequest("ppo", "  Kinder ", None, REF, values))
    assert checked.settings == {"episodes": 96}
    assert checked.title == "Kinder"


def test_ppo_without_a_reward_model_says_what_to_do():
    with pytest.raises(BadInput, match="Learn my preferences"):
        plan.check_request(plan.StartRequest("ppo", "x", None, None))


def test_a_run_needs_a_name():
    with pytest.raises(BadInput, match="name"):
        plan.check_request(plan.StartRequest("sft", "  ", None, None))


def test_a_value_out_of_bounds_names_the_bounds():
    assert "1" in plan.setting_problem("sft", "epochs", "1000")
    assert plan.setting_problem("sft", "epochs", "7") == ""
    assert plan.setting_problem("sft", "epochs", "many")


def test_titles_tell_the_lineage_and_do_not_repeat():
    assert plan.suggested_title("sft", None, set()) == "Taught"
    assert plan.suggested_title("ppo", REF, {"Taught + PPO"}) == "Taught + PPO 2"
    assert plan.suggested_title("reward", REF, set()) == "My preferences"


def test_no_recipe_has_the_tick_that_says_done():
    done = STATES["done"].icon
    assert done not in {recipe.icon for recipe in RECIPES.values()}
