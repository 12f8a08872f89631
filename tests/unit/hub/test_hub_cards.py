import yaml

from rlhf_desktop.hub.cards import AdapterCard, DatasetCard, Measure, Statement


def front(text):
    _, head, body = text.split("---\n", 2)
    return yaml.safe_load(head), body


CARD = AdapterCard(
    title="Kind | answers",
    algorithm="ppo",
    base_name="Tiny",
    base_hash="abc",
    base_repo="somebody/tiny",
    started_from="Taught",
    rows={"used for training": 1430},
    settings={"learning_rate": 1e-4},
    measures=[Measure("preferred to Taught", 0.71, 0.58, 0.82, 48), Measure("loss", 0.5)],
    versions={"torch": "2"},
)


def test_an_adapters_card_says_what_it_is_from_what_and_how_good():
    head, body = front(CARD.render(Statement("mit", intended_use="Answering complaints.", limits="English only.")))
    assert head["license"] == "mit"
    assert head["base_model"] == "somebody/tiny"
    assert set(head["tags"]) == {"rlhf-desktop", "lora", "ppo"}
    for words in (
        "1,430",
        "0.71 (0.58 to 0.82), n = 48",
        "learning_rate",
        "Answering complaints.",
        "English only.",
        "“Taught”",
        "`abc`",
    ):
        assert words in body
    assert "# Kind \\| answers" in body


def test_what_nobody_said_is_not_made_up():
    head, body = front(CARD.render(Statement()))
    assert "license" not in head
    assert body.count("Its makers have not said.") == 2


def test_a_licence_of_ones_own():
    head, _ = front(CARD.render(Statement("Hospital licence 2")))
    assert (head["license"], head["license_name"]) == ("other", "Hospital licence 2")


def test_nothing_typed_breaks_out_of_its_field():
    said = Statement(licence='x"\n---\nmalicious: true', intended_use="<script>alert(1)</script>")
    head, _ = front(CARD.render(said))
    assert "malicious" not in head
    head, body = front(AdapterCard("T\n---\nx: 1", "sft", "<img src=x>", "h").render(Statement()))
    assert "x" not in head
    assert "<img" not in body


def test_a_datasets_card_lets_it_be_loaded():
    card = DatasetCard("Pairs", {"prompt": "the conversation"}, {"train": 900, "test": 100}, {"e-mail": 3}, annotators=2)
    head, body = front(card.render(Statement("cc-by-4.0", languages=("en", "ar"))))
    assert head["configs"][0]["data_files"] == [
        {"split": "train", "path": "data/train.jsonl"},
        {"split": "test", "path": "data/test.jsonl"},
    ]
    assert head["size_categories"] == ["1K<n<10K"]
    assert head["language"] == ["en", "ar"]
    assert "3 × e-mail" in body
    assert "by 2 people" in body
