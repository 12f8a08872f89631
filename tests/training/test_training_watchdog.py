import torch

from rlhf_desktop.training.watchdog import Health, Watchdog

HEALTHY = Health(length=40, ended=0.9, distinct_2=0.95, kl=3, entropy=2)


def watchdog():
    dog = Watchdog(kl_target=6)
    dog.set_reference(HEALTHY)
    return dog


def broken(**changes):
    return Health(**{**HEALTHY.__dict__, **changes})


def test_health_is_measured_within_answers():
    health = Health.of([[1, 2, 1, 2, 1], [3]], [True, False], 1.5, 2.5)
    assert (health.length, health.ended, health.distinct_2) == (3, 0.5, (0.5 + 1) / 2)


def test_all_is_well():
    dog = watchdog()
    for _ in range(5):
        dog.look(HEALTHY)
    assert dog.reason == ""


def test_each_rule_stops_on_the_second_bad_batch_with_a_sentence():
    for change, word in [
        ({"length": 12}, "shrank"),
        ({"length": 120}, "grew"),
        ({"distinct_2": 0.4}, "repeat"),
        ({"ended": 0.1}, "come to an end"),
        ({"kl": 30}, "drifted"),
    ]:
        dog = watchdog()
        dog.look(broken(**change))
        assert dog.reason == ""
        dog.look(broken(**change))
        assert word in dog.reason


def test_one_odd_batch_stops_nothing():
    dog = watchdog()
    for _ in range(3):
        dog.look(broken(length=10))
        dog.look(HEALTHY)
    assert dog.reason == ""


def test_the_healthy_parameters_are_those_before_the_first_bad_batch():
    dog = watchdog()
    dog.look(HEALTHY)
    dog.keep_healthy({"w": torch.ones(1)})
    dog.look(broken(length=10))
    dog.keep_healthy({"w": torch.zeros(1)})
    assert dog.healthy["w"].tolist() == [1.0]


def test_the_state_survives_a_checkpoint():
    dog = watchdog()
    dog.look(broken(length=10))
    other = Watchdog(kl_target=6)
    other.load(dog.state(), {"w": torch.ones(1)})
    other.look(broken(length=10))
    assert "shrank" in other.reason
