import pytest

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.store.shelf import ConversationQuery


@pytest.fixture
def chats(store, project):
    made = []
    for topic in ("printers", "invoices", "delays", "refunds"):
        conversation, leaf = store.conversations.start(project.id, [{"role": "user", "content": f"About {topic}"}])
        store.conversations.add_answers(leaf.id, [f"All about {topic}, briefly"])
        made.append(conversation.id)
    return made


def listed(store, project, **query):
    after, found = None, []
    while True:
        page = store.conversations.page(project.id, ConversationQuery(**query), after, limit=3)
        found += [summary.conversation.id for summary in page.rows]
        after = page.next
        if after is None:
            return found


def test_folders_hold_many_and_are_left(store, project, chats):
    store.conversations.file(chats[:3], " To  do ")
    store.conversations.file(chats[:1], "")
    assert store.conversations.folders(project.id) == {"To do": 2}
    assert set(listed(store, project, folder="To do")) == set(chats[1:3])
    assert set(listed(store, project, folder="")) == {chats[0], chats[3]}
    assert store.conversations.get(chats[1]).folder == "To do"
    with pytest.raises(BadInput):
        store.conversations.file(chats, "x" * 81)


def test_tags_are_given_taken_and_found(store, project, chats):
    store.conversations.tag(chats[:2], "hard")
    store.conversations.tag(chats[:1], "hard")
    store.conversations.tag(chats[:1], "Angry")
    store.conversations.untag(chats[1:2], "hard")
    assert store.conversations.tags_of(chats) == {chats[0]: ("Angry", "hard")}
    assert store.conversations.tags(project.id) == {"Angry": 1, "hard": 1}
    assert listed(store, project, tag="hard") == chats[:1]


def test_words_are_found_in_titles_and_messages_and_pages_end(store, project, chats):
    store.conversations.rename(chats[3], "Money back")
    assert listed(store, project) == chats[::-1]
    assert listed(store, project, text="briefly") == chats[::-1]
    assert listed(store, project, text="invo") == chats[1:2]
    assert listed(store, project, text="oney b") == chats[3:]
    assert listed(store, project, text="!!") == []
    assert listed(store, store.projects.create("Other"), text="briefly") == []


def test_the_words_of_a_deleted_turn_and_of_what_follows_find_nothing_until_they_are_back(store, project, chats):
    tree = store.conversations.tree(chats[0])
    question, answer = tree.active_path()
    store.conversations.delete_turn(answer.id)
    assert listed(store, project, text="briefly") == chats[:0:-1]
    assert listed(store, project, text="printers") == [chats[0]], "the question is there still, and so is the title"
    store.conversations.rename(chats[0], "Something")
    store.conversations.delete_turn(question.id)
    assert listed(store, project, text="printers") == []
    for message in (answer.id, question.id):
        store.conversations.delete_turn(message, False)
    assert listed(store, project, text="printers") == [chats[0]]
