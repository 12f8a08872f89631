"""What the tests of the operations share: a queue that starts nobody, a model that answers by rule, feedback in a few words."""

import json
from pathlib import Path

from rlhf_desktop.core.files import append_jsonl, sha256_file
from rlhf_desktop.core.protocol import Completion, Sampling, ScoreResult
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.blind import begin_evaluation, judge_pair, next_pair
from rlhf_desktop.operations.feedback import import_feedback
from rlhf_desktop.operations.outlook import outlook
from rlhf_desktop.operations.rounds import rounds
from rlhf_desktop.operations.training import start_run

BASE = ModelRef(name="tiny", path="/models/tiny", hash="base-hash")


class QuietQueue(Queue):
    """A queue whose runs nobody works on."""

    def ensure_supervisor(self) -> None:
        pass


class RuleClient:
    """An inference worker without a model: answers "<adapter> answer <i>", scores by length."""

    def __init__(self, several_scorers=False) -> None:
        self.several_scorers = several_scorers
        self.loaded = None
        self.scored_at_once = []

    def load(self, base):
        self.loaded = base

    def generate(self, prompts, k=1, adapter=None, sampling=None, seed=0, on_reply=None):
        name = adapter.name if adapter else "base"
        rows = [[self._completion(j, i, f"{name} answer {i}") for i in range(k)] for j in range(len(prompts))]
        for row in rows:
            for completion in row:
                on_reply(completion)
        return rows

    @staticmethod
    def _completion(prompt, number, text):
        return Completion(id="r", prompt=prompt, completion=number, text=text, tokens=3, finish="end")

    def score(self, reward, prompts, completions):
        self.scored_at_once.append(len(prompts))
        scores = [[float(len(text)) for text in row] for row in completions]
        if not self.several_scorers:
            return ScoreResult(id="r", scores=scores)
        return ScoreResult(
            id="r", scores=scores, std=[[0.5] * len(row) for row in scores], least=[[s - 1 for s in row] for row in scores]
        )


def adapter(name="Tuned", base_hash=BASE.hash, path="/elsewhere/adapter", hash="hash") -> AdapterRef:  # noqa: A002 (the field's name)
    return AdapterRef(name=name, path=str(path), hash=hash, base_hash=base_hash)


def user(text):
    return [{"role": "user", "content": text}]


def ranking(prompt, *texts):
    """A row of rankings JSONL, best answer first."""
    return {"prompt": user(prompt), "completions": [{"text": text, "rank": n} for n, text in enumerate(texts, 1)]}


def example(prompt, answer):
    return {"prompt": user(prompt), "completion": answer}


def write_lines(path: Path, *rows) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8")
    return path


def finish(run: RunFolder, **metrics: float) -> RunFolder:
    """End a queued run as its trainer would: an adapter of its own, a `finished` event, and the status of one that is done."""
    run.adapter.mkdir()
    (run.adapter / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (run.adapter / "adapter_model.safetensors").write_text(run.id)
    append_jsonl(run.events, {"v": 1, "seq": 0, "time": 1.0, "type": "finished", "outcome": "done", "metrics": metrics})
    run.write_status(run.status().model_copy(update={"state": "done"}))
    return run


def adapter_of(run: RunFolder) -> AdapterRef:
    """The result of a finished run."""
    hashed = sha256_file(run.adapter / "adapter_model.safetensors")
    return AdapterRef(name=run.config().title, path=str(run.adapter), hash=hashed, base_hash=BASE.hash)


HELD_OUT = [user(f"Held out {n}") for n in range(20)]


class Loop:
    """A project that goes through its loop."""

    def __init__(self, store, project, workspace, tmp_path, held_out=20):
        self.store, self.project, self.workspace, self.tmp_path = store, project, workspace, tmp_path
        self.queue = QuietQueue(workspace)
        self.asked = 0
        store.prompts.create_set(project.id, "held out", HELD_OUT[:held_out], "heldout")

    def judge(self, count):
        rows = [ranking(f"Question {self.asked + n}", "good", "bad") for n in range(count)]
        self.asked += count
        import_feedback(self.store, self.project, write_lines(self.tmp_path / f"{self.asked}.jsonl", *rows))

    def train(self, algorithm="dpo", start=None, **metrics):
        return finish(self.begin(algorithm, start), **metrics)

    def begin(self, algorithm="dpo", start=None):
        return start_run(self.store, self.queue, self.project, algorithm, base=BASE, start=start)

    def evaluate(self, run, outcomes):
        """`outcomes`: for each pair the verdict for the new model."""
        pairs = [(p, self.completion("old"), self.completion("new")) for p in HELD_OUT[: len(outcomes)]]
        made = begin_evaluation(
            self.store, self.project, base=BASE, old=None, new=adapter_of(run), sampling=Sampling(), seed=1, answered=pairs
        )
        for outcome in outcomes:
            if outcome is not None:
                pair = next_pair(self.store, made.id, "me")
                better = "left" if (pair.left == "new") == (outcome == 1) else "right"
                judge_pair(self.store, pair, "tie" if outcome == 0.5 else better, who="me", seconds=1)
        return made

    @staticmethod
    def completion(text):
        return Completion(id="r", prompt=0, completion=0, text=text, tokens=1, finish="end")

    @property
    def outlook(self):
        return outlook(self.store, self.queue, self.project)

    @property
    def next(self):
        return self.outlook.step

    @property
    def rounds(self):
        return rounds(self.store, self.queue, self.project)
