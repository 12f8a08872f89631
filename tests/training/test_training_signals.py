"""Each form of judgement, from the store through a run's frozen snapshot to what its trainer has loaded to learn from."""

import pytest

from rlhf_desktop.core.errors import NotEnoughFeedback
from rlhf_desktop.feedback.judgements import (
    AllBad,
    Choice,
    Correction,
    Flag,
    Judgement,
    Labels,
    Ranking,
    Rating,
    Ratings,
    Skip,
    Span,
    Spans,
    Thumbs,
)
from rlhf_desktop.inference.adapters import AdapterHost
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.store.database import Store
from rlhf_desktop.training.ranking import comparisons
from rlhf_desktop.training.reward_model import HEAD, RewardModel
from rlhf_desktop.training.run import RunFiles
from rlhf_desktop.worker.train import TRAINERS
from tests.training.folders import adapter_of, ask, make_run

LEARNERS = ("sft", "reward", "dpo", "kto")


class Desk:
    """A store in which somebody judges, and the trainers that learn from it."""

    def __init__(self, store, base, folder, scorer):
        self.store, self._base, self._folder, self._scorer = store, base, folder, scorer
        self.project = store.projects.create("Clinic").id

    def judge(self, prompt, texts, *said, **more):
        """Keep a judgement of these answers to a prompt that is not held out."""
        self.store.projects.fix_split(self.project, [ask(prompt)], "train")
        _, question = self.store.conversations.start(self.project, ask(prompt))
        answers = self.store.conversations.add_answers(question.id, list(texts))
        shown = tuple(answer.id for answer in answers)
        return self.store.judgements.add(Judgement(self.project, "Ada", shown, said[0], also=said[1:], **more))

    def trainer(self, algorithm):
        """The trainer of a run made from everything in the store."""
        rows = self.store.snapshot_rows(self.project, algorithm)
        folder = self._folder / f"{algorithm}-{len(list(self._folder.iterdir()))}"
        settings = {"max_new_tokens": 8} if algorithm == "ppo" else {}
        reward = self._scorer() if algorithm == "ppo" else None
        return TRAINERS[algorithm](RunFiles(make_run(folder, algorithm, self._base, rows, reward=reward, **settings)))

    def reached(self):
        """Which trainers have anything to learn from."""
        return [name for name in LEARNERS if self._learns(name)]

    def _learns(self, algorithm):
        try:
            return bool(self.store.snapshot_rows(self.project, algorithm))
        except NotEnoughFeedback:
            return False


@pytest.fixture
def desk(tmp_path, tiny_model):
    runs = tmp_path / "runs"
    runs.mkdir()

    def scorer():
        folder = tmp_path / "scorer"
        (folder / "adapter").mkdir(parents=True)
        host = AdapterHost(load_base(tiny_model, dtype="float32"))
        model = RewardModel.create(host, count=1, rank=2, alpha=4, seed=0)
        masters = {f"{m.name}/{key}": p for m in model.members for key, p in host.parameters(m.name).items()}
        model.save(folder / "adapter", {**masters, **{f"{m.name}/{HEAD}": m.head for m in model.members}}, {})
        return adapter_of(folder, tiny_model)

    with Store.open(tmp_path / "feedback.db") as store:
        yield Desk(store, tiny_model, runs, scorer)


def said(trainer, ids):
    """Token ids as text, without the end of the turn."""
    return trainer.host.base.tokenizer.decode(ids, skip_special_tokens=True).strip()


def texts(trainer, group):
    """A group's answers; each of them ends its turn."""
    assert all(answer[-1] == trainer.host.base.end_ids[0] for answer in group.answers)
    return [said(trainer, answer) for answer in group.answers]


def pairs(trainer, *, with_ties):
    """The comparisons of a trainer's batch: (attribute or "", better, other, tied, margin)."""
    attributes = getattr(trainer, "attributes", [])
    found = comparisons(trainer.items, attributes, with_ties=with_ties)
    answers = [text for item in trainer.items for text in texts(trainer, item.group)]
    width, names = 1 + len(attributes), ["", *attributes]
    columns = (found.pairs.tolist(), found.tied.tolist(), found.heads.tolist(), found.margins.tolist())
    return {
        (names[head], answers[better // width], answers[other // width], tied, round(margin, 6))
        for (better, other), tied, head, margin in zip(*columns, strict=True)
    }


# --- comparisons --------------------------------------------------------------------------------------------------------------


def test_a_ranking_with_a_tie_is_all_its_pairs_and_the_tie_is_the_reward_models(desk):
    desk.judge("Where is it?", ("late", "sorry", "gone"), Ranking((2, 1, 2)))
    assert desk.reached() == ["reward", "dpo"]
    won = {("", "sorry", "late", False, 0.0), ("", "sorry", "gone", False, 0.0)}
    assert pairs(desk.trainer("reward"), with_ties=True) == won | {("", "late", "gone", True, 0.0)}
    assert pairs(desk.trainer("dpo"), with_ties=True) == won | {("", "late", "gone", True, 0.0)}
    assert pairs(desk.trainer("dpo"), with_ties=False) == won  # what its loss asks for


@pytest.mark.parametrize(
    ("strength", "confidence", "margin"), [(None, 1.0, 1.0), (None, 0.4, -0.2), (3, None, 1.0), (1, None, -0.5), (3, 0.5, 0.5)]
)
def test_strength_and_confidence_are_the_margin_of_its_pairs(desk, strength, confidence, margin):
    desk.judge("Where is it?", ("no", "sorry"), Ranking((2, 1), strength), confidence=confidence)
    for algorithm in ("reward", "dpo"):
        assert pairs(desk.trainer(algorithm), with_ties=True) == {("", "sorry", "no", False, margin)}


def test_groups_are_an_order_too(desk):
    """Great, nothing usable, and two bad ones: the gap between groups is no more than one step."""
    desk.judge("Where is it?", ("no", "sorry", "never"), Ranking((3, 1, 3)))
    won = {("", "sorry", "no", False, 0.0), ("", "sorry", "never", False, 0.0)}
    assert pairs(desk.trainer("reward"), with_ties=False) == won


def test_none_will_do_makes_each_answer_undesirable_and_compares_nothing(desk):
    desk.judge("Where is it?", ("no", "go away"), AllBad())
    assert desk.reached() == ["kto"]
    trainer = desk.trainer("kto")
    held = [(*texts(trainer, item.own), item.desirable, item.weight) for item in trainer.items]
    assert held == [("no", False, 0.5), ("go away", False, 0.5)]


# --- single answers -----------------------------------------------------------------------------------------------------------


def test_thumbs_are_desirable_or_not(desk):
    desk.judge("Where is it?", ("no", "sorry"), Thumbs(False, 0), Thumbs(True, 1))
    assert desk.reached() == ["kto"]
    trainer = desk.trainer("kto")
    assert {(*texts(trainer, item.own), item.desirable, item.weight) for item in trainer.items} == {
        ("no", False, 1.0),
        ("sorry", True, 1.0),
    }
    assert all(said(trainer, item.own.prompt).endswith("assistant") for item in trainer.items)  # put to its own prompt


def test_ratings_are_a_head_for_each_attribute(desk):
    marks = Ratings((Rating("accuracy", 5, (1, 4, None)), Rating("tone", 3, (3, 2, 2))))
    desk.judge("Where is it?", ("no", "sorry", "late"), marks)
    assert desk.reached() == ["reward"]
    trainer = desk.trainer("reward")
    assert trainer.attributes == ["accuracy", "tone"]
    assert {pair for pair in pairs(trainer, with_ties=True) if pair[0]} == {
        ("accuracy", "sorry", "no", False, 0.0),
        ("tone", "no", "sorry", False, 0.0),
        ("tone", "no", "late", False, 0.0),
        ("tone", "sorry", "late", True, 0.0),
    }


def test_marked_parts_are_penalties_of_their_tokens(desk):
    text = "Take eight at once. Get well soon."
    marks = Spans((Span(1, 5, 18, "unsafe advice", 3), Span(1, 20, 23, "off tone", 1)))
    desk.judge("How many?", ("Two.", text), Ranking((1, 2)), marks)
    trainer = desk.trainer("reward")
    (item,) = [item for item in trainer.items if item.penalties]
    (answer,) = item.group.answers
    by_weight = {
        weight: said(trainer, [token for token, p in zip(answer, item.penalties, strict=True) if p == weight])
        for weight in set(item.penalties)
    }
    assert (by_weight[2.0], by_weight[0.5]) == ("eight at once", "Get")
    assert trainer.part_tokens > 0  # its head for bad parts is trained
    assert all(not item.penalties for item in desk.trainer("dpo").items)


def test_a_correction_is_imitated_and_preferred_to_what_it_corrects(desk):
    desk.judge("Where is it?", ("no", "maybe"), Correction("It comes today.", 1))
    assert desk.reached() == ["sft", "reward", "dpo"]
    imitated = desk.trainer("sft")
    assert [texts(imitated, item) for item in imitated.items] == [["It comes today."]]
    for algorithm in ("reward", "dpo"):
        assert pairs(desk.trainer(algorithm), with_ties=True) == {("", "It comes today.", "maybe", False, 0.0)}


def test_an_example_is_imitated(desk):
    desk.store.projects.fix_split(desk.project, [ask("Where is it?")], "train")
    _, question = desk.store.conversations.start(desk.project, ask("Where is it?"))
    desk.store.demonstrate(desk.project, question.id, "I will look.", "Ada")
    assert desk.reached() == ["sft"]
    trainer = desk.trainer("sft")
    assert [texts(trainer, item) for item in trainer.items] == [["I will look."]]


# --- what teaches nothing -----------------------------------------------------------------------------------------------------


def test_labels_reach_no_trainer(desk):
    desk.judge("Where is it?", ("no", "sorry"), Labels((Choice("Refuses?", (("yes",), ("no",))),)))
    assert desk.reached() == []


def test_a_skip_a_flag_and_what_was_taken_back_reach_no_trainer(desk):
    """Beside judgements that do: nothing of the others' prompts or answers is in any trainer, PPO's practice included."""
    desk.judge("Kept?", ("kept", "worse"), Ranking((1, 2)), Correction("kept, put right", 0))
    desk.judge("Kept too?", ("kept too",), Thumbs(True))
    desk.judge("Lost a?", ("lost 1", "lost 2"), Skip("tired"))
    desk.judge("Lost b?", ("lost 3", "lost 4"), Flag("not mine to answer"))
    back = desk.judge("Lost c?", ("lost 5", "lost 6"), Ranking((1, 2)), Thumbs(True, 0), Correction("lost 7", 1))
    desk.store.judgements.withdraw(back.id, "Ada")
    held = {}
    for algorithm in (*LEARNERS, "ppo"):
        trainer = desk.trainer(algorithm)
        if algorithm == "ppo":
            held[algorithm] = {said(trainer, prompt) for prompt in trainer.prompts}
        else:
            groups = [getattr(item, "own", None) or getattr(item, "group", item) for item in trainer.items]
            held[algorithm] = {text for group in groups for text in texts(trainer, group)}
            assert not any("Lost" in said(trainer, group.prompt) for group in groups)
    compared = {"kept", "worse", "kept, put right"}
    prompts = held.pop("ppo")
    assert held == {"sft": {"kept, put right"}, "reward": compared, "dpo": compared, "kto": {"kept too"}}
    assert len(prompts) == 2
    assert not any("Lost" in prompt for prompt in prompts)
