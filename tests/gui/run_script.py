"""Run folders written by a script, as a supervisor and a trainer would."""

import os

from rlhf_desktop.core import runs
from rlhf_desktop.core.files import append_jsonl
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.platform import process_ref
from rlhf_desktop.feedback.snapshot import PracticePrompt
from rlhf_desktop.jobs.runfolder import RunFolder


class ScriptedRun:
    """One run; say what its trainer says with `say`, what its supervisor writes with `state`."""

    def __init__(self, context, algorithm="ppo", title="A run", state="running"):
        config = runs.RunConfig(
            run_id=new_id(),
            created="2026-03-14T09:00:00.000+00:00",
            title=title,
            project_id=context.session.project.id,
            algorithm=algorithm,
            base=context.session.base,
            settings={},
            data_sha256="",
        )
        row = PracticePrompt(prompt=[{"role": "user", "content": "hello"}])
        self.folder = RunFolder.create(context.workspace, config, [row])
        self.seq = 0
        self.state(state)

    def state(self, state, **more):
        alive = process_ref(os.getpid()) if state in ("starting", "running") else None
        self.folder.write_status(runs.RunStatus(state=state, queued_at=1.0, supervisor=alive, worker=alive, **more))

    def say(self, event, **values):
        made = event(seq=self.seq, time=1000.0 + self.seq, **values)
        append_jsonl(self.folder.events, made.model_dump(mode="json"))
        self.seq += 1
        self.folder.heartbeat.touch()

    def steps(self, first, last, total=100, **values):
        for step in range(first, last + 1):
            self.say(runs.Metrics, step=step, values={"objective/kl": 0.1 * step, "objective/scores": 1.0, **values})
        self.say(runs.Progress, phase="practising", step=last, total=total, eta_s=120.0, tokens_per_s=400.0)

    def result(self, kind="policy"):
        self.folder.adapter.mkdir()
        (self.folder.adapter / "adapter_config.json").write_text("{}")
        (self.folder.adapter / "adapter_model.safetensors").write_bytes(self.folder.id.encode())
        self.say(runs.Artifact, path="adapter", kind=kind)
