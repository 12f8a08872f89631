"""Run folders for trainers, made by hand as the queue makes them."""

import hashlib
from pathlib import Path

from rlhf_desktop.core.files import read_jsonl, write_atomic
from rlhf_desktop.core.runs import AdapterRef, ModelRef, RunConfig
from rlhf_desktop.feedback.snapshot import (
    Demonstration,
    MarkedAnswer,
    MarkedSpan,
    PracticePrompt,
    RankedAnswers,
    RankedText,
    RatedAnswers,
    RatedText,
    ThumbedAnswer,
    write_snapshot,
)

PROMPTS = [
    "My printer is broken.",
    "The kettle leaks!",
    "Where is my lamp?",
    "You charged me twice.",
    "My phone is dead.",
    "Help me",
]


def ask(text):
    return [{"role": "user", "content": text}]


def demonstrations():
    return [
        Demonstration(prompt=ask(p), completion=f"I am sorry. We will help ({len(p)}).", split=_half(i))
        for i, p in enumerate(PROMPTS)
    ]


def rankings():
    return [
        RankedAnswers(
            prompt=ask(p),
            completions=[
                RankedText(text="I am very sorry to hear that.", rank=1),
                RankedText(text="No.", rank=3),
                RankedText(text="Thank you. We will send a new one.", rank=1),
                RankedText(text="Fine, whatever you say", rank=2),
            ],
            split=_half(i),
        )
        for i, p in enumerate(PROMPTS)
    ]


def ratings():
    """Marks that disagree with each other: the kind answer is the wrong one."""
    return [
        RatedAnswers(
            prompt=ask(p),
            completions=[
                RatedText(text="I am so very sorry.", ratings={"kind": 5, "true": 1}),
                RatedText(text="Order 7 is late.", ratings={"kind": 2, "true": 4}),
                RatedText(text="Go away", ratings={"kind": 1, "true": 1}),
            ],
            split=_half(i),
        )
        for i, p in enumerate(PROMPTS)
    ]


def marked():
    """A rude end marked as bad, in answers that are otherwise let pass."""
    rows = []
    for i, p in enumerate(PROMPTS):
        text = f"We will send a new one ({len(p)}). Go away, fool!"
        span = MarkedSpan(start=text.index("Go"), end=len(text), penalty=2.0)
        rows.append(MarkedAnswer(prompt=ask(p), text=text, spans=[span], split=_half(i)))
    return rows


def thumbs():
    return [
        ThumbedAnswer(prompt=ask(p), text=text, desirable=good, split=_half(i))
        for i, p in enumerate(PROMPTS)
        for text, good in ((f"I am sorry ({len(p)}).", True), ("No.", False))
    ]


def practice():
    return [PracticePrompt(prompt=ask(p), split=_half(i)) for i, p in enumerate(PROMPTS)]


def _half(i):
    return "heldout" if i == 5 else "train"


def make_run(folder: Path, algorithm: str, base: ModelRef, rows, *, start=None, reward=None, **settings) -> Path:
    folder.mkdir(parents=True)
    digest = write_snapshot(folder / "data.jsonl", rows)
    config = RunConfig(
        run_id=folder.name,
        created="2026-01-01T00:00:00Z",
        title=f"test {algorithm}",
        project_id="p",
        algorithm=algorithm,
        base=base,
        start=start,
        reward=reward,
        settings={"dtype": "float32", "lora_rank": 4, "lora_alpha": 8, **settings},
        data_sha256=digest,
    )
    write_atomic(folder / "run.json", config.model_dump_json())
    return folder


def adapter_of(folder: Path, base: ModelRef) -> AdapterRef:
    weights = (folder / "adapter" / "adapter_model.safetensors").read_bytes()
    return AdapterRef(name=folder.name, path=str(folder / "adapter"), hash=hashlib.sha256(weights).hexdigest(), base_hash=base.hash)


def events(folder: Path, kind: str | None = None):
    return [e for e in read_jsonl(folder / "events.jsonl") if kind in (None, e["type"])]
