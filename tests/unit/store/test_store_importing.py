import json

import pytest

from rlhf_desktop.core.errors import NoSpace
from rlhf_desktop.feedback.formats import read_feedback
from rlhf_desktop.feedback.judgements import (
    AllBad,
    Correction,
    Flag,
    Judgement,
    Ranking,
    Rating,
    Ratings,
    Skip,
    Span,
    Spans,
    Thumbs,
)
from rlhf_desktop.feedback.rows import DemonstrationRow, Problem, RankingRow, row_of
from rlhf_desktop.store.importing import exported, import_rows
from rlhf_desktop.store.shelf import ConversationQuery

USER = [{"role": "user", "content": "My printer broke."}]
ROWS = [
    RankingRow(USER, ("a", "b", "c"), (2, 1, 2), "Ada", 0.5),
    DemonstrationRow(USER, "I'm sorry about your printer.", "Bo"),
    Problem(3, "it is not JSON"),
]


def test_rows_become_judgements_and_come_out_again(store, project):
    done = import_rows(store, project.id, ROWS, who="me")
    assert (done.rankings, done.demonstrations, done.duplicates, done.problems) == (1, 1, 0, (ROWS[2],))
    assert [j.who for j in store.judgements.effective(project.id)] == ["Ada", "Bo"]
    assert list(exported(store.stream(project.id))) == ROWS[:2]
    assert store.conversations.page(project.id, ConversationQuery()).rows == (), "imports are not chats"


def test_importing_twice_changes_nothing_but_what_was_taken_back_returns(store, project):
    import_rows(store, project.id, [*ROWS, ROWS[0]])
    again = import_rows(store, project.id, ROWS)
    assert (again.rankings, again.demonstrations, again.duplicates) == (0, 0, 2)
    store.judgements.withdraw(store.judgements.effective(project.id)[0].id, "me")
    assert import_rows(store, project.id, ROWS).rankings == 1


def test_a_full_disk_imports_nothing(store, project):
    store.connection.raw.execute("PRAGMA max_page_count = 60")
    rows = [RankingRow([{"role": "user", "content": f"question {i}"}], ("a" * 500, "b" * 500), (1, 2)) for i in range(500)]
    with pytest.raises(NoSpace):
        import_rows(store, project.id, rows)
    assert store.judgements.all(project.id) == []
    assert store.conversations.page(project.id, ConversationQuery(None)).rows == ()


def test_a_reader_that_breaks_off_imports_nothing(store, project):
    def broken():
        yield ROWS[0]
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011
        import_rows(store, project.id, broken())
    assert store.judgements.all(project.id) == []


def test_every_form_goes_in_and_comes_out(store, project):
    rows = [
        row_of(USER, ["a", "b"], [AllBad(), Correction("Sorry!", 1)], "Ada", 0.5, "curt"),
        row_of(USER, ["a"], [Thumbs(False)], "Bo"),
        row_of(USER, ["a", "b"], [Ranking((1, 2), 3), Ratings((Rating("tone", 5, (5, None)),))]),
        row_of(USER, ["a"], [Spans((Span(0, 0, 1, "rude", 2),))]),
    ]
    done = import_rows(store, project.id, rows)
    assert (done.others, done.rankings, done.duplicates) == (4, 0, 0)
    assert import_rows(store, project.id, rows).duplicates == 4
    assert list(exported(store.stream(project.id))) == rows


def test_skips_flags_and_repeats_stay(store, project):
    _, question = store.conversations.start(project.id, USER)
    ids = tuple(a.id for a in store.conversations.add_answers(question.id, ["a", "b"]))
    for verdict, purpose in ((Skip(), "label"), (Flag(), "label"), (Ranking((1, 2)), "repeat")):
        store.judgements.add(Judgement(project.id, "me", ids, verdict, purpose=purpose))
    assert list(exported(store.stream(project.id))) == []


def test_a_file_goes_in_and_comes_out_as_training_data(store, project, tmp_path):
    path = tmp_path / "hh.jsonl"
    row = {
        "chosen": "\n\nHuman: My printer broke.\n\nAssistant: Sorry.",
        "rejected": "\n\nHuman: My printer broke.\n\nAssistant: So?",
    }
    path.write_text(json.dumps(row) + "\n")
    import_rows(store, project.id, read_feedback(path))
    (ranking,) = store.snapshot_rows(project.id, "reward")
    assert ranking.prompt == USER
    assert [(c.text, c.rank) for c in ranking.completions] == [("Sorry.", 1), ("So?", 2)]


def test_thoughts_of_imported_answers_are_neither_judged_nor_marked(store, project):
    thought = "<think>It is orange.</think>"
    spans = Spans((Span(0, 10, 12, "wrong"), Span(0, 25, 31, "wrong"), Span(0, len(thought) + 3, len(thought) + 6, "rude")))
    import_rows(store, project.id, [row_of(USER, [f"{thought}So sad."], [spans, Correction(f"{thought}I am sorry.", 0)])])
    (j,) = store.judgements.effective(project.id)
    assert store.conversations.message(j.displayed[0]).content == "So sad."
    said = {verdict.kind: verdict for verdict in j.verdicts}
    assert [(span.start, span.end) for span in said["spans"].spans] == [(0, 3), (3, 6)]
    assert said["correction"].text == "I am sorry."
    (row,) = exported(store.stream(project.id))
    assert "orange" not in str(row)
