"""What a run's page is opened with, read off the GUI thread. Qt-free."""

from collections.abc import Sequence
from dataclasses import dataclass

from rlhf_desktop.core.runs import AdapterRef, RunConfig
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.jobs.runnotes import RunNotes
from rlhf_desktop.operations.lineage import LineageStep
from rlhf_desktop.operations.outlook import Outcome


@dataclass(frozen=True)
class RunFacts:
    """A run's name now, what it was given, what is said about it, and the runs behind it, itself first."""

    title: str
    config: RunConfig
    notes: RunNotes
    steps: Sequence[LineageStep]
    outcome: Outcome  # what may be said of its result

    @property
    def chain(self) -> list[str]:
        """From the base model to this run, by name."""
        return [self.config.base.name, *(step.title for step in reversed(self.steps[1:])), self.title]


def result_ref(run: RunFolder, config: RunConfig) -> AdapterRef:
    """The result a run has or will have: enough to ask for its lineage."""
    return AdapterRef(name=config.title, path=str(run.adapter), hash="", base_hash=config.base.hash)
