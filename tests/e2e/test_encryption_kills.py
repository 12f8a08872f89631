"""kill -9 while a passphrase is changed, a workspace encrypted, or its encryption removed: something always opens it, whole."""

import os
import random
import signal

import pytest

from rlhf_desktop.core import encryption
from rlhf_desktop.core.encryption import WrongPassphrase, header_copy, header_file
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.operations import encryption as encrypting
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.operations.restoring import backups_of
from rlhf_desktop.store.backups import back_up
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.encrypting import is_plain
from tests.encrypted import OTHER, PASSPHRASE, cheap_kdf, forget_all, holding

SECRET = "Zaborowska"


@pytest.fixture(autouse=True)
def _cheap(monkeypatch):
    monkeypatch.setattr(encryption, "new_kdf", cheap_kdf)
    yield
    forget_all()


@pytest.fixture
def workspace(tmp_path):
    found = Workspace(tmp_path / "workspace").ensure()
    with Store.open(found.database) as store:
        project = store.projects.create("Support")
        _, question = store.conversations.start(project.id, [{"role": "user", "content": f"{SECRET}?"}])
        ids = tuple(node.id for node in store.conversations.add_answers(question.id, [f"{SECRET} a", f"{SECRET} b"]))
        store.judgements.add(Judgement(project.id, "me", ids, Ranking((1, 2))))
        back_up(store.connection, found.backups / "by-hand-1.db")
    return found


def killed(work, chance):
    """Do something in a process of its own, which says a line now and then, and kill it at a moment of chance."""
    hear, say = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(hear)
        try:
            work(lambda *_: os.write(say, b"\n"))
        finally:
            os._exit(1)
    os.close(say)
    with os.fdopen(hear, "rb") as heard:
        for _ in range(chance.randint(1, 4)):
            heard.readline()
        for _ in range(chance.randint(0, 400_000)):
            pass  # some way into the next step
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    forget_all()


def opened_by(workspace) -> list[str]:
    opens = []
    for passphrase in (PASSPHRASE, OTHER):
        forget_all()
        try:
            encrypting.unlock(workspace, passphrase)
        except WrongPassphrase:
            continue
        opens.append(passphrase)
    return opens


def check(workspace) -> None:
    """Nothing is lost, of the database or its backups."""
    with open_store(workspace) as store:
        (project,) = store.projects.all()
        assert len(store.judgements.all(project.id)) == 1
    held = {backup.path.name: backup.contents.judgements for backup in backups_of(workspace) if backup.contents}
    assert held["by-hand-1.db"] == 1
    assert set(held.values()) == {1}


@pytest.mark.trust("passphrase-kills", 6)
@pytest.mark.timeout(3600)
def test_one_of_the_two_passphrases_opens_everything(workspace, trust):
    encrypting.create(workspace, PASSPHRASE)
    numbers, present = trust.share(0, 2), PASSPHRASE

    def change(say):
        old = present
        while True:
            new = OTHER if old == PASSPHRASE else PASSPHRASE
            say()
            encrypting.change(workspace, old, new)
            old = new

    for number in numbers:
        killed(change, random.Random(number))
        trust.tried += 1
        (present,) = opened_by(workspace)  # never both, and never none
        encrypting.unlock(workspace, present)
        assert header_file(workspace.root).read_bytes() == header_copy(workspace.root).read_bytes()
        check(workspace)
    assert holding(workspace.root, SECRET) == []


@pytest.mark.trust("passphrase-kills", 6)
@pytest.mark.timeout(3600)
def test_encrypting_and_removing_lose_nothing_and_are_finished(workspace, trust):
    def there_and_back(say):
        while True:
            if encrypting.status(workspace).encrypted:
                encrypting.remove(workspace, PASSPHRASE, say)
            else:
                encrypting.create(workspace, PASSPHRASE, say)
            say()

    for number in trust.share(1, 2):
        killed(there_and_back, random.Random(number))
        trust.tried += 1
        encrypting.unlock(workspace, PASSPHRASE)
        status = encrypting.status(workspace)
        assert status.state in ("", "on")
        check(workspace)
        databases = [workspace.database, *workspace.backups.glob("[!.]*.db")]
        assert {is_plain(path) for path in databases} == {not status.encrypted}
        assert holding(workspace.root, SECRET) == [] or not status.encrypted
        left = [path.name for path in workspace.root.rglob(".*.tmp*")]
        assert left == []
