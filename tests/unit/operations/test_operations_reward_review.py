import pytest

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.core.protocol import ScoreResult
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.operations.reward_review import review_reward
from rlhf_desktop.store.database import Store

BASE = ModelRef(name="tiny", path="/nowhere", hash="b")
REWARD = AdapterRef(name="Judge", path="/nowhere/adapter", hash="r", base_hash="b")


class LengthScorer:
    """Scores an answer by its length."""

    def load(self, base):
        assert base.hash == BASE.hash

    def score(self, reward, prompts, completions):
        return ScoreResult(id="1", scores=[[float(len(text)) for text in texts] for texts in completions])


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "feedback.db") as opened:
        yield opened


@pytest.fixture
def project(store):
    return store.projects.create("P")


def judge(store, project, question, texts, ranks, split="heldout"):
    prompt = [{"role": "user", "content": question}]
    store.projects.fix_split(project.id, [prompt], split)
    _, leaf = store.conversations.start(project.id, prompt)
    nodes = store.conversations.add_answers(leaf.id, texts)
    store.judgements.add(Judgement(project.id, "me", tuple(node.id for node in nodes), Ranking.of(ranks)))


def review(store, project, tmp_path):
    return review_reward(LengthScorer(), store, project, base=BASE, reward=REWARD, runs=tmp_path / "runs")


def test_pairs_scored_the_other_way_are_mistakes_the_surest_first(store, project, tmp_path):
    judge(store, project, "one", ["long enough", "short"], (1, 2))
    judge(store, project, "two", ["no", "a"], (2, 1))
    judge(store, project, "three", ["longest of all", "ab"], (2, 1))
    judge(store, project, "four", ["same", "alike"], (1, 1))
    judge(store, project, "five", ["trained on", "x"], (2, 1), "train")
    found = review(store, project, tmp_path)
    assert (found.pairs, found.wrong) == (3, 2)
    assert [mistake.better for mistake in found.mistakes] == ["ab", "a"]
    assert found.mistakes[0].sure > found.mistakes[1].sure > 0.5
    assert found.mistakes[1].sure == pytest.approx(0.7310586)  # σ(1)


def test_without_held_out_comparisons_it_says_what_to_do(store, project, tmp_path):
    judge(store, project, "four", ["same", "alike"], (1, 1))
    judge(store, project, "five", ["trained on", "x"], (2, 1), "train")
    with pytest.raises(NotEnoughFeedback, match="held-out"):
        review(store, project, tmp_path)
