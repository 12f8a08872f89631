import pytest

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.judgements import AllBad, Judgement, Ranking, Skip, Thumbs
from rlhf_desktop.feedback.protocol import PRESETS, Attribute, Protocol, protocol_from


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_presets_survive_json_and_ask_for_something(preset):
    assert protocol_from(preset.model_dump(mode="json")) == preset
    assert preset.kinds


@pytest.mark.parametrize("name", ["Medicine", "Law", "Finance"])
def test_where_being_wrong_is_dangerous_accuracy_is_asked_for_apart(name):
    accuracy = PRESETS[name].attributes[0]
    assert accuracy.name == "accuracy"
    assert len(PRESETS[name].attributes) > 1
    assert PRESETS[name].reason == "required"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"comparison": "pairwise", "answers": 3}, "two answers"),
        ({"answers": 1}, "at least two answers"),
        ({"comparison": "none", "correction": False, "demonstration": False}, "nothing is asked"),
        ({"attributes": [{"name": "Tone"}, {"name": "tone"}]}, "same name"),
        ({"attributes": [{"name": "Tone", "levels": ["only"]}]}, "attributes.0.levels"),
        ({"colour": "blue"}, "colour"),
        (7, "do not work: Input"),
    ],
)
def test_what_does_not_fit_together_is_said_in_words(change, said):
    value = change if not isinstance(change, dict) else {**Protocol().model_dump(mode="json"), **change}
    with pytest.raises(BadInput, match=said) as caught:
        protocol_from(value)
    assert "still in use" in caught.value.hint


def test_what_the_protocol_requires_is_missing_until_it_is_there():
    medicine = PRESETS["Medicine"]
    ranked = Judgement("p", "me", ("a", "b"), Ranking((1, 2)))
    assert medicine.missing(ranked) == "Say why, in a few words."
    assert medicine.missing(Judgement("p", "me", ("a", "b"), AllBad(), critique="unsafe")) == ""
    assert medicine.missing(Judgement("p", "me", ("a", "b"), Thumbs(True), critique="x")) == "Say which answer is better."
    assert medicine.missing(Judgement("p", "me", ("a", "b"), Skip())) == ""
    assert Protocol().missing(ranked) == ""


def test_marks_know_their_scale():
    rating = Attribute(name="tone", levels=["cold", "neutral", "warm"]).rating([1, None, 3])
    assert (rating.attribute, rating.levels, rating.scores) == ("tone", 3, (1, None, 3))
