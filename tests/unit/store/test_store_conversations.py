import pytest

from rlhf_desktop.core.errors import BadInput, NotFound, StoreTrouble
from rlhf_desktop.core.protocol import Sampling, Written
from rlhf_desktop.feedback.conversations import Generator
from rlhf_desktop.feedback.judgements import Judgement, Thumbs
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.erasing import bury, with_texts
from rlhf_desktop.store.shelf import ConversationQuery

GENERATOR = Generator("starter", "hash", "tuned", "adapter hash", Sampling(temperature=0.9))


def contents(nodes) -> list[str]:
    return [node.content for node in nodes]


@pytest.fixture
def asked(store, project):
    return store.conversations.start(project.id, [{"role": "user", "content": "My printer broke"}])


def test_completions_remember_what_made_them(store, asked):
    conversation, question = asked
    store.conversations.add_completions(
        question.id, [NewCompletion("a", 7, "end", 3), NewCompletion("b", 7, "length", 9)], GENERATOR
    )
    _, a, b = sorted(store.conversations.tree(conversation.id).nodes, key=lambda n: n.content if n.parent_id else "")
    assert (a.seed, a.finish, a.tokens, a.position) == (7, "end", 3, 0)
    assert (b.seed, b.finish, b.tokens, b.position) == (7, "length", 9, 1)
    assert store.conversations.generators([a.generator_id, b.generator_id]) == {GENERATOR.id: GENERATOR}


def test_alternatives_are_siblings_a_regenerated_one_comes_last_and_becomes_active(store, asked):
    conversation, question = asked
    store.conversations.add_completions(question.id, [NewCompletion("a"), NewCompletion("b")], GENERATOR)
    assert contents(store.conversations.tree(conversation.id).active_path()) == ["My printer broke", "a"]
    (c,) = store.conversations.add_completions(question.id, [NewCompletion("c")], GENERATOR)
    tree = store.conversations.tree(conversation.id)
    assert contents(tree.siblings(c.id)) == ["a", "b", "c"]
    assert contents(tree.active_path()) == ["My printer broke", "c"]


def test_a_fork_keeps_both_branches(store, asked):
    conversation, question = asked
    first, second = store.conversations.add_answers(question.id, ["a", "b"])
    store.conversations.add_message(conversation.id, first.id, "user", "thanks")
    store.conversations.add_message(conversation.id, second.id, "user", "no")
    edited = store.conversations.add_message(conversation.id, None, "user", "My scanner broke")
    assert contents(store.conversations.tree(conversation.id).active_path()) == ["My scanner broke"]
    store.conversations.set_active_leaf(conversation.id, first.id)
    tree = store.conversations.tree(conversation.id)
    assert contents(tree.active_path()) == ["My printer broke", "a", "thanks"]
    assert contents(tree.siblings(edited.id)) == ["My printer broke", "My scanner broke"]


def test_messages_are_never_changed_or_deleted(store, asked):
    for sql in ("UPDATE messages SET content = 'x'", "DELETE FROM messages"):
        with pytest.raises(StoreTrouble) as caught:
            store.connection.execute(sql)
        assert "append-only" in caught.value.detail
    assert store.conversations.message(asked[1].id).content == "My printer broke"


def test_an_answer_to_nothing_or_to_another_conversation_is_refused(store, project, asked):
    other, _ = store.conversations.start(project.id, [{"role": "user", "content": "x"}])
    with pytest.raises(BadInput, match="another conversation"):
        store.conversations.add_message(other.id, asked[1].id, "user", "x")
    with pytest.raises(NotFound):
        store.conversations.add_completions("nothing", [NewCompletion("x")], GENERATOR)
    with pytest.raises(BadInput):
        store.conversations.start(project.id, [])
    assert store.conversations.generators([GENERATOR.id]) == {}, "the failed step left a part behind"


def test_a_conversation_takes_its_title_from_its_first_question(store, project):
    conversation = store.conversations.create(project.id)
    store.conversations.add_message(conversation.id, None, "user", "Why is the sky blue?")
    assert store.conversations.get(conversation.id).title == "Why is the sky blue?"
    store.conversations.rename(conversation.id, "Sky")
    store.conversations.add_message(conversation.id, None, "user", "And the sea?")
    assert store.conversations.get(conversation.id).title == "Sky"


def test_the_list_has_the_last_changed_first_and_can_be_searched_and_paged(store, project):
    ids = {}
    for text in ("50% off", "50 off", "snake_case"):
        conversation, leaf = store.conversations.start(project.id, [{"role": "user", "content": text}])
        store.conversations.add_answers(leaf.id, [f"answer to {text}"])
        ids[text] = conversation.id
    store.conversations.start(project.id, [{"role": "user", "content": "imported"}], origin="import")
    listed = store.conversations.page(project.id, ConversationQuery()).rows
    assert [s.conversation.title for s in listed] == ["snake_case", "50 off", "50% off"]
    assert {s.messages for s in listed} == {2}
    found = store.conversations.page(project.id, ConversationQuery(text="50% O")).rows
    assert [s.conversation.id for s in found] == [ids["50% off"]]
    assert [
        s.conversation.title for s in store.conversations.page(project.id, ConversationQuery(text="answer to snake_")).rows
    ] == ["snake_case"]
    first = store.conversations.page(project.id, ConversationQuery(), limit=1)
    second = store.conversations.page(project.id, ConversationQuery(), first.next, limit=1)
    assert [s.conversation.title for s in second.rows] == ["50 off"]
    assert len(store.conversations.page(project.id, ConversationQuery(None)).rows) == 4


def test_many_are_planted_at_once_or_none(store, project):
    prompt = [{"role": "system", "content": "Be kind"}, {"role": "user", "content": "Hi"}]
    planted = store.conversations.plant(project.id, [(prompt, ["a", "b"])] * 300)
    tree = store.conversations.tree(planted[-1].conversation.id)
    assert contents(tree.active_path()) == ["Be kind", "Hi", "a"]
    assert contents(tree.siblings(planted[-1].answers[1].id)) == ["a", "b"]
    with pytest.raises(BadInput):
        store.conversations.plant(project.id, [(prompt, ["a"]), (prompt, ["\udc00"])])
    assert len(store.conversations.page(project.id, ConversationQuery("import"), limit=1000).rows) == 300


def test_a_thought_comes_and_goes_with_its_answer_and_is_not_what_was_said(store, project, asked):
    _, question = asked
    made = NewCompletion("Because.", 7, "end", 3, "Let me see: orange.", 9)
    (node,) = store.conversations.add_completions(question.id, [made], GENERATOR)
    kept = store.conversations.message(node.id)
    assert (kept.content, kept.thought, kept.tokens, kept.thought_tokens) == ("Because.", "Let me see: orange.", 3, 9)
    assert kept.message == {"role": "assistant", "content": "Because."}
    assert store.conversations.page(project.id, ConversationQuery(text="orange")).rows == ()
    bury(store, [node.id])
    assert store.connection.rows("SELECT id FROM messages WHERE thought != ''") == []


def test_thoughts_in_what_comes_from_elsewhere_are_kept_apart(store, project):
    turns = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "<think>Hm.</think>\n\nSo."}]
    turns += [{"role": "user", "content": "<think>is a mark</think> What of it?"}]
    (planted,) = store.conversations.plant(project.id, [(turns, ["<think>\nLong.\n</think>\n\nNothing.", "Use <think>."])])
    assert [(n.content, n.thought) for n in planted.branch] == [("Why?", ""), ("So.", "Hm."), (turns[2]["content"], "")]
    assert [(n.content, n.thought) for n in planted.answers] == [("Nothing.", "Long."), ("Use <think>.", "")]


def continued(store, question):
    """A cut answer, and the longer one that goes on from it."""
    (cut,) = store.conversations.add_completions(
        question.id, [NewCompletion("It over", 1, "length", 3, written=Written(thought=[4], closing=[5], answer=[6, 7]))], GENERATOR
    )
    (whole,) = store.conversations.add_completions(
        question.id, [NewCompletion("It overheats.", 2, "end", 5, continues=cut.id)], GENERATOR
    )
    return cut, whole


def test_what_a_cut_answer_goes_on_from_is_kept_and_its_continuation_stands_in_its_place(store, asked):
    conversation, question = asked
    (other,) = store.conversations.add_answers(question.id, ["Unplug it."])
    cut, whole = continued(store, question)
    assert store.conversations.written(cut.id) == Written(thought=[4], closing=[5], answer=[6, 7])
    assert store.conversations.written(whole.id) is None
    tree = store.conversations.tree(conversation.id)
    assert contents(tree.siblings(whole.id)) == ["Unplug it.", "It over", "It overheats."]  # both stay
    assert contents(tree.alternatives(whole.id)) == contents(tree.alternatives(other.id)) == ["Unplug it.", "It overheats."]
    assert contents(tree.alternatives(cut.id)) == ["Unplug it.", "It over", "It overheats."]  # it is on screen
    store.conversations.add_message(conversation.id, cut.id, "user", "Go on")
    assert len(store.conversations.tree(conversation.id).alternatives(whole.id)) == 3  # it has a branch of its own


def test_a_deleted_turn_is_off_the_conversation_with_all_that_follows_and_comes_back(store, asked):
    conversation, question = asked
    first, second = store.conversations.add_answers(question.id, ["a", "b"])
    thanks = store.conversations.add_message(conversation.id, second.id, "user", "thanks")

    def shown():
        return contents(store.conversations.tree(conversation.id).active_path())

    before = shown()
    assert before == ["My printer broke", "b", "thanks"]
    store.conversations.delete_turn(second.id)
    store.conversations.delete_turn(second.id)  # once more changes nothing
    assert shown() == ["My printer broke", "a"]
    assert contents(store.conversations.tree(conversation.id).alternatives(first.id)) == ["a"]
    store.conversations.delete_turn(first.id)
    assert shown() == ["My printer broke"]
    store.conversations.delete_turn(question.id)
    assert shown() == []
    for turn in (question, first, second):
        store.conversations.delete_turn(turn.id, deleted=False)
    assert shown() == before
    store.conversations.delete_turn(thanks.id)
    assert shown() == before[:2]


def test_an_erase_takes_an_answer_with_its_continuation_and_their_tokens(store, project, asked):
    conversation, question = asked
    cut, whole = continued(store, question)
    judgement = store.judgements.add(Judgement(project.id, "me", (cut.id,), Thumbs(False)))
    going = with_texts(store.connection, [judgement.id])
    assert set(going.messages) == {cut.id, whole.id, question.id}
    store.conversations.delete_turn(whole.id)
    bury(store, [whole.id])
    assert contents(store.conversations.tree(conversation.id).nodes) == ["My printer broke"]
    for table in ("cut_answers", "continued_answers", "deleted_turns"):
        assert store.connection.rows(f"SELECT * FROM {table}") == []
