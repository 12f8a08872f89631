import pytest
from operations_helpers import user

from rlhf_desktop.feedback.judgements import Judgement, Ranking, Skip
from rlhf_desktop.feedback.rows import UnjudgedRow
from rlhf_desktop.operations.labelling import Item, label_queue, remember_ready
from rlhf_desktop.store.importing import import_rows


def judge(store, project, text, who="Ada", verdict=None, origin="label"):
    """Somebody's judgement of two answers to a prompt of its own."""
    _, question = store.conversations.start(project.id, user(text), origin)
    ids = tuple(node.id for node in store.conversations.add_answers(question.id, ["one", "two"]))
    return store.judgements.add(Judgement(project.id, who, ids, verdict or Ranking((1, 2))))


def ask(store, project, **changes):
    store.protocols.set(project.id, store.protocols.get(project.id).model_copy(update=changes))


@pytest.fixture(autouse=True)
def pairs(store, project):
    ask(store, project, answers=2)


@pytest.fixture
def shared(store, project):
    """Everything one person judges is for the others too."""
    ask(store, project, overlap_share=1.0)


def test_what_a_colleague_judged_waits_for_the_others_without_what_they_said(store, project, shared):
    made = [judge(store, project, f"Q{n}") for n in range(8)]
    queue = label_queue(store, project, "Bo")
    assert [item.shared for item in queue.shared] == [judgement.id for judgement in made]
    assert [set(item.displayed) for item in queue.shared] == [set(judgement.displayed) for judgement in made]
    assert len({item.displayed == judgement.displayed for item, judgement in zip(queue.shared, made, strict=True)}) == 2  # shuffled
    assert queue.shared == label_queue(store, project, "Bo").shared  # where a draft is found again
    assert (queue.left, queue.total, queue.judged) == (8, 8, 0)
    assert label_queue(store, project, "Ada").shared == []
    assert label_queue(store, project).shared == []


def test_what_was_judged_or_skipped_oneself_does_not_wait_and_what_was_taken_back_does(store, project, shared):
    made = [judge(store, project, f"Q{n}") for n in range(3)]
    mine = store.judgements.add(Judgement(project.id, "Bo", made[0].displayed[::-1], Ranking((2, 1))))
    store.judgements.add(Judgement(project.id, "Bo", made[1].displayed, Skip()))
    assert [item.shared for item in label_queue(store, project, "Bo").shared] == [made[2].id]
    store.judgements.withdraw(mine.id, "Bo")
    assert [item.shared for item in label_queue(store, project, "Bo").shared] == [made[0].id, made[2].id]


def test_skips_chats_and_what_was_taken_back_are_not_shared(store, project, shared):
    judge(store, project, "Skipped", verdict=Skip())
    judge(store, project, "Chat", origin="chat")
    store.judgements.withdraw(judge(store, project, "Undone").id, "Ada")
    assert label_queue(store, project, "Bo").shared == []


def test_the_protocol_says_how_many_and_all_judge_the_same_ones(store, project):
    made = [judge(store, project, f"Q{n}") for n in range(60)]
    few = {item.shared for item in label_queue(store, project, "Bo").shared}  # a tenth, unless said otherwise
    assert 0 < len(few) < 20
    assert few == {item.shared for item in label_queue(store, project, "Cy").shared}
    ask(store, project, overlap_share=0.5)
    half = {item.shared for item in label_queue(store, project, "Bo").shared}
    assert few < half < {judgement.id for judgement in made}
    ask(store, project, overlap_share=0.0)
    assert label_queue(store, project, "Bo").shared == []


def test_items_of_another_number_of_answers_are_not_shared(store, project, shared):
    judge(store, project, "Q")
    ask(store, project, answers=4, comparison="ranking")
    assert label_queue(store, project, "Bo").shared == []


def test_an_item_two_colleagues_judged_waits_once(store, project, shared):
    made = judge(store, project, "Q")
    store.judgements.add(Judgement(project.id, "Cy", made.displayed, Ranking((2, 1))))
    assert len(label_queue(store, project, "Bo").shared) == 1


def test_a_silent_return_is_for_whoever_judged_first(store, project):
    made = judge(store, project, "Q")
    conversation = store.conversations.message(made.displayed[0]).conversation_id
    remember_ready(store, project, [Item("", conversation, made.displayed[::-1], repeats=made.id)])
    assert len(label_queue(store, project, "Ada").ready) == 1
    assert label_queue(store, project, "Bo").ready == []


def texts(store, item):
    return {store.conversations.message(key).content for key in item.displayed}


def test_imported_alternatives_wait_with_their_answers_and_go_when_they_are_judged(store, project):
    rows = [UnjudgedRow(user(f"Q{n}"), tuple("abc"[: n + 1])) for n in range(3)]
    done = import_rows(store, project.id, rows, title="chats")
    assert (done.alternatives, done.questions, done.rankings + done.others) == (2, 1, 0)
    queue = label_queue(store, project, "Ada")
    assert (queue.left, [len(item.displayed) for item in queue.ready]) == (3, [2, 2])
    assert texts(store, queue.ready[0]) == {"a", "b"}
    assert queue.ready == label_queue(store, project, "Ada").ready  # where a draft is found again
    store.judgements.add(Judgement(project.id, "Ada", queue.ready[0].displayed, Ranking((1, 2))))
    left = label_queue(store, project, "Ada")
    assert (left.left, len(left.ready)) == (2, 1)
    ask(store, project, answers=1, comparison="none", thumbs=True)
    assert [len(item.displayed) for item in label_queue(store, project, "Ada").ready] == [1, 1]
    ask(store, project, answers=4, comparison="ranking")
    assert label_queue(store, project, "Ada").ready == []


def test_what_was_prepared_is_not_offered_twice(store, project):
    import_rows(store, project.id, [UnjudgedRow(user("Q"), ("a", "b"))])
    (item,) = label_queue(store, project, "Ada").ready
    remember_ready(store, project, [item])
    assert label_queue(store, project, "Ada").ready == [item]


def test_importing_alternatives_again_changes_nothing(store, project):
    rows = [UnjudgedRow(user("Q"), ("a", "b")), UnjudgedRow(user("Q"), ("a", "b"))]
    first, again = (import_rows(store, project.id, rows, title="chats") for _ in range(2))
    assert (first.alternatives, first.duplicates, again.alternatives, again.duplicates) == (1, 1, 0, 2)
    other = import_rows(store, project.id, [UnjudgedRow(user("R"), ("a",))], title="chats")
    assert other.questions == 1
    assert list(store.prompts.sizes(project.id)) == ["chats", "chats 2"]
