"""What the tests of the operations share: a queue that starts nobody, a model that answers by rule, feedback in a few words."""

import json
from pathlib import Path

from rlhf_desktop.core.files import append_jsonl, sha256_file
from rlhf_desktop.core.protocol import Completion, ScoreResult
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.jobs.runfolder import RunFolder

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
