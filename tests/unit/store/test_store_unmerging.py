"""A merge undone: row by row what was there before, whatever the bundle held; what was added since stays."""

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from test_store_bundling import ACTS, Station

from rlhf_desktop.core.errors import AppError, BadInput
from rlhf_desktop.feedback.judgements import Ranking, revision
from rlhf_desktop.store.driver import Connection
from rlhf_desktop.store.erasing import bury, with_texts
from rlhf_desktop.store.unmerging import KEPT, undo_merge, undoable

_NOT_COMPARED = ("audit_log", "audit_people", "merges", "merge_added", "merge_changed")
NO_ERASE = tuple(act for act in ACTS if act != "erase")


def everything(connection: Connection) -> dict[str, list]:
    """Every row of every table, and the words of both searches with how often they are found."""
    with connection.transaction():  # on the connection that has the temporary table
        return _everything(connection)


def _everything(connection: Connection) -> dict[str, list]:
    tables = [
        row["name"]
        for row in connection.rows("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
        if "VIRTUAL" not in (row["sql"] or "") and "_search" not in row["name"] and not row["name"].startswith("sqlite")
    ]
    found = {name: sorted(map(repr, connection.rows(f"SELECT * FROM {name}"))) for name in tables if name not in _NOT_COMPARED}
    connection.raw.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp.chat_words USING fts5vocab(main, chat_search, row)")
    for words in ("judgement_words", "chat_words"):
        found[words] = sorted(map(repr, connection.rows(f"SELECT * FROM {words}")))
    return found


def lived(path: Path, seed: int, theirs=ACTS) -> tuple[Station, Station]:
    """Two workstations with something in common, and each with things of its own."""
    chance = random.Random(seed)
    here, there = Station(path, f"here{seed}"), Station(path, f"there{seed}")
    for number in range(4):
        here.act(chance.choice(NO_ERASE), number)
    here.act("ask", 99)
    there.merge(here.bundle())
    for _ in range(chance.randint(1, 12)):
        there.act(chance.choice(theirs), chance.randint(0, 20))
    for _ in range(chance.randint(0, 4)):
        here.act(chance.choice(NO_ERASE), chance.randint(0, 20))
    return here, there


@pytest.mark.parametrize("part", [range(0, 5), pytest.param(range(5, 120), marks=pytest.mark.slow)], ids=["some", "many"])
def test_undone_twice_and_merged_again_it_is_each_time_what_it_was(part, monkeypatch):
    with TemporaryDirectory() as folder:
        for seed in part:
            here, there = lived(Path(folder), seed, NO_ERASE)
            before = everything(here.store.connection)
            bundle = there.bundle()
            here.merge(bundle)
            merged = everything(here.store.connection)
            if merged == before:
                assert undoable(here.store, here.project.id) is None
            else:
                for _ in range(2):
                    done = undo_merge(here.store, here.project.id)
                    assert everything(here.store.connection) == before, seed
                    assert not done.staying
                    here.merge(bundle)
                    again = everything(here.store.connection)
                    again.pop("prompt_sets"), again.pop("prompts")  # a set made by a merge has another id each time
                    assert again == {name: rows for name, rows in merged.items() if name not in ("prompt_sets", "prompts")}, seed
            assert here.store.connection.rows("PRAGMA foreign_key_check") == []
            assert here.store.audit.verify().problem == ""
            here.store.close(), there.store.close()


@pytest.mark.parametrize("part", [range(0, 5), pytest.param(range(5, 120), marks=pytest.mark.slow)], ids=["some", "many"])
def test_what_was_added_since_stays_with_all_it_is_about(part):
    with TemporaryDirectory() as folder:
        for seed in part:
            here, there = lived(Path(folder), seed)
            here.merge(there.bundle())
            old = {j.id for j in here.store.judgements.all(here.project.id)}
            chance = random.Random(seed)
            for _ in range(6):
                here.act(chance.choice(NO_ERASE), chance.randint(0, 20))
            mine = [j for j in here.store.judgements.all(here.project.id) if j.id not in old]
            if undoable(here.store, here.project.id) is not None:
                undo_merge(here.store, here.project.id)
            after = {j.id: j for j in here.store.judgements.all(here.project.id)}
            assert all(after.get(j.id) == j for j in mine), seed
            for j in mine:
                tree = here.store.conversations.tree(here.store.conversations.message(j.displayed[0]).conversation_id)
                assert all(tree.path(message) for message in j.displayed)
            assert here.store.connection.rows("PRAGMA foreign_key_check") == []
            here.merge(there.bundle())
            here.store.close(), there.store.close()


@pytest.fixture
def pair(tmp_path):
    here, there = Station(tmp_path, "here"), Station(tmp_path, "there")
    here.act("ask", 0)
    there.merge(here.bundle())
    yield here, there
    here.store.close(), there.store.close()


def test_there_must_be_something_to_undo(pair):
    here, _ = pair
    with pytest.raises(BadInput, match="no merge to undo"):
        undo_merge(here.store, here.project.id)
    here.merge(here.bundle())  # brings nothing new
    assert undoable(here.store, here.project.id) is None


def test_the_newest_merge_is_undone_first_and_only_some_are_kept(pair):
    here, there = pair
    states = []
    for number in range(KEPT + 2):
        states.append(everything(here.store.connection))
        there.act("ask", 100 + number)
        here.merge(there.bundle())
    for state in list(reversed(states))[:KEPT]:
        undo_merge(here.store, here.project.id)
        assert everything(here.store.connection) == state
    assert undoable(here.store, here.project.id) is None


def test_a_revision_of_mine_keeps_what_it_revises(pair):
    here, there = pair
    there.act("ask", 1), there.act("ask", 2)
    here.merge(there.bundle())
    theirs = [j for j in here.events() if j.who == "there"]
    made = here.store.judgements.add(revision(theirs[0], "here", [Ranking((2, 1))]))
    done = undo_merge(here.store, here.project.id)
    assert {j.id for j in here.events()} == {here.events()[0].id, theirs[0].id, made.id}
    assert (done.removed["judgements"], done.staying["judgements"]) == (1, 1)


def test_titles_changed_since_stay_and_others_go_back(pair):
    here, there = pair
    (conversation,) = here.store.connection.rows("SELECT id, title FROM conversations")
    there.store.conversations.rename(conversation["id"], "Theirs")
    here.merge(there.bundle())
    assert here.store.conversations.get(conversation["id"]).title == "Theirs"
    undo_merge(here.store, here.project.id)
    assert here.store.conversations.get(conversation["id"]).title == conversation["title"]
    here.merge(there.bundle())
    here.store.conversations.rename(conversation["id"], "Mine")
    undo_merge(here.store, here.project.id)
    assert here.store.conversations.get(conversation["id"]).title == "Mine"


def test_what_a_merge_erased_stays_erased_and_all_else_comes_back(pair):
    here, there = pair
    there.act("ask", 1)
    here.merge(there.bundle())
    gone = there.events()[0]
    going = with_texts(there.store.connection, [gone.id])
    bury(there.store, [*going.judgements, *going.messages])
    there.act("ask", 2)
    kept = {j.id for j in here.events()} - {gone.id}
    here.merge(there.bundle())
    found = undoable(here.store, here.project.id)
    assert (found.erased, found.judgements) == (1, 1)
    undo_merge(here.store, here.project.id)
    assert {j.id for j in here.events()} == kept
    assert here.store.has_tombstones([gone.id])


def test_an_erase_takes_the_titles_kept_for_an_undo(pair):
    here, there = pair
    (conversation,) = here.store.connection.rows("SELECT id FROM conversations")
    here.store.conversations.rename(conversation["id"], "Mrs Zaborowska")
    there.act("tag", 1)
    there.store.connection.execute("UPDATE conversations SET title = 'X', updated_at = '2099-01-01T00:00:00+00:00'")
    here.merge(there.bundle())
    assert here.store.connection.rows("SELECT 1 FROM merge_changed WHERE before LIKE '%Zaborowska%'")
    bury(here.store, [here.events()[0].displayed[0]])
    assert not here.store.connection.rows("SELECT 1 FROM merge_changed WHERE before LIKE '%Zaborowska%'")
    undo_merge(here.store, here.project.id)


def test_prompts_that_may_have_been_trained_on_are_not_held_out_again(pair):
    here, there = pair
    there.act("hold", 0), there.act("hold", 1)  # one in each half
    here.merge(there.bundle())
    assert {row["split"] for row in here.store.connection.rows("SELECT split FROM split_exceptions")} == {"train", "heldout"}
    here.store.audit.note("trained", project=here.project.id)
    done = undo_merge(here.store, here.project.id)
    assert done.runs == 1
    assert [row["split"] for row in here.store.connection.rows("SELECT split FROM split_exceptions")] == ["train"]


def test_another_projects_merge_is_not_undone(pair, tmp_path):
    here, there = pair
    there.act("ask", 1)
    here.merge(there.bundle())
    other = here.store.projects.create("Other")
    with pytest.raises(BadInput):
        undo_merge(here.store, other.id)
    assert here.store.connection.rows("SELECT * FROM undoing") == []


def test_nothing_can_be_taken_from_the_store_but_by_an_undo(pair):
    here, there = pair
    there.act("ask", 1)
    here.merge(there.bundle())
    before = everything(here.store.connection)
    for table in ("judgements", "judged_completions", "messages"):
        with pytest.raises(AppError, match="did not accept"):
            here.store.connection.execute(f"DELETE FROM {table}")
    assert everything(here.store.connection) == before
