"""The door: whether a model can be chatted with and taught, found out once when it is added and kept beside it.

Its family's line in `core.families` comes first, before anything is fetched. Then a worker tries a small copy of the model
(`training.soundness`) and its chat template. What it found is kept with the model's hashes and the versions of what computes, and
found out anew when one changes. Reading it takes no torch, so a run is refused in a sentence before a model is prepared for it.
"""

import json
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from pydantic import ValidationError

import rlhf_desktop
from rlhf_desktop.core.errors import ModelTrouble, WorkerTrouble
from rlhf_desktop.core.families import TEACHABLE, Verdict, verdict
from rlhf_desktop.core.files import write_json
from rlhf_desktop.core.measures import FamilyCheck, Road
from rlhf_desktop.core.modelfiles import voice_hash
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.runs import ModelRef, Value
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs.measuring import try_family

CHECK = "check.json"
_COMPUTES = ("torch", "transformers", "peft")


class KeptCheck(Value):
    """`check.json` beside a model: what was found, of which weights, tokenizer and template, and by which programs."""

    base_hash: str
    voice: str
    versions: dict[str, str]
    found: FamilyCheck


def standing(workspace: Workspace, base: ModelRef) -> Verdict:
    """What is known of a model: what was found when it was tried, else what its family's line says. Costs two small files."""
    kept = _kept(workspace, base)
    return _verdict(kept) if kept else _line(base)


def try_out(
    workspace: Workspace, base: ModelRef, on_note: Callable[[str], None] | None = None, *, command: Sequence[str] | None = None
) -> Verdict:
    """Try a model that was not tried before, by this program and in this form: some seconds, then remembered.

    Args:
        workspace: Where the model is.
        base: The model.
        on_note: Told before the work begins.
        command: What tries it; None: this program's own worker.

    Raises:
        ModelTrouble: it cannot be loaded.
    """
    if kept := _kept(workspace, base):
        return _verdict(kept)
    if (line := _line(base)).kind == "chats":
        return line
    (on_note or (lambda _: None))(f"Trying out what {base.name} can be taught (once)")
    try:
        found = try_family(base, command=command)
    except WorkerTrouble:
        return line  # the trainers look again before they begin
    if (folder := workspace.models / base.name).is_dir():
        kept_check = KeptCheck(base_hash=base.hash, voice=voice_hash(Path(base.path)), versions=_versions(), found=found)
        write_json(folder / CHECK, kept_check.model_dump(mode="json"))
    return _verdict(found)


def welcome(
    workspace: Workspace, library: Library, bring: Callable[[], ModelRef], on_note: Callable[[str], None] | None = None
) -> tuple[ModelRef, Verdict]:
    """Bring a model into the library, and try it. One that turns out to be of no use does not stay.

    Args:
        workspace: Where the library is.
        library: The library.
        bring: Adds or fetches the model.
        on_note: Told what is done.

    Raises:
        ModelTrouble: it cannot be used at all; says why.
        AppError: what `bring` raises.
    """
    before = {model.name for model in library.list()}
    base = bring()
    try:
        found = try_out(workspace, base, on_note)
        if found.kind == "refused":
            raise ModelTrouble(found.reason, "Choose a model of another family.")
    except ModelTrouble:
        if base.name not in before:
            library.remove(base.name)
        raise
    return base, found


def check_teachable(workspace: Workspace, base: ModelRef) -> str:
    """Refuse a model that cannot be taught, before anything is prepared. Returns a sentence on one that can.

    Raises:
        ModelTrouble: with the reason.
    """
    known = standing(workspace, base)
    if known.kind == "tried":
        known = try_out(workspace, base)
    if known.kind in ("chats", "refused"):
        raise ModelTrouble(known.reason, TEACHABLE)
    return f"“{base.name}” can be taught."


def road_of(workspace: Workspace, base: ModelRef) -> Road:
    """The way the trainers take with a model that was tried; the usual one where it was not."""
    kept = _kept(workspace, base)
    return "general" if kept and kept.road == "general" else "fast"


def _verdict(found: FamilyCheck) -> Verdict:
    return Verdict(found.kind, found.sentence)


def _line(base: ModelRef) -> Verdict:
    """What its family's line says, from its config.json."""
    try:
        config = json.loads((Path(base.path) / "config.json").read_bytes())
        return verdict(config)
    except (OSError, ValueError, AttributeError):
        return Verdict("tried")


def _kept(workspace: Workspace, base: ModelRef) -> FamilyCheck | None:
    try:
        kept = KeptCheck.model_validate_json((workspace.models / base.name / CHECK).read_bytes())
    except (OSError, ValidationError):
        return None
    now = (base.hash, voice_hash(Path(base.path)), _versions())
    return kept.found if (kept.base_hash, kept.voice, kept.versions) == now else None


def _versions() -> dict[str, str]:
    """Of everything whose change may change what is found."""
    return {"rlhf_desktop": rlhf_desktop.__version__, **{name: metadata.version(name) for name in _COMPUTES}}
