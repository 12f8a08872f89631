"""Damaged databases of many kinds: none opens as an empty one, none ends in a raw error, each can be restored."""

import random
import shutil
import traceback

import pytest
from operations_helpers import user

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.operations.restoring import current, find_backup, open_without_journal, restore
from rlhf_desktop.store.backups import daily_path
from tests.trust.rows import EMPTY, NO_REMEDY, RAW

JUDGED = 40


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """A workspace as a kill leaves it: a day's backup of 25 judgements, and a journal with some of the rest."""
    where = Workspace(tmp_path_factory.mktemp("killed") / "workspace").ensure()
    with open_store(where) as store:
        project = store.projects.create("Support")
        for n in range(25):
            judge(store, project, n)
    daily_path(where.backups).unlink(missing_ok=True)
    with open_store(where) as store:
        for n in range(25, JUDGED):
            judge(store, project, n)
        for ending in ("", "-wal"):
            shutil.copyfile(f"{where.database}{ending}", f"{where.root / 'as-killed'}{ending}")
    for ending in ("", "-wal"):
        (where.root / f"as-killed{ending}").replace(f"{where.database}{ending}")
    return where


def judge(store, project, n):
    _, question = store.conversations.start(project.id, user(f"Question {n} " * 30))
    answers = store.conversations.add_answers(question.id, [f"good {n} " * 30, f"bad {n} " * 30])
    store.judgements.add(Judgement(project.id, "me", tuple(a.id for a in answers), Ranking((1, 2))))


def flipped(data: bytearray, chance: random.Random) -> bytearray:
    for _ in range(chance.randint(1, 60)):
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    return data


def cut(data: bytearray, chance: random.Random) -> bytearray:
    return data[: chance.randrange(1, len(data))]


def zeroed(data: bytearray, chance: random.Random) -> bytearray:
    at = chance.randrange(len(data))
    length = min(chance.choice((1, 100, 4096, 20_000)), len(data) - at)
    data[at : at + length] = bytes(length)
    return data


def noise(data: bytearray, chance: random.Random) -> bytearray:
    at = chance.randrange(len(data) // 4096) * 4096
    data[at : at + 4096] = chance.randbytes(4096)
    return data


HARMS = [(harm, part) for part in ("", "-wal") for harm in (flipped, cut, zeroed, noise)]


@pytest.mark.trust("damage", 400)
@pytest.mark.parametrize("kind", range(len(HARMS)), ids=[f"{harm.__name__}{part}" for harm, part in HARMS])
def test_no_damage_opens_as_empty_or_raw_and_all_is_restored(killed, tmp_path, monkeypatch, trust, kind):
    monkeypatch.setenv("RLHF_DESKTOP_STATE", str(tmp_path / "state"))
    (harm, part), said = HARMS[kind], set()
    for number in trust.share(kind, len(HARMS)):
        trust.tried += 1
        chance = random.Random(f"{harm.__name__}{part}{number}")
        workspace = Workspace(tmp_path / str(number))
        shutil.copytree(killed.root, workspace.root, ignore=shutil.ignore_patterns("*-shm", "*.lock"))
        path = workspace.database.with_name(workspace.database.name + part)
        path.write_bytes(harm(bytearray(path.read_bytes()), chance))
        try:
            with open_store(workspace) as store:
                judged = len(store.judged(store.projects.all()[0].id))
        except AppError as trouble:
            said.add((trouble.message, trouble.hint))
            judged = recovered(workspace)
        except Exception:
            trust.found(RAW, traceback.format_exc())
            continue
        if not 25 <= judged <= JUDGED:
            trust.found(EMPTY, f"{number}: {judged}")
        shutil.rmtree(workspace.root)
    assert said or part, "some of it was noticed"
    for message, hint in said:
        if not hint:
            trust.found(NO_REMEDY, message)


def recovered(workspace: Workspace) -> int:
    """What a user does who was told."""
    if current(workspace).health == "journal":
        return open_without_journal(workspace).contents.judgements
    return restore(workspace, find_backup(workspace)).contents.judgements
