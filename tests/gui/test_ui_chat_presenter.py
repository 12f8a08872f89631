"""What Chat decides and stores: a real store, a scripted worker, no widgets."""

import pytest

from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.ui.chat.presenter import ChatPresenter
from tests.gui.conftest import BASE


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def presenter(store, session, client, chance, clock):
    made = ChatPresenter(store, session, client, lambda: "expert", clock, chance)
    yield made
    made._writer.current = None  # nothing is noted once the store is closed


def send(qtbot, presenter, text, answers):
    with qtbot.waitSignal(presenter.writingEnded):
        assert presenter.send(text, answers)


def judgements(store, session):
    return store.judgements.effective(session.project.id)


def last_turns(presenter):
    return presenter._turns()


def test_one_answer_is_stored_with_what_made_it(qtbot, presenter, store):
    send(qtbot, presenter, "hello", 1)
    turns = last_turns(presenter)
    assert [turn.text for turn in turns] == ["hello", "answer 0 to hello"]
    assert turns[1].model == "Tiny"
    node = store.conversations.message(turns[1].id)
    assert (node.finish, node.tokens) == ("end", 4)
    assert node.seed is not None


def test_nothing_is_sent_without_text_or_model(presenter, session):
    assert not presenter.send("   ", 1)
    session.set_model(None)
    assert not presenter.send("hello", 1)
    assert presenter.conversation_id is None


def test_a_ranking_is_stored_in_displayed_order(qtbot, presenter, store, session, clock):
    shown = []
    presenter.judging.began.connect(lambda showing: shown.append(list(showing.texts)))
    send(qtbot, presenter, "hello", 4)
    assert sorted(shown[0]) == [f"answer {n} to hello" for n in range(4)]
    assert shown[0] != sorted(shown[0])  # shuffled
    clock.now += 12.5
    for answer in (2, 0, 3):
        presenter.judging.press(answer)
    presenter.judging.set_why(" names the product ")
    assert presenter.judging.submit()
    (judgement,) = judgements(store, session)
    assert judgement.verdict.ranks == (2, 4, 1, 3)
    assert [store.conversations.message(key).content for key in judgement.displayed] == shown[0]
    assert judgement.seconds_spent == 12.5
    assert (judgement.who, judgement.critique) == ("expert", "names the product")
    assert last_turns(presenter)[-1].text == shown[0][2]  # the best one goes on


def test_an_incomplete_ranking_is_not_saved(qtbot, presenter, store, session):
    send(qtbot, presenter, "hello", 4)
    presenter.judging.press(0)
    assert not presenter.judging.submit()
    assert judgements(store, session) == []


def test_a_pair_saves_on_its_key_and_undo_brings_it_back(qtbot, presenter, store, session):
    undos = []
    session.announced.connect(lambda words, undo: undos.append((words, undo)))
    send(qtbot, presenter, "hello", 2)
    presenter.judging.press(1)
    (judgement,) = judgements(store, session)
    assert judgement.verdict.ranks == (2, 1)
    words, undo = undos[-1]
    assert words == "Saved: 1 comparison"
    undo()
    assert judgements(store, session) == []
    assert len(store.judgements.all(session.project.id)) == 2  # nothing is deleted
    assert presenter.judging.showing
    presenter.judging.tie()
    assert judgements(store, session)[0].verdict.ranks == (1, 1)


def test_both_bad_is_no_tie(qtbot, presenter, store, session):
    send(qtbot, presenter, "hello", 2)
    presenter.judging.reject_all()
    assert judgements(store, session)[0].kind == "all_bad"


def test_stopping_keeps_what_was_written(qtbot, presenter, store):
    with qtbot.waitSignal(presenter.answerGrew):
        presenter.send("forever", 1)
    with qtbot.waitSignal(presenter.writingEnded):
        presenter.stop()
    turn = last_turns(presenter)[-1]
    assert (turn.text, turn.cut) == ("answer 0", "Stopped")


def test_a_crash_keeps_what_was_written(qtbot, presenter):
    with qtbot.waitSignal(presenter.troubled):
        presenter.send("crash", 1)
    assert last_turns(presenter)[-1].text == "answer 0"


def test_a_question_without_an_answer_can_be_asked_again_in_one_go(qtbot, presenter, client):
    with qtbot.waitSignal(client.restarted):
        presenter.send("broken", 2)
    assert presenter.unanswered
    assert [turn.text for turn in last_turns(presenter)] == ["broken"]
    asked = []
    client.generate = lambda prompt, k, *rest: asked.append((prompt[-1]["content"], k)) or "request"
    presenter.ask_again()
    assert asked == [("broken", 2)]
    assert not presenter.unanswered


def test_another_conversation_has_no_question_to_ask_again(qtbot, presenter, client):
    with qtbot.waitSignal(client.restarted):
        presenter.send("broken", 1)
    presenter.new_conversation()
    assert not presenter.unanswered


def test_a_killed_program_keeps_what_was_noted(qtbot, presenter, store, session, client, chance, clock):
    with qtbot.waitSignal(presenter.answerGrew):
        presenter.send("forever", 2)
    qtbot.waitUntil(lambda: all(presenter._writer.current.texts))
    presenter.note()
    asked = presenter.conversation_id
    next_start = ChatPresenter(store, session, client, lambda: "expert", clock, chance)
    assert next_start.recover()
    assert next_start.conversation_id == asked
    assert [(turn.text, turn.cut, turn.alternatives) for turn in last_turns(next_start)[1:]] == [("answer 0", "Stopped", 2)]
    assert not next_start.recover()


def test_what_is_stored_is_no_longer_noted(qtbot, presenter, store, session):
    send(qtbot, presenter, "hello", 2)
    assert not presenter.recover()


def test_leaving_while_writing_keeps_what_was_written(qtbot, presenter, store):
    with qtbot.waitSignal(presenter.answerGrew):
        presenter.send("forever", 1)
    left = presenter.conversation_id
    presenter.new_conversation()
    presenter.open(left)
    assert last_turns(presenter)[-1].text == "answer 0"


def test_regenerating_adds_an_alternative_that_can_be_stepped_through(qtbot, presenter):
    send(qtbot, presenter, "hello", 1)
    first = last_turns(presenter)[-1]
    with qtbot.waitSignal(presenter.writingEnded):
        presenter.regenerate(first.id)
    second = last_turns(presenter)[-1]
    assert (second.position, second.alternatives, second.comparable) == (1, 2, True)
    presenter.step(second.id, -1)
    assert last_turns(presenter)[-1].id == first.id


def test_alternatives_can_be_ranked_later_and_then_not_again(qtbot, presenter, store, session):
    send(qtbot, presenter, "hello", 1)
    with qtbot.waitSignal(presenter.writingEnded):
        presenter.regenerate(last_turns(presenter)[-1].id)
    presenter.compare(last_turns(presenter)[-1].id)
    presenter.judging.press(0)
    assert len(judgements(store, session)) == 1
    assert not last_turns(presenter)[-1].comparable


def test_saying_it_differently_forks(qtbot, presenter):
    send(qtbot, presenter, "hello", 1)
    with qtbot.waitSignal(presenter.writingEnded):
        presenter.edit(last_turns(presenter)[0].id, "good morning", 1)
    turns = last_turns(presenter)
    assert [turn.text for turn in turns] == ["good morning", "answer 0 to good morning"]
    assert turns[0].alternatives == 2


def test_a_deleted_conversation_comes_back_with_undo(qtbot, presenter, store, session):
    send(qtbot, presenter, "hello", 1)
    undo = presenter.hide(presenter.conversation_id)
    assert store.settings.get("hidden_conversations", [], session.project.id) != []
    undo()
    assert store.settings.get("hidden_conversations", [], session.project.id) == []


def test_a_correction_of_the_best_answer_goes_on(qtbot, presenter, store, session):
    send(qtbot, presenter, "hello", 2)
    presenter.judging.correct(0, "what it should have said")
    presenter.judging.press(0)
    (judgement,) = judgements(store, session)
    assert judgement.kinds == ("ranking", "correction")
    assert last_turns(presenter)[-1].text == "what it should have said"
    assert not last_turns(presenter)[-1].comparable


def test_an_example_written_from_scratch_goes_on(qtbot, presenter, store, session):
    send(qtbot, presenter, "hello", 2)
    presenter.judging.demonstrate("my own words")
    (judgement,) = judgements(store, session)
    assert judgement.kind == "demonstration"
    assert [turn.text for turn in last_turns(presenter)] == ["hello", "my own words"]


def test_one_answer_gets_a_thumb_at_once(qtbot, presenter, store, session):
    send(qtbot, presenter, "hello", 1)
    presenter.thumb(last_turns(presenter)[-1].id, False)
    (judgement,) = judgements(store, session)
    assert (judgement.kind, judgement.verdict.up) == ("thumbs", False)
    assert presenter.judging.showing is None


def test_a_ranking_begun_comes_back_with_its_conversation(qtbot, presenter, store, session):
    send(qtbot, presenter, "hello", 4)
    presenter.judging.press(2)
    displayed, left = presenter.judging.showing.displayed, presenter.conversation_id
    presenter.new_conversation()
    assert presenter.judging.showing is None
    presenter.open(left)
    assert presenter.judging.showing.displayed == displayed
    assert presenter.judging.draft.ranking.buckets == ((2,),)


def test_instructions_stand_first_and_can_be_changed_on_a_new_branch(qtbot, presenter, store):
    presenter.set_instructions("Be brief.", 1)
    send(qtbot, presenter, "hello", 1)
    assert [turn.text for turn in last_turns(presenter)] == ["Be brief.", "hello", "answer 0 to hello"]
    with qtbot.waitSignal(presenter.writingEnded):
        presenter.set_instructions("Be kind.", 1)
    turns = last_turns(presenter)
    assert [turn.text for turn in turns] == ["Be kind.", "hello", "answer 0 to hello"]
    assert turns[0].alternatives == 2


def test_sampling_belongs_to_the_conversation(qtbot, presenter, store):
    presenter.set_sampling(Sampling(temperature=0.2))
    send(qtbot, presenter, "hello", 1)
    node = store.conversations.message(last_turns(presenter)[-1].id)
    assert store.conversations.generators([node.generator_id])[node.generator_id].sampling.temperature == 0.2
    kept = presenter.conversation_id
    presenter.new_conversation()
    presenter.set_sampling(Sampling())
    presenter.open(kept)
    assert presenter._sampling.temperature == 0.2


def test_a_thought_is_kept_apart_from_its_answer_and_is_not_sent_back(qtbot, presenter, store):
    grown = []
    presenter.thoughtGrew.connect(lambda place, text: grown.append((place, text)))
    send(qtbot, presenter, "ponder this", 1)
    turn = last_turns(presenter)[-1]
    assert grown[-1] == (0, "Hm, 0: so be it.")
    assert (turn.text, turn.thought, turn.thought_tokens) == ("answer 0 to ponder this", "Hm, 0: so be it.", 9)
    node = store.conversations.message(turn.id)
    assert (node.content, node.thought, node.tokens) == ("answer 0 to ponder this", "Hm, 0: so be it.", 4)
    assert "Hm" not in str([n.message for n in store.conversations.tree(node.conversation_id).path(node.id)])


def test_answers_to_be_judged_show_no_thoughts(qtbot, presenter):
    shown = []
    presenter.judging.began.connect(lambda showing: shown.append(showing.texts))
    send(qtbot, presenter, "ponder this", 2)
    assert sorted(shown[0]) == ["answer 0 to ponder this", "answer 1 to ponder this"]


def test_a_thought_that_is_stopped_can_still_be_read(qtbot, presenter, store):
    with qtbot.waitSignal(presenter.thoughtGrew):
        presenter.send("endless", 1)
    presenter.note()
    assert store.settings.get("unfinished_answers", project_id=presenter._session.project.id)["drafts"][0][1].startswith("Hm, 0")
    with qtbot.waitSignal(presenter.writingEnded):
        presenter.stop()
    turn = last_turns(presenter)[-1]
    assert (turn.text, turn.thought, turn.cut) == ("", "Hm, 0: so be it.", "Stopped")


def test_a_conversations_thinking_can_be_made_the_projects(qtbot, presenter):
    presenter.set_sampling(Sampling(max_thought_tokens=512))
    send(qtbot, presenter, "hello", 1)
    mine = presenter.conversation_id
    presenter.new_conversation()
    assert presenter._sampling.max_thought_tokens == 0
    presenter.open(mine)
    assert presenter._sampling.max_thought_tokens == 512
    presenter.make_usual()
    presenter.new_conversation()
    assert presenter._sampling.max_thought_tokens == 512


def test_conversations_that_have_begun_think_as_before_when_the_project_chooses_otherwise(qtbot, presenter):
    talks = {}
    for room in (0, 512):
        presenter.new_conversation()
        presenter.set_sampling(Sampling(max_thought_tokens=room))
        send(qtbot, presenter, "hello", 1)
        talks[room] = presenter.conversation_id
        presenter.make_usual()
    for room, talk in talks.items():
        presenter.open(talk)
        assert presenter._sampling.max_thought_tokens == room


def cut(qtbot, presenter, text="a lengthy question"):
    send(qtbot, presenter, text, 1)
    turn = last_turns(presenter)[-1]
    assert (turn.cut, turn.continuable) == ("Cut at the limit", True)
    return turn


def test_a_cut_answer_goes_on_and_stands_in_the_place_of_its_beginning(qtbot, presenter, store):
    turn = cut(qtbot, presenter)
    grown = []
    presenter.answerGrew.connect(lambda _place, text: grown.append(text))
    with qtbot.waitSignal(presenter.writingEnded):
        presenter.go_on(turn.id)
    assert grown[0] == turn.text  # what there was never leaves the screen
    assert all(text.startswith(turn.text) for text in grown)
    whole = last_turns(presenter)[-1]
    assert (whole.text, whole.cut, whole.alternatives) == (f"{turn.text} and so on", "", 1)
    assert store.conversations.message(turn.id).content == turn.text  # as it was, with what was judged of it
    assert store.conversations.tree(presenter.conversation_id).continued == {whole.id: turn.id}


def test_what_was_judged_before_it_was_continued_is_still_judged_as_it_was_displayed(qtbot, presenter, store, session):
    turn = cut(qtbot, presenter)
    presenter.thumb(turn.id, up=False)
    with qtbot.waitSignal(presenter.writingEnded):
        presenter.go_on(turn.id)
    (judgement,) = judgements(store, session)
    assert judgement.displayed == (turn.id,)
    assert store.conversations.message(judgement.displayed[0]).content == turn.text


def test_a_continuation_that_is_stopped_at_once_changes_nothing(qtbot, presenter):
    turn = stopped(qtbot, presenter)
    with qtbot.waitSignal(presenter.answerGrew):
        presenter.go_on(turn.id)
    with qtbot.waitSignal(presenter.writingEnded):
        presenter.stop()
    assert last_turns(presenter)[-1] == turn
    assert not presenter.recover()


def stopped(qtbot, presenter):
    with qtbot.waitSignal(presenter.answerGrew):
        presenter.send("forever", 1)
    with qtbot.waitSignal(presenter.writingEnded):
        presenter.stop()
    return last_turns(presenter)[-1]


def test_an_answer_is_continued_by_the_model_that_began_it_alone(qtbot, presenter, session):
    turn = cut(qtbot, presenter)
    told = []
    presenter.troubled.connect(told.append)
    session.set_model(BASE.model_copy(update={"hash": "another", "name": "Other"}))
    presenter.go_on(turn.id)
    assert not presenter.writing
    assert "begun by Tiny" in str(told[0])


def test_a_continued_answer_can_be_ranked_with_the_others_without_its_beginning(qtbot, presenter):
    turn = cut(qtbot, presenter)
    with qtbot.waitSignal(presenter.writingEnded):
        presenter.regenerate(turn.id)
    with qtbot.waitSignal(presenter.writingEnded):
        presenter.go_on(last_turns(presenter)[-1].id)
    assert last_turns(presenter)[-1].alternatives == 2
    shown = []
    presenter.judging.began.connect(lambda showing: shown.append(sorted(showing.texts)))
    presenter.compare(last_turns(presenter)[-1].id)
    assert shown == [[turn.text, f"{turn.text} and so on"]]


@pytest.mark.parametrize("act", ["regenerate", "go_on", "compare", "judge_one", "thumb", "correct"])
def test_a_greeting_that_opens_an_imported_conversation_answers_nothing(presenter, store, session, act):
    conversation = store.conversations.create(session.project.id).id
    greeting = store.conversations.add_message(conversation, None, "assistant", "Good morning!").id
    store.conversations.add_message(conversation, greeting, "user", "hello")
    troubles = []
    presenter.troubled.connect(troubles.append)
    presenter.open(conversation)
    getattr(presenter, act)(greeting, *{"thumb": (True,), "correct": ("Hello!",)}.get(act, ()))
    assert ["answers nothing" in str(trouble) for trouble in troubles] == [True]
    assert not presenter.writing
    assert judgements(store, session) == []
    assert presenter.judging.showing is None
