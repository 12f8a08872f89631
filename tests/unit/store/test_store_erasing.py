"""What an erase takes along, beside a loop that goes from row to row; and that it takes nothing else."""

import json
import random

import pytest
from store_helpers import lived, ranked, user

from rlhf_desktop.feedback.conversations import Generator
from rlhf_desktop.feedback.judgements import Correction, Flag, Judgement, Skip, Thumbs, revision
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.erasing import MESSAGE_THAT_WAITS, belongings, bury, doomed, of_others, said_elsewhere, scrub, with_texts

GENERATOR = Generator("tiny", "h")
TABLES = ("judgements", "judged_completions", "messages", "conversations", "prompts", "prompt_sets", "drafts", "split_exceptions")


def rows(store, table):
    return store.connection.rows(f"SELECT * FROM {table}")


def counts(store):
    return {table: len(rows(store, table)) for table in TABLES}


def ids_of(store, table):
    return {row["id"] for row in rows(store, table)}


# --- what cannot stay ---------------------------------------------------------------------------------------------------------


def closure(store, ids):
    """By its definition, again and again until nothing is added: replies; judgements that show them; what replaces those."""
    messages, judgements = rows(store, "messages"), rows(store, "judgements")
    shown = [(row["judgement_id"], row["message_id"]) for row in rows(store, "judged_completions")]
    gone, left = set(), {m["id"] for m in messages if m["id"] in ids or m["conversation_id"] in ids}
    while left - gone:
        gone |= left
        left = {m["id"] for m in messages if m["parent_id"] in gone}
    taken, more = set(), {j["id"] for j in judgements if j["id"] in ids or j["supersedes"] in ids}
    more |= {judgement for judgement, message in shown if message in gone}
    while more - taken:
        taken |= more
        more = {j["id"] for j in judgements if j["supersedes"] in taken}
    return taken, gone


@pytest.mark.parametrize("seed", range(2))
def test_all_that_hangs_on_what_is_erased_goes_and_nothing_else(store, project, seed):
    lived(store, project, seed)
    chance = random.Random(seed)
    everything = sorted(ids_of(store, "judgements") | ids_of(store, "messages") | ids_of(store, "conversations"))
    for count in (1, 4, 12):
        chosen = chance.sample(everything, count)
        going = doomed(store.connection, chosen)
        judgements, messages = closure(store, set(chosen))
        assert (set(going.judgements), set(going.messages)) == (judgements, messages)
        assert list(going.judgements) == sorted(going.judgements)


@pytest.fixture
def talk(store, project):
    """A question with two answers; a follow-up on the first, with an answer."""
    _, first = store.conversations.start(project.id, user("First?"))
    one, two = store.conversations.add_answers(first.id, ["one", "two"])
    second = store.conversations.add_message(first.conversation_id, one.id, "user", "Second?")
    (three,) = store.conversations.add_answers(second.id, ["three"])
    return {"first": first.id, "one": one.id, "two": two.id, "second": second.id, "three": three.id}


def thumb(store, project, message, **more):
    return store.judgements.add(Judgement(project.id, "Ada", (message,), Thumbs(True), **more))


def texts_taken(store, talk, *judgements):
    going = with_texts(store.connection, [judgement.id for judgement in judgements])
    names = {message: name for name, message in talk.items()}
    return set(going.judgements), {names[message] for message in going.messages}


def test_with_its_answer_goes_the_question_that_led_to_it_alone(store, project, talk):
    given = thumb(store, project, talk["three"])
    assert texts_taken(store, talk, given) == ({given.id}, {"second", "three"} | {"one"})  # the answer in between led to it alone


def test_a_question_with_another_answer_stays(store, project, talk):
    given = thumb(store, project, talk["two"])
    assert texts_taken(store, talk, given) == ({given.id}, {"two"})
    both = [given, thumb(store, project, talk["one"])]
    assert texts_taken(store, talk, *both) == ({event.id for event in both}, set(talk))


def test_an_answer_that_another_judgement_shows_stays_with_what_led_to_it(store, project, talk):
    given, other = thumb(store, project, talk["three"]), thumb(store, project, talk["one"])
    assert texts_taken(store, talk, given) == ({given.id}, {"second", "three"})
    assert other.id not in with_texts(store.connection, [given.id]).judgements


def test_an_answer_that_was_gone_on_with_goes_with_the_longer_one_and_the_other_way_round(store, project, talk):
    longer = NewCompletion("two, and more", continues=talk["two"])
    (more,) = store.conversations.add_completions(talk["first"], [longer], GENERATOR)
    talk = {**talk, "more": more.id}
    for one in (talk["two"], more.id):
        assert set(doomed(store.connection, [one]).messages) == {talk["two"], more.id}
        given = thumb(store, project, one)
        assert texts_taken(store, talk, given) == ({given.id}, {"two", "more"})
        bury(store, [given.id])


def test_all_versions_of_a_judgement_go_together(store, project, talk):
    first = thumb(store, project, talk["two"])
    second = store.judgements.add(revision(first, "Bo", [Thumbs(False)]))
    undo = store.judgements.withdraw(second.id, "Bo")
    for one in (first, second, undo):
        assert texts_taken(store, talk, one) == ({first.id, second.id, undo.id}, {"two"})


# --- whose it is --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def two(store, project, talk):
    """Something of every kind in two projects."""
    other = store.projects.create("Other")
    _, question = store.conversations.start(other.id, user("Elsewhere?"))
    (answer,) = store.conversations.add_answers(question.id, ["elsewhere"])
    mine, theirs = thumb(store, project, talk["two"]), thumb(store, other, answer.id)
    for place, text in ((project, "Mine to practise"), (other, "Theirs to practise")):
        store.prompts.create_set(place.id, "set", [user(text)])
    prompts = {place.id: store.prompts.prompts(place.id)[0].id for place in (project, other)}
    conversation = store.connection.row("SELECT conversation_id AS id FROM messages WHERE id = ?", (talk["one"],))["id"]
    return {
        "other": other,
        "mine": {mine.id, conversation, prompts[project.id]},
        "theirs": {theirs.id, question.conversation_id, prompts[other.id]},
        "messages": {question.id, answer.id},
    }


def test_what_belongs_to_a_project_is_its_judgements_conversations_and_prompts(store, project, two):
    assert set(belongings(store.connection, [project.id])) == two["mine"]
    assert set(belongings(store.connection, [two["other"].id])) == two["theirs"]
    assert set(belongings(store.connection, [project.id, two["other"].id])) == two["mine"] | two["theirs"]


def test_ids_of_another_project_are_told_apart(store, project, two, talk):
    everything = two["mine"] | two["theirs"] | two["messages"] | set(talk.values()) | {"nothing"}
    assert of_others(store.connection, project.id, everything) == two["theirs"] | two["messages"]
    assert of_others(store.connection, two["other"].id, everything) == two["mine"] | set(talk.values())


def test_words_that_other_projects_hold_are_found_wherever_they_are(store, project, two, talk):
    place = two["other"]
    _, question = store.conversations.start(place.id, user("asked"))
    (answer,) = store.conversations.add_completions(question.id, [NewCompletion("answered", thought="thought")], GENERATOR)
    more = {"also": (Correction("put right"),), "critique": "reason"}
    store.judgements.add(Judgement(place.id, "Ada", (answer.id,), Thumbs(True), **more))
    store.judgements.add(Judgement(place.id, "Ada", (answer.id,), Flag("flagged")))
    store.judgements.add(Judgement(place.id, "Ada", (answer.id,), Skip("skipped")))
    held = ["asked", "answered", "thought", "put right", "reason", "flagged", "skipped", "Theirs to practise"]
    wanted = [*held, "First?", "one", "Mine to practise", "nowhere", "text"]
    assert said_elsewhere(store.connection, project.id, wanted) == set(held)
    assert said_elsewhere(store.connection, place.id, wanted) == {"First?", "one", "Mine to practise"}


# --- the erase ----------------------------------------------------------------------------------------------------------------


def test_an_erase_leaves_tombstones_and_what_stays_as_it_was(store, project, talk, two):
    kept, before = ids_of(store, "judgements") - two["mine"], counts(store)
    going = bury(store, [talk["one"], "never here"])
    assert set(going.messages) == {talk["one"], talk["second"], talk["three"]}
    assert ids_of(store, "messages") == {talk["first"], talk["two"]} | two["messages"]
    assert kept <= ids_of(store, "judgements")
    assert {row["id"] for row in rows(store, "tombstones")} == {*going.messages, "never here"}
    assert counts(store) == {**before, "messages": before["messages"] - 3}


def test_a_conversation_is_named_after_what_is_left_and_goes_when_nothing_is(store, project, talk):
    (conversation,) = ids_of(store, "conversations")
    store.connection.execute("INSERT INTO conversation_tags VALUES (?, 'hard')", (conversation,))
    store.conversations.set_active_leaf(conversation, talk["three"])
    store.conversations.rename(conversation, "Second, which goes")
    bury(store, [talk["second"]])
    left = store.conversations.get(conversation)
    assert (left.title, left.active_leaf) == ("First?", None)
    bury(store, [talk["first"]])
    assert (rows(store, "conversations"), rows(store, "conversation_tags")) == ([], [])
    assert conversation in {row["id"] for row in rows(store, "tombstones")}


def test_a_leaf_that_stays_stays_the_leaf(store, project, talk):
    (conversation,) = ids_of(store, "conversations")
    store.conversations.set_active_leaf(conversation, talk["two"])
    bury(store, [talk["one"]])
    assert store.conversations.get(conversation).active_leaf == talk["two"]


def test_what_was_said_of_a_judgement_goes_with_it_and_with_no_other(store, project, talk):
    gone, kept = thumb(store, project, talk["one"]), thumb(store, project, talk["two"])
    store.tags.add([gone.id, kept.id], "hard")
    bury(store, [gone.id])
    assert [row["judgement_id"] for row in rows(store, "judged_completions")] == [kept.id]
    assert [row["judgement_id"] for row in rows(store, "judgement_tags")] == [kept.id]
    assert ids_of(store, "messages") == set(talk.values())


def test_a_prompt_goes_by_itself(store, project, two):
    (mine,) = store.prompts.prompts(project.id)
    bury(store, [mine.id])
    assert [row["id"] for row in rows(store, "prompts")] == [prompt.id for prompt in store.prompts.prompts(two["other"].id)]


def test_drafts_and_messages_that_wait_go_when_they_name_what_is_gone_or_hold_its_words(store, project, talk):
    for key, value in {
        f"label:{talk['one']}": {"text": "mine"},
        "by id": {"shown": [talk["one"]]},
        "by word": {"text": "the secret “é” word"},
        "kept": {"text": "something else"},
    }.items():
        store.drafts.save(project.id, "Ada", key, value)
        store.drafts.save(project.id, "Bo", "kept", {"text": "something else"})
    waiting = [
        ("a", MESSAGE_THAT_WAITS, "the secret “é” word"),
        ("b", "unfinished_answers", talk["one"]),
        ("c", "other", talk["one"]),
    ]
    for scope, key, value in [*waiting, ("d", MESSAGE_THAT_WAITS, "kept")]:
        store.connection.execute("INSERT INTO settings VALUES (?, ?, ?)", (scope, key, json.dumps({"text": value})))
    bury(store, [talk["one"]], ["secret “é”"])
    assert sorted((row["who"], row["key"]) for row in rows(store, "drafts")) == [("Ada", "kept"), ("Bo", "kept")]
    scopes = [row["scope"] for row in rows(store, "settings") if row["scope"] in set("abcd")]
    assert sorted(scopes) == ["c", "d"]


def test_a_project_goes_whole_and_another_stays_whole(store, project, two):
    other = two["other"]
    for place in (project, other):
        store.guidelines.save(place.id, "Be kind.", "Ada")
        store.drafts.save(place.id, "Ada", "begun", {"text": "x"})
        store.projects.fix_split(place.id, [user("Held?")], "heldout")
        store.connection.execute("INSERT INTO settings VALUES (?, 'some', '1')", (place.id,))
    everything = (*TABLES, "guidelines", "projects", "settings")
    before = {table: rows(store, table) for table in everything}
    bury(store, [], projects=[other.id])
    for table in everything:
        after = rows(store, table)
        assert other.id not in json.dumps(after)
        assert after == [row for row in before[table] if row in after]
    assert {row["id"] for row in rows(store, "projects")} == {project.id}
    assert [len(rows(store, table)) for table in ("guidelines", "drafts", "split_exceptions", "prompt_sets")] == [1, 1, 1, 1]
    assert set(belongings(store.connection, [project.id])) == two["mine"]
    assert two["theirs"] <= {row["id"] for row in rows(store, "tombstones")}


def test_without_a_project_named_none_goes(store, project, talk):
    bury(store, [talk["three"]])
    assert len(rows(store, "projects")) == 1


def test_after_scrubbing_no_byte_of_it_is_in_the_file(store, project, tmp_path):
    _, question = store.conversations.start(project.id, user("Zaborowska"))
    answers = store.conversations.add_answers(question.id, ["a", "b"])
    store.judgements.add(ranked(project, answers, 1, 2, critique="Zaborowska again"))
    bury(store, [question.id])
    scrub(store.connection)
    assert not any(b"Zaborowska" in path.read_bytes() for path in tmp_path.glob("feedback.db*"))
