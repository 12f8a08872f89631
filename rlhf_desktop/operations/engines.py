"""What computes a model's answers: torch, or llama.cpp from a GGUF file: the one the model came from, or a copy made here."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_desktop.core.commands import worker_command
from rlhf_desktop.core.errors import BadInput, ModelTrouble, NoSpace
from rlhf_desktop.core.families import GGUF_FAMILIES, family_of
from rlhf_desktop.core.files import fsync_dir, sha256_file
from rlhf_desktop.core.gguf_header import check_gguf
from rlhf_desktop.core.modelfiles import read_config
from rlhf_desktop.core.platform import free_disk_bytes, remove_tree, rename
from rlhf_desktop.core.runs import GgufFile, ModelRef
from rlhf_desktop.core.words import size
from rlhf_desktop.hub.library import Library, LibraryModel
from rlhf_desktop.jobs.device import llama_trouble, probe_device
from rlhf_desktop.operations.exporting import run_export

COPIES = {"Q8_0": 1.07, "F16": 2.01}
"""How a copy's weights may be quantised, and the bytes a parameter takes so."""

_READ = "Llama, Mistral, Qwen2 and Qwen3"

OnNote = Callable[[str], None]


@dataclass(frozen=True)
class Choice:
    """A file that llama.cpp can answer from. `made`: it is there already."""

    numbers: str
    bytes: int
    made: bool
    file: Path | None = None  # the one the model came from

    @property
    def words(self) -> str:
        """In a few words, with its size."""
        if self.file is not None:
            return f"{self.numbers}, the file it came from"
        return f"{self.numbers}, a copy of {'' if self.made else 'about '}{size(self.bytes)}"


@dataclass(frozen=True)
class Options:
    """What can be chosen for a model: `now` is the quantisation llama.cpp answers from, "" where torch answers."""

    now: str
    choices: tuple[Choice, ...]
    trouble: str = ""  # why llama.cpp cannot answer, where it cannot


def options(library: Library, name: str, probe: Callable[[], Mapping[str, Any]] | None = None) -> Options:
    """What can be chosen for a model. Takes seconds where the computer has not been looked at yet.

    Raises:
        NotFound: there is no such model.
    """
    ref = library.get(name)
    found = tuple(choices(library, next(model for model in library.list() if model.name == ref.name)))
    now = ref.gguf.numbers if ref.gguf else ""
    if not found:
        return Options(now, (), f"llama.cpp is used for {_READ}; torch alone can compute this model.")
    return Options(now, found, llama_trouble((probe or probe_device)()))


def choices(library: Library, model: LibraryModel) -> list[Choice]:
    """What llama.cpp could answer from, the best first. Empty where it cannot read this family of models."""
    if family_of(read_config(library.folder(model) / "config.json")) not in GGUF_FAMILIES:
        return []
    there = library.gguf(model)
    made = [
        Choice(numbers, there.bytes, True) if there and there.numbers == numbers and _is_copy(library, model, there)
        else Choice(numbers, int(model.parameters * size), False)
        for numbers, size in COPIES.items()
    ]  # fmt: skip
    return [*_source(model), *made]


def _is_copy(library: Library, model: LibraryModel, file: GgufFile) -> bool:
    path = Path(file.path)
    return path.parent == library.copies(model.name) and path.is_file() and path.stat().st_size == file.bytes


def _source(model: LibraryModel) -> list[Choice]:
    """The GGUF file that a model was converted from, if it is still there."""
    file = Path(model.source)
    if model.converter is None or not file.is_absolute() or not file.is_file():
        return []
    return [Choice(check_gguf(file).numbers, file.stat().st_size, True, file)]


def use_torch(library: Library, name: str) -> ModelRef:
    """Have torch compute the model's answers. A copy that was made for llama.cpp stays until the model is removed.

    Raises:
        NotFound: there is no such model.
    """
    return library.answer_by(name, "torch")


def use_llama(
    library: Library,
    name: str,
    numbers: str | None = None,
    *,
    on_note: OnNote | None = None,
    probe: Callable[[], Mapping[str, Any]] | None = None,
    command: Sequence[str] | None = None,
) -> ModelRef:
    """Have llama.cpp compute the model's answers, from the file it came from or a copy, which is made where there is none.

    Args:
        library: The base models.
        name: Which of them.
        numbers: How the weights are quantised, as of a `Choice`; None: the first of them.
        on_note: Told what goes on.
        probe: Asks the worker whether llama.cpp works here.
        command: What makes a copy; None: this program's own worker.

    Raises:
        BadInput: it cannot be quantised so.
        ModelTrouble: llama.cpp does not work here, or cannot read this family of models.
        NoSpace: the disk is too small for the copy.
        NotFound: there is no such model.
    """
    library.get(name)  # or NotFound
    model = next(each for each in library.list() if each.name == name)
    if reason := llama_trouble((probe or probe_device)()):
        raise ModelTrouble(f"llama.cpp cannot be used on this computer. {reason}", "Torch goes on to compute the answers.")
    choice = _chosen(library, model, numbers)
    tell = on_note or (lambda _: None)
    if choice.file is not None:
        return library.answer_by(name, "llama.cpp", _checked(model, choice, tell))
    if choice.made:
        return library.answer_by(name, "llama.cpp")
    return library.answer_by(name, "llama.cpp", _copy(library, model, choice, tell, command))


def _chosen(library: Library, model: LibraryModel, numbers: str | None) -> Choice:
    found = choices(library, model)
    if not found:
        reason = f"llama.cpp is used for {_READ}."
        raise ModelTrouble(f"“{model.name}” can be computed by torch alone: {reason}", "Torch goes on to compute its answers.")
    chosen = next((choice for choice in found if numbers in (None, choice.numbers)), None)
    if chosen is None:
        raise BadInput(
            f"“{numbers}” is none of the choices for “{model.name}”.", f"There are: {', '.join(c.numbers for c in found)}."
        )
    return chosen


def _checked(model: LibraryModel, choice: Choice, tell: OnNote) -> GgufFile:
    """The file that the model came from, if it is still the same."""
    assert choice.file is not None
    tell(f"Checking {choice.file.name}")
    digest = sha256_file(choice.file)
    if digest != model.source_sha256:
        hint = f"Have a copy made instead: rlhf-desktop models engine {model.name} llama.cpp --quantization Q8_0"
        raise ModelTrouble(f"{choice.file} is another file than the one “{model.name}” was made from.", hint)
    return GgufFile(path=str(choice.file), sha256=digest, bytes=choice.bytes, numbers=choice.numbers)


def _copy(library: Library, model: LibraryModel, choice: Choice, tell: OnNote, command: Sequence[str] | None) -> GgufFile:
    """Write a copy beside the model, whole or not at all; the one before goes."""
    target = library.copies(model.name)
    if free_disk_bytes(target.parent) < choice.bytes + 10**7:
        raise NoSpace(f"The copy needs about {size(choice.bytes)} on this disk.", "Free some space, then try again.")
    tell(f"Making a copy for llama.cpp, about {size(choice.bytes)}")
    temporary, file = target.with_name(f".{target.name}.making"), f"{model.name}-{choice.numbers}.gguf"
    remove_tree(temporary, ignore_errors=True)  # left by a process that was killed
    temporary.mkdir(parents=True)
    try:
        folder = str(library.folder(model))
        asked = {"base": folder, "base_name": model.name, "adapter": None, "form": "copy", "target": str(temporary)}
        run_export(command or worker_command("export"), {**asked, "title": model.name, "file": file, "numbers": choice.numbers})
        remove_tree(target, ignore_errors=True)
        rename(temporary, target)
    finally:
        remove_tree(temporary, ignore_errors=True)
    fsync_dir(target.parent)
    made = target / file
    return GgufFile(path=f"{target.name}/{file}", sha256=sha256_file(made), bytes=made.stat().st_size, numbers=choice.numbers)
