import shutil
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from rlhf_desktop.core.errors import BadInput, Damaged, NoSpace, NotAccepted, StoreTrouble
from rlhf_desktop.store.driver import DRIVER, SAFE_WAL, Connection, in_plain_words, version


@pytest.fixture(autouse=True)
def hasty_disk():
    """Not here: the disk is waited for as in the program."""


@pytest.fixture
def connection(tmp_path):
    opened = Connection(tmp_path / "t.db", busy_timeout_s=0.05)
    opened.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)")
    yield opened
    opened.close()


def pragma(connection: Connection, name: str) -> object:
    return connection.raw.execute(f"PRAGMA {name}").fetchone()[0]


def test_the_bundled_sqlite_is_used_in_wal_mode_and_durably(connection):
    assert DRIVER.__name__ == "sqlcipher3"
    assert version() >= SAFE_WAL
    assert pragma(connection, "journal_mode") == "wal"
    assert pragma(connection, "synchronous") == 2
    assert pragma(connection, "foreign_keys") == 1
    assert pragma(connection, "recursive_triggers") == 1
    assert connection.notice == ""


def test_sqlite_utils_runs_on_the_same_driver(connection):
    connection.insert("t", [{"n": 1, "text": "x"}])
    import sqlite_utils.utils

    assert sqlite_utils.utils.sqlite3 is DRIVER


def test_rows_are_inserted_all_or_none_and_those_that_exist_can_be_left(connection):
    connection.execute("CREATE TABLE kept (n INTEGER PRIMARY KEY, text TEXT)")
    connection.insert("kept", ({"n": n, "text": f"row {n}"} for n in range(3)))
    with pytest.raises(StoreTrouble):
        connection.insert("kept", [{"n": 9, "text": "new"}, {"n": 1, "text": "twice"}])
    connection.insert("kept", [{"n": 1, "text": "twice"}, {"n": 5, "text": "new"}], ignore=True)
    connection.insert("kept", [])
    assert connection.rows("SELECT group_concat(text) AS all_of_it FROM kept") == [{"all_of_it": "row 0,row 1,row 2,new"}]


@pytest.mark.skipif(version(sqlite3) >= SAFE_WAL, reason="this Python's SQLite is new enough for WAL")
def test_an_older_sqlite_serves_in_rollback_mode_and_says_so(tmp_path):
    connection = Connection(tmp_path / "t.db", driver=sqlite3)
    assert pragma(connection, "journal_mode") == "delete"
    assert "sqlcipher3 is not available" in connection.notice
    connection.close()


def test_without_sqlcipher3_the_whole_store_works(tmp_path):
    code = """
import sys
sys.modules["sqlcipher3"] = None
from pathlib import Path
from rlhf_desktop.store.database import Store
for _ in range(2):
    with Store.open(Path(sys.argv[1])) as store:
        print(store.projects.ensure("Mine").name, bool(store.notice))
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "f.db"], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"Mine {version(sqlite3) < SAFE_WAL}"] * 2


def test_a_transaction_happens_whole_or_not_at_all(connection):
    def half() -> None:
        with connection.transaction():
            connection.insert("t", [{"n": 1, "text": "a"}])
            with connection.transaction():
                connection.insert("t", [{"n": 2, "text": "b"}])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert connection.rows("SELECT * FROM t") == []
    assert not connection.raw.in_transaction
    connection.insert("t", [{"n": 3, "text": "c"}])
    assert connection.row("SELECT * FROM t") == {"n": 3, "text": "c"}


def test_a_full_disk_leaves_nothing_half_written_and_goes_on_when_there_is_room(connection):
    connection.insert("t", [{"n": 0, "text": "kept"}])
    connection.raw.execute("PRAGMA max_page_count = 8")
    too_much = [{"n": n, "text": "x" * 1000} for n in range(1, 200)]
    with pytest.raises(NoSpace, match="nothing of this step was saved") as caught:
        connection.insert("t", too_much)
    assert "Free some space" in caught.value.hint
    assert connection.rows("SELECT n FROM t") == [{"n": 0}]
    connection.raw.execute("PRAGMA max_page_count = 100000")
    connection.insert("t", [{"n": 1, "text": "again"}])
    assert len(connection.rows("SELECT n FROM t")) == 2


def test_two_connections_write_one_after_the_other(connection):
    other = Connection(connection.path, busy_timeout_s=20)
    started = threading.Event()

    def write() -> None:
        started.set()
        other.insert("t", [{"n": 2, "text": "other"}])

    thread = threading.Thread(target=write)
    with connection.transaction():
        thread.start()
        assert started.wait(60)
        connection.insert("t", [{"n": 1, "text": "mine"}])
    thread.join(20)
    other.close()
    assert [row["n"] for row in connection.rows("SELECT n FROM t ORDER BY n")] == [1, 2]


def test_a_database_held_too_long_by_another_is_said_plainly(connection):
    other = Connection(connection.path, busy_timeout_s=0.05)
    with other.transaction(), pytest.raises(StoreTrouble, match="in use by another"):
        connection.insert("t", [{"n": 1, "text": "x"}])
    other.close()
    connection.insert("t", [{"n": 1, "text": "x"}])


def test_many_threads_share_one_connection(connection):
    def write(start: int) -> None:
        for n in range(start, start + 25):
            with connection.transaction():
                connection.insert("t", [{"n": n, "text": "x"}])
                connection.execute("UPDATE t SET text = ? WHERE n = ?", (str(n), n))

    threads = [threading.Thread(target=write, args=(100 * i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert connection.row("SELECT count(*) AS n FROM t WHERE text = CAST(n AS TEXT)") == {"n": 100}


def test_half_a_character_is_refused_and_nothing_is_saved(connection):
    with pytest.raises(BadInput, match="half of a character"):
        connection.insert("t", [{"n": 1, "text": "ok"}, {"n": 2, "text": "\ud800"}])
    assert connection.rows("SELECT * FROM t") == []


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("database or disk is full", NoSpace, "no space"),
        ("database is locked", StoreTrouble, "in use"),
        ("attempt to write a readonly database", StoreTrouble, "cannot be opened for writing"),
        ("unable to open database file", StoreTrouble, "cannot be opened for writing"),
        ("database disk image is malformed", Damaged, "damaged"),
        ("file is not a database", Damaged, "damaged"),
        ("disk I/O error", StoreTrouble, "disk failed"),
        ("something else", NotAccepted, "did not accept"),
    ],
)
def test_every_trouble_has_plain_words_and_a_remedy(said, kind, words):
    trouble = in_plain_words(DRIVER.OperationalError(said))
    assert type(trouble) is kind
    assert words in trouble.message
    assert trouble.hint
    assert said in trouble.detail


@pytest.mark.parametrize(("code", "kind"), [(13, NoSpace), (10, StoreTrouble), (4874, StoreTrouble), (11, Damaged)])
def test_a_table_of_the_search_that_fails_for_a_full_disk_is_no_damage(code, kind):
    problem = DRIVER.OperationalError("vtable constructor failed: chat_search")
    problem.sqlite_errorcode = code
    assert type(in_plain_words(problem)) is kind


def test_a_bug_of_ours_is_not_dressed_up(connection):
    with pytest.raises(DRIVER.ProgrammingError):
        connection.rows("SELECT ?", ())


def test_reading_waits_for_no_writer_and_sees_what_was_committed(tmp_path):
    connection = Connection(tmp_path / "t.db")
    connection.execute("CREATE TABLE t (x)")
    count = "SELECT count(*) AS n FROM t"
    with ThreadPoolExecutor(2) as threads, connection.transaction():
        connection.execute("INSERT INTO t VALUES (1)")
        assert connection.rows(count) == [{"n": 1}], "a transaction reads what it has written"
        assert threads.submit(connection.rows, count).result(timeout=60) == [{"n": 0}]
    assert connection.rows(count) == [{"n": 1}]
    connection.close()


def test_a_snapshot_stays_as_it_was_while_others_write(tmp_path):
    connection = Connection(tmp_path / "t.db")
    connection.execute("CREATE TABLE t (x)")
    with ThreadPoolExecutor(1) as threads, connection.snapshot():
        assert connection.rows("SELECT count(*) AS n FROM t") == [{"n": 0}]
        threads.submit(connection.execute, "INSERT INTO t VALUES (1)").result(timeout=60)
        assert connection.rows("SELECT count(*) AS n FROM t") == [{"n": 0}]
    assert connection.rows("SELECT count(*) AS n FROM t") == [{"n": 1}]
    connection.close()


def test_readers_change_nothing_and_close_with_the_file(tmp_path):
    connection = Connection(tmp_path / "t.db")
    connection.execute("CREATE TABLE t (x)")
    with pytest.raises(StoreTrouble):
        connection.rows("INSERT INTO t VALUES (1)")
    connection.close()
    assert [path.name for path in tmp_path.iterdir()] == ["t.db"], "the last connection takes the journal along"


def test_a_transaction_that_could_not_begin_leaves_reading_as_it_was(tmp_path):
    one, other = (Connection(tmp_path / "t.db", busy_timeout_s=0.01) for _ in range(2))
    one.execute("CREATE TABLE t (x)")
    with one.transaction(), pytest.raises(StoreTrouble):
        other.execute("INSERT INTO t VALUES (1)")
    assert other.rows("SELECT count(*) AS n FROM t") == [{"n": 0}]
    one.close()
    other.close()


@pytest.mark.parametrize("how", ["deleted", "replaced", "moved"])
def test_nothing_is_written_into_a_file_that_lost_its_name(tmp_path, how):
    with closing(Connection(tmp_path / "t.db")) as connection:
        connection.execute("CREATE TABLE t (n INTEGER)")
        if how == "deleted":
            connection.path.unlink()
        elif how == "moved":
            connection.path.rename(tmp_path / "elsewhere.db")
        else:
            (tmp_path / "new.db").write_bytes(connection.path.read_bytes())
            (tmp_path / "new.db").replace(connection.path)
        with pytest.raises(StoreTrouble, match=r"deleted, moved or replaced .* nothing of this step was saved") as caught:
            connection.execute("INSERT INTO t VALUES (1)")
        assert "restore" in caught.value.hint
        with pytest.raises(StoreTrouble, match="deleted, moved or replaced"):
            connection.rows("SELECT * FROM t")
        assert how == "replaced" or not connection.path.exists(), "no empty one takes its place"


def test_what_only_reads_changes_neither_the_file_nor_its_journal(tmp_path):
    with closing(Connection(tmp_path / "t.db")) as connection:
        connection.execute("CREATE TABLE t (n INTEGER)")
        for ending in ("", "-wal"):  # as a kill leaves it
            shutil.copyfile(f"{connection.path}{ending}", f"{tmp_path / 'killed.db'}{ending}")
    before = [(tmp_path / f"killed.db{ending}").read_bytes() for ending in ("", "-wal")]
    assert before[1]
    with closing(Connection.read_only(tmp_path / "killed.db")) as reader:
        assert reader.rows("SELECT * FROM t") == []
        with pytest.raises(StoreTrouble):
            reader.execute("INSERT INTO t VALUES (1)")
    assert [(tmp_path / f"killed.db{ending}").read_bytes() for ending in ("", "-wal")] == before
