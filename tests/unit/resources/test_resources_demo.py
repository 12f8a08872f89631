"""The sample prompts: enough, well formed, disjoint between the splits, with products held out as well as prompts."""

import json
import re
from collections import Counter
from itertools import combinations

import pytest

from rlhf_desktop.core.paths import resources_dir

DEMO = resources_dir() / "demo"


def rows(name):
    return [json.loads(line) for line in (DEMO / name).read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def prompts():
    return rows("prompts.jsonl")


def tokens(text):
    return set(re.findall(r"[a-z']+", text.lower()))


def test_the_split_is_24_112_64(prompts):
    assert Counter(row["split"] for row in prompts) == {"sft": 24, "feedback": 112, "heldout": 64}
    assert len({row["id"] for row in prompts}) == len(prompts)


def test_each_prompt_names_its_product(prompts):
    for row in prompts:
        names = "|".join(re.escape(name) for name in row["product"])
        assert re.search(rf"\b(?:{names})(?:s|es)?\b", row["prompt"].lower()), row
        assert all(name == name.lower() for name in row["product"])


def test_no_two_prompts_are_alike(prompts):
    for a, b in combinations(prompts, 2):
        first, second = tokens(a["prompt"]), tokens(b["prompt"])
        assert len(first & second) / len(first | second) < 0.5, (a["prompt"], b["prompt"])


def test_heldout_has_products_seen_in_training_and_others(prompts):
    seen = {name for row in prompts if row["split"] != "heldout" for name in row["product"]}
    heldout = [row for row in prompts if row["split"] == "heldout"]
    known = sum(any(name in seen for name in row["product"]) for row in heldout)
    assert 16 <= known <= len(heldout) - 16


def test_demonstrations_answer_the_sft_prompts_in_varied_words(prompts):
    written = rows("demonstrations.jsonl")
    wanted = {row["id"]: row["prompt"] for row in prompts if row["split"] == "sft"}
    assert {row["id"]: row["prompt"] for row in written} == wanted
    openings = Counter(tuple(row["answer"].lower().split()[:3]) for row in written)
    assert max(openings.values()) <= 3
