"""`worker trial`: whether a model chats and learns rightly here, tried once when it is added. Reads JSON on stdin."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import psutil
import torch
from transformers import AutoConfig

from rlhf_desktop.core.errors import ModelTrouble, NoSpace
from rlhf_desktop.core.measures import CheckRequest, FamilyCheck, TrialRequest
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.inference.device import free_cache
from rlhf_desktop.inference.model import load_base
from rlhf_desktop.inference.multimodal import language_part
from rlhf_desktop.training.soundness import check_family
from rlhf_desktop.worker.answer import answer
from rlhf_desktop.worker.check import check

_ROOM = 1.3  # times the size of its files that has to be free, so that the rest of the computer is left alone


def main(argv: Sequence[str], out: BinaryIO) -> int:  # noqa: ARG001 - all jobs are called alike
    """Try it, and write what was found or the trouble."""
    return answer(out, lambda: trial(TrialRequest.model_validate_json(sys.stdin.buffer.read()).base).model_dump(mode="json"))


def trial(base: ModelRef) -> FamilyCheck:
    """Take a small copy of the model through everything, then ask the model itself for a first word.

    Raises:
        ModelTrouble: its files do not belong together, or what it says is no numbers.
    """
    found = check_family(_config(base))
    if found.kind != "refused":
        found = _by_template(base, found)
        if _fits(Path(base.path)):
            _ask(base)
    return found


def _by_template(base: ModelRef, found: FamilyCheck) -> FamilyCheck:
    """What is left of what was found, with this model's own chat template: one that nothing can be learned with only chats.

    Raises:
        ModelTrouble: the template refuses a plain question.
    """
    template = check(CheckRequest(base=base))
    if template.template_trouble:
        raise ModelTrouble(template.template_trouble, "Choose a model whose chat template works here.")
    reason = template.template_refusal(base.name) or template.end_refusal(base.name)
    return found.model_copy(update={"kind": "chats", "sentence": reason}) if reason and found.kind == "trains" else found


def _config(base: ModelRef) -> Any:
    try:
        part = language_part(Path(base.path))
        if part is not None:
            return part.config
        return AutoConfig.from_pretrained(base.path, local_files_only=True, trust_remote_code=False, token=False)
    except Exception as problem:  # transformers raises many kinds for what it does not know
        hint = "Choose a model that the installed transformers supports without running code from the folder."
        raise ModelTrouble(f"The architecture of “{base.name}” is not known to this program.", hint, str(problem)) from problem


def _fits(folder: Path) -> bool:
    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return weights * _ROOM < psutil.virtual_memory().available


@torch.inference_mode()
def _ask(base: ModelRef) -> None:
    try:
        loaded = load_base(base)
    except NoSpace:
        return  # said when it is used; the copy has shown what was to be shown
    ids = loaded.tokenizer("Hello", add_special_tokens=False, return_tensors="pt").input_ids.to(loaded.device)
    logits = loaded.model(input_ids=ids, use_cache=False).logits
    sound = bool(logits.isfinite().all())
    del loaded, logits
    free_cache()
    if not sound:
        hint = "Copy or download the whole model again."
        raise ModelTrouble(f"“{base.name}” answers with what are no numbers: its weights are damaged.", hint)
