"""Bundles: a project's feedback as one file for colleagues. A zip of JSON lines and a manifest with their SHA-256s.

A bundle comes from somebody else, so nothing of it is believed before it is checked: only the names below may be in it, none twice,
none a link or encrypted; sizes are bounded before anything is unpacked; nothing is ever written to disk; every line has to fit its
model. The same feedback makes the same bytes, the manifest's head of the audit log apart.
"""

import hashlib
import json
import stat
import struct
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, ValidationError

from rlhf_desktop.core.errors import BadInput, NotFound
from rlhf_desktop.core.files import atomic_file, canonical_json
from rlhf_desktop.core.lockedfile import is_locked
from rlhf_desktop.core.messages import Messages, Role
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.runs import Value
from rlhf_desktop.core.sealing import is_sealed
from rlhf_desktop.feedback.conversations import Finish, Origin
from rlhf_desktop.feedback.judgements import Purpose
from rlhf_desktop.feedback.snapshot import Split

VERSION = 3  # 2: thoughts; 3: the head of the audit log
MANIFEST = "manifest.json"
MAX_UNPACKED_BYTES = 16 * 2**30
MAX_RATIO = 200  # of unpacked to packed; JSON lines of prose come to 5 or 10
MAX_LINE_BYTES = 16 * 2**20
_FREE_BYTES = 2**20  # unpacked, that need no ratio
# What zipfile raises where an archive is not what it says: a name that is no text, a size that is no number, …
_DAMAGE = (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, OSError, RuntimeError, ValueError, OverflowError, struct.error)
_FIRST_YEAR, _LAST_YEAR = 1970, 2099
MAX_HELDOUT_SHARE = 0.9  # a larger one is not taken over by a merge: it leaves next to nothing to train on
_HOUR_ZERO = (1980, 1, 1, 0, 0, 0)

Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Hash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Short = Annotated[str, StringConstraints(max_length=500)]
Text = Annotated[str, StringConstraints(max_length=10**6)]


def _real(moment: str) -> str:
    """A date that there is. Lists go by it: one far away would stand before all others for good."""
    if not _FIRST_YEAR <= datetime.fromisoformat(moment).year <= _LAST_YEAR:
        raise ValueError(f"the year lies outside {_FIRST_YEAR} to {_LAST_YEAR}")
    return moment


def _bounded(value: Any) -> Any:
    """A judgement's parts with numbers that every program can read again: no infinities, none beyond 32 bits."""
    if isinstance(value, int | float) and not abs(value) < 2**31:  # also "not a number"
        raise ValueError("a number is out of bounds")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _bounded(part)
    return value


Moment = Annotated[
    str,
    StringConstraints(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(\+00:00|Z)$"),
    AfterValidator(_real),
]
Said = Annotated[dict[str, Any], AfterValidator(_bounded)]


class GeneratorRow(Value):
    """What made completions. `id` is the SHA-256 of the rest."""

    id: Hash
    model_name: Short
    model_hash: Short
    adapter_name: Short | None
    adapter_hash: Short | None
    sampling: Sampling


class ConversationRow(Value):
    """A conversation with judged answers. Folders, tags and the branch looked at are everybody's own."""

    id: Id
    title: Short
    created_at: Moment
    updated_at: Moment
    origin: Origin


class MessageRow(Value):
    """A judged answer, or a message on the way to one."""

    id: Id
    conversation_id: Id
    parent_id: Id | None
    position: int = Field(ge=0, lt=2**31)
    role: Role
    content: Text
    created_at: Moment
    generator_id: Hash | None
    seed: int | None = Field(ge=-(2**63), lt=2**63)
    finish: Finish | None
    tokens: int | None = Field(ge=0, lt=2**31)
    thought: Text = ""
    thought_tokens: int | None = Field(None, ge=0, lt=2**31)


class JudgementRow(Value):
    """An event, in effect or not."""

    id: Id
    who: Short
    created_at: Moment
    seconds_spent: float | None = Field(ge=0, le=10**9)
    guideline_version: int = Field(ge=0, lt=2**31)
    verdict: Said
    also: list[Said] = Field(max_length=200)
    purpose: Purpose
    critique: Text
    confidence: float | None = Field(ge=0, le=1)
    supersedes: Id | None
    source: Short
    displayed: list[Id] = Field(max_length=64)


class TagRow(Value):
    """The newest word on a tag of a judgement."""

    judgement_id: Id
    tag: Annotated[str, StringConstraints(min_length=1, max_length=60)]
    present: bool
    changed_at: Moment


class PromptRow(Value):
    """A prompt of the set of this name."""

    id: Id
    set: Annotated[str, StringConstraints(min_length=1, max_length=500)]
    position: int = Field(ge=0, lt=2**31)
    messages: Messages = Field(min_length=1, max_length=1000)
    tags: list[Annotated[str, StringConstraints(min_length=1, max_length=60)]] = Field(max_length=50)


class GuidelineRow(Value):
    """A version of the guidelines."""

    id: Id
    version: int = Field(ge=1, lt=2**31)
    text: Text
    who: Short
    created_at: Moment


class ProfileRow(Value):
    """An annotator."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=300)]
    role: Short
    credentials: Short
    updated_at: Moment


class SplitRow(Value):
    """A prompt that is in this half whatever its hash says."""

    prompt_hash: Hash
    split: Split


class TombstoneRow(Value):
    """What was erased. It has no content, and it wins."""

    id: Id


ROWS: Mapping[str, type[Value]] = {
    "tombstones.jsonl": TombstoneRow,
    "generators.jsonl": GeneratorRow,
    "conversations.jsonl": ConversationRow,
    "messages.jsonl": MessageRow,
    "judgements.jsonl": JudgementRow,
    "tags.jsonl": TagRow,
    "prompts.jsonl": PromptRow,
    "guidelines.jsonl": GuidelineRow,
    "profiles.jsonl": ProfileRow,
    "split.jsonl": SplitRow,
}


class FileNote(Value):
    """What the manifest says of a file."""

    sha256: Hash
    rows: int = Field(ge=0)
    bytes: int = Field(ge=0)


class Manifest(Value):
    """What is in a bundle, and from which project."""

    kind: Literal["rlhf-desktop feedback bundle"] = "rlhf-desktop feedback bundle"
    version: int
    project: Short
    heldout_share: float = Field(ge=0, le=1)
    files: dict[str, FileNote]
    audit: Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64}:\d{1,15})?$")] = ""  # the head of the log there: HASH:NUMBER


@dataclass(frozen=True)
class Bundle:
    """A checked bundle, ready to be read."""

    path: Path
    manifest: Manifest

    def count(self, name: str) -> int:
        """How many rows a file has."""
        return self.manifest.files[name].rows

    def rows(self, name: str) -> Iterator[Any]:
        """The rows of one file.

        Raises:
            BadInput: the file is not what the manifest says, or a line does not fit.
        """
        with zipfile.ZipFile(self.path) as archive, _damage(self.path), archive.open(name) as file:
            digest, number = hashlib.sha256(), 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                digest.update(line)
                number += 1
                yield self._row(name, number, line)
            if digest.hexdigest() != self.manifest.files[name].sha256 or number != self.count(name):
                raise _refused(self.path, f"{name} is not the file that was packed")

    def _row(self, name: str, number: int, line: bytes) -> Value:
        if len(line) > MAX_LINE_BYTES:
            raise _refused(self.path, f"{name}, line {number} is too long")
        try:
            return ROWS[name].model_validate_json(line)
        except (ValidationError, RecursionError) as problem:
            raise _refused(self.path, f"{name}, line {number} does not fit", str(problem)[:500]) from None


def _refused(path: Path, why: str, detail: str = "") -> BadInput:
    return BadInput(f"{path.name} was refused: {why}.", "Nothing was merged. Ask for the bundle again.", detail)


class _damage:  # noqa: N801 (used as a function)
    """Says in plain words that an archive is damaged."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, problem: BaseException | None, _trace: object) -> None:
        if isinstance(problem, _DAMAGE) or type(problem).__module__ == "zlib":
            raise _refused(self._path, "the archive is damaged", repr(problem)) from None


def open_bundle(path: Path) -> Bundle:
    """Check a bundle without unpacking anything to disk.

    Raises:
        NotFound: there is no such file.
        BadInput: it is no bundle of ours, of a newer version, damaged, or made to do harm; says which.
    """
    if not path.is_file():
        raise NotFound(f"There is no file “{path.name}”.", "Check its name and folder.", str(path))
    if is_locked(path):
        hint = "“rlhf-desktop feedback merge” asks for it."
        raise BadInput(f"{path.name} is encrypted with a passphrase of its own.", hint)
    if is_sealed(path):
        hint = "“rlhf-desktop encryption open FILE COPY” writes a plain copy, which can be merged."
        raise BadInput(f"{path.name} is encrypted as the workspace is.", hint)
    with _damage(path), zipfile.ZipFile(path) as archive:
        _check_entries(path, archive)
        manifest = _manifest(path, archive)
    return Bundle(path, manifest)


def _check_entries(path: Path, archive: zipfile.ZipFile) -> None:
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(entries) > len(ROWS) + 1 or len(set(names)) != len(names) or set(names) != {MANIFEST, *ROWS}:
        raise _refused(path, "it does not hold the files of a feedback bundle, and only those")
    for entry in entries:
        mode = entry.external_attr >> 16
        if entry.is_dir() or (mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG)) or entry.flag_bits & 0x1:
            raise _refused(path, f"{entry.filename} is no ordinary file")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _refused(path, f"{entry.filename} is packed in an unknown way")
        if entry.file_size > max(_FREE_BYTES, MAX_RATIO * entry.compress_size):
            raise _refused(path, f"{entry.filename} would unpack to far more than it should")
    if sum(entry.compress_size for entry in entries) > path.stat().st_size:
        raise _refused(path, "its files overlap")
    if sum(entry.file_size for entry in entries) > MAX_UNPACKED_BYTES:
        raise _refused(path, "it would unpack to more than 16 GiB")


def _manifest(path: Path, archive: zipfile.ZipFile) -> Manifest:
    try:
        raw = archive.read(MANIFEST)
        if _version(raw) > VERSION:  # first: a newer one may say more than is known here
            raise BadInput(f"{path.name} was made by a newer version of the program.", "Update the program, then merge it.")
        manifest = Manifest.model_validate_json(raw)
    except (ValidationError, RecursionError) as problem:
        raise _refused(path, "its manifest is not one", str(problem)[:500]) from None
    if set(manifest.files) != set(ROWS):
        raise _refused(path, "its manifest does not name its files")
    if any(archive.getinfo(name).file_size != note.bytes for name, note in manifest.files.items()):
        raise _refused(path, "its files are not as long as the manifest says")
    return manifest


def _version(manifest: bytes) -> int:
    """What a manifest says of its version; 0 where it says nothing that can be read."""
    try:
        version = json.loads(manifest)["version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0
    return version if isinstance(version, int) else 0


def write_bundle(path: Path, project: str, heldout_share: float, files: Mapping[str, Iterable[Value]], audit: str = "") -> Manifest:
    """Write a bundle, whole or not at all, from a stream of rows for each of `ROWS`, in an order that depends on nothing else.

    Args:
        path: The file.
        project: The project's name.
        heldout_share: The share of prompts that it holds out.
        files: The rows of each file.
        audit: The head of the audit log before this export.
    """
    notes: dict[str, FileNote] = {}
    with atomic_file(path) as out, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ROWS:
            with archive.open(_entry(name), "w", force_zip64=True) as file:
                notes[name] = _write_rows(file, files[name])
        manifest = Manifest(version=VERSION, project=project, heldout_share=heldout_share, files=notes, audit=audit)
        archive.writestr(_entry(MANIFEST), json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False))
    return manifest


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _HOUR_ZERO)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = (stat.S_IFREG | 0o600) << 16
    return entry


def _write_rows(file: Any, rows: Iterable[Value]) -> FileNote:
    digest, count, size = hashlib.sha256(), 0, 0
    for row in rows:
        line = (canonical_json(row.model_dump(mode="json")) + "\n").encode("utf-8")
        digest.update(line)
        file.write(line)
        count, size = count + 1, size + len(line)
    return FileNote(sha256=digest.hexdigest(), rows=count, bytes=size)
