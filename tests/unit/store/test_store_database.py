import threading

import pytest

from rlhf_desktop.core.errors import Damaged, NotEnoughFeedback, StoreTrouble
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.migrations import MIGRATIONS


def user(text: str) -> list:
    return [{"role": "user", "content": text}]


def test_reopening_finds_everything_and_backs_up_once_a_day(tmp_path):
    with Store.open(tmp_path / "feedback.db") as store:
        project = store.projects.create("Mine")
    assert not (tmp_path / "backups").exists()
    for _ in range(2):
        with Store.open(tmp_path / "feedback.db") as store:
            assert store.projects.all() == [project]
            assert store.schema_version() == len(MIGRATIONS)
    assert len(list((tmp_path / "backups").iterdir())) == 1


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    path = tmp_path / "feedback.db"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreTrouble, match="damaged") as caught:
        Store.open(path)
    assert "backups" in caught.value.hint
    assert path.read_bytes() == b"not a database at all" * 100


def test_a_damaged_page_is_found_on_opening(tmp_path):
    path = tmp_path / "feedback.db"
    with Store.open(path) as store:
        project = store.projects.create("Mine")
        store.prompts.create_set(project.id, "many", [user(f"question {i} " * 20) for i in range(300)])
    raw = bytearray(path.read_bytes())
    middle = len(raw) // 2
    raw[middle : middle + 8192] = b"\xa5" * 8192
    path.write_bytes(raw)
    with pytest.raises(StoreTrouble, match="damaged"):
        Store.open(path)


def test_a_newer_database_is_refused(tmp_path):
    path = tmp_path / "feedback.db"
    with Store.open(path) as store:
        store.connection.raw.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreTrouble, match="newer version"):
        Store.open(path)


def test_a_folder_that_does_not_exist_is_said_plainly(tmp_path):
    with pytest.raises(StoreTrouble, match="cannot be opened"):
        Store.open(tmp_path / "none" / "feedback.db")


def test_another_store_on_the_same_file_is_noticed(store, tmp_path):
    before = store.data_version()
    store.projects.create("Mine")
    assert store.data_version() == before, "our own writing is no news"
    with Store.open(store.path) as other:
        other.projects.create("Theirs")
    assert store.data_version() != before
    assert [p.name for p in store.projects.all()] == ["Mine", "Theirs"]


def test_a_store_works_on_another_thread(store, project):
    done = []
    thread = threading.Thread(target=lambda: done.append(store.conversations.start(project.id, user("Hi"))))
    thread.start()
    thread.join(20)
    assert store.conversations.get(done[0][0].id).title == "Hi"


def test_practice_prompts_are_those_of_the_sets_and_of_what_was_judged(store, project):
    from rlhf_desktop.feedback.rows import RankingRow
    from rlhf_desktop.store.importing import import_rows

    with pytest.raises(NotEnoughFeedback, match="no prompts"):
        store.snapshot_rows(project.id, "ppo")
    store.prompts.create_set(project.id, "practice", [user("One")], split="train")
    store.prompts.create_set(project.id, "exam", [user("Two")], split="heldout")
    import_rows(store, project.id, [RankingRow(user("One"), ("a", "b"), (1, 2)), RankingRow(user("Three"), ("a", "b"), (1, 2))])
    rows = store.snapshot_rows(project.id, "ppo")
    assert [row.prompt[0]["content"] for row in rows] == ["One", "Two", "Three"]
    assert [row.split for row in rows][:2] == ["train", "heldout"]


def test_prompts_given_for_one_run_are_still_kept_out_when_held_out(store, project):
    store.prompts.create_set(project.id, "exam", [user("Two")], split="heldout")
    with pytest.raises(NotEnoughFeedback, match="held out"):
        store.snapshot_rows(project.id, "ppo", [user("two")])


BITS_FLIPPED = {
    "a verdict": ("UPDATE judgements SET verdict = replace(verdict, ':', ';')", lambda s, p: s.judged(p.id)),
    "a verdict beside": ("UPDATE judgements SET also = '[{'", lambda s, p: s.judgements.all(p.id)),
    "a prompt": ("UPDATE prompts SET messages = '[' || messages", lambda s, p: s.prompts.prompts(p.id)),
    "a setting": ("UPDATE settings SET value = '{' WHERE key = 'k'", lambda s, p: s.settings.get("k", None, p.id)),
    "a draft": ("UPDATE drafts SET value = '{'", lambda s, p: s.drafts.all(p.id, "Ada")),
    "an answer": ("UPDATE judged_completions SET message_id = message_id || 'x'", lambda s, p: s.judged(p.id)),
}


@pytest.mark.parametrize("what", BITS_FLIPPED)
def test_a_value_that_sqlite_takes_and_nobody_understands_is_damage(tmp_path, what):
    flip, read = BITS_FLIPPED[what]
    with Store.open(tmp_path / "feedback.db") as store:
        project = store.projects.create("Mine")
        _, question = store.conversations.start(project.id, user("Why?"))
        answers = store.conversations.add_answers(question.id, ["good", "bad"])
        store.judgements.add(Judgement(project.id, "me", tuple(a.id for a in answers), Ranking((1, 2))))
        store.prompts.create_set(project.id, "set", [user("Why?")])
        store.settings.set("k", {"a": 1}, project.id)
        store.drafts.save(project.id, "Ada", "label:1", {"text": "so"})
        read(store, project)
        raw = store.connection.raw
        raw.execute("PRAGMA foreign_keys=OFF")
        for (trigger,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            raw.execute(f"DROP TRIGGER {trigger}")  # a bit that flips asks none of them
        raw.execute(flip)
        with pytest.raises(Damaged, match="damaged"):
            read(store, project)
