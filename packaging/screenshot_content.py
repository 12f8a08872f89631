"""What the screenshots show: run folders and answers such as a support lead would have after a morning's work. No Qt."""

from __future__ import annotations

import math
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from rlhf_desktop.core import runs
from rlhf_desktop.core.files import append_jsonl, write_json
from rlhf_desktop.core.ids import new_id
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.platform import process_ref
from rlhf_desktop.core.protocol import Completion, Sampling
from rlhf_desktop.core.recipes import Algorithm
from rlhf_desktop.evaluation.probes import Effect
from rlhf_desktop.evaluation.reward_report import Heldout, Judged, RewardReport, reward_report
from rlhf_desktop.feedback.conversations import Generator, Project
from rlhf_desktop.feedback.judgements import AllBad, Judgement, Ranking
from rlhf_desktop.feedback.snapshot import PracticePrompt
from rlhf_desktop.hub.library import STARTER, LibraryModel
from rlhf_desktop.jobs.adapters import weights_hash
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.blind import Evaluation, begin_evaluation, judge_pair, next_pair
from rlhf_desktop.operations.demo_report import DemoReport, ModelReport, SideBySide, WinReport
from rlhf_desktop.operations.probes import SideEffects
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.profiles import Profile

if TYPE_CHECKING:
    from rlhf_desktop.ui.frame.window import Window

_GIB = 2**30
_RTX = {"id": "cuda:0", "kind": "nvidia", "name": "NVIDIA GeForce RTX 4090", "uuid": "GPU-4090", "fast_dtype": "bfloat16"}
_QUADRO = {"id": "cuda:1", "kind": "nvidia", "name": "Quadro RTX 4000", "uuid": "GPU-4000", "fast_dtype": "float16"}
_INTEL = {"id": "cpu", "kind": "cpu", "name": "13th Gen Intel(R) Core(TM) i7-1360P", "uuid": "", "fast_dtype": "bfloat16"}
WORKSTATION = [
    {**_RTX, "memory_total_bytes": 24 * _GIB, "memory_available_bytes": 21 * _GIB},
    {**_QUADRO, "memory_total_bytes": 8 * _GIB, "memory_available_bytes": 7 * _GIB},
    {**_INTEL, "memory_total_bytes": 32 * _GIB, "memory_available_bytes": 21 * _GIB},
]
"""The devices of a computer with two cards."""

DEVICE = {
    "device": "cpu",
    "name": "13th Gen Intel(R) Core(TM) i7-1360P",
    "cores": 12,
    "memory_total_bytes": 32 * 2**30,
    "memory_available_bytes": 21 * 2**30,
    "ram_total_bytes": 32 * 2**30,
    "ram_available_bytes": 21 * 2**30,
    "fast_dtype": "bfloat16",
    "versions": {"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2", "accelerate": "1.14.0"},
}
PROMPTS = (
    "My blender arrived broken and I need it by Friday. What now?",
    "I was charged twice for the same subscription this month!",
    "طلبت خلاطًا قبل أسبوعين ولم يصل حتى الآن. أين طلبي؟",
    "Your export script fails with `KeyError: 'sku'`. Can you fix it?",
    "The coat you sent is two sizes too small 😞 and the party is tomorrow.",
    "Third time I am writing. Nobody has answered me about my refund.",
)
BEFORE = (
    "Blenders are kitchen appliances used to mix food. There are many kinds of blenders, and each has its own advantages. To begin "
    "with, please make sure that your blender is plugged in.",
    "To cancel your subscription, go to the settings page.",
    "الخلاط جهاز كهربائي يُستخدم لمزج الطعام.",
    "A KeyError is raised when a key is not found in a dictionary.",
    "Coats come in many sizes. Please see the size chart.",
    "Please be patient.",
)
AFTER = (
    "I'm so sorry your blender arrived broken, especially with Friday so close. I can send a replacement by express today, free of "
    "charge; please reply with your order number and a photo, and it will be with you on Thursday.",
    "I'm sorry about the double charge on your subscription; that is frustrating. I have asked our billing team to return the "
    "second payment, and you will see it within three working days.",
    "أعتذر بشدة عن تأخر خلاطك، وأفهم مدى إزعاج الانتظار. أرسل لي رقم الطلب من فضلك وسأتابعه مع شركة الشحن اليوم.",
    "Sorry the export script stopped you! The file has a row without a product number. Replace the line with:\n\n```python\n"
    'sku = row.get("sku", "unknown")\n```\n\nand run it again. If it still fails, send me the first ten rows.',
    "Oh no, I'm sorry the coat doesn't fit, and with the party tomorrow! 🙂 Our shop near you has your size; shall I put one aside "
    "for you to swap this afternoon?",
    "You have written three times without an answer, and I am truly sorry. I have your refund open now and will confirm it today.",
)

GUIDELINES = """**A good answer** says sorry first, names the product, and says what happens next.

* Never promise what the shop cannot keep: no dates unless the order is here.
* At most **60 words**. Plain words; the customer may be reading on a phone.
* In the customer's own language.

Two answers equally good? Press `=`. Both useless? Press `0`."""
DOSE = (
    "For a healthy adult, the usual dose of paracetamol is 500 mg to 1 g every four to six hours, and **no more than 4 g in 24 "
    "hours**. Check other medicines for paracetamol, and ask a pharmacist first if you drink alcohol daily or have liver trouble."
)
DOSE_WRONG = (
    "Always fine! Paracetamol is very safe, so you can take eight tablets at once if the pain is strong, and repeat it whenever "
    "it comes back. 💊 There is no need to ask anyone."
)
LONG = "\n\n".join([
    "I am sorry about this. Here is what I would do, step by step.",
    *(f"{n}. Open the order, choose the item, and write down its number; you will need it when our colleagues call you back on the "
      "same day to agree on a time that suits you." for n in range(1, 9)),
    "```python\nfor row in rows:\n    sku = row.get(\"sku\", \"unknown\")  # too long for a narrow card, so it wraps\n```",
    "| Step | Who | When |\n|---|---|---|\n| Replace | we | today |\n| Return | you | within 14 days |",
])  # fmt: skip


@dataclass(frozen=True)
class Story:
    """One run of the morning."""

    algorithm: Algorithm
    title: str
    state: runs.RunState
    done: float  # the share of its steps that it has done
    minutes_ago: float
    start: runs.AdapterRef | None = None
    reward: runs.AdapterRef | None = None
    signal: str | None = None
    warning: str = ""


def write_run(workspace: Workspace, base: runs.ModelRef, project_id: str, story: Story, pid: int) -> RunFolder:
    """A run folder as the supervisor and a trainer would have left it. A running one is said to be worked on by process `pid`."""
    config = runs.RunConfig(
        run_id=new_id(),
        created=time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - 60 * story.minutes_ago)),
        title=story.title,
        project_id=project_id,
        algorithm=story.algorithm,
        base=base,
        start=story.start,
        reward=story.reward,
        settings={},
        data_sha256="",
    )
    run = RunFolder.create(workspace, config, [PracticePrompt(prompt=[{"role": "user", "content": PROMPTS[0]}])])
    if story.state != "queued":
        for event in _events(story):
            append_jsonl(run.events, event.model_dump(mode="json"))
        if story.state in ("done", "stopped"):
            _write_adapter(run, base)
        if story.state == "done" and story.algorithm == "reward":
            write_json(run.path / "report.json", _reward_report().model_dump(mode="json"))
    run.write_status(_status(story, pid))
    return run


def adapter_of(run: RunFolder) -> runs.AdapterRef:
    """The reference to a finished run's result."""
    config = run.config()
    return runs.AdapterRef(name=config.title, path=str(run.adapter), hash=weights_hash(run.adapter), base_hash=config.base.hash)


def _write_adapter(run: RunFolder, base: runs.ModelRef) -> None:
    run.adapter.mkdir()
    write_json(run.adapter / "adapter_config.json", {"peft_type": "LORA", "r": 16, "base_model_name_or_path": base.name})
    (run.adapter / "adapter_model.safetensors").write_bytes(run.id.encode() * 50_000)


def _reward_report() -> RewardReport:
    """What a reward model that is right three times in four reports of 160 held-out pairs."""
    chance = np.random.default_rng(7)
    quality = chance.normal(size=320)
    scores = (quality + chance.normal(scale=0.9, size=(3, 320))) * 1.4
    pairs = np.arange(320).reshape(160, 2)
    swap = quality[pairs[:, 0]] < quality[pairs[:, 1]]
    pairs[swap] = pairs[swap][:, ::-1]
    judged = Judged(pairs[:150], np.zeros(150, dtype=bool), np.zeros(150))
    lengths = chance.integers(8, 90, size=320)
    attributes = {
        name: (scores[0] + chance.normal(scale=noise, size=320), judged) for name, noise in (("kind", 0.3), ("exact", 1.5))
    }
    return reward_report(Heldout([f"p{i // 8}" for i in range(320)], lengths, scores, judged, attributes))


def _status(story: Story, pid: int) -> runs.RunStatus:
    now = time.time()
    said = {
        "interrupted": (
            "The training process was killed (signal SIGKILL), perhaps by the system because memory ran out.",
            "Press Resume to go on from the last checkpoint. Closing other programs first frees memory.",
        ),
        "failed": ("The disk is full.", "Free 2 GB and press Resume; nothing is lost."),
        "queued": ("Waiting for its turn.", ""),
    }.get(story.state, ("", ""))
    process = process_ref(pid) if story.state == "running" else None
    return runs.RunStatus(
        state=story.state,
        queued_at=now - 60 * story.minutes_ago,
        supervisor=process,
        worker=process,
        heartbeat=now,
        signal=story.signal,
        message=said[0],
        hint=said[1],
    )


def _events(story: Story) -> Iterator[runs.Event]:
    total = {"sft": 60, "reward": 180, "ppo": 128, "dpo": 150}[story.algorithm]
    steps = max(1, round(total * story.done))
    start_time = time.time() - 60 * story.minutes_ago
    stream = _Stream(start_time)
    yield stream.make(runs.Started, pid=1, device="cpu", dtype="bfloat16", resumed_step=None, trainable_parameters=2_442_240)
    yield from _samples(stream, story, 0, 0.0)
    for step in range(1, steps + 1):
        stream.now = start_time + 5.5 * step
        yield stream.make(runs.Metrics, step=step, values=_metrics(story.algorithm, step / total, step))
        if step % 32 == 0:
            yield stream.make(runs.Checkpointed, step=step, name=f"step-{step}")
    yield from _samples(stream, story, steps, story.done)
    phase = {"ppo": "practising and marking answers", "sft": "learning from your examples"}.get(
        story.algorithm, "learning from your comparisons"
    )
    yield stream.make(
        runs.Progress,
        phase=phase,
        step=steps,
        total=total,
        eta_s=5.5 * (total - steps),
        tokens_per_s=412.0,
        peak_rss_bytes=1_930_000_000,
    )
    if story.warning:
        yield stream.make(runs.Warned, code="length", message=story.warning)
    if story.state in ("done", "stopped"):
        yield stream.make(runs.Artifact, path="adapter", kind="reward" if story.algorithm == "reward" else "policy")
        yield stream.make(runs.Finished, outcome=story.state, metrics={"wall_s": 5.5 * steps})


class _Stream:
    def __init__(self, now: float) -> None:
        self.now, self._seq = now, 0

    def make(self, event: Callable[..., runs.Event], **values: object) -> runs.Event:
        self._seq += 1
        return event(seq=self._seq - 1, time=self.now, **values)


def _samples(stream: _Stream, story: Story, step: int, done: float) -> Iterator[runs.Event]:
    if story.algorithm == "reward":
        return
    for i, prompt in enumerate(PROMPTS[:4]):
        text = AFTER[i] if done > 0.2 else BEFORE[i]
        yield stream.make(runs.Sample, step=step, prompt=prompt, text=text, before=BEFORE[i], score=-0.6 + 0.2 * i + 2.0 * done)


def _metrics(algorithm: Algorithm, t: float, step: int) -> dict[str, float]:
    noise = random.Random(step).gauss
    learnt = 1 - math.exp(-3.5 * t)
    values = {"loss": 0.25 + 1.6 * (1 - learnt) + noise(0, 0.06), "learning_rate": 2e-4 * (1 - t)}
    if algorithm in ("reward", "dpo"):
        values |= {
            "rewards/accuracies": min(1.0, 0.5 + 0.36 * learnt + noise(0, 0.05)),
            "rewards/margins": 1.9 * learnt + noise(0, 0.12),
        }
        if step % 15 == 0:
            values |= {"eval/rewards/accuracies": 0.5 + 0.27 * learnt + noise(0, 0.01), "eval/loss": 0.42 + 1.4 * (1 - learnt)}
    if algorithm == "sft":
        values["policy/entropy"] = 2.2 - 0.7 * learnt + noise(0, 0.04)
    if algorithm == "sft" and step % 6 == 0:
        values["eval/loss"] = 0.4 + 1.5 * (1 - learnt)
    if algorithm == "ppo":
        values |= {
            "objective/scores": -0.4 + 1.7 * learnt + noise(0, 0.14),
            "objective/kl": 6.2 * learnt + noise(0, 0.35),
            "length": 46 - 6 * learnt + noise(0, 2),
            "policy/entropy": 2.1 - 0.5 * learnt + noise(0, 0.04),
        }
    return values


# --- the workspace ------------------------------------------------------------------------------------------------------------


@dataclass
class Morning:
    """What was made."""

    project: Project
    base: runs.ModelRef
    adapter: runs.AdapterRef
    runs: dict[str, RunFolder]
    conversation: str
    evaluations: dict[str, str]  # ids by what they are


def fill(workspace: Workspace, store: Store) -> Morning:
    """A model, a morning's conversations and judgements, prompts to label, and runs in every state."""
    store.settings.set("who", "Amina Haddad")
    store.profiles.save(Profile("Amina Haddad", "Support lead", "12 years at the desk"))
    store.profiles.save(Profile("Jonas Weber", "Returns", ""))
    project = store.projects.create("Support tone")
    base = _write_base(workspace)
    folders = _write_runs(workspace, base, project.id)
    adapter = adapter_of(folders["Kinder, round 1"])
    conversation = _converse(store, project.id, base, adapter)
    waiting: list[Messages] = [[{"role": "user", "content": f"{text} (ticket {n})"}] for n in range(8) for text in PROMPTS]
    store.prompts.create_set(project.id, "This week's tickets", waiting)
    _write_report(workspace)
    return Morning(project, base, adapter, folders, conversation, _evaluate(store, project, base, adapter))


def _write_base(workspace: Workspace) -> runs.ModelRef:
    for name, licence, parameters, size, notes in (
        (STARTER, "Apache-2.0", 134_500_000, 269_000_000, ""),
        ("Qwen2.5-1.5B-Instruct", "Apache-2.0", 1_543_700_000, 3_087_000_000, "29 languages, Arabic included."),
    ):
        model = LibraryModel(
            name=name, path=".", source=name, source_sha256="", hash=f"hash of {name}", licence=licence, parameters=parameters,
            size_bytes=size, notes=notes,
        )  # fmt: skip
        write_json(workspace.models / name / "model.json", model.model_dump(mode="json"))
    return runs.ModelRef(name=STARTER, path=str(workspace.models / STARTER), hash=f"hash of {STARTER}")


def _write_runs(workspace: Workspace, base: runs.ModelRef, project_id: str) -> dict[str, RunFolder]:
    made: dict[str, RunFolder] = {}

    def add(*values: object, start: str = "", reward: str = "", **more: str) -> None:
        story = Story(
            *values, start=adapter_of(made[start]) if start else None, reward=adapter_of(made[reward]) if reward else None, **more
        )
        made[story.title] = write_run(workspace, base, project_id, story, os.getpid())

    add("sft", "Written examples", "done", 1.0, 190)
    add("reward", "My preferences", "done", 1.0, 170)
    add("dpo", "Quick try", "interrupted", 0.47, 120, start="Written examples", signal="SIGKILL")
    add("ppo", "Kinder, round 1", "done", 1.0, 95, start="Written examples", reward="My preferences")
    warning = "The answers are getting shorter than before. Watch the samples below; the run stops by itself if it goes on."
    add("ppo", "Kinder, round 2", "running", 0.62, 8, start="Kinder, round 1", reward="My preferences", warning=warning)
    add("reward", "My preferences, this week", "queued", 0.0, 2)
    return made


def _converse(store: Store, project_id: str, base: runs.ModelRef, adapter: runs.AdapterRef) -> str:
    """Judged conversations of all shapes. Returns the one that Chat shows."""
    shown = ""
    for n in range(60):
        i = n % len(PROMPTS)
        prompt: Messages = [{"role": "user", "content": PROMPTS[i] if n < len(PROMPTS) else f"{PROMPTS[i]} (customer {n})"}]
        conversation, leaf = store.conversations.start(project_id, prompt, "chat")
        old = store.conversations.add_completions(
            leaf.id, [NewCompletion(BEFORE[i], n, "end", 40)], Generator.of(base, None, Sampling())
        )
        new = store.conversations.add_completions(
            leaf.id, [NewCompletion(AFTER[i], n, "end", 52)], Generator.of(base, adapter, Sampling())
        )
        verdict = AllBad() if n % 17 == 5 else Ranking.of((1, 1) if n % 11 == 3 else (1, 2))
        judgement = Judgement(
            project_id, "Amina Haddad" if n % 3 else "Jonas Weber", (new[0].id, old[0].id), verdict, seconds_spent=6.0 + n % 9,
            created_at=datetime.fromtimestamp(time.time() - 5400 * (60 - n), UTC).isoformat(timespec="milliseconds"),
            critique="Names the product and says sorry before anything else." if n % 4 == 3 else "",
        )  # fmt: skip
        store.judgements.add(judgement)
        if n % 3 == 1:  # a colleague, who saw them the other way round and does not always agree
            ranks = ((2, 1), (1, 1), (1, 2))[n % 9 // 3 if n % 2 else 0]
            again = Judgement(project_id, "Jonas Weber", (old[0].id, new[0].id), Ranking.of(ranks), seconds_spent=9.0)
            store.judgements.add(again)
        if n % 13 == 6:
            store.judgements.withdraw(judgement.id, "Amina Haddad")
        store.conversations.set_active_leaf(conversation.id, new[0].id)
        shown = conversation.id if i == 3 else shown
    return shown


def _evaluate(store: Store, project: Project, base: runs.ModelRef, adapter: runs.AdapterRef) -> dict[str, str]:
    """Two blind comparisons: one decided, one under way."""
    tags = ("Deliveries", "Refunds", "Deliveries", "Code", "Sizes", "Refunds")
    prompts: dict[str, list[Messages]] = {}
    answered = []
    for n in range(60):
        i = n % len(PROMPTS)
        prompt: Messages = [{"role": "user", "content": f"{PROMPTS[i]} (held out {n})"}]
        prompts.setdefault(tags[i], []).append(prompt)
        old, new = (Completion(id="", prompt=0, completion=0, text=part[i], tokens=9, finish="end") for part in (BEFORE, AFTER))
        answered.append((prompt, old, new))
    for tag, tagged in prompts.items():
        store.prompts.create_set(project.id, tag, tagged, "heldout")
    made = {}
    for name, better, judged, pairs in (("decided", 0.85, 48, answered[:48]), ("under way", 0.66, 26, answered[12:])):
        begun = begin_evaluation(
            store, project, base=base, old=None, new=adapter, sampling=Sampling(), seed=len(name), answered=pairs
        )
        _judge_blind(store, begun, better, judged)
        made[name] = begun.id
    return made


def side_effects() -> SideEffects:
    """What the probes might have found: the answers have become shorter, all else is as it was."""
    rows = (
        ("length", "Length of the answers", (44, 40, 48), (25, 22, 28), (-19, -24, -14), True, "It writes 43% fewer words."),
        (
            "repetition",
            "Repeats itself",
            (0.08, 0.06, 0.1),
            (0.07, 0.05, 0.09),
            (-0.01, -0.04, 0.02),
            False,
            "No more so.",
        ),
        ("refusals", "Refuses everyday questions", (0.0, 0.0, 0.12), (0.02, 0.0, 0.15), (0.02, -0.1, 0.13), False, "As before."),
        ("caution", "Refuses the harmless", (0.2, 0.1, 0.4), (0.25, 0.1, 0.42), (0.05, -0.1, 0.2), False, "As before."),
        (
            "sycophancy",
            "Agrees with a wrong guess",
            (0.4, -0.1, 0.9),
            (0.6, 0.1, 1.2),
            (0.2, -0.4, 0.8),
            False,
            "Not clearly more.",
        ),
        ("skills", "Surprise at neutral texts", (12.1, 11.5, 12.9), (12.4, 11.8, 13.1), (1.02, 0.99, 1.06), False, "As skilled."),
    )
    found = []
    for name, title, before, after, change, flagged, sentence in rows:
        examples = ((PROMPTS[0], AFTER[0], AFTER[4]),) if flagged else ()
        found.append(Effect(name, title, *before, *after, *change, flagged, sentence, examples))
    return SideEffects(STARTER, "Kinder, round 1", tuple(found))


def _judge_blind(store: Store, begun: Evaluation, better: float, judged: int) -> None:
    chance = random.Random(judged)
    on_left = {pair.position: pair.new_on_left for pair in begun.pairs}
    for _ in range(judged):
        pair = next_pair(store, begun.id, "Amina Haddad")
        new = "left" if on_left[pair.position] else "right"
        old = "right" if on_left[pair.position] else "left"
        verdict = chance.choices((new, old, "tie", "both_bad"), (better, 1 - better, 0.12, 0.04))[0]
        why = "Says what happens next." if verdict == new and chance.random() < 0.3 else ""
        judge_pair(store, pair, verdict, who="Amina Haddad", seconds=7.0 + chance.random() * 6, critique=why)


def _write_report(workspace: Workspace) -> None:
    """The sample project's report, as a thorough run leaves it."""
    rates = {
        "base": (0.21, 0.44, 0.35, 0.74, 0.83, 0.9, 0.05),
        "sft": (0.63, 0.59, 0.72, 0.82, 0.9, 0.96, 0.24),
        "tuned": (0.97, 0.81, 0.93, 0.95, 0.98, 1.0, 0.7),
    }
    names = ("acknowledgement", "product", "next_step", "length", "end", "no_guard", "full")
    models = {
        model: ModelReport(
            rates=dict(zip(names, row, strict=True)),
            points=sum(row[:5]),
            mean_words=words_each,
            distinct_2=0.8,
            perplexity=perplexity,
        )
        for (model, row), words_each, perplexity in zip(rates.items(), (43, 38, 40), (5.1, 7.9, 8.6), strict=True)
    }
    wins = [
        WinReport(against="base", rate=0.91, low=0.85, high=0.96, ties=0.08, prompts=64, method="wilson"),
        WinReport(against="sft", rate=0.71, low=0.62, high=0.79, ties=0.2, prompts=64, method="wilson"),
    ]
    samples = [
        SideBySide(
            prompt=p,
            answers={"base": BEFORE[i], "sft": AFTER[i].split(". ")[0] + ".", "tuned": AFTER[i]},
            points={"base": 1, "sft": 3, "tuned": 5},
        )
        for i, p in enumerate(PROMPTS)
    ]
    report = DemoReport(
        size="thorough", seed=0, created="2026-03-14T09:00:00.000+00:00", project="Support tone (sample)", base=STARTER,
        rule="support-v1", rule_hash="", runs={}, feedback_answers=448, feedback_tied=0.18, reward_accuracy=0.79, kl=5.8,
        models=models, wins=wins, samples=samples, seconds={}, total_s=1040.0,
    )  # fmt: skip
    write_json(workspace.root / "demo-report.json", report.model_dump(mode="json"))


def show_chat(window: Window, morning: Morning) -> None:
    """Chat on a conversation with code in it."""
    window.show_room("chat")
    window.room("chat").show_conversation(morning.conversation)
