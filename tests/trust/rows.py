"""What `make trust` tries: a row for each kind of bad luck or attack, how often it is tried, and what may be found.

Only Python's standard library: `packaging/trust.py` reads this to know what to run, and the tests to know what they are a part of.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

LOST, DRAFTS, DAMAGED, LEFT = "judgements lost", "drafts lost", "damaged", "files left over"
WORDS = "files with erased words"
OUT, KNOWN_OUT = "got out", "got out below Python, as the guide says"
OPENED = "opened"
OTHER_MODEL = "other models than without a kill"
STALL = "ms of standing still at most"
HALF, STUCK = "half done", "not working again"
EMPTY, RAW, NO_REMEDY = "opened with less than the last backup", "raw errors", "errors without a remedy"
CHANGED, UNUSABLE, UNDONE = "changed what is none of theirs", "made a room unusable", "not undone row by row"


GROWN = {
    "memory": "% more memory",
    "threads": "threads more",
    "descriptors": "descriptors more",
    "processes": "processes more",
    "widgets": "widgets more",
    "objects": "Qt objects more",
}


@dataclass(frozen=True)
class Row:
    """One row of the table.

    Attributes:
        key: What the tests' mark calls it.
        title: What is tried.
        unit: What is counted.
        tests: The files or tests that try it, as pytest names them.
        short: How often in the short form.
        full: How often with TRUST=full.
        portion: How many at most in one process, so that the full form can go on where it was; 0: all.
        may: The most of each kind that may be found.
        alone: Nothing else may run meanwhile: it measures time or memory.
    """

    key: str
    title: str
    unit: str
    tests: str
    short: int
    full: int
    may: Mapping[str, float] = field(default_factory=dict)
    portion: int = 0
    alone: bool = False

    def count(self, level: str) -> int:
        """How often it is tried."""
        return self.full if level == "full" else self.short


_OPERATIONS = "tests/unit/operations/test_operations_"
_RESTORING = f"{_OPERATIONS}restoring.py::test_"

_ERASED = {WORDS: 0, LEFT: 0, LOST: 0, DAMAGED: 0}
_SOAKED = {name: 5.0 if kind == "memory" else 0.0 for kind, name in GROWN.items()}


def _full_disk(name: str, title: str, short: int = 25) -> Row:
    tests = f"tests/trust/test_trust_full_disks.py::test_a_full_disk_is_said_and_nothing_is_half_done[{name}]"
    may = {RAW: 0, HALF: 0, STUCK: 0}
    return Row(f"full-{name}", f"a disk that is full at one of 25 levels while {title}", "full disks", tests, short, 25, may)


ROWS = (
    Row(
        "erase-kills",
        "kill −9 while judgements are erased, before and within each change of disk and database; then the next start",
        "kills",
        f"{_OPERATIONS}erase_resumed.py::test_an_erase_that_is_killed_is_finished_at_the_next_start",
        short=60,
        full=200,
        may=_ERASED,
        portion=50,
    ),
    Row(
        "merge-kills",
        "kill −9 while a colleague’s bundle is merged with its erasures; then the next start",
        "kills",
        "tests/trust/test_trust_merge_kills.py",
        short=30,
        full=50,
        may=_ERASED,
    ),
    Row(
        "label-kills",
        "kill −9 of the window while it labels",
        "kills",
        "tests/e2e/test_label_kills.py",
        short=20,
        full=1000,
        may={LOST: 0, DAMAGED: 0, DRAFTS: 0},
        portion=50,
    ),
    Row(
        "store-kills",
        "kill −9 between and within single writes of a judgement",
        "kills",
        "tests/e2e/test_store_kills.py",
        short=100,
        full=1000,
        may={LOST: 0, DAMAGED: 0, DRAFTS: 0},
        portion=200,
    ),
    Row(
        "worker-kills",
        "kill −9 of trainers (examples, reward, PPO, DPO), every other one while it writes a checkpoint; then resumed",
        "kills",
        "tests/trust/test_trust_worker_kills.py",
        short=8,
        full=200,
        may={OTHER_MODEL: 0, LEFT: 0},
        portion=40,
    ),
    Row(
        "restore-kills",
        "kill −9 while a backup is restored, over a database that is well and one that is damaged",
        "kills",
        f"{_RESTORING}a_restore_that_is_killed_leaves_the_one_or_the_other",
        short=20,
        full=50,
        may={LOST: 0, DAMAGED: 0, LEFT: 0},
    ),
    Row(
        "backup-kills",
        "kill −9 while the database is backed up",
        "kills",
        f"{_RESTORING}a_backup_that_is_killed_is_whole_or_not_there",
        short=30,
        full=100,
        may={LOST: 0, DAMAGED: 0, LEFT: 0},
    ),
    _full_disk("import", "a file is imported"),
    _full_disk("judge", "somebody judges"),
    _full_disk("erase", "judgements are erased"),
    _full_disk("backup", "the database is backed up"),
    _full_disk("restore", "a backup is restored"),
    _full_disk("export", "feedback is exported"),
    _full_disk("checkpoint", "a run writes checkpoints and its result"),
    _full_disk("gguf", "a model is exported as GGUF or for transformers"),
    Row(
        "damage",
        "databases damaged by flipped bits, cut ends, zeroes and noise, in the file or in its journal",
        "databases",
        f"{_OPERATIONS}damage.py",
        short=400,
        full=400,
        may={EMPTY: 0, RAW: 0, NO_REMEDY: 0},
    ),
    Row(
        "hostile-bundles",
        "bundles made to do harm: other projects' ids, circles, bombs, far dates, odd names, settings, torn archives",
        "bundles",
        f"{_OPERATIONS}hostile_bundles.py",
        short=150,
        full=3000,
        may={CHANGED: 0, UNUSABLE: 0, UNDONE: 0, RAW: 0, NO_REMEDY: 0},
        portion=300,
    ),
    Row(
        "restores",
        "restores over a damaged database with the journal of a kill",
        "restores",
        f"{_RESTORING}forty_restores_over_damaged_databases_all_succeed",
        short=40,
        full=40,
    ),
    Row(
        "soak-label",
        "labelling one item after the other in the real room",
        "items",
        "tests/trust/test_trust_soak.py::test_thousands_of_items_leave_nothing_behind",
        short=1000,
        full=5000,
        may=_SOAKED,
        alone=True,
    ),
    Row(
        "soak-day",
        "a day in the real window: conversations, rooms, projects, backups and runs on a tiny model",
        "hours",
        "tests/trust/test_trust_soak.py::test_a_day_of_chats_rooms_projects_backups_and_runs_leaves_nothing_behind",
        short=6,
        full=24,
        may=_SOAKED,
        alone=True,
    ),
    Row(
        "hostile-texts",
        "answers written to stop the window: nested, endless, a thousand columns wide, pointing everywhere",
        "texts",
        "tests/trust/test_trust_hostile_texts.py",
        short=2000,
        full=10_000,
        may={STALL: 200},
        portion=2500,
        alone=True,
    ),
    Row(
        "markdown-opens",
        "images and links in answers that point at files, pipes and addresses, watched with strace",
        "forms",
        "tests/trust/test_trust_markdown.py",
        short=14,
        full=14,
        may={OPENED: 0},
    ),
    Row(
        "ways-out",
        "ways out of the computer while offline, in window, command line and worker; packets counted",
        "ways",
        "tests/trust/test_trust_ways_out.py::test_nothing_leaves",
        short=120,
        full=120,
        may={OUT: 0, KNOWN_OUT: 9},
    ),
    Row(
        "other-users",
        "another user of the computer who tries every file and looks at every process",
        "rounds",
        "tests/trust/test_trust_other_users.py",
        short=2,
        full=2,
    ),
    Row(
        "passphrase-kills",
        "kill −9 while a passphrase is changed, a workspace encrypted, or its encryption removed",
        "kills",
        "tests/e2e/test_encryption_kills.py",
        short=20,
        full=100,
    ),
    Row(
        "canaries",
        "words in an encrypted workspace, looked for in every file after real runs",
        "words",
        "tests/e2e/test_encrypted_loop_tiny.py",
        short=50,
        full=50,
    ),
)


def by_key(key: str) -> Row:
    """The row a test belongs to."""
    return next(row for row in ROWS if row.key == key)
