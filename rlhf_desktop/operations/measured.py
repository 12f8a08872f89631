"""What an adapter is worth, in a few words for lists: how often people preferred it blind, else what held-out prompts said."""

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.words import count
from rlhf_desktop.jobs.adapters import IMPORTED, AdapterInfo, list_adapters
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.blind_results import EvaluationSummary, evaluations
from rlhf_desktop.operations.comparing import HELD_OUT, run_result
from rlhf_desktop.store.database import Store


def measures(workspace: Workspace, store: Store) -> dict[str, str]:
    """Of each adapter that anything is known of, by its hash. A verdict of people counts more than a number of the run's own."""
    found: dict[str, str] = {}
    for project in (*store.projects.all(), *store.projects.archived()):
        for summary in evaluations(store, project):  # newest first
            if summary.judged and summary.evaluation.new.adapter_hash:
                found.setdefault(summary.evaluation.new.adapter_hash, _won(summary))
    for info in list_adapters(workspace):
        if info.ref.hash not in found and (said := _held_out(workspace, info)):
            found[info.ref.hash] = said
    return found


def _won(summary: EvaluationSummary) -> str:
    old, win = summary.evaluation.old, summary.win
    sure = f"{win.low:.0%} to {win.high:.0%}, {count(win.n, 'prompt')}"
    return f"preferred to {old.adapter_name or old.model_name} {win.rate:.0%} ({sure})"


def _held_out(workspace: Workspace, info: AdapterInfo) -> str:
    if info.run_id.startswith(IMPORTED):
        return ""
    result = run_result(RunFolder(workspace.runs / info.run_id))
    known = ((words, result[metric]) for metric, _, words in HELD_OUT.get(info.algorithm, ()) if metric in result)
    words, value = next(known, ("", 0.0))
    return f"{words} {value:.3g}" if words else ""
