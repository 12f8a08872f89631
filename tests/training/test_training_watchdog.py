import pytest
import torch

from rlhf_desktop.training.watchdog import PATIENCE, RULES, Health, Watchdog

HEALTHY = Health(length=40, ended=0.9, distinct_2=0.95, repeated=0.05, kl=3, entropy=2, disagreement=0.2)

SICK = {
    "short": ({"length": 12}, "shrank"),
    "long": ({"length": 120}, "grew"),
    "endless": ({"ended": 0.1}, "come to an end"),
    "repetition": ({"distinct_2": 0.4}, "repeat"),
    "alike": ({"entropy": 0.2}, "alike"),
    "drift": ({"kl": 30}, "drifted"),
    "disagreement": ({"disagreement": 1.0}, "agree"),
}


def watchdog(mode="stop"):
    dog = Watchdog(kl_target=6, mode=mode)
    dog.set_reference(HEALTHY)
    return dog


def broken(**changes):
    return Health(**{**HEALTHY.__dict__, **changes})


def test_health_is_measured_within_answers():
    health = Health.of([[1, 2, 1, 2, 1], [3]], [True, False], 1.5, 2.5, 0.3)
    assert (health.length, health.ended, health.distinct_2) == (3, 0.5, (0.5 + 1) / 2)
    assert (health.kl, health.entropy, health.disagreement) == (1.5, 2.5, 0.3)


def test_an_answer_repeats_when_it_says_the_same_four_tokens_three_times():
    assert Health.of([[1, 2, 3, 4] * 3, [1, 2, 3, 4] * 2], [True, True], 0, 1).repeated == 0.5


def test_all_is_well():
    dog = watchdog()
    assert [dog.look(HEALTHY).action for _ in range(5)] == ["none"] * 5


def test_every_rule_has_a_case_here():
    assert {rule.code for rule in RULES} == set(SICK)


@pytest.mark.parametrize("code", SICK)
def test_each_rule_slows_the_run_down_then_stops_it_with_a_sentence(code):
    change, word = SICK[code]
    dog = watchdog()
    verdicts = [dog.look(broken(**change)) for _ in range(PATIENCE)]
    assert [v.action for v in verdicts] == ["slow"] * (PATIENCE - 1) + ["stop"]
    assert {v.code for v in verdicts} == {code}
    assert word in dog.reason


def test_one_odd_batch_stops_nothing():
    dog = watchdog()
    for _ in range(PATIENCE):
        dog.look(broken(length=10))
        dog.look(HEALTHY)
    assert dog.reason == ""


def test_answers_that_hover_below_the_limit_are_not_well_again():
    dog = watchdog()
    for _ in range(PATIENCE):
        dog.look(broken(length=10))
        dog.look(broken(length=20))
    assert "shrank" in dog.reason


@pytest.mark.parametrize(
    ("mode", "last", "falls_back"),
    [("stop", 20, True), ("stop", 40, False), ("warn", 20, False), ("off", 20, False)],
)
def test_a_run_that_ends_before_it_is_well_again_falls_back(mode, last, falls_back):
    dog = watchdog(mode)
    dog.consider(0.5, HEALTHY, {"w": torch.ones(1)})
    dog.look(broken(length=10))
    dog.look(broken(length=last))
    assert bool(dog.end()) == falls_back


def test_a_rule_warns_once_before_it_acts():
    dog = watchdog()
    assert [dog.look(broken(length=20)).action for _ in range(3)] == ["warn", "none", "none"]
    assert dog.look(broken(kl=20)).code == "drift"


def test_in_the_other_modes_nothing_is_stopped():
    assert [watchdog("warn").look(broken(length=5)).action] == ["warn"]
    dog = watchdog("off")
    assert [dog.look(broken(length=5)).action for _ in range(5)] == ["none"] * 5
    assert dog.reason == ""


def test_the_best_parameters_are_the_highest_scoring_healthy_ones():
    dog = watchdog()
    dog.consider(0.1, HEALTHY, {"w": torch.full((1,), 1.0)})
    dog.consider(0.5, HEALTHY, {"w": torch.full((1,), 2.0)})
    dog.consider(0.9, broken(length=10), {"w": torch.full((1,), 3.0)})
    dog.consider(0.4, HEALTHY, {"w": torch.full((1,), 4.0)})
    assert dog.best["w"].tolist() == [2.0]


def test_the_state_survives_a_checkpoint():
    dog = watchdog()
    dog.consider(0.5, HEALTHY, {"w": torch.ones(1)})
    for _ in range(PATIENCE - 1):
        dog.look(broken(length=10))
    other = Watchdog(kl_target=6)
    other.load(dog.state(), dog.best)
    other.consider(0.4, HEALTHY, {"w": torch.zeros(1)})
    assert other.best["w"].tolist() == [1.0]
    other.look(broken(length=10))
    assert "shrank" in other.reason
