"""The schema, as numbered steps. A step is appended, never edited: each database went through all of them in order.

`PRAGMA user_version` holds the number of steps a file has been through.
"""

from collections.abc import Callable, Sequence

from rlhf_desktop.core.errors import StoreTrouble
from rlhf_desktop.store.driver import Connection

Migration = str


_FIRST = """
CREATE TABLE settings (
  scope TEXT NOT NULL,          -- '' for the workspace, else a project's id
  key TEXT NOT NULL,
  value TEXT NOT NULL,          -- JSON
  PRIMARY KEY (scope, key)
);
CREATE TABLE projects (
  id TEXT PRIMARY KEY NOT NULL,
  name TEXT NOT NULL UNIQUE COLLATE NOCASE,
  created_at TEXT NOT NULL,
  sample INTEGER NOT NULL DEFAULT 0,
  heldout_share REAL NOT NULL
);
CREATE TABLE split_exceptions ( -- go before the rule by hash; one split a project
  project_id TEXT NOT NULL REFERENCES projects(id),
  prompt_hash TEXT NOT NULL,
  split TEXT NOT NULL CHECK (split IN ('train', 'heldout')),
  PRIMARY KEY (project_id, prompt_hash)
);
CREATE TABLE generators (
  id TEXT PRIMARY KEY NOT NULL, -- SHA-256 of the content
  model_name TEXT NOT NULL,
  model_hash TEXT NOT NULL,
  adapter_name TEXT,
  adapter_hash TEXT,
  sampling TEXT NOT NULL        -- JSON
);
CREATE TABLE conversations (
  id TEXT PRIMARY KEY NOT NULL,
  project_id TEXT NOT NULL REFERENCES projects(id),
  title TEXT NOT NULL,
  created_at TEXT NOT NULL,
  updated_at TEXT NOT NULL,
  origin TEXT NOT NULL,
  active_leaf TEXT
);
CREATE INDEX conversations_by_project ON conversations (project_id, origin, updated_at DESC);
CREATE TABLE messages (
  id TEXT PRIMARY KEY NOT NULL,
  conversation_id TEXT NOT NULL REFERENCES conversations(id),
  parent_id TEXT REFERENCES messages(id),
  position INTEGER NOT NULL,    -- among its siblings
  role TEXT NOT NULL CHECK (role IN ('system', 'user', 'assistant')),
  content TEXT NOT NULL,
  created_at TEXT NOT NULL,
  generator_id TEXT REFERENCES generators(id),
  seed INTEGER,
  finish TEXT,
  tokens INTEGER
);
CREATE INDEX messages_by_conversation ON messages (conversation_id);
CREATE INDEX messages_by_parent ON messages (parent_id);
CREATE TABLE judgements (
  id TEXT PRIMARY KEY NOT NULL,
  project_id TEXT NOT NULL REFERENCES projects(id),
  who TEXT NOT NULL,
  created_at TEXT NOT NULL,
  seconds_spent REAL,
  guideline_version INTEGER NOT NULL,
  kind TEXT NOT NULL,
  verdict TEXT NOT NULL,        -- JSON
  critique TEXT NOT NULL,
  confidence REAL,
  supersedes TEXT REFERENCES judgements(id) DEFERRABLE INITIALLY DEFERRED,
  source TEXT NOT NULL
);
CREATE INDEX judgements_by_project ON judgements (project_id);
CREATE INDEX judgements_by_supersedes ON judgements (supersedes);
CREATE TABLE judged_completions (
  judgement_id TEXT NOT NULL REFERENCES judgements(id) DEFERRABLE INITIALLY DEFERRED,
  position INTEGER NOT NULL,    -- as displayed
  message_id TEXT NOT NULL REFERENCES messages(id),
  PRIMARY KEY (judgement_id, position)
);
CREATE INDEX judged_completions_by_message ON judged_completions (message_id);
CREATE TABLE prompt_sets (
  id TEXT PRIMARY KEY NOT NULL,
  project_id TEXT NOT NULL REFERENCES projects(id),
  name TEXT NOT NULL,
  created_at TEXT NOT NULL,
  UNIQUE (project_id, name)
);
CREATE TABLE prompts (
  id TEXT PRIMARY KEY NOT NULL,
  prompt_set_id TEXT NOT NULL REFERENCES prompt_sets(id),
  position INTEGER NOT NULL,
  messages TEXT NOT NULL,       -- JSON
  prompt_hash TEXT NOT NULL
);
CREATE INDEX prompts_by_set ON prompts (prompt_set_id, position);

-- Feedback is append-only. Only what has a tombstone (left by a confirmed erase) may go, and it never comes back.
CREATE TABLE tombstones (
  id TEXT PRIMARY KEY NOT NULL,
  erased_at TEXT NOT NULL
);
CREATE TRIGGER judgements_never_change BEFORE UPDATE ON judgements
BEGIN SELECT RAISE(ABORT, 'judgements are append-only'); END;
CREATE TRIGGER judgements_never_go BEFORE DELETE ON judgements
WHEN NOT EXISTS (SELECT 1 FROM tombstones WHERE id = OLD.id)
BEGIN SELECT RAISE(ABORT, 'judgements are append-only'); END;
CREATE TRIGGER judgements_stay_erased BEFORE INSERT ON judgements
WHEN EXISTS (SELECT 1 FROM tombstones WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'this judgement was erased'); END;
CREATE TRIGGER judged_never_change BEFORE UPDATE ON judged_completions
BEGIN SELECT RAISE(ABORT, 'judgements are append-only'); END;
CREATE TRIGGER judged_never_go BEFORE DELETE ON judged_completions
WHEN NOT EXISTS (SELECT 1 FROM tombstones WHERE id = OLD.judgement_id)
BEGIN SELECT RAISE(ABORT, 'judgements are append-only'); END;
CREATE TRIGGER messages_never_change BEFORE UPDATE ON messages
BEGIN SELECT RAISE(ABORT, 'messages are append-only'); END;
CREATE TRIGGER messages_never_go BEFORE DELETE ON messages
WHEN NOT EXISTS (SELECT 1 FROM tombstones WHERE id = OLD.id)
BEGIN SELECT RAISE(ABORT, 'messages are append-only'); END;
CREATE TRIGGER messages_stay_erased BEFORE INSERT ON messages
WHEN EXISTS (SELECT 1 FROM tombstones WHERE id = NEW.id)
BEGIN SELECT RAISE(ABORT, 'this message was erased'); END;
CREATE TRIGGER tombstones_never_go BEFORE DELETE ON tombstones
BEGIN SELECT RAISE(ABORT, 'tombstones are append-only'); END;
"""

_EVALUATIONS = """
CREATE TABLE evaluations (      -- a blind comparison of two generators; its verdicts are judgements
  id TEXT PRIMARY KEY NOT NULL,
  project_id TEXT NOT NULL REFERENCES projects(id),
  created_at TEXT NOT NULL,
  title TEXT NOT NULL,
  old_generator TEXT NOT NULL REFERENCES generators(id),
  new_generator TEXT NOT NULL REFERENCES generators(id),
  seed INTEGER NOT NULL
);
CREATE INDEX evaluations_by_project ON evaluations (project_id);
CREATE TABLE evaluation_pairs ( -- ids only: an erased message takes its pair along
  evaluation_id TEXT NOT NULL REFERENCES evaluations(id),
  position INTEGER NOT NULL,
  old_message TEXT NOT NULL REFERENCES messages(id) ON DELETE CASCADE,
  new_message TEXT NOT NULL REFERENCES messages(id) ON DELETE CASCADE,
  new_on_left INTEGER NOT NULL,
  PRIMARY KEY (evaluation_id, position)
);
CREATE INDEX evaluation_pairs_by_old ON evaluation_pairs (old_message);
CREATE INDEX evaluation_pairs_by_new ON evaluation_pairs (new_message);
CREATE TABLE adoptions (        -- which adapter a project talks to, from when on; NULL is the base model
  id TEXT PRIMARY KEY NOT NULL,
  project_id TEXT NOT NULL REFERENCES projects(id),
  created_at TEXT NOT NULL,
  who TEXT NOT NULL,
  adapter_name TEXT,
  adapter_hash TEXT,
  adapter_path TEXT,
  run_id TEXT,
  evaluation_id TEXT REFERENCES evaluations(id)
);
CREATE INDEX adoptions_by_project ON adoptions (project_id);
"""

MIGRATIONS: tuple[Migration, ...] = (_FIRST, _EVALUATIONS)


def schema_version(connection: Connection) -> int:
    """How many steps this file has been through."""
    return int(connection.rows("PRAGMA user_version")[0]["user_version"])


def migrate(
    connection: Connection, before: Callable[[int], object] = lambda _: None, steps: Sequence[Migration] = MIGRATIONS
) -> int:
    """Bring a database to the newest schema, each step whole or not at all.

    Args:
        connection: The database.
        before: Called with the old version before an existing database is changed: the place for a backup.
        steps: All steps from the first.

    Returns:
        The number of steps taken.

    Raises:
        StoreTrouble: the file was written by a newer version of this program.
    """
    old = schema_version(connection)
    if old > len(steps):
        raise StoreTrouble(
            "This workspace was last used by a newer version of the program, so this one leaves it alone.",
            "Update the program, or choose another workspace.",
            f"schema {old}, known {len(steps)}",
        )
    if 0 < old < len(steps):
        before(old)
    for number in range(old, len(steps)):
        _apply(connection, number, steps[number])
    return len(steps) - old


def _apply(connection: Connection, number: int, script: Migration) -> None:
    with connection.transaction():
        if schema_version(connection) > number:  # another process was faster
            return
        for statement in statements(script):
            connection.raw.execute(statement)
        connection.raw.execute(f"PRAGMA user_version = {number + 1}")


def statements(script: str) -> list[str]:
    """The statements of a script: `executescript` would commit the transaction first. A trigger's body is kept whole."""
    found: list[str] = []
    part = ""
    for line in script.splitlines():
        part += line.split("--", 1)[0] + "\n"
        complete = part.rstrip().endswith(";") and ("CREATE TRIGGER" not in part or part.rstrip().endswith("END;"))
        if complete:
            found.append(part.strip())
            part = ""
    return found
