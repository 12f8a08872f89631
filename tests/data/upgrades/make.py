"""Writes the workspaces in this folder, each with the program as it was: `.venv/bin/python tests/data/upgrades/make.py [SCHEMA …]`.

The code of the last commit before the next migration is taken out of git, and that code does everything here: it imports, judges,
trains a tiny model and writes a bundle. Only the libraries are today's.
"""

import io
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
PLACE = Path("/tmp/rlhf-desktop-upgrade")  # the same each time: run.json and the list of exports hold it
WORKSPACE = PLACE / "workspace"
COMMITS = {
    1: "2318fc5", 2: "d2ab6d4", 3: "78b6a11", 4: "6e2ded5", 5: "b3c3b69", 6: "71b593f", 7: "af41af3", 8: "f950822", 9: "69afadd",
    10: "0e02b60", 11: "cf28f22",
}  # fmt: skip
"""For each schema the last commit that had it. The newest is written again when the next migration comes."""
LEFT_OUT = ("models", "checkpoints", "backups")  # weights and copies: no schema of ours

FILL = """
import sys
from pathlib import Path
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.feedback.judgements import Correction, Judgement, Ranking, Skip, Thumbs
from rlhf_desktop.store.database import Store

def user(text):
    return [{"role": "user", "content": text}]

workspace = Workspace(Path(sys.argv[1]))
store = Store.open(workspace.database)
project = store.projects.by_name("Support")
other = store.projects.create("Übersetzung — \\u0639\\u0631\\u0628\\u064a")
store.prompts.create_set(project.id, "Ten hard ones", [user(f"Hard question {n} \\U0001f9ea") for n in range(10)])
store.projects.fix_split(project.id, [user("Hard question 1 \\U0001f9ea")], "heldout")
store.settings.set("model", "tiny", project.id)
store.settings.set("annotator", "Ada")
made = []
for number in range(12):
    owner = project if number % 3 else other
    if number % 4 == 0:
        conversation = store.conversations.create(owner.id, f"Talk {number}")
        leaf = store.conversations.add_message(conversation.id, None, "user", f"Question {number}:\\n\\tcode & <b>tags</b>")
    else:
        _, leaf = store.conversations.start(owner.id, user(f"Question {number}"))
    add = getattr(store.conversations, "add_answers")
    answers = tuple(node.id for node in add(leaf.id, [f"Good answer {number}", f"Bad answer {number}"]))
    verdict = (Ranking((1, 2)), Ranking((2, 1)), Ranking((1, 1)), Skip("odd"))[number % 4]
    who = ("Ada", "Bo")[number % 2]
    made.append(store.judgements.add(Judgement(owner.id, who, answers, verdict, critique=f"Critique {number}")))
shown = made[1].displayed[:1]
made.append(store.judgements.add(Judgement(made[1].project_id, "Cy", shown, Thumbs(True))))
made.append(store.judgements.add(Judgement(made[1].project_id, "Cy", shown, Correction("Put better"))))
store.judgements.withdraw(made[2].id, made[2].who)
if hasattr(store, "tags"):
    store.tags.add([made[0].id, made[1].id], "hard case")
if hasattr(store, "guidelines"):
    store.guidelines.save(project.id, "Be kind.", "Ada")
    store.guidelines.save(project.id, "Be kind and short.", "Ada")
if hasattr(store, "drafts"):
    store.drafts.save(project.id, "Ada", "next", {"ranks": [1, 2]})
if hasattr(store, "profiles"):
    from rlhf_desktop.store.profiles import Profile
    store.profiles.save(Profile("Ada", "Ten years at a help desk"))
try:
    from rlhf_desktop.store.shelf import Shelf
    conversations = [row["id"] for row in store.connection.rows("SELECT id FROM conversations WHERE title LIKE 'Talk%'")]
    shelf = Shelf(store.connection)
    shelf.file(conversations[:1], "Kept")
    shelf.tag(conversations[:1], "printer")
except ImportError:
    pass
if hasattr(store.conversations, "delete_turn"):
    store.conversations.delete_turn(made[3].displayed[1])
if hasattr(store.projects, "archive"):
    store.projects.archive(store.projects.create("Put away").id)
    store.projects.delete(store.projects.create("Deleted").id)
store.close()
try:
    from rlhf_desktop.core.offline import choose_offline
    choose_offline(workspace, True)
except ImportError:
    pass
"""


def take_out(commit: str) -> Path:
    """The program as it was."""
    packed = subprocess.run(["git", "-C", ROOT, "archive", commit, "rlhf_desktop", "resources"], check=True, capture_output=True)
    code = PLACE / "code"
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(code, filter="data")
    return code


def ask(code: Path, *words: str | Path) -> str:
    """A command of the program as it was."""
    environment = {**os.environ, "PYTHONPATH": str(code), "RLHF_DESKTOP_STATE": str(PLACE / "state"), "OMP_NUM_THREADS": "2"}
    environment = {**environment, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, *map(str, words)], env=environment, cwd=PLACE, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{words}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    return done.stdout


def write_files() -> tuple[Path, Path]:
    """Rankings and examples to import."""
    rankings, examples = PLACE / "rankings.jsonl", PLACE / "examples.jsonl"
    with rankings.open("w", encoding="utf-8") as file:
        for n in range(8):
            said = [{"text": f"Sorry to hear that, case {n}.", "rank": 1}, {"text": f"No. {n} 🙅", "rank": 2}]
            file.write(json.dumps({"prompt": f"My kettle broke {n}", "completions": said, "annotator": "Ada"}) + "\n")
    with examples.open("w", encoding="utf-8") as file:
        for n in range(12):
            turns = [{"role": "user", "content": f"My lamp broke {n}"}, {"role": "assistant", "content": "We will send a new one."}]
            file.write(json.dumps({"messages": turns}) + "\n")
    return rankings, examples


def live(code: Path) -> None:
    """A small life of a workspace, by that program's own commands and store."""
    sys.path.insert(0, str(ROOT))
    from tests.tiny import make_tiny_model

    make_tiny_model(PLACE / "tiny")
    command = ("-m", "rlhf_desktop", "--workspace", WORKSPACE, "--project", "Support")
    ask(code, *command, "models", "add", PLACE / "tiny", "--name", "tiny", "--json")
    for file in write_files():
        ask(code, *command, "feedback", "import", file, "--json")
    ask(code, "-c", FILL, WORKSPACE)
    quick = ("--set", "epochs=1", "--set", "lora_rank=1", "--set", "dtype=float32")
    ask(code, *command, "--model", "tiny", "train", "sft", *quick, "--title", "Taught", "--json")
    if "bundle" in ask(code, *command, "feedback", "export", "--help"):
        ask(code, *command, "feedback", "export", PLACE / "shared.rlhfbundle", "--format", "bundle", "--json")
        shutil.copy(PLACE / "shared.rlhfbundle", WORKSPACE / "shared.rlhfbundle")


def tables(database: Path) -> dict[str, list[dict]]:
    """Every row of every table that is not an index of words."""
    connection = sqlite3.connect(database)
    connection.row_factory = sqlite3.Row
    names = [
        row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    ]
    plain = [name for name in names if "_search" not in name and "_words" not in name]
    found = {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in sorted(plain)}
    connection.close()
    return found


def keep(schema: int, commit: str) -> None:
    """The workspace as a file here, with what its tables held."""
    connection = sqlite3.connect(WORKSPACE / "feedback.db")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    held = connection.execute("PRAGMA user_version").fetchone()[0]
    connection.close()
    if held != schema:
        raise SystemExit(f"{commit} wrote schema {held}, not {schema}")
    expected = {"schema": schema, "commit": commit, "tables": tables(WORKSPACE / "feedback.db")}
    with zipfile.ZipFile(HERE / f"schema-{schema:02}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(path for path in WORKSPACE.rglob("*") if path.is_file()):
            relative = path.relative_to(WORKSPACE)
            if path.name == "model.json" or not set(relative.parts) & set(LEFT_OUT):
                _put(archive, relative.as_posix(), path.read_bytes())
        _put(archive, "expected.json", json.dumps(expected, ensure_ascii=False, indent=1).encode())


def _put(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, (2026, 11, 30, 0, 0, 0))
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o600 << 16
    archive.writestr(entry, content)


def main() -> None:
    """Each schema asked for, or all."""
    for schema in map(int, sys.argv[1:] or COMMITS):
        shutil.rmtree(PLACE, ignore_errors=True)
        PLACE.mkdir(mode=0o700)
        live(take_out(COMMITS[schema]))
        keep(schema, COMMITS[schema])
        print(f"schema-{schema:02}.zip")
    shutil.rmtree(PLACE, ignore_errors=True)


if __name__ == "__main__":
    main()
