"""Writing an adapter or model as files for other programs, whole or not at all. The work is the worker's."""

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rlhf_desktop.core import errors
from rlhf_desktop.core.adapterfiles import check_adapter
from rlhf_desktop.core.commands import package_parent, worker_command, worker_environment
from rlhf_desktop.core.errors import AppError, BadInput, ModelTrouble, NoSpace
from rlhf_desktop.core.families import LANGUAGE_PARTS, family_of
from rlhf_desktop.core.files import fsync_dir
from rlhf_desktop.core.modelfiles import read_config
from rlhf_desktop.core.platform import NO_WINDOW, free_disk_bytes, remove_tree, rename
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.hub.library import Library
from rlhf_desktop.operations.projects import check_fits

FORMATS = {
    "peft": "one standard adapter, for PEFT and whatever reads it",
    "merged": "a whole model in safetensors, for transformers, vLLM and others",
    "gguf": "a whole model in one file, for llama.cpp, LM Studio and Ollama",
    "gguf-lora": "the adapter as a GGUF file beside its base model's, for llama.cpp and Ollama",
}
_HOW = {
    "peft": 'Load it with: PeftModel.from_pretrained(base, "{folder}")',
    "merged": 'Load it with: AutoModelForCausalLM.from_pretrained("{folder}")',
    "gguf": "Ollama: ollama create my-model -f {folder}/Modelfile. LM Studio and llama.cpp open the .gguf file.",
    "gguf-lora": "Ollama: ollama create my-model -f {folder}/Modelfile. llama.cpp: --model BASE.gguf --lora ADAPTER.gguf.",
}
_BYTES_A_PARAMETER = {"peft": 0.1, "merged": 4.1, "gguf": 2.1, "gguf-lora": 2.3}


@dataclass(frozen=True)
class Exported:
    """What was written, and one line on what to do with it."""

    folder: Path
    files: tuple[Path, ...]
    how_to_use: str

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return sum(file.stat().st_size for file in self.files)


def export_adapter(
    library: Library,
    base: ModelRef,
    adapter: AdapterRef | None,
    form: str,
    target: Path,
    *,
    name: str = "",
    log: str = "",
    on_note: Callable[[str], None] | None = None,
    command: Sequence[str] | None = None,
) -> Exported:
    """Write one of `FORMATS` into a new folder.

    Args:
        library: Where the base model is.
        base: The base model.
        adapter: What to put on it; None: the base itself.
        form: Which format.
        target: The folder to make.
        name: What to call the result.
        log: The head of the audit log, for the card, where the format has one.
        on_note: Told what goes on.
        command: What to start; None: this program's own worker.

    Raises:
        BadInput: the folder is there already, an unknown format, or one that a reward model cannot be written in.
        ModelTrouble: the adapter is for another base, or this kind of model cannot be written so.
        NoSpace: the disk is too small.
    """
    _check_possible(base, adapter, form, target)
    _check_space(library, base, form, target)
    (on_note or (lambda _: None))(f"Writing {FORMATS[form]}")
    temporary = target.with_name(f".{target.name}.exporting")
    remove_tree(temporary, ignore_errors=True)  # left by a process that was killed
    temporary.mkdir(parents=True)
    try:
        request = {
            "base": base.path, "base_name": base.name, "adapter": adapter.path if adapter else None, "form": form,
            "target": str(temporary), "title": name or (adapter.name if adapter else base.name),
        }  # fmt: skip
        answer = run_export(command or worker_command("export"), request)
        _add_to_card(temporary / "README.md", log)
        rename(temporary, target)
    finally:
        remove_tree(temporary, ignore_errors=True)
    fsync_dir(target.parent)
    return Exported(target, tuple(target / file for file in answer["files"]), _how(form, base, target))


def _add_to_card(card: Path, log: str) -> None:
    if log and card.is_file():
        card.write_text(f"{card.read_text('utf-8').rstrip()}\n\n## Audit log\n\n{log}\n", "utf-8", newline="\n")


def _how(form: str, base: ModelRef, target: Path) -> str:
    """How the files are used. A model that also sees is none of transformers' causal models."""
    sees = form == "merged" and family_of(read_config(Path(base.path) / "config.json")) in LANGUAGE_PARTS
    said = _HOW[form].replace("AutoModelForCausalLM", "AutoModelForImageTextToText") if sees else _HOW[form]
    return said.format(folder=target)


def _check_possible(base: ModelRef, adapter: AdapterRef | None, form: str, target: Path) -> None:
    if form not in FORMATS:
        raise BadInput(f"There is no export format called “{form}”.", f"There are: {', '.join(FORMATS)}.")
    if target.exists():
        raise BadInput(f"{target} is there already.", "Choose the name of a new folder (--out).")
    if adapter is None:
        return
    check_fits(adapter, base)
    if form != "peft" and check_adapter(Path(adapter.path)).get("task_type") == "SEQ_CLS":
        hint = "Export it as an adapter (peft): it keeps the head that gives the marks."
        raise BadInput("A reward model marks answers and writes none, so no such file can be made of it.", hint)


def _check_space(library: Library, base: ModelRef, form: str, target: Path) -> None:
    parameters = next((model.parameters for model in library.list() if model.hash == base.hash), 0)
    needed = parameters * _BYTES_A_PARAMETER[form] + 10**7
    if free_disk_bytes(target.parent) < needed:
        raise NoSpace(f"This export needs about {needed / 1e9:.1f} GB on that disk.", "Free some space, or choose another place.")


def run_export(command: Sequence[str], request: dict[str, Any]) -> dict[str, Any]:
    """Have the worker write files, and wait for it. Returns what it says of them.

    Raises:
        AppError: the trouble it had.
    """
    done = subprocess.run(
        [*command, json.dumps(request)], cwd=package_parent(), env=worker_environment(), stdin=subprocess.DEVNULL,
        capture_output=True, check=False, creationflags=NO_WINDOW,
    )  # fmt: skip
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        said = done.stderr.decode("utf-8", "replace")[-4000:]
        hint = "It may have run out of memory: close other programs, then try again."
        raise ModelTrouble("The export did not come to its end.", hint, f"exit code {done.returncode}\n{said}") from None
    if "error" in answer:
        trouble = answer["error"]
        kind: type[AppError] = getattr(errors, trouble["kind"] or "ModelTrouble", ModelTrouble)
        raise kind(trouble["message"], trouble["hint"] or "Nothing was kept; trying again is safe.", trouble["detail"])
    return answer
