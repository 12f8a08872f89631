import io
import json

import pytest

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.operations.bundles import export_bundle, merge_bundle
from rlhf_desktop.operations.feedback import import_feedback
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.erasing import bury, with_texts


def test_a_table_with_other_names_is_previewed_and_imported(cli, tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("Question,Better,Worse\nQ1,A,B\nQ2,A,B\n")
    seen = cli("feedback", "import", path, "--preview", "--json").json
    assert (seen["sure"], seen["columns"], seen["usable"]) == (False, ["Question", "Better", "Worse"], 0)
    mapping = ["--column", "prompt=Question", "--column", "chosen=Better", "--column", "rejected=Worse"]
    assert cli("feedback", "import", path, *mapping, "--preview", "--json").json["guesses"][0]["format"] == "preference"
    assert cli("feedback", "import", path, *mapping, "--json").json["imported"] == 2
    assert cli("feedback", "import", path, "--column", "prompt").code == 1
    assert "OURS=THEIRS" in cli("feedback", "import", path, "--column", "prompt").err


def test_a_bundle_goes_to_a_colleague_and_merges_once(cli, rankings, tmp_path):
    cli("feedback", "import", rankings)
    made = cli("feedback", "export", tmp_path / "b.zip", "--format", "bundle", "--json").json
    assert made["rows"] == 12
    there = ["--workspace", tmp_path / "there"]
    seen = cli("feedback", "merge", tmp_path / "b.zip", "--preview", "--json", *there).json
    assert (seen["judgements"], seen["new"]) == (12, 12)
    assert cli("feedback", "merge", tmp_path / "b.zip", "--json", *there).json["added"]["judgements"] == 12
    again = cli("feedback", "merge", tmp_path / "b.zip", *there)
    assert "0 judgements added" in again.out
    assert "12 were there already" in again.out


def test_a_merge_that_erases_is_asked_for(cli, rankings, tmp_path):
    there = ["--workspace", tmp_path / "there", "--project", "Support"]
    cli("feedback", "import", rankings)
    cli("feedback", "export", tmp_path / "b.zip", "--format", "bundle")
    cli("feedback", "merge", tmp_path / "b.zip", *there)
    with Store.open(tmp_path / "there" / "feedback.db") as store:
        project = store.projects.by_name("Support")
        going = with_texts(store.connection, [store.judgements.all(project.id)[0].id])
        bury(store, [*going.judgements, *going.messages])
    cli("feedback", "export", tmp_path / "erased.zip", "--format", "bundle", *there)
    n = len(going.judgements)
    assert f"it would erase {n} of the judgements of" in cli("feedback", "merge", tmp_path / "erased.zip", "--preview").out
    said = cli("feedback", "merge", tmp_path / "erased.zip")
    assert (said.code, f"would erase {n} judgement" in said.err) == (1, True)
    assert cli("feedback", "merge", tmp_path / "erased.zip", "--no-erasures", "--json").json["erased"] == 0
    assert cli("feedback", "merge", tmp_path / "erased.zip", "--erasures", "--json").json["erased"] == n


def test_a_file_that_is_no_bundle_is_refused_in_a_sentence(cli, rankings):
    said = cli("feedback", "merge", rankings)
    assert said.code == 1
    assert "was refused: the archive is damaged" in said.err


def test_what_a_file_does_not_say_is_asked_and_answered(cli, tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text('{"fields": {"prompt": "Q", "response": "A"}, "responses": {"rank": [{"value": 2, "user_id": "u"}]}}\n')
    seen = cli("feedback", "import", path, "--preview")
    assert "Is a high mark of “rank” good or bad?" in seen.out
    assert "these rows wait for an answer; --answer “scale:rank=…”" in seen.out
    assert cli("feedback", "import", path).code == 1
    assert cli("feedback", "import", path, "--answer", "scale:rank=5-1", "--json").json["others"] == 1
    assert "KEY=VALUE" in cli("feedback", "import", path, "--answer", "x").err


def test_what_its_columns_seem_to_be_is_said_where_nothing_fits(cli, tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("Frage;Bessere Antwort;Schlechtere Antwort\nQ;a;b\n")
    likely = '--format preference --column "prompt=Frage" --column "chosen=Bessere Antwort" --column "rejected=Schlechtere Antwort"'
    assert f"Likely: {likely}" in cli("feedback", "import", path, "--preview").out
    assert likely in cli("feedback", "import", path).err


def chat(answers, **of_first):
    """A chat as Open WebUI exports it."""
    asked = {"id": "q", "parentId": None, "role": "user", "content": f"Q {answers}"}
    made = [{"id": str(n), "parentId": "q", "role": "assistant", "content": text, "done": True} for n, text in enumerate(answers)]
    made[0] |= of_first
    return {"id": "c", "title": "T", "chat": {"history": {"messages": {m["id"]: m for m in (asked, *made)}, "currentId": "0"}}}


def test_another_programs_chats_are_counted_by_what_they_give(cli, tmp_path):
    path = tmp_path / "chat-export.json"
    chats = [chat("a", annotation={"rating": 1}), chat("b", annotation={"rating": -1}), chat("c", originalContent="x"),
             chat("de"), chat("fg"), chat("h")]  # fmt: skip
    path.write_text(json.dumps(chats))
    seen = cli("feedback", "import", path, "--preview", "--json").json
    assert (seen["guesses"][0]["format"], seen["sure"], seen["usable"]) == ("open-webui", True, 6)
    said = cli("feedback", "import", path).out
    assert said.startswith(
        "6 conversations, 2 thumbs, 1 correction, 2 questions with alternatives to judge, 1 other question to judge added to"
    )
    stats = cli("feedback", "stats", "--json").json
    assert (stats["by_kind"], stats["prompt_sets"]) == ({"thumbs": 2, "correction": 1}, {"chat-export": 3})
    again = cli("feedback", "import", path, "--json").json
    assert (again["imported"], again["alternatives"], again["duplicates"]) == (0, 0, 6)


def test_the_counts_say_what_the_status_says(cli, rankings):
    assert "12 rankings and 0 examples added" in cli("feedback", "import", rankings).out
    there = cli("status", "--json").json["amounts"]["reward"]
    line = next(line for line in cli("feedback", "stats").out.splitlines() if line.startswith("To learn from"))
    assert line.split()[3:] == [str(there["have"]), "comparisons,", str(there["held_out"]), "more", "held", "out"]


def test_one_of_a_thing_is_said_so(cli, tmp_path):
    one = tmp_path / "one.jsonl"
    one.write_text('{"prompt": "Hi", "completions": [{"text": "a", "rank": 1}, {"text": "b", "rank": 2}]}\n')
    assert "1 ranking and 0 examples added" in cli("feedback", "import", one).out
    assert "1 was there already." in cli("feedback", "import", one).out


@pytest.fixture
def erasing(cli, workspace, rankings, tmp_path):
    """A bundle that would erase two questions of the project."""
    assert cli("feedback", "import", rankings, "--annotator", "Ada").code == 0
    assert cli("feedback", "export", tmp_path / "all.zip", "--format", "bundle").code == 0
    there = Workspace(tmp_path / "there").ensure()
    with Store.open(there.database) as store:
        project = store.projects.create("Support")
        merge_bundle(store, project, tmp_path / "all.zip")
        going = with_texts(store.connection, [j.id for j in store.judgements.all(project.id)[:2]])
        bury(store, [*going.judgements, *going.messages])
        export_bundle(store, project, tmp_path / "b.zip")
    return tmp_path / "b.zip"


def test_erasures_are_listed_chosen_and_asked_for_one_by_one(cli, erasing, monkeypatch):
    seen = cli("feedback", "merge", erasing, "--preview")
    assert "“Question 0”: 1 judgement and 2 answers, judged by Ada" in seen.out
    listed = cli("feedback", "merge", erasing, "--preview", "--json").json["erasures"]
    assert [one["opening"] for one in listed] == ["Question 0", "Question 1"]
    assert cli("feedback", "merge", erasing, "--erase", listed[1]["key"], "--json").json["erased"] == 1
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    asked = cli("feedback", "merge", erasing, "--each", "--json")
    assert "1 of 1: “Question 0”" in asked.err
    assert asked.json["erased"] == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("all\n"))
    assert cli("feedback", "merge", erasing, "--each", "--json").json["erased"] == 1
    assert cli("feedback", "merge", erasing, "--each", "--erasures").code == 2


def test_a_merge_is_undone_on_the_command_line(cli, rankings, tmp_path, workspace):
    there = Workspace(tmp_path / "there").ensure()
    with Store.open(there.database) as store:
        project = store.projects.create("Support")
        import_feedback(store, project, rankings)
        export_bundle(store, project, tmp_path / "b.zip")
    assert cli("feedback", "merge", tmp_path / "b.zip", "--json").json["added"]["judgements"] == 12
    undone = cli("feedback", "merge", "--undo", "--json").json
    assert undone["removed"] == {"conversations": 12, "messages": 36, "judgements": 12}
    assert cli("feedback", "stats", "--json").json["judgements"] == 0
    assert cli("feedback", "merge", "--undo").code == 1
    assert cli("feedback", "merge").code == 2
    assert cli("feedback", "merge", tmp_path / "b.zip", "--undo").code == 2
