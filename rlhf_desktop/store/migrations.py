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
# The words of a judgement: its whole prompt, the answers as displayed, the reason and every text in what was said.
# {row} is NEW or OLD. Completions are inserted before their judgement, so that the trigger finds them.
_JUDGEMENT_WORDS = """
  (WITH RECURSIVE before(id, parent_id, content) AS (
      SELECT m.id, m.parent_id, m.content FROM messages m JOIN judged_completions c ON c.message_id = m.id
      WHERE c.judgement_id = {row}.id AND c.position = 0
    UNION ALL SELECT m.id, m.parent_id, m.content FROM messages m JOIN before b ON m.id = b.parent_id)
  SELECT group_concat(content, char(10)) FROM before)
  || char(10) || coalesce((SELECT group_concat(m.content, char(10)) FROM messages m JOIN judged_completions c
    ON c.message_id = m.id WHERE c.judgement_id = {row}.id AND c.position > 0), '')
  || char(10) || {row}.critique
  || char(10) || coalesce((SELECT group_concat(t.value, char(10)) FROM json_tree({row}.verdict) t
    WHERE t.type = 'text' AND t.key IN ('text', 'reason', 'note')), '')
  || char(10) || coalesce((SELECT group_concat(t.value, char(10)) FROM json_tree({row}.also) t
    WHERE t.type = 'text' AND t.key IN ('text', 'reason', 'note')), '')
"""

_FEEDBACK_STUDIO = f"""
ALTER TABLE judgements ADD COLUMN also TEXT NOT NULL DEFAULT '[]';      -- JSON: what else was said in the same act
ALTER TABLE judgements ADD COLUMN purpose TEXT NOT NULL DEFAULT 'label';
CREATE INDEX judgements_by_kind ON judgements (project_id, kind);
CREATE INDEX judgements_by_who ON judgements (project_id, who);
CREATE INDEX judgements_by_time ON judgements (project_id, created_at);
CREATE INDEX judgements_by_seconds ON judgements (project_id, coalesce(seconds_spent, 0));
CREATE INDEX judgements_by_source ON judgements (project_id, source) WHERE source != '';
CREATE INDEX judgements_by_purpose ON judgements (project_id, purpose) WHERE purpose != 'label';
CREATE INDEX judgements_that_supersede ON judgements (project_id) WHERE supersedes IS NOT NULL;
CREATE TABLE judgements_also ( -- the forms in `also`, to filter by; filled by a trigger
  project_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  judgement_id TEXT NOT NULL,
  PRIMARY KEY (project_id, kind, judgement_id)
) WITHOUT ROWID;
CREATE TRIGGER judgements_also_listed AFTER INSERT ON judgements WHEN NEW.also != '[]'
BEGIN
  INSERT OR IGNORE INTO judgements_also
  SELECT NEW.project_id, json_extract(value, '$.kind'), NEW.id FROM json_each(NEW.also);
END;
CREATE TRIGGER judgements_also_gone AFTER DELETE ON judgements WHEN OLD.also != '[]'
BEGIN DELETE FROM judgements_also WHERE judgement_id = OLD.id AND project_id = OLD.project_id; END;

CREATE TABLE judgement_tags (   -- the newest word on a tag counts, so that merges agree
  judgement_id TEXT NOT NULL,
  tag TEXT NOT NULL,
  present INTEGER NOT NULL,
  changed_at TEXT NOT NULL,
  PRIMARY KEY (judgement_id, tag)
) WITHOUT ROWID;
CREATE INDEX judgement_tags_by_tag ON judgement_tags (tag, judgement_id) WHERE present;
CREATE TABLE conversation_tags (
  conversation_id TEXT NOT NULL REFERENCES conversations(id),
  tag TEXT NOT NULL,
  PRIMARY KEY (conversation_id, tag)
) WITHOUT ROWID;
CREATE INDEX conversation_tags_by_tag ON conversation_tags (tag, conversation_id);
ALTER TABLE conversations ADD COLUMN folder TEXT NOT NULL DEFAULT '';
ALTER TABLE prompts ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';         -- JSON
CREATE INDEX prompts_by_hash ON prompts (prompt_hash);

CREATE TABLE guidelines (       -- two workstations may both write version 2: both texts stay
  id TEXT PRIMARY KEY NOT NULL,
  project_id TEXT NOT NULL REFERENCES projects(id),
  version INTEGER NOT NULL,
  text TEXT NOT NULL,
  who TEXT NOT NULL,
  created_at TEXT NOT NULL
);
CREATE INDEX guidelines_by_project ON guidelines (project_id, version);
CREATE TABLE profiles (         -- of annotators; `name` is judgements.who
  name TEXT PRIMARY KEY NOT NULL,
  role TEXT NOT NULL,
  credentials TEXT NOT NULL,
  updated_at TEXT NOT NULL
);
CREATE TABLE drafts (           -- unfinished judgements and answers; not feedback yet
  project_id TEXT NOT NULL REFERENCES projects(id),
  who TEXT NOT NULL,
  key TEXT NOT NULL,
  value TEXT NOT NULL,          -- JSON
  updated_at TEXT NOT NULL,
  PRIMARY KEY (project_id, who, key)
) WITHOUT ROWID;
CREATE TABLE exports (          -- files that left: named when something in them is erased
  id TEXT PRIMARY KEY NOT NULL,
  project_id TEXT NOT NULL REFERENCES projects(id),
  path TEXT NOT NULL,
  form TEXT NOT NULL,
  exported_at TEXT NOT NULL,
  last_row INTEGER NOT NULL     -- the newest judgement's rowid then
);

-- Full text. The texts stay where they are; only the words are kept a second time.
CREATE VIRTUAL TABLE judgement_search USING fts5(words, content='', detail=none, tokenize='unicode61 remove_diacritics 2');
INSERT INTO judgement_search (rowid, words) SELECT j.rowid, {_JUDGEMENT_WORDS.format(row="j")}
FROM judgements j WHERE j.kind != 'withdrawn';
CREATE TRIGGER judgements_searchable AFTER INSERT ON judgements WHEN NEW.kind != 'withdrawn'
BEGIN INSERT INTO judgement_search (rowid, words) VALUES (NEW.rowid, {_JUDGEMENT_WORDS.format(row="NEW")}); END;
CREATE TRIGGER judgements_forgotten BEFORE DELETE ON judgements WHEN OLD.kind != 'withdrawn'
BEGIN
  INSERT INTO judgement_search (judgement_search, rowid, words) VALUES ('delete', OLD.rowid, {_JUDGEMENT_WORDS.format(row="OLD")});
END;
CREATE TRIGGER judged_go_last BEFORE DELETE ON judged_completions -- their words must be found again to be forgotten
WHEN EXISTS (SELECT 1 FROM judgements WHERE id = OLD.judgement_id)
BEGIN SELECT RAISE(ABORT, 'judgements are append-only: erase the judgement before its list of answers'); END;
CREATE VIRTUAL TABLE chat_search USING fts5(words, content='', detail=none, tokenize='unicode61 remove_diacritics 2');
INSERT INTO chat_search (rowid, words) SELECT m.rowid, m.content FROM messages m
JOIN conversations c ON c.id = m.conversation_id WHERE c.origin = 'chat';
CREATE TRIGGER messages_searchable AFTER INSERT ON messages
WHEN (SELECT origin FROM conversations WHERE id = NEW.conversation_id) = 'chat'
BEGIN INSERT INTO chat_search (rowid, words) VALUES (NEW.rowid, NEW.content); END;
CREATE TRIGGER messages_forgotten BEFORE DELETE ON messages
WHEN (SELECT origin FROM conversations WHERE id = OLD.conversation_id) = 'chat'
BEGIN INSERT INTO chat_search (chat_search, rowid, words) VALUES ('delete', OLD.rowid, OLD.content); END;
"""

# Lists by person, form, tag and the forms beside the main one, in the order of time, at a million judgements: each is one index.
_LISTS_BY_TIME = """
DROP INDEX judgements_by_who;
DROP INDEX judgements_by_kind;
CREATE INDEX judgements_by_who_and_time ON judgements (project_id, who, created_at);
CREATE INDEX judgements_by_kind_and_time ON judgements (project_id, kind, created_at);
DROP TRIGGER judgements_also_listed;
DROP TRIGGER judgements_also_gone;
DROP TABLE judgements_also;
CREATE TABLE judgements_also ( -- the forms in `also`, to filter by; filled by a trigger
  project_id TEXT NOT NULL,
  kind TEXT NOT NULL,
  created_at TEXT NOT NULL,
  judgement_id TEXT NOT NULL,
  PRIMARY KEY (project_id, kind, created_at, judgement_id)
) WITHOUT ROWID;
INSERT OR IGNORE INTO judgements_also
SELECT j.project_id, json_extract(part.value, '$.kind'), j.created_at, j.id FROM judgements j, json_each(j.also) part
WHERE j.also != '[]';
CREATE TRIGGER judgements_also_listed AFTER INSERT ON judgements WHEN NEW.also != '[]'
BEGIN
  INSERT OR IGNORE INTO judgements_also
  SELECT NEW.project_id, json_extract(value, '$.kind'), NEW.created_at, NEW.id FROM json_each(NEW.also);
END;
CREATE TRIGGER judgements_also_gone AFTER DELETE ON judgements WHEN OLD.also != '[]'
BEGIN
  DELETE FROM judgements_also WHERE project_id = OLD.project_id AND created_at = OLD.created_at AND judgement_id = OLD.id
  AND kind IN (SELECT json_extract(value, '$.kind') FROM json_each(OLD.also));
END;
ALTER TABLE judgement_tags ADD COLUMN judged_at TEXT NOT NULL DEFAULT ''; -- of the judgement; filled by a trigger
UPDATE judgement_tags SET judged_at = coalesce((SELECT created_at FROM judgements j WHERE j.id = judgement_id), '');
DROP INDEX judgement_tags_by_tag;
CREATE INDEX judgement_tags_by_tag ON judgement_tags (tag, judged_at) WHERE present;
CREATE TRIGGER judgement_tags_dated AFTER INSERT ON judgement_tags
BEGIN
  UPDATE judgement_tags SET judged_at = coalesce((SELECT created_at FROM judgements j WHERE j.id = NEW.judgement_id), '')
  WHERE judgement_id = NEW.judgement_id AND tag = NEW.tag;
END;
"""

# Each list's index holds what the filters look at, so that rows are let through without being fetched, and ties have an order.
_LISTS_WITH_FILTERS = """
DROP INDEX judgements_by_time;
DROP INDEX judgements_by_seconds;
DROP INDEX judgements_by_who_and_time;
DROP INDEX judgements_by_kind_and_time;
DROP INDEX judgements_by_purpose;
CREATE INDEX judgements_by_time ON judgements (project_id, created_at, kind, who, purpose);
CREATE INDEX judgements_by_seconds ON judgements (project_id, coalesce(seconds_spent, 0), kind, who, purpose, created_at);
CREATE INDEX judgements_by_who_and_time ON judgements (project_id, who, created_at, kind, purpose);
CREATE INDEX judgements_by_kind_and_time ON judgements (project_id, kind, created_at, who, purpose);
CREATE INDEX judgements_by_purpose_and_time ON judgements (project_id, purpose, created_at, kind, who) WHERE purpose != 'label';
CREATE VIRTUAL TABLE judgement_words USING fts5vocab(judgement_search, row);
"""

# The hashes of a question and of all before it, by a function of ours (see `hashing`) that every connection which writes has.
_HASHES = """
  (WITH RECURSIVE path(id, parent_id, role, content, after) AS (
      SELECT m.id, m.parent_id, m.role, m.content, 0 FROM messages m WHERE m.id = {question}
    UNION ALL SELECT m.id, m.parent_id, m.role, m.content, p.after + 1 FROM messages m JOIN path p ON m.id = p.parent_id)
  SELECT question_hashes(json_group_array(json_array(after, role, content))) FROM path)
"""
_QUESTION = """(SELECT m.parent_id FROM judged_completions c JOIN messages m ON m.id = c.message_id
  WHERE c.judgement_id = {row}.id AND c.position = 0)"""

# What was judged, by question, so that counting prompts and finding their half of the split reads no text.
_JUDGED_QUESTIONS = f"""
CREATE TABLE judged_questions ( -- filled by triggers
  project_id TEXT NOT NULL,
  question_id TEXT NOT NULL,    -- the message whose answers were judged
  prompt_hash TEXT NOT NULL,    -- what the split goes by
  path_hash TEXT NOT NULL,      -- the beginning of the hash of the whole prompt
  judgements INTEGER NOT NULL,  -- in effect or not, withdrawals apart
  PRIMARY KEY (project_id, question_id)
) WITHOUT ROWID;
INSERT INTO judged_questions
SELECT project_id, question, substr(hashes, 1, 64), substr(hashes, 65), n FROM (
  SELECT project_id, question, n, {_HASHES.format(question="question")} AS hashes FROM (
    SELECT j.project_id, m.parent_id AS question, count(*) AS n FROM judgements j
    JOIN judged_completions c ON c.judgement_id = j.id AND c.position = 0 JOIN messages m ON m.id = c.message_id
    WHERE j.kind != 'withdrawn' AND m.parent_id IS NOT NULL GROUP BY j.project_id, m.parent_id) LIMIT -1);
CREATE INDEX judged_questions_by_hash ON judged_questions (project_id, prompt_hash, path_hash);
CREATE TRIGGER judged_questions_met AFTER INSERT ON judgements WHEN NEW.kind != 'withdrawn'
BEGIN
  INSERT INTO judged_questions SELECT NEW.project_id, question, substr(hashes, 1, 64), substr(hashes, 65), 0 FROM (
    SELECT question, {_HASHES.format(question="question")} AS hashes FROM (SELECT {_QUESTION.format(row="NEW")} AS question)
    WHERE question IS NOT NULL AND NOT EXISTS (SELECT 1 FROM judged_questions q
      WHERE q.project_id = NEW.project_id AND q.question_id = question) LIMIT -1);
  UPDATE judged_questions SET judgements = judgements + 1
  WHERE project_id = NEW.project_id AND question_id = {_QUESTION.format(row="NEW")};
END;
CREATE TRIGGER judged_questions_left AFTER DELETE ON judgements WHEN OLD.kind != 'withdrawn'
BEGIN
  UPDATE judged_questions SET judgements = judgements - 1
  WHERE project_id = OLD.project_id AND question_id = {_QUESTION.format(row="OLD")};
  DELETE FROM judged_questions
  WHERE project_id = OLD.project_id AND question_id = {_QUESTION.format(row="OLD")} AND judgements = 0;
END;
"""

# The few conversations that were put into folders, without a look at the others.
_FOLDERS = "CREATE INDEX conversations_by_folder ON conversations (project_id, folder) WHERE folder != '';"

# What a model thought before it answered: it comes and goes with the answer, and is neither searched nor judged.
_THOUGHTS = """
ALTER TABLE messages ADD COLUMN thought TEXT NOT NULL DEFAULT '';
ALTER TABLE messages ADD COLUMN thought_tokens INTEGER;
"""

# What Chat knows of its answers beside what was said. None of it is feedback; it goes with its message.
_TURNS = """
CREATE TABLE cut_answers (      -- what an answer that did not end by itself can be gone on with from
  message_id TEXT PRIMARY KEY NOT NULL REFERENCES messages(id) ON DELETE CASCADE,
  written TEXT NOT NULL         -- JSON: its tokens
) WITHOUT ROWID;
CREATE TABLE continued_answers ( -- the longer answer, and the one it goes on from; both stay
  message_id TEXT PRIMARY KEY NOT NULL REFERENCES messages(id) ON DELETE CASCADE,
  continues TEXT NOT NULL REFERENCES messages(id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX continued_answers_by_start ON continued_answers (continues);
CREATE TABLE deleted_turns (    -- taken off the conversation by the user, with all that follows; what was judged of them stays
  message_id TEXT PRIMARY KEY NOT NULL REFERENCES messages(id) ON DELETE CASCADE,
  deleted_at TEXT NOT NULL
) WITHOUT ROWID;
"""

# A project that is put away, or deleted and kept for a while. A deleted one gives its name away: its row is then called by its id.
_PUT_AWAY = """
ALTER TABLE projects ADD COLUMN archived_at TEXT;
ALTER TABLE projects ADD COLUMN deleted_at TEXT;
ALTER TABLE projects ADD COLUMN deleted_name TEXT;
"""

# What was done, as a chain of hashes (`audit`): nothing in it is ever changed, nothing goes, and the next one follows on the last.
_AUDIT = """
CREATE TABLE audit_log (
  seq INTEGER PRIMARY KEY NOT NULL,
  at TEXT NOT NULL,
  act TEXT NOT NULL,
  who TEXT NOT NULL,            -- a code of `audit_people`
  project TEXT NOT NULL,        -- an id; '' for the workspace. It stays when the project is erased
  facts TEXT NOT NULL,          -- canonical JSON: ids, counts, kinds, hashes; no texts
  program TEXT NOT NULL,
  previous TEXT NOT NULL,
  hash TEXT NOT NULL            -- SHA-256 of the canonical JSON of all of the above
);
CREATE TABLE audit_people (     -- erased when nothing else of this person is left: the code then says nothing
  code TEXT PRIMARY KEY NOT NULL,
  name TEXT NOT NULL UNIQUE,
  salt TEXT NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER audit_never_changes BEFORE UPDATE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_never_goes BEFORE DELETE ON audit_log
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
CREATE TRIGGER audit_follows_on BEFORE INSERT ON audit_log
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM audit_log)
OR NEW.previous IS NOT coalesce((SELECT hash FROM audit_log ORDER BY seq DESC LIMIT 1), printf('%064d', 0))
BEGIN SELECT RAISE(ABORT, 'the audit log is a chain'); END;
CREATE TRIGGER audit_people_never_change BEFORE UPDATE ON audit_people
BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END;
"""

# What each of the last merges changed, so that it can be undone (`unmerging`). Only what was erased or is being undone may go.
_UNDONE_MERGES = """
CREATE TABLE merges (
  id TEXT PRIMARY KEY NOT NULL,
  project_id TEXT NOT NULL REFERENCES projects(id),
  merged_at TEXT NOT NULL,
  judgements INTEGER NOT NULL,  -- added
  erased INTEGER NOT NULL,      -- judgements that its erasures took: they stay erased
  noted INTEGER NOT NULL        -- the last entry of the audit log before it
);
CREATE INDEX merges_by_project ON merges (project_id);
CREATE TABLE merge_added (
  merge_id TEXT NOT NULL REFERENCES merges(id),
  about TEXT NOT NULL,          -- a table
  part INTEGER NOT NULL,
  ids TEXT NOT NULL,            -- JSON
  PRIMARY KEY (merge_id, about, part)
) WITHOUT ROWID;
CREATE TABLE merge_changed (
  merge_id TEXT NOT NULL REFERENCES merges(id),
  about TEXT NOT NULL,
  key TEXT NOT NULL,            -- JSON
  before TEXT,                  -- JSON; NULL: it was added, and may be changed
  after TEXT NOT NULL,          -- JSON
  PRIMARY KEY (merge_id, about, key)
) WITHOUT ROWID;
CREATE TABLE undoing (          -- ids of what goes; empty but while a merge is being undone
  id TEXT PRIMARY KEY NOT NULL
) WITHOUT ROWID;
DROP TRIGGER judgements_never_go;
CREATE TRIGGER judgements_never_go BEFORE DELETE ON judgements
WHEN NOT EXISTS (SELECT 1 FROM tombstones WHERE id = OLD.id) AND NOT EXISTS (SELECT 1 FROM undoing WHERE id = OLD.id)
BEGIN SELECT RAISE(ABORT, 'judgements are append-only'); END;
DROP TRIGGER judged_never_go;
CREATE TRIGGER judged_never_go BEFORE DELETE ON judged_completions
WHEN NOT EXISTS (SELECT 1 FROM tombstones WHERE id = OLD.judgement_id)
AND NOT EXISTS (SELECT 1 FROM undoing WHERE id = OLD.judgement_id)
BEGIN SELECT RAISE(ABORT, 'judgements are append-only'); END;
DROP TRIGGER messages_never_go;
CREATE TRIGGER messages_never_go BEFORE DELETE ON messages
WHEN NOT EXISTS (SELECT 1 FROM tombstones WHERE id = OLD.id) AND NOT EXISTS (SELECT 1 FROM undoing WHERE id = OLD.id)
BEGIN SELECT RAISE(ABORT, 'messages are append-only'); END;
DROP TRIGGER tombstones_never_go;
CREATE TRIGGER tombstones_never_go BEFORE DELETE ON tombstones
WHEN NOT EXISTS (SELECT 1 FROM undoing WHERE id = OLD.id)
BEGIN SELECT RAISE(ABORT, 'tombstones are append-only'); END;
"""

MIGRATIONS: tuple[Migration, ...] = (
    _FIRST,
    _EVALUATIONS,
    _FEEDBACK_STUDIO,
    _LISTS_BY_TIME,
    _LISTS_WITH_FILTERS,
    _JUDGED_QUESTIONS,
    _FOLDERS,
    _THOUGHTS,
    _TURNS,
    _PUT_AWAY,
    _AUDIT,
    _UNDONE_MERGES,
)


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
