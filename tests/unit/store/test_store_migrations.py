import pytest

from rlhf_desktop.core.errors import StoreTrouble
from rlhf_desktop.feedback.split import prompt_hash
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.driver import Connection
from rlhf_desktop.store.history import HistoryQuery
from rlhf_desktop.store.migrations import MIGRATIONS, migrate, schema_version, statements


@pytest.fixture
def connection(tmp_path):
    opened = Connection(tmp_path / "t.db")
    yield opened
    opened.close()


ADDED = "ALTER TABLE projects ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue';"


def fill(connection: Connection) -> None:
    connection.execute("INSERT INTO projects (id, name, created_at, heldout_share) VALUES ('p', 'Mine', '2026-01-01', 0.15)")


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_every_schema_ever_released_comes_up_to_date_with_its_data(connection, version):
    migrate(connection, steps=MIGRATIONS[:version])
    fill(connection)
    assert migrate(connection) == len(MIGRATIONS) - version
    assert schema_version(connection) == len(MIGRATIONS)
    assert connection.row("SELECT name FROM projects") == {"name": "Mine"}
    assert connection.rows("PRAGMA foreign_key_check") == []


def test_feedback_from_before_the_search_can_be_searched(connection):
    migrate(connection, steps=MIGRATIONS[:2])
    fill(connection)
    for sql in (
        "INSERT INTO conversations VALUES ('c', 'p', 't', '', '', 'chat', NULL)",
        "INSERT INTO messages (id, conversation_id, parent_id, position, role, content, created_at) VALUES"
        " ('q', 'c', NULL, 0, 'user', 'Why is the printer orange?', ''), ('a', 'c', 'q', 0, 'assistant', 'It overheats', '')",
        "INSERT INTO judgements VALUES ('j','p','me','',NULL,0,'correction','{\"text\": \"Unplug\"}','curt',NULL,NULL,'')",
    ):
        connection.execute(sql) if "judgements" not in sql else _together(connection, sql)
    migrate(connection)
    for word in ("printer", "overheats", "unplug", "curt"):
        found = connection.rows("SELECT rowid FROM judgement_search WHERE judgement_search MATCH ?", (word,))
        assert found == [{"rowid": 1}], word
    assert len(connection.rows("SELECT rowid FROM chat_search WHERE chat_search MATCH 'orange'")) == 1
    assert connection.row("SELECT also, purpose FROM judgements") == {"also": "[]", "purpose": "label"}


def test_forms_and_tags_from_before_their_dates_are_listed_by_time(connection):
    migrate(connection, steps=MIGRATIONS[:3])
    fill(connection)
    connection.execute("INSERT INTO conversations VALUES ('c', 'p', 't', '', '', 'chat', NULL, '')")
    connection.execute(
        "INSERT INTO messages (id, conversation_id, parent_id, position, role, content, created_at) VALUES"
        " ('a', 'c', NULL, 0, 'assistant', 'x', '')"
    )
    _together(
        connection,
        "INSERT INTO judgements VALUES ('j','p','me','2026-01-02',NULL,0,'thumbs','{}','',NULL,NULL,'',"
        """'[{"kind": "spans"}]','label')""",
    )
    connection.execute("INSERT INTO judgement_tags VALUES ('j', 'hard', 1, '')")
    migrate(connection)
    assert connection.row("SELECT kind, created_at FROM judgements_also") == {"kind": "spans", "created_at": "2026-01-02"}
    assert connection.row("SELECT judged_at FROM judgement_tags") == {"judged_at": "2026-01-02"}
    connection.execute("INSERT INTO tombstones VALUES ('j', '')")
    with connection.transaction():
        connection.execute("DELETE FROM judgements")
        connection.execute("DELETE FROM judged_completions")
    assert connection.rows("SELECT * FROM judgements_also") == []


def test_lists_of_a_store_from_before_their_filters_were_in_the_index_still_come_in_order(tmp_path):
    path = tmp_path / "old.db"
    connection = Connection(path)
    migrate(connection, steps=MIGRATIONS[:4])
    fill(connection)
    connection.execute("INSERT INTO conversations VALUES ('c', 'p', 't', '', '', 'chat', NULL, '')")
    connection.execute(
        "INSERT INTO messages (id, conversation_id, parent_id, position, role, content, created_at) VALUES"
        " ('a', 'c', NULL, 0, 'assistant', 'x', '')"
    )
    said = """'{"kind": "thumbs", "up": true, "index": 0}'"""
    with connection.transaction():
        for key, day, purpose in (("j2", 2, "repeat"), ("j1", 1, "label"), ("j3", 3, "repeat")):
            connection.execute(f"INSERT INTO judged_completions VALUES ('{key}', 0, 'a')")
            row = f"'{key}','p','me','2026-01-0{day}',NULL,0,'thumbs',{said},'',NULL,NULL,'','[]','{purpose}'"
            connection.execute(f"INSERT INTO judgements VALUES ({row})")
    connection.close()
    with Store.open(path) as store:
        for query, wanted in (
            (HistoryQuery(), ["j3", "j2", "j1"]),
            (HistoryQuery(purpose="repeat", sort="oldest"), ["j2", "j3"]),
            (HistoryQuery(purpose="label", sort="slowest"), ["j1"]),
        ):
            assert [judgement.id for judgement, _ in store.history.page("p", query)[0]] == wanted


def test_judged_questions_of_an_old_store_are_known_by_their_hashes(connection):
    migrate(connection, steps=MIGRATIONS[:5])
    fill(connection)
    connection.execute("INSERT INTO conversations VALUES ('c', 'p', 't', '', '', 'chat', NULL, '')")
    for key, parent, role, text in (
        ("q1", None, "user", "  Why is\nTHIS? "), ("a1", "q1", "assistant", "So."), ("q2", "a1", "user", "And?"),
        ("a2", "q2", "assistant", "x"), ("a3", "q2", "assistant", "y"),
    ):  # fmt: skip
        connection.insert(
            "messages",
            [
                {
                    "id": key,
                    "conversation_id": "c",
                    "parent_id": parent,
                    "position": 0,
                    "role": role,
                    "content": text,
                    "created_at": "",
                }
            ],
        )
    with connection.transaction():
        for key, answer, kind in (
            ("j1", "a1", "thumbs"),
            ("j2", "a2", "thumbs"),
            ("j3", "a3", "thumbs"),
            ("j4", "a3", "withdrawn"),
        ):
            connection.execute(f"INSERT INTO judged_completions VALUES ('{key}', 0, '{answer}')")
            back = "'j3'" if kind == "withdrawn" else "NULL"
            row = f"'{key}','p','me','2026-01-01',NULL,0,'{kind}','{{}}','',NULL,{back},'','[]','label'"
            connection.execute(f"INSERT INTO judgements VALUES ({row})")
    migrate(connection)
    rows = {row["question_id"]: row for row in connection.rows("SELECT * FROM judged_questions")}
    assert {key: row["judgements"] for key, row in rows.items()} == {"q1": 1, "q2": 2}
    assert {row["prompt_hash"] for row in rows.values()} == {prompt_hash([{"role": "user", "content": "why is this?"}])}
    assert len({row["path_hash"] for row in rows.values()}) == 2
    made_new = dict(rows["q2"])
    connection.execute("DELETE FROM judged_questions")
    with connection.transaction():
        connection.execute("INSERT INTO judged_completions VALUES ('j5', 0, 'a2')")
        connection.execute(
            "INSERT INTO judgements VALUES ('j5','p','me','2026-01-01',NULL,0,'thumbs','{}','',NULL,NULL,'','[]','label')"
        )
    assert connection.rows("SELECT * FROM judged_questions") == [{**made_new, "judgements": 1}]


def _together(connection: Connection, sql: str) -> None:
    with connection.transaction():
        connection.execute("INSERT INTO judged_completions VALUES ('j', 0, 'a')")
        connection.execute(sql)


def test_the_next_step_is_applied_after_a_backup_and_once(connection):
    migrate(connection)
    fill(connection)
    backed_up = []
    steps = (*MIGRATIONS, ADDED)
    assert migrate(connection, backed_up.append, steps) == 1
    assert backed_up == [len(MIGRATIONS)]
    assert connection.row("SELECT name, colour FROM projects") == {"name": "Mine", "colour": "blue"}
    assert migrate(connection, backed_up.append, steps) == 0
    assert len(backed_up) == 1


def test_a_new_file_needs_no_backup(connection):
    backed_up = []
    migrate(connection, backed_up.append)
    assert backed_up == []


def test_a_step_that_fails_leaves_the_old_schema(connection):
    migrate(connection)
    fill(connection)
    with pytest.raises(StoreTrouble):
        migrate(connection, steps=(*MIGRATIONS, f"{ADDED}\nINSERT INTO nowhere VALUES (1);"))
    assert schema_version(connection) == len(MIGRATIONS)
    assert "colour" not in (connection.row("SELECT * FROM projects") or {})


def test_when_the_backup_fails_nothing_is_changed(connection):
    migrate(connection)

    def fail(_: int) -> None:
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        migrate(connection, fail, (*MIGRATIONS, ADDED))
    assert schema_version(connection) == len(MIGRATIONS)


def test_a_newer_schema_is_refused(connection):
    migrate(connection)
    connection.raw.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(StoreTrouble, match="newer version") as caught:
        migrate(connection)
    assert "Update the program" in caught.value.hint


def test_statements_are_cut_at_their_ends_and_triggers_stay_whole():
    script = (
        "CREATE TABLE a (x); -- a note; with a semicolon\nCREATE TRIGGER t BEFORE UPDATE ON a\nBEGIN SELECT 1; END;\nDROP TABLE a;"
    )
    assert [s.split()[1] for s in statements(script)] == ["TABLE", "TRIGGER", "TABLE"]


def test_conversations_from_before_turns_could_be_deleted_or_continued_open_as_they_were(tmp_path):
    path = tmp_path / "old.db"
    connection = Connection(path)
    migrate(connection, steps=MIGRATIONS[:8])
    fill(connection)
    connection.execute("INSERT INTO conversations VALUES ('c', 'p', 't', '', '', 'chat', 'a', '')")
    connection.execute(
        "INSERT INTO messages (id, conversation_id, parent_id, position, role, content, created_at, finish) VALUES"
        " ('q', 'c', NULL, 0, 'user', 'Why?', '', NULL), ('a', 'c', 'q', 0, 'assistant', 'It over', '', 'length')"
    )
    connection.close()
    with Store.open(path) as store:
        tree = store.conversations.tree("c")
        assert [node.content for node in tree.active_path()] == ["Why?", "It over"]
        assert (tree.deleted, tree.continued, store.conversations.written("a")) == (frozenset(), {}, None)
        store.conversations.delete_turn("a")
        assert [node.content for node in store.conversations.tree("c").active_path()] == ["Why?"]


def test_projects_of_the_first_schema_are_in_use_and_can_be_put_away(tmp_path):
    path = tmp_path / "old.db"
    connection = Connection(path)
    migrate(connection, steps=MIGRATIONS[:1])
    fill(connection)
    connection.close()
    with Store.open(path) as store:
        (project,) = store.projects.all()
        assert (project.name, project.in_use) == ("Mine", True)
        store.projects.delete(project.id)
        assert store.projects.create("mine").id != project.id
        assert [gone.name for gone in store.projects.deleted()] == ["Mine"]
