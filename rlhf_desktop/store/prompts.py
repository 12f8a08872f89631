"""Prompt sets: questions to practise on, to label, or to evaluate with."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.feedback.conversations import utc_now
from rlhf_desktop.feedback.snapshot import Split
from rlhf_desktop.feedback.split import Splitter, prompt_hash
from rlhf_desktop.store.driver import Connection, Row, understood
from rlhf_desktop.store.projects import ProjectStore
from rlhf_desktop.store.tags import checked_tag


@dataclass(frozen=True)
class PromptSet:
    """A named list of prompts of a project."""

    id: str
    project_id: str
    name: str
    created_at: str


@dataclass(frozen=True)
class StoredPrompt:
    """A prompt of a set, in its half of the project's split."""

    id: str
    prompt_set_id: str
    prompt: Messages
    split: Split
    tags: tuple[str, ...] = ()


class PromptStore:
    """Reads and writes prompt sets."""

    def __init__(self, connection: Connection, projects: ProjectStore) -> None:
        self._db = connection
        self._projects = projects

    def create_set(
        self,
        project_id: str,
        name: str,
        prompts: Sequence[Messages],
        split: Split | None = None,
        tags: Sequence[Sequence[str]] | None = None,
    ) -> PromptSet:
        """Make a set of prompts.

        Args:
            project_id: Of which project.
            name: Its name, new in the project.
            prompts: Each ends with what the user says.
            split: Put them all in this half of the project's split; by default each goes where its hash says.
            tags: The tags of each prompt ("billing", "hard"), by which results are broken down.

        Raises:
            BadInput: no prompts, a taken name, or a prompt that is already on the other side of the split.
        """
        if not prompts:
            raise BadInput(f"The prompt set “{name}” would be empty.", "Give it at least one prompt.")
        made = PromptSet(new_id(), project_id, name, utc_now())
        with self._db.transaction():
            if self.by_name(project_id, name):
                raise BadInput(f"There is already a prompt set called “{name}” in this project.", "Choose another name.")
            if split:
                self._projects.fix_split(project_id, prompts, split)
            self._db.insert("prompt_sets", [vars(made)])
            tagged = zip(prompts, tags or [()] * len(prompts), strict=True)
            self._db.insert("prompts", [_row(made.id, place, prompt, t) for place, (prompt, t) in enumerate(tagged)])
        return made

    def sets(self, project_id: str) -> list[PromptSet]:
        """A project's prompt sets, oldest first."""
        rows = self._db.rows("SELECT * FROM prompt_sets WHERE project_id = ? ORDER BY rowid", (project_id,))
        return [PromptSet(**row) for row in rows]

    def by_name(self, project_id: str, name: str) -> PromptSet | None:
        """The prompt set of this name, or None."""
        row = self._db.row("SELECT * FROM prompt_sets WHERE project_id = ? AND name = ?", (project_id, name))
        return PromptSet(**row) if row else None

    def prompts(self, project_id: str, set_name: str | None = None) -> list[StoredPrompt]:
        """The prompts of one set, or of all the project's sets, in their order."""
        if set_name is not None and self.by_name(project_id, set_name) is None:
            names = ", ".join(f"“{s.name}”" for s in self.sets(project_id)) or "none yet"
            raise NotFound(f"There is no prompt set called “{set_name}”.", f"Prompt sets here: {names}.")
        rows = self._db.rows(
            """SELECT p.* FROM prompts p JOIN prompt_sets s ON s.id = p.prompt_set_id
            WHERE s.project_id = ?1 AND (?2 IS NULL OR s.name = ?2) ORDER BY s.rowid, p.position""",
            (project_id, set_name),
        )
        split = self._projects.splitter(project_id)
        return [_stored(row, split) for row in rows]

    def by_ids(self, project_id: str, ids: Sequence[str]) -> list[StoredPrompt]:
        """These prompts, in the order given; those that are gone are left out."""
        rows = self._db.rows("SELECT * FROM prompts WHERE id IN (SELECT value FROM json_each(?))", (json.dumps(list(ids)),))
        split, place = self._projects.splitter(project_id), {key: number for number, key in enumerate(ids)}
        return [_stored(row, split) for row in sorted(rows, key=lambda row: place[row["id"]])]

    def sizes(self, project_id: str) -> dict[str, int]:
        """The project's sets by name, and how many prompts each has."""
        rows = self._db.rows(
            """SELECT s.name, (SELECT count(*) FROM prompts p WHERE p.prompt_set_id = s.id) AS n FROM prompt_sets s
            WHERE s.project_id = ? ORDER BY s.rowid""",
            (project_id,),
        )
        return {row["name"]: row["n"] for row in rows}


def _row(set_id: str, place: int, prompt: Messages, tags: Sequence[str]) -> dict[str, object]:
    return {
        "id": new_id(),
        "prompt_set_id": set_id,
        "position": place,
        "messages": json.dumps(prompt, ensure_ascii=False),
        "prompt_hash": prompt_hash(prompt),
        "tags": json.dumps([checked_tag(tag) for tag in tags], ensure_ascii=False),
    }


def _stored(row: Row, split: Splitter) -> StoredPrompt:
    with understood():
        prompt, tags = json.loads(row["messages"]), tuple(json.loads(row["tags"]))
    return StoredPrompt(row["id"], row["prompt_set_id"], prompt, split.of_hash(row["prompt_hash"]), tags)
