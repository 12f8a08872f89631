"""The audit log: what is done is in it, in the same transaction; whatever is changed, left out or put in between is noticed."""

import hashlib
import json

import pytest
from store_helpers import ranked, user

from rlhf_desktop.core.errors import AppError, BadInput
from rlhf_desktop.core.files import canonical_json
from rlhf_desktop.feedback.bundles import open_bundle, write_bundle
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.feedback.rows import RankingRow
from rlhf_desktop.store.audit import NOTHING_BEFORE, Head, heads_in
from rlhf_desktop.store.bundling import bundle_rows, merge_rows
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.erasing import bury
from rlhf_desktop.store.evaluations import Adoption
from rlhf_desktop.store.importing import import_rows
from rlhf_desktop.store.profiles import Profile


def acts(store) -> list[str]:
    return [entry.act for entry in reversed(store.audit.entries())]


def test_what_is_judged_is_noted_with_its_judge_and_without_a_word_of_it(store, project, answers):
    made = store.judgements.add(Judgement(project.id, "Ada", tuple(a.id for a in answers), Ranking((1, 2, 3)), critique="too curt"))
    (entry,) = store.audit.entries(acts=["judged"])
    assert entry.facts == {"id": made.id, "kind": "ranking"}
    assert (entry.project, store.audit.people()[entry.who]) == (project.id, "Ada")
    assert [e.seq for e in store.audit.entries(who="Ada")] == [entry.seq]
    for row in store.connection.rows("SELECT * FROM audit_log"):
        assert not {"Ada", "curt", "printer"}.intersection(" ".join(map(str, row.values())).replace('"', " ").split())


def test_an_import_of_any_size_is_one_entry(store, project):
    rows = [RankingRow(user(f"Question {n}"), ("good", "bad"), (1, 2), annotator=f"A{n % 2}") for n in range(1200)]
    before = store.audit.head().seq
    import_rows(store, project.id, rows)
    assert store.audit.head().seq == before + 1
    (entry,) = store.audit.entries(acts=["imported"])
    ids = [j.id for j in store.judgements.all(project.id)]
    assert entry.facts["judgements"] == 1200
    assert entry.facts["annotators"] == 2
    assert (entry.facts["first"], entry.facts["last"]) == (ids[0], ids[-1])
    assert entry.facts["ids"] == hashlib.sha256("".join(f"{one}\n" for one in ids).encode()).hexdigest()
    import_rows(store, project.id, rows)  # all there already
    assert store.audit.head().seq == entry.seq


def test_projects_exports_and_models_in_use_are_noted(store, project, tmp_path):
    file = tmp_path / "out.jsonl"
    file.write_text("{}")
    store.projects.rename(project.id, "Other")
    store.projects.archive(project.id)
    store.projects.archive(project.id, away=False)
    store.projects.delete(project.id)
    store.projects.delete(project.id)  # twice is once
    store.projects.restore(project.id, "Other")
    store.exports.note(project.id, file, "rankings", 0)
    store.evaluations.adopt(Adoption(project.id, "Ada", "a", "h" * 64, "/somewhere", "run"))
    assert acts(store) == [
        "project created", "project renamed", "project archived", "project unarchived", "project deleted", "project restored",
        "exported", "adopted",
    ]  # fmt: skip
    (exported,) = store.audit.entries(acts=["exported"])
    assert exported.facts["sha256"] == hashlib.sha256(b"{}").hexdigest()
    assert str(tmp_path) not in json.dumps(exported.facts)
    assert store.audit.verify().problem == ""


def test_what_was_not_done_is_not_noted(store, project, answers):
    before = store.audit.head()
    with pytest.raises(AppError):
        store.judgements.add(Judgement(project.id, "me", ("not here", "nor this"), Ranking((1, 2))))

    def broken():
        yield RankingRow(user("One"), ("good", "bad"), (1, 2))
        raise ValueError("a torn file")

    with pytest.raises(ValueError, match="torn"):
        import_rows(store, project.id, broken())
    assert store.audit.head() == before
    store.judgements.add(ranked(project, answers, 1, 2, 3))  # and the next one is an entry of its own again
    assert acts(store)[-1] == "judged"


def test_merging_names_the_other_head_and_leaves_the_other_chain_there(store, project, tmp_path):
    with Store.open(tmp_path / "there.db") as there:
        other = there.projects.create("Support")
        import_rows(there, other.id, [RankingRow(user(f"Q{n}"), ("good", "bad"), (1, 2)) for n in range(3)])
        head = there.audit.head()
        write_bundle(tmp_path / "b.zip", "Support", 0.1, bundle_rows(there, other.id), str(head))
    done = merge_rows(store, project.id, open_bundle(tmp_path / "b.zip"))
    (entry,) = store.audit.entries(acts=["merged"])
    assert entry.facts["their_head"] == str(head)
    assert (entry.facts["judgements"], done.added["judgements"]) == (3, 3)
    assert acts(store) == ["project created", "merged"]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit_log SET at = '2020-01-01' WHERE seq = 2",
        "DELETE FROM audit_log WHERE seq = 2",
        "DELETE FROM audit_log WHERE seq = (SELECT max(seq) FROM audit_log)",
        "UPDATE audit_people SET name = 'Bo'",
        "INSERT INTO audit_log SELECT seq + 7, at, act, who, project, facts, program, hash, hash FROM audit_log WHERE seq = 2",
        "INSERT INTO audit_log SELECT max(seq) + 1, at, act, who, project, facts, program, previous, hash FROM audit_log",
    ],
)
def test_the_database_refuses_to_change_the_log(store, project, answers, sql):
    store.judgements.add(ranked(project, answers, 1, 2, 3))
    before = store.connection.rows("SELECT * FROM audit_log")
    with pytest.raises(AppError):
        store.connection.execute(sql)
    assert store.connection.rows("SELECT * FROM audit_log") == before


TAMPERED = {
    "a fact": ("""UPDATE audit_log SET facts = '{"id":"x","kind":"ranking"}' WHERE seq = 3""", 3),
    "who": ("UPDATE audit_log SET who = 'f00' WHERE seq = 2", 2),
    "when": ("UPDATE audit_log SET at = '2020-01-01T00:00:00+00:00' WHERE seq = 4", 4),
    "blanks among the facts": ("UPDATE audit_log SET facts = facts || ' ' WHERE seq = 4", 4),
    "no JSON": ("UPDATE audit_log SET facts = 'nothing' WHERE seq = 2", 2),
    "a list": ("UPDATE audit_log SET facts = '[]' WHERE seq = 2", 2),
    "bytes": ("UPDATE audit_log SET act = x'00ff' WHERE seq = 2", 2),
    "one left out": ("DELETE FROM audit_log WHERE seq = 3", 3),
    "the first left out": ("DELETE FROM audit_log WHERE seq = 1", 1),
    "two exchanged": ("UPDATE audit_log SET seq = CASE seq WHEN 2 THEN -3 WHEN 3 THEN -2 END WHERE seq IN (2, 3)", 2),
    "one put in": (
        "INSERT INTO audit_log SELECT 0, at, act, who, project, facts, program, previous, hash FROM audit_log LIMIT 1",
        1,
    ),
}


def _without_guards(store) -> None:
    """As somebody with a tool for SQLite would."""
    for row in store.connection.rows("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name LIKE 'audit%'"):
        store.connection.execute(f"DROP TRIGGER {row['name']}")


@pytest.mark.parametrize("what", TAMPERED)
def test_the_first_entry_that_does_not_fit_is_named(store, project, answers, what):
    for _ in range(5):
        store.judgements.add(ranked(project, answers, 1, 2, 3))
    assert (store.audit.verify().problem, store.audit.verify().entries) == ("", 6)
    _without_guards(store)
    sql, first = TAMPERED[what]
    store.connection.execute(sql)
    if what == "two exchanged":
        store.connection.execute("UPDATE audit_log SET seq = -seq WHERE seq < 0")
    found = store.audit.verify()
    assert found.broken_at == first
    assert found.problem.startswith(f"Entry {first}")


def test_another_name_behind_a_code_is_noticed(store, project, answers):
    store.judgements.add(Judgement(project.id, "Ada", tuple(a.id for a in answers), Ranking((1, 2, 3))))
    _without_guards(store)
    store.connection.execute("UPDATE audit_people SET name = 'Bo' WHERE name = 'Ada'")
    assert "“Bo” is not the one that acted" in store.audit.verify().problem


def test_a_chain_written_anew_or_cut_short_is_noticed_by_a_head_that_left(store, project, answers):
    for _ in range(5):
        store.judgements.add(ranked(project, answers, 1, 2, 3))
    left = store.audit.head()
    assert (store.audit.missing(left), store.audit.missing(Head(None, left.hash)), Head.read(str(left))) == ("", "", left)
    _without_guards(store)
    store.connection.execute("DELETE FROM audit_log WHERE seq > 4")
    assert store.audit.verify().problem == ""  # nothing in it says so
    assert store.audit.missing(left) == "Entries 5 to 6 are missing: the log ends at 4."
    for _ in range(2):
        store.judgements.add(ranked(project, answers, 1, 2, 3))
    assert store.audit.verify().problem == ""
    assert store.audit.missing(left).startswith("Entry 6 is not the one that was exported")
    assert store.audit.missing(Head(None, left.hash)).startswith("No entry has this hash")
    assert store.audit.missing(Head(0, NOTHING_BEFORE)) == ""


def test_an_entrys_hash_can_be_computed_by_anybody(store, project):
    row = store.connection.row("SELECT * FROM audit_log")
    hashed = row.pop("hash")
    plain = canonical_json({**row, "facts": json.loads(row["facts"])})
    assert hashlib.sha256(plain.encode()).hexdigest() == hashed
    assert row["previous"] == NOTHING_BEFORE


def test_who_goes_with_the_last_that_was_said_and_the_chain_still_holds(store, project, answers):
    ids = tuple(a.id for a in answers)
    first, second = (store.judgements.add(Judgement(project.id, "Ada", ids, Ranking((1, 2, 3)))) for _ in range(2))
    other = store.judgements.add(Judgement(project.id, "Bo", ids, Ranking((1, 2, 3))))
    store.profiles.save(Profile("Bo", "nurse"))
    bury(store, [first.id])
    assert "Ada" in store.audit.people().values()
    head = store.audit.head()
    bury(store, [second.id, other.id])
    assert "Ada" not in store.audit.people().values()
    assert "Bo" in store.audit.people().values()  # a profile keeps the name
    assert store.connection.rows("SELECT * FROM audit_people WHERE name = 'Ada'") == []
    assert (store.audit.verify().problem, store.audit.head()) == ("", head)


def test_heads_are_found_in_any_text():
    one, two = "a1" * 32, "b2" * 32
    assert heads_in(f"<p>Last entry: {one}:12</p> and {two} alone, {one}:12 again, {two}:3.") == [Head(12, one), Head(3, two)]
    assert heads_in(f"x{one}:12y f{one}:3") == []
    for wrong in ("", "12", one[:-1], f"{one}:x", f"{one}:-1"):
        with pytest.raises(BadInput):
            Head.read(wrong)


def test_the_passphrase_and_the_rest_of_the_acts_can_be_noted(store):
    for act in ("passphrase created", "passphrase changed", "passphrase removed", "published", "trained", "restored"):
        store.audit.note(act, who="Ada")
    assert store.audit.verify().entries == 6
    assert store.audit.count("trained", "", 0) == 1
