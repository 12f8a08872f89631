"""What may be removed: nothing that a run which waits, works or is paused still reads."""

from rlhf_desktop.core.errors import AppError, BadInput
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.runs import RunConfig, RunState
from rlhf_desktop.jobs.queue import run_folders

_NEEDS_ITS_MODEL: frozenset[RunState] = frozenset({"queued", "starting", "running", "paused"})


def check_unneeded(workspace: Workspace, digest: str, name: str) -> None:
    """Refuse to remove a base model or adapter under a run.

    Args:
        workspace: Whose runs are looked at.
        digest: The hash of the model or adapter.
        name: What the user calls it.

    Raises:
        BadInput: a run that is not over needs it.
    """
    for run in run_folders(workspace):
        try:
            config, state = run.config(), run.state().state
        except AppError:
            continue  # damaged: it will never run again
        if state in _NEEDS_ITS_MODEL and digest in _hashes(config):
            hint = "Let the run come to its end, or cancel it, then remove this."
            raise BadInput(f"{name} is needed by the run “{config.title}”, which is not over.", hint)


def _hashes(config: RunConfig) -> set[str]:
    return {ref.hash for ref in (config.base, config.start, config.reward) if ref is not None}
