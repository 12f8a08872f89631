"""kill -9 while somebody labels: what was acknowledged is there, the database is sound, the draft is back."""

import os
import random
import signal
from pathlib import Path

import pytest

from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.store.database import Store
from tests.trust.rows import DAMAGED, DRAFTS, LOST

WHO = "Ada"


def label(path: Path, project_id: str, displayed: tuple[str, ...], say: int) -> None:
    """Draft and judge without end; each line is said only when the store has returned."""
    with Store.open(path) as store:
        number = 0
        while True:
            number += 1
            key = f"label:{number}"
            store.drafts.save(project_id, WHO, key, {"number": number})
            os.write(say, f"draft {number}\n".encode())
            with store.connection.transaction():
                made = store.judgements.add(Judgement(project_id, WHO, displayed, Ranking((1, 2)), critique=f"number {number}"))
                store.drafts.discard(project_id, WHO, key)
            os.write(say, f"judged {made.id}\n".encode())


def killed(path: Path, project_id: str, displayed: tuple[str, ...], chance: random.Random) -> list[str]:
    """Start somebody labelling, kill them at a moment of chance, and return what the store had acknowledged."""
    hear, say = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(hear)
        try:
            label(path, project_id, displayed, say)
        finally:
            os._exit(1)
    os.close(say)
    with os.fdopen(hear, "rb") as heard:
        lines = [heard.readline() for _ in range(chance.randint(1, 6))]
        for _ in range(chance.randint(0, 3000)):
            pass  # some way into the next step
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        lines += heard.readlines()
    return [line.decode().strip() for line in lines if line.endswith(b"\n")]


@pytest.mark.trust("store-kills", 6)
@pytest.mark.timeout(3600)
def test_nothing_acknowledged_is_lost_to_a_kill(tmp_path, trust):
    path = tmp_path / "feedback.db"
    with Store.open(path) as store:
        project = store.projects.create("Support").id
        _, question = store.conversations.start(project, [{"role": "user", "content": "Why?"}])
        displayed = tuple(node.id for node in store.conversations.add_answers(question.id, ["a", "b"]))
    acknowledged: set[str] = set()
    for number in trust.numbers:
        said = killed(path, project, displayed, random.Random(number))
        assert said, "nobody had begun"
        trust.tried += 1
        acknowledged |= {line.split()[1] for line in said if line.startswith("judged ")}
        with Store.open(path) as store:  # checks the file
            there = {judgement.id for judgement in store.judgements.all(project)}
            for one in acknowledged - there:
                trust.found(LOST, one)
            drafts = {draft.value["number"] for draft in store.drafts.all(project, WHO)}
            judged_unsaid = len(there) > len(acknowledged)  # on disk, but killed before it could say so
            if said[-1].startswith("draft ") and not judged_unsaid and int(said[-1].split()[1]) not in drafts:
                trust.found(DRAFTS, said[-1])
            for draft in store.drafts.all(project, WHO):
                store.drafts.discard(project, WHO, draft.key)
            acknowledged = there
            if store.connection.rows("PRAGMA foreign_key_check") != []:
                trust.found(DAMAGED, number)
