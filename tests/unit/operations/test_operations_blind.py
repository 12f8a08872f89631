"""A blind evaluation from its first pair to its verdict: stored, resumable, undoable, and nobody sees whose answer is whose."""

import pytest
from operations_helpers import BASE, adapter, user

from rlhf_desktop.core.errors import BadInput, NotEnoughFeedback
from rlhf_desktop.core.protocol import Completion, Sampling
from rlhf_desktop.core.runs import GgufFile
from rlhf_desktop.evaluation.confidence import interval
from rlhf_desktop.feedback.judgements import Rating, Ratings
from rlhf_desktop.operations.blind import add_answers, begin_evaluation, check_engine, judge_pair, next_pair, undo_last
from rlhf_desktop.operations.blind_results import blind_report, evaluations
from rlhf_desktop.store.shelf import ConversationQuery

PROMPTS = [user(f"Held out {n}") for n in range(40)]


@pytest.fixture(autouse=True)
def held_out(store, project):
    store.prompts.create_set(project.id, "printers", PROMPTS[:25], "heldout")
    store.prompts.create_set(project.id, "kettles", PROMPTS[25:], "heldout")


def completion(text):
    return Completion(id="r", prompt=0, completion=0, text=text, tokens=3, finish="end")


def answered(prompts, new_words=2):
    return [(p, completion(f"old {p[0]['content']}"), completion("new " * new_words + p[0]["content"])) for p in prompts]


def begin(store, project, prompts=PROMPTS, **parts):
    given = {"old": None, "new": adapter("Kinder"), "sampling": Sampling(), "seed": 3, "answered": answered(prompts)}
    return begin_evaluation(store, project, base=BASE, **{**given, **parts})


def judge_all(store, made, choose, who="me"):
    while (pair := next_pair(store, made.id, who)) is not None:
        judge_pair(store, pair, choose(pair), who=who, seconds=2.0)


def prefer_new(pair):
    return "left" if pair.left.startswith("new") else "right"


def test_judging_all_for_the_new_model_makes_it_better(store, project):
    made = begin(store, project)
    judge_all(store, made, prefer_new)
    report = blind_report(store, made.id)
    assert report.win == interval([1.0] * 40)
    assert report.win.decision == "better"
    assert (report.evaluation.old_name, report.evaluation.new_name, report.people, report.seconds) == ("tiny", "Kinder", 1, 2.0)
    assert all(item.new.startswith("new") and item.old.startswith("old") for item in report.judged)
    assert report.evaluation.title == "Kinder against tiny"


def test_a_habit_of_the_left_side_is_worth_exactly_half(store, project):
    made = begin(store, project)
    judge_all(store, made, lambda pair: "left")
    assert blind_report(store, made.id).win.rate == 0.5


def test_order_is_drawn_and_repeats_with_its_seed(store, project):
    orders = []
    for seed in (3, 3, 4):
        made = begin(store, project, seed=seed)
        orders.append([store.conversations.message(p.old_message).content for p in made.pairs])
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != [f"old {p[0]['content']}" for p in PROMPTS]


def test_what_is_shown_does_not_say_who_wrote_it(store, project):
    pair = next_pair(store, begin(store, project).id, "me")
    assert set(vars(pair)) == {"evaluation_id", "position", "prompt", "left", "right", "done", "total", "finishes"}
    assert (pair.done, pair.total) == (0, 40)


def test_it_can_be_left_and_gone_on_with_by_each_person(store, project):
    made = begin(store, project)
    for _ in range(5):
        judge_pair(store, next_pair(store, made.id, "Ann"), "tie", who="Ann", seconds=1)
    assert next_pair(store, made.id, "Ann").position == 5
    assert next_pair(store, made.id, "Ben").position == 0
    judge_pair(store, next_pair(store, made.id, "Ben"), "both_bad", who="Ben", seconds=1)
    (summary,) = evaluations(store, project)
    assert (summary.judged, summary.total) == (5, 40)
    report = blind_report(store, made.id)
    assert (report.people, len(report.judged), report.win.n, report.win.rate) == (2, 6, 5, 0.5)


def test_two_people_on_one_prompt_count_as_one_prompt(store, project):
    made = begin(store, project, PROMPTS[:1])
    for who, verdict in (("Ann", prefer_new), ("Ben", lambda pair: "tie")):
        judge_all(store, made, verdict, who)
    win = blind_report(store, made.id).win
    assert (win.n, win.rate) == (1, 0.75)


def test_undo_takes_the_last_verdict_back_and_shows_its_pair_again(store, project):
    made = begin(store, project)
    first = next_pair(store, made.id, "me")
    judge_pair(store, first, "left", who="me", seconds=1)
    judge_pair(store, next_pair(store, made.id, "me"), "left", who="me", seconds=1)
    again = undo_last(store, made.id, "me")
    assert (again.position, again.done) == (1, 1)
    assert undo_last(store, made.id, "me") == first
    assert undo_last(store, made.id, "me") is None
    assert blind_report(store, made.id).win.n == 0


def test_a_skipped_pair_counts_nothing_and_does_not_come_back(store, project):
    made = begin(store, project, PROMPTS[:2])
    judge_all(store, made, lambda pair: "skip")
    assert blind_report(store, made.id).win.n == 0


def test_the_judgements_are_the_projects_own_and_never_train_anything(store, project):
    made = begin(store, project)
    judge_all(store, made, prefer_new)
    judged = store.judged(project.id)
    assert len(judged) == 40
    assert {item.split for item in judged} == {"heldout"}
    assert {item.judgement.source for item in judged} == {f"evaluation:{made.id}"}
    with pytest.raises(NotEnoughFeedback, match="held out"):
        store.snapshot_rows(project.id, "dpo")


def test_by_tag_each_prompt_set_has_its_interval_and_they_hold_together(store, project):
    made = begin(store, project)
    judge_all(store, made, lambda pair: prefer_new(pair) if int(pair.prompt[0]["content"].split()[-1]) < 25 else "tie")
    report = blind_report(store, made.id)
    assert report.by_tag == {"printers": interval([1.0] * 25, 0.975), "kettles": interval([0.5] * 15, 0.975)}


def test_a_prompts_own_tags_are_groups_too(store, project):
    tagged = [user(f"Tagged {n}") for n in range(6)]
    store.prompts.create_set(project.id, "mixed", tagged, "heldout", tags=[("urgent",) if n < 2 else () for n in range(6)])
    made = begin(store, project, tagged)
    judge_all(store, made, prefer_new)
    report = blind_report(store, made.id)
    assert {name: win.n for name, win in report.by_tag.items()} == {"mixed": 6, "urgent": 2}


def test_by_attribute_marks_are_compared(store, project):
    """Better in tone throughout; in accuracy alike on half of the prompts, and otherwise not marked."""
    made = begin(store, project, PROMPTS[:24])
    while (pair := next_pair(store, made.id, "me")) is not None:
        new_on_left = pair.left.startswith("new")
        ratings = [Rating("tone", 5, (4, 2) if new_on_left else (2, 4))]
        if pair.position % 2 == 0:
            ratings.append(Rating("accuracy", 5, (3, 3)))
        judge_pair(store, pair, "tie", who="me", seconds=1, also=[Ratings(tuple(ratings))])
    report = blind_report(store, made.id)
    assert report.by_attribute == {"tone": interval([1.0] * 24, 0.975), "accuracy": interval([0.5] * 12, 0.975)}
    assert report.by_attribute["tone"].decision == "better"
    assert report.win.rate == 0.5


def test_longer_answers_that_win_are_told_apart_from_better_ones(store, project):
    rows = [(p, completion("word " * 20), completion("word " * (10 + 20 * (n % 2)))) for n, p in enumerate(PROMPTS)]
    made = begin(store, project, answered=rows)
    judge_all(store, made, lambda pair: "left" if len(pair.left) > len(pair.right) else "right")
    report = blind_report(store, made.id)
    assert report.win.rate == 0.5
    assert report.length.slope > 2
    assert report.length.low < 0.5 < report.length.high


def test_more_prompts_go_on_where_it_was(store, project):
    made = begin(store, project, PROMPTS[:10])
    judge_all(store, made, prefer_new)
    grown = add_answers(store, made.id, answered(PROMPTS[10:20]))
    assert [p.position for p in grown.pairs] == list(range(20))
    assert next_pair(store, made.id, "me").position == 10


def test_a_comparison_goes_on_with_the_engine_it_began_with(store, project):
    fast = BASE.model_copy(update={"gguf": GgufFile(path="m.gguf", sha256="", bytes=1, numbers="Q8_0")})
    slow, quick = (begin_evaluation(
        store, project, base=base, old=None, new=adapter("Kinder"), sampling=Sampling(), seed=3, answered=answered(PROMPTS[:4])
    ) for base in (BASE, fast))  # fmt: skip
    check_engine(slow, BASE)
    check_engine(quick, fast)
    with pytest.raises(BadInput, match=r"computed by torch, those of tiny are computed by llama\.cpp Q8_0"):
        check_engine(slow, fast)
    with pytest.raises(BadInput, match=r"Choose llama\.cpp Q8_0 again"):
        check_engine(quick, BASE)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"new": None}, "same model"),
        ({"answered": []}, "answered nothing"),
        ({"answered": answered([user("Anything")])}, "may be trained on"),
    ],
)
def test_what_would_prove_nothing_is_refused_and_leaves_nothing(store, project, parts, said):
    store.projects.fix_split(project.id, [user("Anything")], "train")
    with pytest.raises(BadInput, match=said):
        begin(store, project, **parts)
    assert evaluations(store, project) == []
    assert store.conversations.page(project.id, ConversationQuery(None)).rows == ()
