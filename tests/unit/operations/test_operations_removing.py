import pytest

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.runs import AdapterRef, ModelRef, RunConfig, RunStatus
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.removing import check_unneeded

BASE = ModelRef(name="tiny", path="/m", hash="base")


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "ws").ensure()


def adapter(digest):
    return AdapterRef(name=digest, path="/a", hash=digest, base_hash="base")


@pytest.fixture
def run(workspace):
    config = RunConfig(
        run_id=new_id(), created="2026-03-14T09:00:00+00:00", title="PPO 2", project_id="p", algorithm="ppo", base=BASE,
        start=adapter("taught"), reward=adapter("judge"), settings={}, data_sha256="",
    )  # fmt: skip
    return RunFolder.create(workspace, config, [])


@pytest.mark.parametrize("state", ["queued", "paused"])
@pytest.mark.parametrize("digest", ["base", "taught", "judge"])
def test_what_a_run_needs_stays(workspace, run, state, digest):
    run.write_status(RunStatus(state=state, queued_at=1.0))
    with pytest.raises(BadInput, match="needed by the run “PPO 2”") as caught:
        check_unneeded(workspace, digest, "It")
    assert "cancel it" in caught.value.hint


@pytest.mark.parametrize("state", ["done", "stopped", "cancelled", "failed", "interrupted", "running"])
def test_what_is_over_needs_nothing(workspace, run, state):
    """A run that says it runs, but whose processes are gone, is over too."""
    run.write_status(RunStatus(state=state, queued_at=1.0))
    check_unneeded(workspace, "base", "It")


def test_others_are_not_asked_about(workspace, run):
    check_unneeded(workspace, "another", "It")
    run.config_file.write_text("{")
    check_unneeded(workspace, "base", "It")
