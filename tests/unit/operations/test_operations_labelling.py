import pytest
from operations_helpers import user

from rlhf_desktop.feedback.judgements import Judgement, Ranking, Skip
from rlhf_desktop.operations.labelling import Item, label_queue, remember_ready


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
    ask(store, project, answers=4)
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
