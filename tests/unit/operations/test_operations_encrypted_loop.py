"""Fifty secret words, one in each place that takes a text: none is on disk once an encrypted workspace is closed."""

import json
import os
import signal

import pytest
from operations_helpers import BASE, QuietQueue, user

from rlhf_desktop.core import encryption
from rlhf_desktop.core.files import append_jsonl
from rlhf_desktop.core.sealing import is_sealed
from rlhf_desktop.feedback.attachments import AttachedText, with_files
from rlhf_desktop.feedback.judgements import Correction, Judgement, Ranking, Thumbs
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.jobs.runnotes import annotate_run
from rlhf_desktop.operations import encryption as encrypting
from rlhf_desktop.operations.bundles import export_bundle
from rlhf_desktop.operations.conversation_export import export_conversation
from rlhf_desktop.operations.erase import erase
from rlhf_desktop.operations.feedback import export_feedback, import_feedback
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.operations.report import run_report
from rlhf_desktop.operations.report_pages import write_report
from rlhf_desktop.operations.restoring import backups_of, find_backup, restore
from rlhf_desktop.operations.training import start_run
from rlhf_desktop.store.backups import back_up
from tests.encrypted import PASSPHRASE, cheap_kdf, forget_all, holding

WORDS = [f"Canary{number:02}Zaborowska" for number in range(50)]


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    monkeypatch.setattr(encryption, "new_kdf", cheap_kdf)
    yield
    forget_all()


class Canaries:
    """Hands out the words one after another."""

    def __init__(self) -> None:
        self._left = iter(WORDS)

    def __call__(self) -> str:
        return next(self._left)


def talk_and_judge(store, project, word, tmp_path):
    """Everything that goes into the database."""
    conversation, question = store.conversations.start(project.id, user(word()))
    answers = store.conversations.add_answers(question.id, [word(), f"<think>{word()}</think>{word()}"])
    store.conversations.rename(conversation.id, word())
    store.conversations.file([conversation.id], word())
    store.conversations.tag([conversation.id], word())
    file = AttachedText(f"{word()}.pdf", "", word())
    _, attached = store.conversations.start(project.id, user(with_files(word(), [file])))
    said = store.conversations.add_answers(attached.id, [word(), word()])
    pairs = [tuple(node.id for node in nodes) for nodes in (answers, said)]
    made = store.judgements.add(
        Judgement(project.id, word(), pairs[0], Ranking((1, 2)), also=(Correction(word()),), critique=word())
    )
    store.judgements.add(Judgement(project.id, "me", pairs[1], Ranking((2, 1))))
    store.judgements.add(Judgement(project.id, "me", pairs[1][:1], Thumbs(True)))
    store.tags.add([made.id], word())
    store.drafts.save(project.id, "me", "label:1", {"text": word()})
    store.guidelines.save(project.id, word(), "me")
    store.prompts.create_set(project.id, word(), [user(word())])
    rows = tmp_path / "colleague.jsonl"
    rows.write_text(json.dumps({"prompt": word(), "chosen": word(), "rejected": word()}) + "\n")
    import_feedback(store, project, rows)
    rows.unlink()
    return conversation, made


def train(store, workspace, project, word):
    """A run as a trainer leaves it, and as one that was killed does."""
    queue = QuietQueue(workspace)
    runs = [start_run(store, queue, project, "reward", base=BASE, title=word()) for _ in range(2)]
    for run in runs:
        append_jsonl(
            run.events,
            {"v": 1, "seq": 0, "time": 1.0, "type": "sample", "step": 1, "prompt": word(), "text": word(), "before": word()},
        )
        run.log.write_text(word())
        step = run.checkpoints / "step-00000001"
        step.mkdir()
        (step / "state.json").write_text(json.dumps({"seen": [word()]}))
        (run.path / "report.json").write_text(json.dumps({"worst": word()}))
        run.adapter.mkdir()
        (run.adapter / "adapter_model.safetensors").write_bytes(bytes(8))
        (run.adapter / "README.md").write_text(f"# {word()}")
    runs[0].write_status(runs[0].status().model_copy(update={"state": "done"}))
    runs[1].write_status(runs[1].status().model_copy(update={"state": "running"}))
    annotate_run(runs[0], title=word(), notes=word())
    return runs


def write_files(store, workspace, project, conversation, run):
    """What the user has written inside the workspace."""
    root = workspace.root
    write_report(run_report(store, workspace, run), root / "reports")
    export_feedback(store, project, root / "rows.jsonl")
    export_bundle(store, project, root / "bundle.zip")
    export_conversation(store, workspace, conversation.id, root / "conversation.md")
    back_up(store.connection, workspace.backups / "by-hand-1.db")


def live(workspace, tmp_path):
    word = Canaries()
    with open_store(workspace) as store:
        project = store.projects.create(word())
        conversation, made = talk_and_judge(store, project, word, tmp_path)
        runs = train(store, workspace, project, word)
        write_files(store, workspace, project, conversation, runs[0])
    assert next(word._left, None) in (*WORDS[-8:], None)  # nearly all were used
    return project, made, runs


def close(workspace):
    """As the window and the command line do."""
    encrypting.seal_rest(workspace)
    forget_all()


def test_no_word_is_on_disk_once_the_workspace_is_closed(workspace, tmp_path):
    encrypting.create(workspace, PASSPHRASE)
    project, made, runs = live(workspace, tmp_path)
    close(workspace)
    assert is_sealed(workspace.root / "bundle.zip")  # where a packed word would not be found
    assert holding(tmp_path, *WORDS) == []
    assert not [path for path in tmp_path.rglob("*") if any(word in path.name for word in WORDS)]
    encrypting.unlock(workspace, PASSPHRASE)
    with open_store(workspace) as store:  # and everything is still there
        assert store.projects.all() == [project]
        assert len(store.judgements.all(project.id)) == 4
        assert QuietQueue(workspace).summary(runs[0]).notes.startswith("Canary")
        erase(store, workspace, project, [made.id], confirmed=True)
    restore(workspace, find_backup(workspace, "by-hand-1.db"))
    assert len(backups_of(workspace)) >= 2
    close(workspace)
    assert holding(tmp_path, *WORDS) == []


def test_an_existing_workspace_keeps_no_word_when_it_is_encrypted(workspace, tmp_path):
    live(workspace, tmp_path)
    assert holding(tmp_path, *WORDS)
    encrypting.create(workspace, PASSPHRASE)
    close(workspace)
    assert holding(tmp_path, *WORDS) == ["workspace/conversation.md"]  # as if the user had put it there
    assert [path.name for path in encrypting.plain_files(workspace)] == ["conversation.md"]


def test_removing_encryption_leaves_no_file_sealed(workspace, tmp_path):
    encrypting.create(workspace, PASSPHRASE)
    project, _, runs = live(workspace, tmp_path)
    encrypting.seal_rest(workspace)
    encrypting.remove(workspace, PASSPHRASE)
    assert not [path for path in workspace.root.rglob("*") if path.is_file() and path.read_bytes().startswith(b"RLHF-SEALED")]
    with open_store(workspace) as store:
        assert len(store.judgements.all(project.id)) == 4
    assert RunFolder(runs[0].path).config().title.startswith("Canary")
    assert (workspace.root / "conversation.md").read_text().startswith("#")


def test_an_erase_reaches_what_is_sealed(workspace, tmp_path):
    encrypting.create(workspace, PASSPHRASE)
    project, made, _ = live(workspace, tmp_path)
    encrypting.seal_rest(workspace)
    with open_store(workspace) as store:
        erase(store, workspace, project, [made.id], confirmed=True)
    encrypting.remove(workspace, PASSPHRASE)
    erased = [WORDS[1], WORDS[2], WORDS[4]]  # the question, an answer, the other
    assert holding(workspace.root, *erased) == []


def test_a_kill_in_the_middle_leaves_plain_only_what_a_run_may_have(workspace, tmp_path):
    encrypting.create(workspace, PASSPHRASE)
    child = os.fork()
    if child == 0:
        try:
            live(workspace, tmp_path)
            os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    plain = holding(tmp_path, *WORDS)
    assert {name.split("/")[1] for name in plain} <= {"runs", "reports"}
    forget_all()
    encrypting.unlock(workspace, PASSPHRASE)
    with open_store(workspace):  # the next start
        pass
    assert holding(tmp_path, *WORDS) == []
