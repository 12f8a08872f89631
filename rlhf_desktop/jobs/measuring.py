"""Asks a worker to measure, and remembers the answer: facts about a model and its feedback, and this computer's speed with it."""

import contextlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from rlhf_desktop.core.commands import WorkerJob
from rlhf_desktop.core.devices import DEVICE
from rlhf_desktop.core.errors import AppError, ModelTrouble, WorkerTrouble
from rlhf_desktop.core.files import canonical_json, sha256_text, write_json
from rlhf_desktop.core.measures import CalibrateRequest, CheckRequest, FamilyCheck, ModelCheck, Rates, TextRow, TrialRequest
from rlhf_desktop.core.modelfiles import voice_hash
from rlhf_desktop.core.paths import state_dir
from rlhf_desktop.core.platform import NO_WINDOW
from rlhf_desktop.core.runs import ModelRef, Value
from rlhf_desktop.jobs.commands import package_parent, worker_command, worker_environment
from rlhf_desktop.jobs.device import Device, devices_of, installation_key, known_device, likely_device

_TIMEOUT_S = 900
_KEPT = 64  # answers remembered of each kind
_V = TypeVar("_V", bound=Value)


def check_model(base: ModelRef, rows: Sequence[TextRow] = (), *, command: Sequence[str] | None = None) -> ModelCheck:
    """What a model's template does, and the tokens of some rows. Seconds, then remembered for these very rows.

    Args:
        base: The model; its weights are not loaded.
        rows: Feedback to measure.
        command: What to ask; None: this program's own worker.

    Raises:
        ModelTrouble: its tokenizer cannot be read.
        WorkerTrouble: the worker failed.
    """
    request = CheckRequest(base=base, rows=list(rows))
    file = _file("check", request)
    return _kept(file, ModelCheck) or _ask("check", request, file, ModelCheck, command)


def try_family(base: ModelRef, *, command: Sequence[str] | None = None) -> FamilyCheck:
    """Whether a model chats and learns rightly here, with a small copy of it: some seconds. Not remembered here.

    Raises:
        ModelTrouble: it cannot be loaded.
        WorkerTrouble: the worker failed.
    """
    request = TrialRequest(base=base)
    return FamilyCheck.model_validate(_answer(command or worker_command("trial"), request.model_dump_json().encode(), None))


def known_rates(base: ModelRef, dtype: str = "auto", device: Device | None = None) -> Rates | None:
    """What was measured before with this installation on a device; None before the first. Costs some small files.

    Args:
        base: The model.
        dtype: The number format it computes in.
        device: Where; None: where a run queued now would go.
    """
    request = CalibrateRequest.model_validate({"base": base, "dtype": dtype})
    return _kept(_file("calibrate", request, device or _likely()), Rates)


def calibrate(base: ModelRef, dtype: str = "auto", *, refresh: bool = False, command: Sequence[str] | None = None) -> Rates:
    """How fast a model is where a run queued now would go: about a minute for a small one, then remembered.

    Raises:
        ModelTrouble: it cannot be loaded.
        WorkerTrouble: the worker failed.
    """
    request, device = CalibrateRequest.model_validate({"base": base, "dtype": dtype}), _likely()
    file = _file("calibrate", request, device)
    known = None if refresh else _kept(file, Rates)
    return known or _ask("calibrate", request, file, Rates, command, device)


def _likely() -> Device | None:
    """Without asking anybody: as far as the last probe knows, and if it is there."""
    known = known_device()
    with contextlib.suppress(AppError):
        return likely_device(devices_of(known), ask=False) if known else None
    return None


def _file(kind: str, request: CheckRequest | CalibrateRequest, device: Device | None = None) -> Path:
    """By what is asked (of a model what it is and how it speaks, not its place), this installation, and the device if need be."""
    asked = request.model_dump(mode="json")
    asked["base"] = [request.base.hash, voice_hash(Path(request.base.path))]
    key = [installation_key(), asked, device.name if device else ""]
    return state_dir() / kind / f"{sha256_text(canonical_json(key))[:32]}.json"


def _kept(file: Path, kind: type[_V]) -> _V | None:
    try:
        return kind.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _ask(
    job: WorkerJob, request: Value, file: Path, kind: type[_V], command: Sequence[str] | None, device: Device | None = None
) -> _V:
    found = kind.model_validate(_answer(command or worker_command(job), request.model_dump_json().encode(), device))
    file.parent.mkdir(exist_ok=True)
    for old in sorted(file.parent.glob("*.json"), key=lambda kept: kept.stat().st_mtime)[: -_KEPT + 1]:
        old.unlink(missing_ok=True)
    write_json(file, found.model_dump(mode="json"))
    return found


def _answer(command: Sequence[str], request: bytes, device: Device | None) -> dict[str, Any]:
    hint = "Nothing was changed. Trying again helps if the computer was busy; else install the program again."
    environment = {**worker_environment(), **({DEVICE: device.key} if device else {})}
    try:
        done = subprocess.run(
            command, cwd=package_parent(), env=environment, input=request, capture_output=True, timeout=_TIMEOUT_S,
            check=False, creationflags=NO_WINDOW,
        )  # fmt: skip
        answer = json.loads(done.stdout)
    except (OSError, subprocess.SubprocessError, ValueError) as problem:
        raise WorkerTrouble("The model could not be measured.", hint, str(problem)) from None
    if not isinstance(answer, dict):
        raise WorkerTrouble("The measuring process gave an unexpected answer.", hint, repr(answer)[:1000])
    if trouble := answer.get("error"):
        raise ModelTrouble(trouble["message"], trouble["hint"] or hint, trouble["detail"])
    return answer
