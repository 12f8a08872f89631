"""The sample project: the whole loop on the starter model, in small steps that can be taken up again where they ended.

    prepare → examples (SFT) → answers, judged by the rule → reward model → PPO → answers to held-out prompts → report

`run_demo` takes all steps; the window takes them one by one on a thread, through the same `Demo`. Each demo has its own project
and never touches another. What a step has done is written to `demo.json` in the workspace when it is done, and the id of a run as
soon as it is queued, so that an interrupted demo goes on: a half-trained run from its checkpoint, half-sampled answers from the
start of their step. Feedback answers come partly from the base and partly from the SFT model: the reward model must judge what PPO
will show it.
"""

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rlhf_desktop.core.errors import AppError, BadInput, WorkerTrouble
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.protocol import Completion, Sampling
from rlhf_desktop.core.recipes import Algorithm, check_quantization, make_settings
from rlhf_desktop.core.runs import AdapterRef, Finished, Metrics, ModelRef, Progress
from rlhf_desktop.core.sealing import keep_json, read_bytes
from rlhf_desktop.feedback.conversations import Generator, Project, utc_now
from rlhf_desktop.feedback.judgements import Demonstrated, Judgement, Ranking, Rating, Ratings
from rlhf_desktop.feedback.snapshot import Split
from rlhf_desktop.feedback.support_rule import PARTS, RULE_NAME, RuleScore, judge, ranks, rule_hash
from rlhf_desktop.hub.library import Library
from rlhf_desktop.jobs.adapters import resolve_adapter
from rlhf_desktop.jobs.chat_client import ChatWorker
from rlhf_desktop.jobs.device import devices_of, known_device, likely_device
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.demo_plan import (
    QUICK,
    ROWS_AT_ONCE,
    THOROUGH,
    DemoSize,
    DemoState,
    chosen_prompts,
    messages,
    written,
)
from rlhf_desktop.operations.demo_report import (
    DemoAnswer,
    DemoPrompt,
    DemoReport,
    judge_answers,
    model_report,
    points_by_prompt,
    side_by_side,
    win_report,
)
from rlhf_desktop.operations.demo_time import Foresight, foresee
from rlhf_desktop.operations.opening import open_store
from rlhf_desktop.operations.preflight import start_checked
from rlhf_desktop.operations.workload import RunPlan
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.database import Store

SAMPLE_PROJECT = "Support tone (sample)"
RULE_ANNOTATOR = f"{RULE_NAME} (rule)"
EXAMPLES_ANNOTATOR = "sample examples"


@dataclass(frozen=True)
class DemoEvent:
    """Where the demo is, for a progress line."""

    step: str
    title: str
    number: int  # of this step, from 1
    of: int
    text: str = ""
    fraction: float | None = None  # of this step
    eta_s: float | None = None  # of this step
    foreseen_s: float | None = None  # of the whole demo, once this computer was measured
    share: float = 1.0  # of the demo that is done, where the computer is slow


@dataclass(frozen=True)
class DemoStep:
    """One step; `work` may be called again after it was cut short."""

    name: str
    title: str
    work: Callable[["Demo"], None]


class Demo:
    """A demo under way.

    Args:
        workspace: Where everything goes.
        store: Its database.
        queue: Its runs.
        library: Its models.
        size: How much.
        seed: Of sampling and training.
        progress: Told where the demo is; may raise to end it (it can be taken up again).
        chat: Starts an inference worker.
        foresight: Measures this computer, and says how much of the demo it does in what time.
    """

    def __init__(
        self,
        workspace: Workspace,
        store: Store,
        queue: Queue,
        library: Library,
        *,
        size: DemoSize,
        seed: int = 0,
        progress: Callable[[DemoEvent], None],
        chat: Callable[[], ChatWorker] = ChatWorker,
        foresight: Callable[[DemoSize, ModelRef, float], Foresight] = foresee,
    ) -> None:
        self.workspace, self.store, self.queue, self.library = workspace, store, queue, library
        self.whole, self.seed, self.chat, self.foresight = size, seed, chat, foresight
        self._progress = progress
        self._file = workspace.root / "demo.json"
        self.state = self._unfinished() or self._new_state()
        self._step, self._began = STEPS[0], time.monotonic()

    @property
    def size(self) -> DemoSize:
        """How much of everything, on this computer."""
        return self.whole.scaled(self.state.share)

    @property
    def prompts(self) -> dict[str, list[DemoPrompt]]:
        """The prompts of each part."""
        return chosen_prompts(self.size)

    @property
    def project(self) -> Project:
        """The demo's own project."""
        return self.store.projects.get(self.state.project_id)

    def remaining(self) -> list[DemoStep]:
        """The steps still to take, in order."""
        return [step for step in STEPS if step.name not in self.state.done]

    def take(self, step: DemoStep) -> None:
        """Take one step and write down that it is done."""
        self._step, self._began = step, time.monotonic()
        self.say()
        step.work(self)
        spent = self.state.seconds.get(step.name, 0.0) + time.monotonic() - self._began
        self.note(done=(*self.state.done, step.name), seconds={**self.state.seconds, step.name: round(spent, 1)})

    def note(self, **changes: Any) -> None:
        """Change the state and write it down."""
        self.state = self.state.model_copy(update=changes)
        keep_json(self._file, self.state.model_dump(mode="json"))

    def say(self, text: str = "", fraction: float | None = None, eta_s: float | None = None) -> None:
        """Tell where the current step is."""
        number = STEPS.index(self._step) + 1
        state, step = self.state, self._step
        self._progress(DemoEvent(step.name, step.title, number, len(STEPS), text, fraction, eta_s, state.foreseen_s, state.share))

    def measure(self, base: ModelRef) -> None:
        """Find out how long the demo takes here and how much of it is done; where that fails, all of it is."""
        self.say("Measuring how fast this computer is (once, a minute or two)")
        with contextlib.suppress(AppError):
            found = self.foresight(self.whole, base, self._began)
            self.note(share=found.share, foreseen_s=found.seconds)
            self.say()

    def base(self) -> ModelRef:
        """The starter model, installed at need."""
        return self.library.ensure_starter(self.say)

    def adapter(self, algorithm: Algorithm) -> AdapterRef:
        """The result of one of the demo's runs."""
        found = resolve_adapter(self.workspace, self.state.runs[algorithm], "reward" if algorithm == "reward" else "policy")
        assert found is not None  # the text is not empty, so it was found or an error was raised
        return found

    def _unfinished(self) -> DemoState | None:
        """The state of a demo of this size and seed that was cut short, if its project is still there."""
        if not self._file.exists():
            return None
        state = DemoState.model_validate_json(read_bytes(self._file))
        same = (state.size, state.seed) == (self.whole.name, self.seed)
        known = any(project.id == state.project_id for project in self.store.projects.all())
        return state if same and known and len(state.done) < len(STEPS) else None

    def _new_state(self) -> DemoState:
        project = self.store.projects.create(self.store.projects.free_name(SAMPLE_PROJECT), sample=True)
        state = DemoState(size=self.whole.name, seed=self.seed, project_id=project.id)
        keep_json(self._file, state.model_dump(mode="json"))
        return state


def run_demo(
    workspace: Workspace,
    *,
    thorough: bool = False,
    progress: Callable[[DemoEvent], None],
    seed: int = 0,
) -> DemoReport:
    """The whole loop; goes on where an earlier one of the same size and seed was cut short.

    Raises:
        AppError: a step could not be taken; what was done so far is kept.
    """
    workspace.ensure()
    size = THOROUGH if thorough else QUICK
    _refuse_early(size)
    with open_store(workspace) as store:
        return finish(Demo(workspace, store, Queue(workspace), Library(workspace), size=size, seed=seed, progress=progress))


def _refuse_early(size: DemoSize) -> None:
    """What would stop the demo whatever the model: said before the starter model is prepared."""
    parts: dict[Algorithm, dict[str, Any]] = {"sft": size.sft, "reward": size.reward, "ppo": size.ppo}
    for algorithm, settings in parts.items():
        check_quantization(make_settings(algorithm, settings).quantization)
    if (known := known_device()) is not None:
        likely_device(devices_of(known), ask=False)  # the device asked for may not be there
    for part, prompts in chosen_prompts(size).items():
        if not prompts:
            raise BadInput(f"The demo has no prompts for “{part}”.", "Install the program again: its files are not complete.")


def finish(demo: Demo) -> DemoReport:
    """Take all the steps that remain and read the report."""
    for step in demo.remaining():
        demo.take(step)
    return read_report(demo.workspace)


def read_report(workspace: Workspace) -> DemoReport:
    """The report of the last demo that came to its end."""
    return DemoReport.model_validate_json(read_bytes(workspace.root / "demo-report.json"))


# --- the steps ----------------------------------------------------------------------------------------------------------------


def _prepare(demo: Demo) -> None:
    """The model; how much this computer can do; and prompts, split and written examples in the project, whole or not at all."""
    base = demo.base()
    store, project = demo.store, demo.project.id
    if store.prompts.sets(project):
        return
    demo.measure(base)
    sets: tuple[tuple[str, str, Split], ...] = (
        ("Examples", "sft", "train"),
        ("Feedback", "feedback", "train"),
        ("Reward model check", "check", "heldout"),
        ("Held out", "heldout", "heldout"),
    )
    with store.connection.transaction():
        for name, part, split in sets:
            store.prompts.create_set(project, name, [messages(p) for p in demo.prompts[part]], split)
        for prompt, answer in written(demo.prompts["sft"]):
            _, leaf = store.conversations.start(project, messages(prompt), "sample")
            (node,) = store.conversations.add_answers(leaf.id, [answer])
            store.judgements.add(Judgement(project, EXAMPLES_ANNOTATOR, (node.id,), Demonstrated()))


def _train_sft(demo: Demo) -> None:
    _train(demo, "sft", demo.size.sft)


def _train_reward(demo: Demo) -> None:
    _train(demo, "reward", demo.size.reward, start=demo.adapter("sft"))


def _train_ppo(demo: Demo) -> None:
    _train(demo, "ppo", demo.size.ppo, start=demo.adapter("sft"), reward=demo.adapter("reward"))


def _collect(demo: Demo) -> None:
    """Answers of the base and the SFT model to the feedback prompts, all kept, judged by the rule in a shuffled order."""
    prompts = demo.prompts["feedback"] + demo.prompts["check"]
    size, base, sft = demo.size, demo.base(), demo.adapter("sft")
    sources: list[tuple[AdapterRef | None, int]] = [(None, size.base_answers), (sft, size.sft_answers)]
    total = len(prompts) * (size.base_answers + size.sft_answers)
    done, given = 0, []
    with demo.chat() as worker:
        for adapter, k in (source for source in sources if source[1]):
            generator = Generator.of(base, adapter, size.feedback_sampling)
            rows = []
            for row in sample_answers(worker, base, prompts, k, adapter, size.feedback_sampling, demo.seed):
                rows.append(row)
                done += k
                demo.say(f"{done} of {total} answers", done / total)
            given.append((generator, rows))
    with demo.store.connection.transaction():
        tied, pairs = 0, 0
        for place, prompt in enumerate(prompts):
            order = _keep_and_rank(demo, prompt, [(generator, rows[place]) for generator, rows in given])
            tied += sum(a == b for i, a in enumerate(order) for b in order[:i])
            pairs += len(order) * (len(order) - 1) // 2
    demo.note(measures={**demo.state.measures, "feedback_answers": total, "feedback_tied": tied / max(1, pairs)})


def _answer_heldout(demo: Demo) -> None:
    """Answers of all three models to the held-out prompts, sampled as in the chat, all kept."""
    prompts, size, base = demo.prompts["heldout"], demo.size, demo.base()
    models: list[tuple[str, AdapterRef | None]] = [("base", None), ("sft", demo.adapter("sft")), ("tuned", demo.adapter("ppo"))]
    answers: dict[str, list[list[Completion]]] = {}
    total = len(prompts) * len(models)
    with demo.chat() as worker:
        for name, adapter in models:
            answers[name] = []
            for row in sample_answers(worker, base, prompts, size.heldout_answers, adapter, size.heldout_sampling, demo.seed + 1):
                answers[name].append(row)
                demo.say("sampled as in the chat", sum(map(len, answers.values())) / total)
    with demo.store.connection.transaction():
        for place, prompt in enumerate(prompts):
            _, leaf = demo.store.conversations.start(demo.project.id, messages(prompt), "sample")
            for name, adapter in models:
                generator = Generator.of(base, adapter, size.heldout_sampling)
                demo.store.conversations.add_completions(leaf.id, _new(answers[name][place], demo.seed + 1), generator)
    demo.note(heldout={name: flat(prompts, rows) for name, rows in answers.items()})


def _report(demo: Demo) -> None:
    """Judge the held-out answers by the rule and write `demo-report.json`."""
    state, prompts, base = demo.state, {p.id: p for p in demo.prompts["heldout"]}, demo.base()
    scores = {model: judge_answers(prompts, answers) for model, answers in state.heldout.items()}
    points = {model: points_by_prompt(answers, scores[model]) for model, answers in state.heldout.items()}
    models = {}
    with demo.chat() as worker:
        worker.load(base)
        for model, answers in state.heldout.items():
            asked = [messages(prompts[answer.prompt_id]) for answer in answers]
            likelihood = worker.likelihood(None, asked, [[answer.text] for answer in answers])
            models[model] = model_report(scores[model], answers, likelihood)
    report = DemoReport(
        size=state.size,
        seed=state.seed,
        created=utc_now(),
        project=demo.project.name,
        base=base.name,
        rule=RULE_NAME,
        rule_hash=rule_hash(),
        runs=state.runs,
        feedback_answers=int(state.measures["feedback_answers"]),
        feedback_tied=state.measures["feedback_tied"],
        reward_accuracy=state.measures.get("reward_accuracy"),
        kl=state.measures.get("kl"),
        models=models,
        wins=[win_report(other, points, demo.seed) for other in ("base", "sft")],
        samples=side_by_side(demo.prompts["heldout"], state.heldout, points),
        seconds=state.seconds,
        total_s=round(sum(state.seconds.values()), 1),
    )
    keep_json(demo.workspace.root / "demo-report.json", report.model_dump(mode="json"))


STEPS: tuple[DemoStep, ...] = (
    DemoStep("prepare", "Preparing the starter model and the sample prompts", _prepare),
    DemoStep("sft", "Learning from 24 written examples", _train_sft),
    DemoStep("feedback", "Asking for several answers to each complaint, and ranking them", _collect),
    DemoStep("reward", "Learning to judge answers from the rankings", _train_reward),
    DemoStep("ppo", "Practising with PPO", _train_ppo),
    DemoStep("heldout", "Answering complaints that no training has seen", _answer_heldout),
    DemoStep("report", "Comparing the answers", _report),
)


# --- training -----------------------------------------------------------------------------------------------------------------

_TITLES: dict[Algorithm, str] = {"sft": "Sample: examples", "reward": "Sample: reward model", "ppo": "Sample: PPO"}
_MEASURES = {"reward": {"eval/rewards/accuracies": "reward_accuracy"}, "ppo": {"objective/kl": "kl"}}


def _train(
    demo: Demo, algorithm: Algorithm, settings: dict[str, Any], start: AdapterRef | None = None, reward: AdapterRef | None = None
) -> None:
    """Queue a run, or take up the one that was queued before, and follow it to its end."""
    run = _earlier_run(demo, algorithm)
    if run is None:
        plan = RunPlan(algorithm, demo.base(), {**settings, "seed": demo.seed}, start, reward)
        run = start_checked(demo.store, demo.queue, demo.project, plan, title=_TITLES[algorithm])
        demo.note(runs={**demo.state.runs, algorithm: run.id})
    measured = _follow(demo, run)
    wanted = _MEASURES.get(algorithm, {})
    found = {ours: measured[theirs] for theirs, ours in wanted.items() if theirs in measured}
    demo.note(measures={**demo.state.measures, **found})


def _earlier_run(demo: Demo, algorithm: Algorithm) -> RunFolder | None:
    """The run this step has queued before, going again if it was cut short; None if there is none worth going on with."""
    known = demo.state.runs.get(algorithm)
    if known is None:
        return None
    run = demo.queue.find(known)
    condition = run.state()
    if condition.state == "failed":
        return None  # its own checkpoints would only fail again: a new run
    if condition.resumable and condition.state != "stopped":
        demo.queue.resume(run)
    return run


def _follow(demo: Demo, run: RunFolder) -> dict[str, float]:
    """The last value of each measure of the run.

    Raises:
        WorkerTrouble: the run ended without a result; says why.
    """
    measured: dict[str, float] = {}
    for event in demo.queue.follow(run):
        if isinstance(event, Progress):
            demo.say(event.phase, event.step / max(1, event.total), event.eta_s)
        elif isinstance(event, Metrics):
            measured |= event.values
        elif isinstance(event, Finished):
            measured |= {name: float(value) for name, value in event.metrics.items() if value is not None}
    condition = run.state()
    if condition.state not in ("done", "stopped") or not run.adapter.is_dir():
        message = condition.message or "A training run of the demo ended without a result."
        raise WorkerTrouble(message, condition.hint or "Start the demo again: it goes on where it ended.")
    return measured


# --- prompts and answers ------------------------------------------------------------------------------------------------------


def sample_answers(
    worker: ChatWorker,
    base: ModelRef,
    prompts: Sequence[DemoPrompt],
    k: int,
    adapter: AdapterRef | None,
    sampling: Sampling,
    seed: int,
) -> Iterator[list[Completion]]:
    """`k` answers to each prompt in order, some prompts a request. Each request has its own seed, from its first prompt's place."""
    worker.load(base)
    chunk = max(1, ROWS_AT_ONCE // k)
    for first in range(0, len(prompts), chunk):
        asked = [messages(prompt) for prompt in prompts[first : first + chunk]]
        yield from worker.generate(asked, k, adapter, sampling, seed * 100_003 + first)


def _new(answers: Sequence[Completion], seed: int) -> list[NewCompletion]:
    return [NewCompletion.of(answer, seed) for answer in answers]


def flat(prompts: Sequence[DemoPrompt], rows: Sequence[Sequence[Completion]]) -> list[DemoAnswer]:
    """The answers of all prompts, each with its prompt's id."""
    return [
        DemoAnswer(prompt_id=prompt.id, text=answer.text, finish=answer.finish, tokens=answer.tokens)
        for prompt, row in zip(prompts, rows, strict=True)
        for answer in row
    ]


def _keep_and_rank(demo: Demo, prompt: DemoPrompt, given: Sequence[tuple[Generator, Sequence[Completion]]]) -> tuple[int, ...]:
    """Keep all answers to a prompt and the rule's ranking and marks of them, displayed in a shuffled order. Returns the ranks."""
    store = demo.store
    _, leaf = store.conversations.start(demo.project.id, messages(prompt), "sample")
    nodes = []
    for generator, answers in given:
        nodes += store.conversations.add_completions(leaf.id, _new(answers, demo.seed), generator)
    random.Random(f"{demo.seed} {prompt.id}").shuffle(nodes)
    scores = [judge(prompt.prompt, prompt.product, node.content, node.finish) for node in nodes]
    verdict = Ranking.of(ranks(scores))
    displayed = tuple(node.id for node in nodes)
    store.judgements.add(Judgement(demo.project.id, RULE_ANNOTATOR, displayed, verdict, also=(marks(scores),)))
    return verdict.ranks


def marks(scores: Sequence[RuleScore]) -> Ratings:
    """What the rule says of each answer beside its rank: which parts are right, and whether its manner is (no guard tripped)."""
    right = {part: [score.parts[part] > 0 for score in scores] for part in PARTS}
    right["manner"] = [not score.guards for score in scores]
    return Ratings(tuple(Rating(name, 2, tuple(1 + good for good in given)) for name, given in right.items()))
