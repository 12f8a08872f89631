"""From an adapter back to what made it: runs, the exact feedback, the guideline versions and the code."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.runs import AdapterRef, RunConfig
from rlhf_desktop.feedback.snapshot import read_snapshot
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.jobs.runnotes import Provenance, provenance, title_of


@dataclass(frozen=True)
class LineageStep:
    """One run behind an adapter. `data_sha256` names the exact feedback in the run folder's `data.jsonl`."""

    config: RunConfig
    title: str
    trained_on: int  # rows of the half that may be trained on
    held_out: int
    data_sha256: str
    judgements: tuple[str, ...]  # ids; empty for feedback from a file
    guideline_versions: tuple[int, ...]
    first: str  # when the oldest and the newest judgement were made, "" when not known
    last: str
    versions: dict[str, str]


def lineage(runs: Path, adapter: AdapterRef | None) -> Sequence[RunConfig]:
    """The runs behind an adapter, newest first, as far as their folders are here."""
    chain: list[RunConfig] = []
    while adapter is not None:
        folder = RunFolder(Path(adapter.path).parent)
        if folder.path.parent.resolve() != runs.resolve() or not folder.config_file.exists():
            break
        chain.append(folder.config())
        adapter = chain[-1].start
    return chain


def adapter_lineage(workspace: Workspace, adapter: AdapterRef | None) -> list[LineageStep]:
    """The runs behind an adapter, newest first, as far as their folders are here."""
    return [_step(RunFolder(workspace.runs / config.run_id), config) for config in lineage(workspace.runs, adapter)]


def _step(run: RunFolder, config: RunConfig) -> LineageStep:
    rows = read_snapshot(run.data)
    trained_on = sum(row.split == "train" for row in rows)
    found = provenance(run) or Provenance()
    return LineageStep(
        config=config,
        title=title_of(run, config.title),
        trained_on=trained_on,
        held_out=len(rows) - trained_on,
        data_sha256=config.data_sha256,
        judgements=tuple(found.judgements),
        guideline_versions=tuple(found.guideline_versions),
        first=found.first,
        last=found.last,
        versions=config.versions,
    )
