"""Every setting and every number a trainer reports has a plain name, and a unit that fits."""

import re
from pathlib import Path

import pytest

from rlhf_desktop.core.recipes import ALGORITHMS, describe
from rlhf_desktop.operations import plain_words
from rlhf_desktop.operations.plain_words import COSTS, exact, measure, setting_label

TRAINING = Path(plain_words.__file__).parents[1] / "training"
# What a trainer's source calls its numbers: "objective/kl", "eval/loss", and the few without a stroke.
NAMED = re.compile(r'"((?:eval|rewards|objective|policy|loss|value)/[a-z0-9_/]+)"')


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_setting_has_a_plain_name(algorithm):
    assert [s.name for s in describe(algorithm) if setting_label(s.name) == plain_words._plain(s.name)] == []


def test_every_number_a_trainer_reports_has_a_plain_name():
    named = {name for file in TRAINING.glob("*.py") for name in NAMED.findall(file.read_text())}
    assert len(named) > 20
    assert sorted(name for name in named if name not in plain_words._MEASURES) == []


def test_no_two_numbers_are_called_alike():
    labels = [known.label for known in plain_words._MEASURES.values()]
    assert len(labels) - len(set(labels)) <= 1  # the lead of the better answer, held out and not, in tables of their own
    assert set(COSTS) <= set(plain_words._MEASURES)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("peak_rss_bytes", 2_112_516_096, "2,112,516,096 bytes (2.11 GB)"),
        ("wall_s", 662.0679424430018, "662.068 s (11 min)"),
        ("wall_s", 50.695151947998966, "50.6952 s"),
        ("eval/rewards/accuracies", 0.8641975308641975, "86.4198%"),
        ("objective/kl", 6.147864818572998, "6.14786 nats an answer"),
        ("tokens_per_s", 201.14278565977716, "201.143"),
        ("trainable_parameters", 4885056, "4,885,056"),
        ("eval/attributes/tone", 0.5, "50%"),
    ],
)
def test_a_number_keeps_its_precision_and_gets_its_unit(name, value, said):
    assert exact(name, value) == said


def test_an_attribute_and_an_unknown_number_are_readable():
    assert measure("eval/attributes/tone").label == "Agrees with held-out marks of tone"
    assert measure("new_things/seen").label == "New things, seen"
