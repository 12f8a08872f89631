"""What a damaged database still has comes back, whole judgements only."""

import random
import shutil
from contextlib import closing

import pytest
from store_helpers import lived, ranked, user

from rlhf_desktop.core.errors import NoSpace, StoreTrouble
from rlhf_desktop.store.backups import back_up, check_health
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.driver import Connection
from rlhf_desktop.store.erasing import bury
from rlhf_desktop.store.migrations import migrate
from rlhf_desktop.store.salvage import readable, salvage

PAGE = 4096


def judge(store, project, n):
    _, question = store.conversations.start(project.id, user(f"Question {n} " * 30))
    answers = store.conversations.add_answers(question.id, [f"good {n} " * 30, f"bad {n} " * 30])
    return store.judgements.add(ranked(project, answers, 1, 2))


def damage(path, pages):
    data = bytearray(path.read_bytes())
    for page in pages:
        data[page * PAGE : (page + 1) * PAGE] = b"\xff" * PAGE
    path.write_bytes(data)


def ids(path):
    with closing(Connection(path)) as opened:
        return {row["id"] for row in opened.rows("SELECT id FROM judgements")}


@pytest.fixture
def file(tmp_path):
    """A database with 120 judgements, of which a backup has the first 60."""
    with Store.open(tmp_path / "feedback.db") as store:
        project = store.projects.create("Support")
        for n in range(60):
            judge(store, project, n)
        back_up(store.connection, tmp_path / "backup.db")
        for n in range(60, 120):
            judge(store, project, n)
    return tmp_path / "feedback.db"


def test_of_a_whole_file_everything_comes(file, tmp_path):
    with closing(Connection(tmp_path / "new.db")) as into:
        migrate(into)
        assert salvage(file, into) == 120
        assert readable(file) == 120
    with Store.open(tmp_path / "new.db") as new, Store.open(file) as old:
        assert new.judged(new.projects.all()[0].id) == old.judged(old.projects.all()[0].id)
        assert new.connection.rows("PRAGMA foreign_key_check") == []


def test_no_table_is_forgotten(file, tmp_path):
    """Whatever a migration adds: its rows come too."""
    with Store.open(file) as store:
        project = store.projects.all()[0]
        lived(store, project, 1)
        leaf = store.connection.rows("SELECT id FROM messages WHERE role = 'assistant' ORDER BY rowid LIMIT 3")
        for table, columns in (("cut_answers", ("message_id", "written")), ("deleted_turns", ("message_id", "deleted_at"))):
            store.connection.insert(table, [dict(zip(columns, (row["id"], "[1]"), strict=True)) for row in leaf])
    with closing(Connection(tmp_path / "new.db")) as into, closing(Connection(file)) as old:
        migrate(into)
        salvage(file, into)
        names = [
            row["name"] for row in old.rows("SELECT name FROM sqlite_master WHERE type = 'table' AND sql NOT LIKE '%VIRTUAL%'")
        ]
        tables = [name for name in names if not name.startswith("sqlite_") and "_search_" not in name]
        assert {"cut_answers", "deleted_turns", "prompts", "judgement_tags"} <= set(tables)
        for table in tables:
            counts = [each.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"] for each in (into, old)]
            assert counts[0] == counts[1], table


@pytest.mark.parametrize("seed", range(6))
def test_a_life_of_revisions_withdrawals_and_erasures_comes_whole(store, project, seed, tmp_path):
    lived(store, project, seed)
    with closing(Connection(tmp_path / "new.db")) as into:
        migrate(into)
        salvage(store.path, into)
    with Store.open(tmp_path / "new.db") as new:
        assert new.judged(project.id) == store.judged(project.id)
        assert [p.prompt for p in new.prompts.prompts(project.id)] == [p.prompt for p in store.prompts.prompts(project.id)]
        for sql in (
            "SELECT * FROM judged_questions ORDER BY 1, 2",
            "SELECT * FROM judgements_also ORDER BY 1, 2",
            "SELECT * FROM tombstones",
        ):
            assert new.connection.rows(sql) == store.connection.rows(sql)


@pytest.mark.parametrize("seed", range(25))
def test_pages_that_are_gone_cost_only_what_was_on_them(file, tmp_path, seed):
    chance = random.Random(seed)
    whole = ids(file)
    pages = file.stat().st_size // PAGE
    damage(file, chance.sample(range(1, pages), 3))
    backed_up = ids(tmp_path / "backup.db")
    try:
        with closing(Connection(tmp_path / "backup.db")) as into:
            salvage(file, into)
    except StoreTrouble as trouble:
        if "Nothing can be read" not in trouble.message:
            raise
    after = ids(tmp_path / "backup.db")
    assert backed_up <= after <= whole
    with Store.open(tmp_path / "backup.db") as store:
        check_health(store.connection)
        assert store.connection.rows("PRAGMA foreign_key_check") == []
        assert len(store.judged(store.projects.all()[0].id)) == len(after)


def test_most_is_read_around_one_damaged_page(file, tmp_path):
    """The page is one of the messages' own: the middle of the file."""
    with closing(Connection(file)) as connection:
        root = connection.rows("SELECT rootpage FROM sqlite_master WHERE name = 'messages'")[0]["rootpage"]
        assert root
    found = []
    pages = file.stat().st_size // PAGE
    for page in (pages // 3, pages // 2, 2 * pages // 3):
        copy, new = tmp_path / f"{page}.db", tmp_path / f"new {page}.db"
        shutil.copyfile(file, copy)
        damage(copy, [page])
        with closing(Connection(new)) as into:
            migrate(into)
            found.append(salvage(copy, into))
    assert min(found) > 60


def test_what_was_erased_in_the_backup_does_not_come_back(file, tmp_path):
    with Store.open(tmp_path / "backup.db") as store:
        gone = store.judged(store.projects.all()[0].id)[0]
        bury(store, [gone.judgement.id, *gone.judgement.displayed])
        salvage(file, store.connection)
        assert len(store.judged(store.projects.all()[0].id)) == 119


@pytest.mark.parametrize("since", ["renamed", "deleted"])
def test_a_project_whose_name_another_has_in_the_backup_comes_with_all_that_is_in_it(file, tmp_path, since):
    with Store.open(file) as store:
        old = store.projects.all()[0]
        if since == "renamed":
            store.projects.rename(old.id, "Clinic")
        else:
            store.projects.delete(old.id)
        new = store.projects.create("support")
        for n in range(200, 207):
            judge(store, new, n)
    with Store.open(tmp_path / "backup.db") as into:
        assert salvage(file, into.connection) == 60 + 7
        assert into.projects.get(new.id).name == "support 2"
        assert len(into.judged(new.id)) == 7


def test_a_set_of_prompts_whose_name_another_has_in_the_backup_comes_with_its_prompts(file, tmp_path):
    with Store.open(tmp_path / "backup.db") as into, Store.open(file) as store:
        project = store.projects.all()[0]
        for each, text in ((into, "Before"), (store, "Since")):
            each.prompts.create_set(project.id, "Ward", [user(text)])
        salvage(file, into.connection)
        assert {p.prompt[0]["content"] for p in into.prompts.prompts(project.id)} == {"Before", "Since"}


def test_of_what_is_no_database_nothing_is_read(tmp_path):
    (tmp_path / "noise.db").write_bytes(random.Random(1).randbytes(50_000))
    with closing(Connection(tmp_path / "new.db")) as into:
        migrate(into)
        with pytest.raises(StoreTrouble, match="Nothing can be read"):
            salvage(tmp_path / "noise.db", into)


def test_a_full_disk_is_said_and_nothing_that_would_fit_is_left_out(file, tmp_path):
    with closing(Connection(tmp_path / "new.db")) as into:
        migrate(into)
        (pages,) = into.raw.execute("PRAGMA page_count").fetchone()
        into.raw.execute(f"PRAGMA max_page_count = {pages + 8}")
        with pytest.raises(NoSpace):
            salvage(file, into)
        assert into.rows("SELECT id FROM judgements") == []
