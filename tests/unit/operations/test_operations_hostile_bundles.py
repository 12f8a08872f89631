"""Bundles made to do harm: none changes another project or a setting, none makes a room unusable, each is refused in a sentence."""

import random
import shutil
import traceback

import pytest
from operations_helpers import QuietQueue, user

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.feedback.bundles import open_bundle
from rlhf_desktop.feedback.judgements import Judgement, Ranking, revision
from rlhf_desktop.operations.amounts import amounts
from rlhf_desktop.operations.bundles import export_bundle, inspect_bundle, merge_bundle, undo_last_merge
from rlhf_desktop.operations.feedback import export_feedback, feedback_stats
from rlhf_desktop.operations.outlook import outlook
from rlhf_desktop.store import driver
from rlhf_desktop.store.bundling import merge_rows
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.driver import Connection
from rlhf_desktop.store.history import HistoryQuery
from rlhf_desktop.store.profiles import Profile
from tests import hostile_bundles
from tests.trust.rows import CHANGED, NO_REMEDY, RAW, UNDONE, UNUSABLE

PER_PROJECT = (
    "judgements", "conversations", "prompt_sets", "guidelines", "split_exceptions", "exports", "evaluations", "adoptions", "drafts",
    "judged_questions", "judgements_also",
)  # fmt: skip


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No power cut is tested here."""
    monkeypatch.setattr(driver, "SYNCHRONOUS", "OFF")


def lived(store, project, who, n) -> None:
    """Some feedback of all kinds."""
    made = []
    for number in range(n):
        _, question = store.conversations.start(project.id, user(f"{who}: question {number}"))
        answers = store.conversations.add_answers(question.id, [f"good {number}", f"bad {number}"])
        made.append(store.judgements.add(Judgement(project.id, who, tuple(a.id for a in answers), Ranking((1, 2)))))
    store.judgements.add(revision(made[0], who, [Ranking((2, 1))]))
    store.judgements.withdraw(made[1].id, who)
    store.tags.add([j.id for j in made[:3]], "hard")
    store.prompts.create_set(project.id, f"set of {who}", [user(f"{who}: prompt {number}") for number in range(3)])
    store.guidelines.save(project.id, "Be kind.", who)
    store.profiles.save(Profile(who, "nurse"))
    store.projects.fix_split(project.id, [user(f"{who}: question 0")], "heldout")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A workspace with two projects, a colleague's good bundle for one, and the ids of the other."""
    root = tmp_path_factory.mktemp("world")
    here, there = Workspace(root / "here").ensure(), Workspace(root / "there").ensure()
    with Store.open(here.database) as store, Store.open(there.database) as theirs:
        mine, other, project = store.projects.create("Support"), store.projects.create("Other"), theirs.projects.create("Support")
        store.settings.set("who", "Me")
        store.profiles.save(Profile("Me", "owner"))
        lived(store, mine, "Ada", 6)
        lived(store, other, "Olga", 6)
        export_bundle(store, mine, root / "own.zip")
        merge_bundle(theirs, project, root / "own.zip")
        lived(theirs, project, "Bo", 5)
        export_bundle(theirs, project, root / "good.zip")
        others = {
            name: [row["id"] for row in store.connection.rows(f"SELECT id FROM {name} WHERE project_id = ?", (other.id,))]
            for name in ("judgements", "conversations", "guidelines", "prompt_sets")
        }
        others["messages"] = ids(
            store, "messages WHERE conversation_id IN (SELECT id FROM conversations WHERE project_id = ?)", other
        )
        others["prompts"] = ids(store, "prompts WHERE prompt_set_id IN (SELECT id FROM prompt_sets WHERE project_id = ?)", other)
        others["hashes"] = [row["h"] for row in store.connection.rows("SELECT prompt_hash AS h FROM judged_questions")]
    return root, others


def ids(store, which, project) -> list[str]:
    return [row["id"] for row in store.connection.rows(f"SELECT id FROM {which}", (project.id,))]


def all_but(connection: Connection, project_id: str) -> dict[str, list[str]]:
    """Everything that a bundle for this project has no say over, row by row."""
    of_others = "SELECT id FROM {} WHERE project_id != ?"
    asked = {name: f"SELECT * FROM {name} WHERE project_id != ?" for name in PER_PROJECT}
    asked |= {"projects": "SELECT * FROM projects WHERE id != ?", "settings": "SELECT * FROM settings WHERE scope != ?"}
    asked["messages"] = f"SELECT * FROM messages WHERE conversation_id IN ({of_others.format('conversations')})"
    asked["prompts"] = f"SELECT * FROM prompts WHERE prompt_set_id IN ({of_others.format('prompt_sets')})"
    for name, column in (("judged_completions", "judgement_id"), ("judgement_tags", "judgement_id")):
        asked[name] = f"SELECT * FROM {name} WHERE {column} IN ({of_others.format('judgements')})"
    found = {name: sorted(map(repr, connection.rows(sql, (project_id,)))) for name, sql in asked.items()}
    found["profiles"] = sorted(map(repr, connection.rows("SELECT * FROM profiles WHERE name IN ('Olga', 'Me')")))
    found["own settings"] = sorted(map(repr, connection.rows("SELECT * FROM settings WHERE scope = ?", (project_id,))))
    return found


def whole(connection: Connection) -> dict[str, list[str]]:
    """Every row that an undo has to give back."""
    names = (*PER_PROJECT, "messages", "prompts", "judged_completions", "judgement_tags", "profiles", "projects", "generators")
    return {name: sorted(map(repr, connection.rows(f"SELECT * FROM {name}"))) for name in (*names, "tombstones")}


def use(store: Store, workspace: Workspace, project, fresh) -> None:
    """What one does in the rooms, and what goes out of them."""
    for query in (HistoryQuery(), HistoryQuery(standing=True), HistoryQuery(text="question"), HistoryQuery(text="kind\u202e")):
        found, after = store.history.page(project.id, query)
        store.history.count(project.id, query)
        if after is not None:
            store.history.page(project.id, query, after)
        assert found or query.text or not store.judgements.any(project.id)
    queue = QuietQueue(workspace)
    outlook(store, queue, project), amounts(store, project), feedback_stats(store, project)
    store.tags.counts(project.id), store.prompts.sizes(project.id), store.standing.by_person(project.id)
    for row in store.connection.rows("SELECT id FROM conversations WHERE project_id = ?", (project.id,)):
        tree = store.conversations.tree(row["id"])
        assert all(tree.path(node.id) for node in tree.nodes[-3:])
    row = store.connection.row(
        """SELECT m.parent_id AS id FROM messages m JOIN conversations c ON c.id = m.conversation_id
        WHERE c.project_id = ? AND m.role = 'assistant' ORDER BY m.position DESC LIMIT 1""", (project.id,)
    )  # fmt: skip
    if row and row["id"]:
        answers = store.conversations.add_answers(row["id"], ["one more", "and another"])
        store.judgements.add(Judgement(project.id, "Me", tuple(a.id for a in answers), Ranking((1, 2))))
    store.guidelines.save(project.id, "Be kinder.", "Me")
    store.judgements.undo(project.id, "Me")
    if store.judgements.any(project.id):
        export_feedback(store, project, fresh.with_suffix(".jsonl"), "rankings")
    export_bundle(store, project, fresh)
    shutil.copyfile(workspace.root.parent / "empty.db", fresh.with_suffix(".db"))
    with Store(Connection(fresh.with_suffix(".db"))) as empty:
        merge_rows(empty, empty.projects.create("Support").id, open_bundle(fresh))


@pytest.mark.trust("hostile-bundles", 10)
def test_no_bundle_harms_what_is_here(trust, world, tmp_path):
    root, others = world
    with Store.open(tmp_path / "empty.db"):
        pass
    for number in trust.numbers:
        trust.tried += 1
        path, workspace = tmp_path / f"{number}.zip", Workspace(tmp_path / f"w{number}").ensure()
        shutil.copyfile(root / "here" / "feedback.db", workspace.database)
        kind = f"{number} {hostile_bundles.make(number, root / 'good.zip', others, path)}"
        with Store(Connection(workspace.database)) as store:  # checked and backed up once is enough
            project = store.projects.by_name("Support")
            before, all_before = all_but(store.connection, project.id), whole(store.connection)
            chance = random.Random(f"use of {number}")
            merged = merge(store, project, path, trust, kind, chance.choice((True, False, None)))
            if all_but(store.connection, project.id) != before:
                trust.found(CHANGED, kind)
            erased = merged is not None and merged.erased
            if merged is None and whole(store.connection) != all_before:
                trust.found(CHANGED, f"{kind}: refused")
            if merged is not None and not erased and chance.random() < 0.5:
                undo(store, project, all_before, trust, kind)
            else:
                try:
                    use(store, workspace, project, tmp_path / f"next{number}.zip")
                except Exception:
                    trust.found(UNUSABLE, f"{kind}\n{traceback.format_exc()[-1500:]}")
        shutil.rmtree(workspace.root)
        path.unlink()


def merge(store, project, path, trust, kind, erasures):
    """Look at it and merge it. None: it was refused, in a sentence with a remedy."""
    merged = None
    for act in (lambda: inspect_bundle(store, project, path), lambda: merge_bundle(store, project, path, erasures=erasures)):
        try:
            merged = act()
        except AppError as problem:
            said = problem.message
            if "\n" in said or not said.endswith(".") or len(said) > 400 or not problem.hint:
                trust.found(NO_REMEDY, f"{kind}: {said!r} {problem.hint!r}")
            merged = None
        except Exception:
            trust.found(RAW, f"{kind}\n{traceback.format_exc()[-1500:]}")
            merged = None
    return merged


def undo(store, project, before, trust, kind) -> None:
    try:
        if store.connection.rows("SELECT 1 FROM merges"):
            undo_last_merge(store, project)
    except Exception:
        trust.found(RAW, f"{kind}\n{traceback.format_exc()[-1500:]}")
    after = whole(store.connection)
    if different := [name for name in before if after[name] != before[name]]:
        trust.found(UNDONE, f"{kind}: {different}")
