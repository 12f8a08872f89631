"""`audit` and `audit verify` from the command line."""

import hashlib
import json

import pytest

from rlhf_desktop.core.files import canonical_json
from rlhf_desktop.store.driver import Connection


@pytest.fixture
def filled(cli, workspace, rankings, tmp_path):
    assert cli("feedback", "import", rankings, "--annotator", "Ada").code == 0
    assert cli("feedback", "export", tmp_path / "b.zip", "--format", "bundle").code == 0
    return workspace


def test_the_log_says_who_did_what(cli, filled):
    said = cli("audit").out
    assert "Imported" in said
    assert "12 judgements" in said
    assert "bundle" in said
    found = cli("audit", "--json").json
    assert [one["entry"]["act"] for one in found["entries"]] == ["exported", "imported", "project created"]
    assert [one["entry"]["act"] for one in cli("audit", "--act", "import", "--json").json["entries"]] == ["imported"]
    assert cli("audit", "--who", "nobody").out == "No entries.\n"
    assert "--before 3" in cli("audit", "--limit", "1").out
    assert len(cli("audit", "--before", "3", "--json").json["entries"]) == 2
    assert cli("audit", "--act", "nonsense").code == 1


def test_the_entries_as_json_can_be_checked_without_the_program(cli, filled):
    previous = "0" * 64
    for one in reversed(cli("audit", "--json").json["entries"]):
        assert one["entry"]["previous"] == previous
        previous = hashlib.sha256(canonical_json(one["entry"]).encode()).hexdigest()
        assert previous == one["hash"]


def test_a_log_that_holds_is_verified_against_what_was_exported(cli, filled, tmp_path):
    head = cli("audit", "--json").json["head"]
    done = cli("audit", "verify", tmp_path / "b.zip", "--head", head, "--json").json
    assert done == {"entries": 3, "head": head, "heads_found": 2, "problems": []}
    assert "3 entries fit" in cli("audit", "verify").out
    said = cli("audit", "verify", "--head", f"{'0f' * 32}:9")
    assert (said.code, "Entries 4 to 9 are missing" in said.err) == (1, True)
    assert cli("audit", "verify", "--head", "nonsense").code == 1


def test_a_log_that_was_changed_is_refused_with_its_first_wrong_entry(cli, filled):
    connection = Connection(filled.database)
    connection.execute("DROP TRIGGER audit_never_changes")
    connection.execute("UPDATE audit_log SET facts = ? WHERE seq = 2", (json.dumps({}),))
    connection.close()
    said = cli("audit", "verify")
    assert said.code == 1
    assert "Entry 2 was changed." in said.err
    assert "number 2" in said.err
