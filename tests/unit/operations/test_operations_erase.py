"""After an erase no byte of the erased words is left in anything the program wrote."""

import json

import pytest
from operations_helpers import BASE, QuietQueue, user

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.files import sha256_file
from rlhf_desktop.feedback.attachments import AttachedText, in_short, with_files
from rlhf_desktop.feedback.judgements import Correction, Judgement, Ranking, revision
from rlhf_desktop.hub.privacy import find_in
from rlhf_desktop.operations.bundles import export_bundle, merge_bundle
from rlhf_desktop.operations.erase import ERASED, erase, plan_erasure
from rlhf_desktop.operations.training import start_run
from rlhf_desktop.store.backups import back_up
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.history import HistoryQuery

SECRET, ANSWER, BETTER = "Mrs Zaborowska's biopsy", "Zaborowska should worry", "Zaborowska can be told"


@pytest.fixture
def judged(store, project):
    made = []
    for text, answers in ((SECRET, [ANSWER, "Call the ward"]), ("Opening hours?", ["Nine to five", "Ask at the desk"])):
        _, question = store.conversations.start(project.id, user(text))
        ids = tuple(node.id for node in store.conversations.add_answers(question.id, answers))
        made.append(store.judgements.add(Judgement(project.id, "me", ids, Ranking((2, 1)))))
    store.judgements.add(revision(made[0], "me", [Ranking((2, 1)), Correction(BETTER)], critique="Never say Zaborowska"))
    store.prompts.create_set(project.id, "set", [user(SECRET), user("Opening hours?")])
    store.projects.fix_split(project.id, [user(SECRET), user("Opening hours?")], "train")
    store.drafts.save(project.id, "me", f"label:{made[0].displayed[0]}", {"text": "Zaborowska draft"})
    return made


@pytest.fixture
def run(store, workspace, project, judged):
    folder = start_run(store, QuietQueue(workspace), project, "reward", base=BASE, title="Taught")
    folder.events.write_text(json.dumps({"type": "sample", "prompt": SECRET, "text": ANSWER}) + "\n")
    folder.adapter.mkdir()
    return folder


def finished(run):
    run.write_status(run.status().model_copy(update={"state": "done"}))


def anywhere(folder, word):
    found = [path for path in folder.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]
    return [str(path.relative_to(folder)) for path in found]


def test_nothing_of_what_was_erased_is_left_in_the_workspace(store, workspace, project, judged, run, tmp_path):
    finished(run)
    back_up(store.connection, workspace.backups / "feedback-2026-01-01.db")
    (workspace.root / "reports").mkdir()
    (workspace.root / "reports" / "one.html").write_text(f"<p>{SECRET.replace(chr(39), '&#x27;')}</p><p>kept</p>")
    export_bundle(store, project, tmp_path / "b.zip")
    store.connection.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert len(anywhere(workspace.root, "Zaborowska")) >= 5
    plan = plan_erasure(store, workspace, project, [judged[0].id])
    assert (len(plan.judgements), len(plan.messages), len(plan.prompts)) == (2, 3, 1)
    assert (plan.runs, plan.adapters) == ((run.id,), ("Taught",))
    assert [export.path for export in plan.exports] == [str(tmp_path / "b.zip")]
    done = erase(store, workspace, project, [judged[0].id], confirmed=True)
    assert done.plan == plan
    assert anywhere(workspace.root, "Zaborowska") == []
    assert anywhere(workspace.root, "zaborowska") == [], "not even among the words of the search"
    assert [j.id for j in store.judgements.all(project.id)] == [judged[1].id]
    assert len(store.history.page(project.id, HistoryQuery(text="hours"))[0]) == 1
    assert store.history.page(project.id, HistoryQuery(text="zaborowska"))[0] == []
    assert (workspace.root / "reports" / "one.html").read_text() == f"<p>{ERASED}</p><p>kept</p>"
    assert [prompt.prompt for prompt in store.prompts.prompts(project.id)] == [user("Opening hours?")]
    config = run.config()
    assert config.data_sha256 == sha256_file(run.data)
    assert len(run.data.read_text().splitlines()) == 1


def test_without_a_yes_or_while_a_run_learns_from_it_nothing_goes(store, workspace, project, judged, run):
    with pytest.raises(BadInput, match="confirmed"):
        erase(store, workspace, project, [judged[0].id], confirmed=False)
    with pytest.raises(BadInput, match="learning from this feedback now"):
        erase(store, workspace, project, [judged[0].id], confirmed=True)
    with pytest.raises(BadInput, match="None of these"):
        plan_erasure(store, workspace, project, ["nothing"])
    assert len(store.judgements.all(project.id)) == 3


def test_adapters_that_went_on_from_one_that_learned_it_are_listed(store, workspace, project, judged, run):
    from rlhf_desktop.core.runs import AdapterRef

    finished(run)
    start = AdapterRef(name="Taught", path=str(run.adapter), hash="h", base_hash=BASE.hash)
    later = start_run(store, QuietQueue(workspace), project, "dpo", base=BASE, title="Later", start=start)
    other = judged[1]
    later.adapter.mkdir()
    plan = plan_erasure(store, workspace, project, [other.id])
    assert plan.adapters == ("Taught", "Later")


def test_other_judgements_on_the_same_answers_are_in_the_plan(store, workspace, project, judged):
    other = store.judgements.add(Judgement(project.id, "Bo", judged[1].displayed[::-1], Ranking((1, 1))))
    assert set(plan_erasure(store, workspace, project, [judged[1].id]).judgements) == {judged[1].id, other.id}


def test_a_conversation_keeps_what_was_said_before_the_erased_answer(store, workspace, project, judged):
    chosen = judged[1].displayed[0]
    tree_id = store.conversations.message(chosen).conversation_id
    more = store.conversations.add_message(tree_id, chosen, "user", "And on Sundays?")
    (answer, _) = store.conversations.add_answers(more.id, ["Closed", "Open"])
    second = store.judgements.add(
        Judgement(project.id, "me", tuple(n.id for n in store.conversations.tree(tree_id).children(more.id)), Ranking((1, 2)))
    )
    erase(store, workspace, project, [second.id], confirmed=True)
    assert [node.content for node in store.conversations.tree(tree_id).path(chosen)] == ["Opening hours?", "Nine to five"]
    assert judged[1] in store.judgements.all(project.id)
    assert answer.id not in {node.id for node in store.conversations.tree(tree_id).nodes}


def test_the_text_of_an_attached_file_goes_with_its_question(store, workspace, project, tmp_path):
    letter = AttachedText("zaborowska.pdf", "", "Dear Mrs Zaborowska,\n\nthe biopsy shows nothing.")
    _, question = store.conversations.start(project.id, user(with_files("What may I tell her?", [letter])))
    ids = tuple(node.id for node in store.conversations.add_answers(question.id, ["All of it", "Ask the ward"]))
    made = store.judgements.add(Judgement(project.id, "me", ids, Ranking((2, 1))))
    export_bundle(store, project, tmp_path / "b.zip")
    with Store.open(tmp_path / "there.db") as there:
        merge_bundle(there, there.projects.create(project.name), tmp_path / "b.zip")
        assert there.conversations.message(question.id).content == store.conversations.message(question.id).content
    assert find_in(store.conversations.message(question.id).content)[0].kind == "name"
    folder = start_run(store, QuietQueue(workspace), project, "reward", base=BASE, title="Taught")
    finished(folder)
    store.connection.raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    report = workspace.root / "reports" / "one.md"
    report.parent.mkdir()
    report.write_text(f"> **{in_short(store.conversations.message(question.id).content)}**")
    assert len(anywhere(workspace.root, "Zaborowska")) >= 2
    erase(store, workspace, project, [made.id], confirmed=True)
    assert anywhere(workspace.root, "What may I tell her?") == []
    assert anywhere(workspace.root, "aborowska") == []
    assert anywhere(workspace.root, "biopsy shows") == []
