"""Copies of erased words on disk: every file of the workspace is read for what it is, and rewritten without them.

JSON and JSON lines are decoded, so that it does not matter how a text was escaped; Parquet files and bundles are opened; in pages
and tables a text is looked for in each spelling that the program writes it in. Weights and base models hold no texts.
"""

import hashlib
import json
import os
import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property, lru_cache
from html import escape
from pathlib import Path
from typing import Any

from rlhf_desktop.core import sealing
from rlhf_desktop.core.encryption import header_copy, header_file
from rlhf_desktop.core.errors import BadInput, NotFound, StoreTrouble
from rlhf_desktop.core.files import atomic_file, canonical_json, overwrite, write_json
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import is_alive, process_ref, remove_tree
from rlhf_desktop.core.sealing import read_bytes, read_lines
from rlhf_desktop.feedback.bundles import Bundle, open_bundle, write_bundle
from rlhf_desktop.feedback.formats.parquet import installed, read_parquet, write_parquet
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.markdown import as_cell, as_line
from rlhf_desktop.store.backups import COMPANIONS, SET_ASIDE, check_health, clean_copy
from rlhf_desktop.store.bundling import bundle_rows, merge_rows
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.driver import Connection, is_database
from rlhf_desktop.store.erasing import bury, scrub
from rlhf_desktop.store.migrations import migrate

ERASED = "[erased]"
LEAST_CHARS = 8  # shorter texts ("yes") are not looked for inside others
_WEIGHTS = (".safetensors", ".gguf", ".bin", ".pt")
_SAID = ("prompt", "completion", "completions", "text", "before", "thought")  # the parts of a row that hold somebody's words
_PLAIN = re.compile(r"[A-Za-z0-9]+")  # what no spelling changes
_STARTS = (8, 4)  # characters of a piece that it is looked up by
_PIECES = 6  # of a text, all of which are there before its spellings are tried
_SHORTENED_CHARS = 480  # of an answer in the demo's report
_TEMPORARY = re.compile(r"^\..+\.(\d+)\.tmp(-journal|-wal|-shm)?$")
_BACKUP_BEING_ERASED = re.compile(r"\.erasing(-journal|-wal|-shm)?$")  # as an earlier version called its working copy
_START_TOLERANCE_S = 2.0


@dataclass(frozen=True)
class Words:
    """The texts that go: by prompt, and on their own."""

    pairs: frozenset[tuple[str, str]]  # canonical prompt, text
    prompts: frozenset[str]  # canonical prompts that go as a whole
    texts: tuple[str, ...]  # the longest first

    @property
    def all(self) -> set[str]:
        """Every text of these, short ones too."""
        return {*self.texts, *(text for _, text in self.pairs), *self.questions}

    def without(self, texts: set[str]) -> "Words":
        """These words but for texts that stay somewhere: they are nobody's secret to take there."""
        return Words(
            frozenset((prompt, text) for prompt, text in self.pairs if text not in texts),
            frozenset(prompt for prompt in self.prompts if json.loads(prompt)[-1]["content"] not in texts),
            tuple(text for text in self.texts if text not in texts),
        )

    @cached_property
    def questions(self) -> frozenset[str]:
        """The last messages of the prompts that go."""
        return frozenset(json.loads(prompt)[-1]["content"] for prompt in self.prompts)

    @cached_property
    def _pieces(self) -> tuple[tuple[str, ...], ...]:
        """For each text pieces of it that every spelling has, the longest first."""
        begun = (" ".join(text.split())[: _SHORTENED_CHARS // 2] for text in self.texts)
        return tuple(tuple(sorted(set(_PLAIN.findall(start)), key=len, reverse=True)[:_PIECES]) for start in begun)

    @cached_property
    def _by_start(self) -> dict[str, list[int]]:
        """The places of the texts by how their pieces begin: a whole project has too many to look for each in every text."""
        found: dict[str, list[int]] = {}
        for place, pieces in enumerate(self._pieces):
            piece = pieces[0] if pieces else ""
            found.setdefault(piece[: max((n for n in _STARTS if n <= len(piece)), default=0)], []).append(place)
        return found

    def _perhaps_in(self, text: str) -> list[int]:
        """The places of the texts that may be in this one, the longest first."""
        found = set(self._by_start.get("", ()))
        for n in _STARTS:
            for start in {text[at : at + n] for at in range(len(text) - n + 1)} & self._by_start.keys():
                found.update(self._by_start[start])
        return sorted(found)

    def blackened(self, text: str) -> str:
        """A text with a mark in place of what goes."""
        if len(text) < LEAST_CHARS:
            return text
        for place in self._perhaps_in(text):
            if all(piece in text for piece in self._pieces[place]):
                for form in _spellings(self.texts[place]):
                    text = text.replace(form, ERASED)
        return text


@lru_cache(maxsize=256)
def _spellings(text: str) -> tuple[str, ...]:
    """How a text may stand in a file: as it is, on one line, shortened; in HTML, Markdown, JSON, and in a table's cell."""
    flat = " ".join(text.split())
    short = textwrap.shorten(flat, _SHORTENED_CHARS, placeholder="").strip()
    plain = {text, text.strip(), flat, short}
    forms = plain | {escape(form) for form in plain} | {escape(form, quote=False) for form in plain}
    forms |= {as_line(form) for form in plain} | {as_cell(form) for form in plain}
    forms |= {json.dumps(form, ensure_ascii=ascii_only)[1:-1] for form in plain for ascii_only in (True, False)}
    forms |= {form.replace('"', '""') for form in forms}
    return tuple(sorted((form for form in forms if len(form) >= LEAST_CHARS), key=len, reverse=True))


# --- rows ---------------------------------------------------------------------------------------------------------------------


def is_row_of(row: Any, words: Words) -> bool:
    """Whether a row of feedback or of answers is about what goes."""
    if not isinstance(row, dict):
        return False
    if isinstance(row.get("prompt"), str):
        return row["prompt"] in words.questions
    if not isinstance(row.get("prompt"), list):
        return False
    prompt = canonical_json(row["prompt"])
    return prompt in words.prompts or any((prompt, text) in words.pairs for text in _texts_of(row))


def _texts_of(row: dict[str, Any]) -> Iterator[str]:
    parts = [row, *(row.get("completions") or [])]
    for part in parts:
        values = (part.get("completion"), part.get("text")) if isinstance(part, dict) else (part,)
        yield from (value for value in values if isinstance(value, str))


def _without(value: Any, words: Words) -> Any:
    """A decoded value without the words. Of a row about what goes, all that was said goes."""
    if isinstance(value, str):
        return words.blackened(value)
    if isinstance(value, list):
        return [_without(part, words) for part in value]
    if not isinstance(value, dict):
        return value
    about = is_row_of(value, words)
    return {
        words.blackened(name): _emptied(part) if about and name in _SAID else _without(part, words) for name, part in value.items()
    }


def _emptied(value: Any) -> Any:
    """The same shape with no words in it, but for who spoke."""
    if isinstance(value, dict):
        return {name: part if name == "role" else _emptied(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_emptied(part) for part in value]
    return ERASED if isinstance(value, str) else value


# --- files --------------------------------------------------------------------------------------------------------------------


def files_of(workspace: Workspace) -> Iterator[Path]:
    """Every file the program may have written texts to: all of the workspace but the database, the plan and the base models."""
    for folder, names, files in os.walk(workspace.root):
        here = Path(folder)
        names[:] = sorted(name for name in names if here / name != workspace.models and not (here / name).is_symlink())
        for path in (here / name for name in sorted(files)):
            if path.is_file() and not path.is_symlink() and path.suffix not in _WEIGHTS and not _is_apart(path, workspace):
                yield path


def _is_apart(path: Path, workspace: Workspace) -> bool:
    names = {workspace.erasing.name, *(workspace.database.name + ending for ending in ("", *COMPANIONS))}
    headers = (header_file(workspace.root), header_copy(workspace.root))
    return (path.parent == workspace.root and path.name in names) or path in headers


def rewrite(path: Path, words: Words, ids: Sequence[str], projects: Sequence[str] = ()) -> bool:
    """Take the words out of one file, and whole projects out of a backup. Returns whether any were in it."""
    if path.parent.name == "backups" and path.name.endswith(COMPANIONS):  # set aside with a damaged database: no way to clean it
        path.unlink()
        return True
    with path.open("rb") as file:
        head = file.read(16)
    set_aside = path.parent.name == "backups" and path.name.startswith(SET_ASIDE)
    if is_database(path):
        return _rewrite_database(path, ids, words, projects, doubtful=set_aside)
    if head.startswith(sealing.MAGIC[:16]):
        return _rewrite_sealed(path, words, ids)
    if set_aside:  # a database whose beginning is gone: its texts lie in pieces all over it
        path.unlink()
        return True
    if head.startswith(b"PAR1"):
        return _rewrite_parquet(path, words)
    if head.startswith(b"PK"):
        return _rewrite_bundle(path, ids)
    return _rewrite_text(path, words)


def _rewrite_sealed(path: Path, words: Words, ids: Sequence[str]) -> bool:
    """A sealed file, which stays sealed. Tables and bundles are read from files: such a one is plain beside it for a moment."""
    content = read_bytes(path)
    if not content.startswith((b"PAR1", b"PK")):
        return _rewrite_text(path, words)
    plain = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        plain.touch(mode=0o600)
        plain.write_bytes(content)
        changed = _rewrite_parquet(plain, words) if content.startswith(b"PAR1") else _rewrite_bundle(plain, ids)
        if changed and plain.exists():
            sealing.keep(path, plain.read_bytes())
        elif changed:
            path.unlink()
        return changed
    finally:
        if plain.exists():
            with plain.open("r+b") as file:
                overwrite(file)
            plain.unlink()


def _rewrite_text(path: Path, words: Words) -> bool:
    before = read_bytes(path).decode("utf-8", "surrogateescape")
    after = _as_json(before, words)
    if after is None:
        after = "".join(_line(line, words) for line in re.split(r"(?<=\n)", before))
    if not _is_json(before):
        after = words.blackened(after)  # what goes over several lines
    if after == before:
        return False
    clean = after.encode("utf-8", "surrogateescape")
    _mend_manifest(path, clean)
    sealing.rewrite(path, clean)
    return True


def _is_json(text: str) -> bool:
    return text.lstrip()[:1] in ("{", "[")


def _as_json(text: str, words: Words) -> str | None:
    """One JSON document without the words; None where it is none."""
    if not _is_json(text):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    clean = _without(value, words)
    indented = text.startswith(("{\n", "[\n"))
    return text if clean == value else json.dumps(clean, ensure_ascii=False, indent=2 if indented else None) + "\n"


def _line(line: str, words: Words) -> str:
    """A line without the words. One of JSON that was torn is never read: it goes as a whole when it held any."""
    if (clean := _as_json(line, words)) is not None:
        return clean
    clean = words.blackened(line)
    return "" if clean != line and _is_json(line) else clean


def _mend_manifest(path: Path, content: bytes) -> None:
    """A checkpoint is whole by the hashes of its files. First, so that what is cut short in between is taken up again."""
    manifest = path.with_name("manifest.json")
    if path.name == "state.json" and manifest.is_file():
        value = json.loads(manifest.read_text("utf-8"))
        write_json(manifest, {**value, "files": {**value["files"], path.name: hashlib.sha256(content).hexdigest()}})


def _rewrite_parquet(path: Path, words: Words) -> bool:
    if not installed():
        raise BadInput(
            f"{path.name} in the workspace is a Parquet file, which this installation cannot read to erase from it.",
            "Delete it, or install the program's “parquet” extra: the erase goes on at the next start.",
        )
    before = [record for record, _ in read_parquet(path, path.name)]
    after = [_without(record, words) for record in before]
    if after == before:
        return False
    with atomic_file(path) as out:
        write_parquet(out, after)
    return True


def _rewrite_bundle(path: Path, ids: Sequence[str]) -> bool:
    """A bundle goes through a store of its own. Any other archive is left as it is: the program writes none."""
    names = ("conversations.jsonl", "messages.jsonl", "judgements.jsonl", "prompts.jsonl")
    gone = set(ids)
    try:
        bundle = open_bundle(path)
        if not any(row.id in gone for name in names for row in bundle.rows(name)):
            return False
    except BadInput:  # none of ours
        return False
    try:
        _erase_from_bundle(bundle, ids)
    except BadInput:  # nobody could ever merge it
        path.unlink()
    return True


def _erase_from_bundle(bundle: Bundle, ids: Sequence[str]) -> None:
    with closing(Connection(Path(":memory:"))) as connection:
        migrate(connection)
        store = Store(connection)
        project = store.projects.create("Bundle")
        merge_rows(store, project.id, bundle)
        bury(store, ids)
        manifest = bundle.manifest
        write_bundle(bundle.path, manifest.project, manifest.heldout_share, bundle_rows(store, project.id), manifest.audit)


def _rewrite_database(path: Path, ids: Sequence[str], words: Words, projects: Sequence[str], *, doubtful: bool) -> bool:
    """Erase from a copy of the database. One that is damaged could never be cleaned: it goes as a whole."""

    def clean(connection: Connection) -> None:
        if doubtful:  # what a damaged index does not list would not be found, and stay
            check_health(connection)
        migrate(connection)
        bury(Store(connection), ids, words.texts, projects)
        scrub(connection)

    try:
        return clean_copy(path, clean)
    except StoreTrouble:
        if path.parent.name != "backups" and not _shows(path, words):
            return False
        path.unlink()
        return True


def _shows(path: Path, words: Words) -> bool:
    content = path.read_bytes()
    return any(text.encode("utf-8", "surrogatepass") in content for text in words.texts)


# --- runs ---------------------------------------------------------------------------------------------------------------------


def holds(run: RunFolder, words: Words) -> bool:
    """Whether a run's frozen feedback has rows of what goes."""
    return any(is_row_of(row, words) for row in _rows(run))


def _rows(run: RunFolder) -> list[Any]:
    """The frozen feedback; none where it is damaged: then it is read as any text is, and the run can never go on."""
    try:
        return list(read_lines(run.data))
    except ValueError:
        return []


def drop_rows(run: RunFolder, words: Words) -> bool:
    """The frozen feedback without rows of what goes or that quote it. `run.json` gets its new hash, so that the run can be resumed.

    The hash first: what is cut short in between is taken up again with the same outcome.
    """
    rows = _rows(run)
    kept = [row for row in rows if not is_row_of(row, words) and _without(row, words) == row]
    if len(kept) == len(rows):
        return False
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in kept).encode("utf-8")
    with suppress(BadInput, NotFound):  # one whose run.json is damaged can never go on
        config = run.config().model_copy(update={"data_sha256": hashlib.sha256(content).hexdigest()})
        text = json.dumps(config.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n"
        sealing.rewrite(run.config_file, text.encode("utf-8"))
    sealing.rewrite(run.data, content)
    return True


# --- what killed processes left -----------------------------------------------------------------------------------------------


def sweep(workspace: Workspace, *, backups_in_work: bool = False) -> int:
    """Delete the temporaries of processes that are gone. Returns how many there were.

    Args:
        workspace: Whose.
        backups_in_work: Backups that are being written just now too: they may hold what has been erased since they began.
    """
    left = [path for path in _hidden(workspace) if _is_left_over(path, workspace, backups_in_work)]
    for path in left:
        if path.is_dir():
            remove_tree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return len(left)


def _hidden(workspace: Workspace) -> list[Path]:
    folders = [workspace.root, *(path for path in workspace.root.iterdir() if path.is_dir() and path != workspace.models)]
    folders += [path for path in workspace.runs.glob("*") if path.is_dir()]
    return [path for folder in folders for path in folder.iterdir()]


def _is_left_over(path: Path, workspace: Workspace, backups_in_work: bool) -> bool:
    in_backups = path.parent == workspace.backups
    if in_backups and _BACKUP_BEING_ERASED.search(path.name):
        return True
    if path.parent == workspace.runs and path.name.startswith(".") and path.name.endswith(".removed"):
        return True
    found = _TEMPORARY.match(path.name)
    return found is not None and ((in_backups and backups_in_work) or not _is_written(path, int(found[1])))


def _is_written(path: Path, pid: int) -> bool:
    """Whether the process of this number lives and is not a later one than the file."""
    ref = process_ref(pid)
    try:
        return is_alive(ref) and ref is not None and ref.start_time <= path.stat().st_mtime + _START_TOLERANCE_S
    except FileNotFoundError:
        return True  # it took its name meanwhile
