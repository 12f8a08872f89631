"""What the Evaluate room reads: models, held-out prompts, comparisons. It blocks, so it runs on the task threads."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from rlhf_desktop.core.errors import AppError, BadInput, NotFound
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.core.sealing import read_bytes
from rlhf_desktop.evaluation.reward_report import RewardReport
from rlhf_desktop.feedback.conversations import Generator, Project
from rlhf_desktop.feedback.quality import Share
from rlhf_desktop.feedback.split import prompt_hash
from rlhf_desktop.jobs.adapters import AdapterInfo, list_adapters
from rlhf_desktop.jobs.chat_client import ChatWorker
from rlhf_desktop.jobs.queue import Queue
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.agreement import agreement_of
from rlhf_desktop.operations.blind import Evaluation, check_engine, evaluation, next_pair
from rlhf_desktop.operations.blind_results import BlindReport, blind_report, evaluations
from rlhf_desktop.operations.generation import BatchProgress
from rlhf_desktop.operations.history import heldout_prompts
from rlhf_desktop.operations.outlook import outlook
from rlhf_desktop.operations.probes import SideEffects, compare_probes, known_probes, probe_model
from rlhf_desktop.operations.quality import agreement_with_oneself
from rlhf_desktop.operations.reward_review import RewardReview, review_reward
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.evaluate.home import EvaluateFacts


def facts(store: Store, queue: Queue, workspace: Workspace, project: Project, base: ModelRef | None) -> EvaluateFacts:
    """What the room's first page shows."""
    adapters = [info for info in list_adapters(workspace) if base and info.ref.base_hash == base.hash]
    return EvaluateFacts(
        base=base,
        policies=[info for info in adapters if info.kind == "policy"],
        rewards=[(info, agreement_of(RunFolder(workspace.runs / info.run_id))) for info in adapters if info.kind == "reward"],
        outlook=outlook(store, queue, project, base),
        evaluations=evaluations(store, project),
    )


def before_and_after(workspace: Workspace, run_id: str) -> tuple[AdapterRef | None, AdapterRef] | None:
    """What a run started from and what it has made; None when it has made no policy."""
    made = next((info.ref for info in list_adapters(workspace, "policy") if info.run_id == run_id), None)
    return (RunFolder(workspace.runs / run_id).config().start, made) if made else None


def fresh_prompts(store: Store, project: Project, evaluation_id: str | None = None) -> list[Messages]:
    """Held-out prompts, those of an evaluation apart."""
    return heldout_prompts(store, project, _asked(store, evaluation_id))


def _asked(store: Store, evaluation_id: str | None) -> set[str]:
    """The hashes of an evaluation's prompts."""
    known = set()
    for pair in evaluation(store, evaluation_id).pairs if evaluation_id else ():
        node = store.conversations.message(pair.old_message)
        known.add(prompt_hash(store.conversations.tree(node.conversation_id).prompt_of(node.id)))
    return known


@dataclass(frozen=True)
class Result:
    """A comparison with what can still be done about it."""

    report: BlindReport
    mine_left: int  # pairs this person has not judged
    more: int  # held-out prompts that are not in it yet
    effects: SideEffects | None  # if they have been measured


def result(store: Store, workspace: Workspace, project: Project, base: ModelRef | None, evaluation_id: str, who: str) -> Result:
    """What a comparison has found."""
    report = blind_report(store, evaluation_id)
    pair = next_pair(store, evaluation_id, who)
    left = pair.total - pair.done if pair else 0
    effects = known_effects(workspace, base, report.evaluation)
    return Result(report, left, store.questions.heldout_count(project.id, _asked(store, evaluation_id)), effects)


def known_effects(workspace: Workspace, base: ModelRef | None, made: Evaluation) -> SideEffects | None:
    """What the probes found about the two models, if they have been put to both."""
    if base is None:
        return None
    try:
        adapters = [adapter_of(workspace, side, base) for side in (made.old, made.new)]
        before, after = (known_probes(workspace, base, adapter) for adapter in adapters)
        return compare_probes(before, after) if before and after else None
    except AppError:
        return None  # a model that is gone, or measured with older questions: it can be measured again


def sides_of(workspace: Workspace, made: Evaluation, base: ModelRef | None) -> list[AdapterRef | None]:
    """Both sides' adapters, to have more answered as before.

    Raises:
        BadInput: another base model is in use, or another engine computes its answers now.
        NotFound: an adapter is not in this workspace any more.
    """
    found = [adapter_of(workspace, side, base) for side in (made.old, made.new)]
    assert base is not None  # or `adapter_of` had refused
    check_engine(made, base)
    return found


def adapter_of(workspace: Workspace, generator: Generator, base: ModelRef | None) -> AdapterRef | None:
    """The adapter that wrote an answer; None for the base model itself.

    Raises:
        BadInput: it stands on another base model than the one in use.
        NotFound: it is not in this workspace any more.
    """
    if base is None or base.hash != generator.model_hash:
        raise BadInput(f"These answers are by models on {generator.model_name}.", "Choose that base model in Models first.")
    if generator.adapter_hash is None:
        return None
    found = next((info.ref for info in list_adapters(workspace, "policy") if info.ref.hash == generator.adapter_hash), None)
    if found is None:
        raise NotFound(
            f"“{generator.adapter_name}” is not in this workspace any more.", "Its judgements are kept; choose another model."
        )
    return found


def measure_effects(
    workspace: Workspace, base: ModelRef | None, made: Evaluation, progress: Callable[[tuple[str, BatchProgress]], None]
) -> SideEffects:
    """Put the probes to both models, in a process of their own; takes minutes."""
    adapters = [adapter_of(workspace, side, base) for side in (made.old, made.new)]
    assert base is not None  # or `adapter_of` had refused
    with ChatWorker() as client:
        held = base.held(*adapters).whole()
        client.load(held)
        before, after = (
            probe_model(client, base=held, adapter=adapter, workspace=workspace, on_progress=partial(_told, progress, name))
            for adapter, name in zip(adapters, (made.old_name, made.new_name), strict=True)
        )
    return compare_probes(before, after)


def _told(progress: Callable[[tuple[str, BatchProgress]], None], name: str, made: BatchProgress) -> None:
    progress((name, made))


def reward_report(workspace: Workspace, info: AdapterInfo) -> RewardReport | None:
    """What a reward run has written about its result; None where it has not, or an earlier version did."""
    try:
        return RewardReport.model_validate_json(read_bytes(workspace.runs / info.run_id / "report.json"))
    except (FileNotFoundError, ValidationError):
        return None


@dataclass(frozen=True)
class RewardFacts:
    """A reward model's own report, and how often this person agrees with themself on answers that came back."""

    report: RewardReport | None
    own: Share


def reward_facts(store: Store, workspace: Workspace, project: Project, info: AdapterInfo, who: str) -> RewardFacts:
    """What the page of a reward model shows at once."""
    return RewardFacts(reward_report(workspace, info), agreement_with_oneself(store, project, who))


def reward_info(workspace: Workspace, run_id: str) -> AdapterInfo | None:
    """The reward model that a run has made, if it did."""
    return next((info for info in list_adapters(workspace, "reward") if info.run_id == run_id), None)


def review(
    store: Store,
    workspace: Workspace,
    project: Project,
    base: ModelRef | None,
    reward: AdapterRef,
    progress: Callable[[BatchProgress], None],
) -> RewardReview:
    """Score the held-out answers in a process of its own; takes a minute or more."""
    if base is None or reward.base_hash != base.hash:
        raise BadInput("This reward model stands on another base model.", "Choose that base model in Models first.")
    with ChatWorker() as client:
        return review_reward(client, store, project, base=base, reward=reward, runs=workspace.runs, on_progress=progress)


def report_folder(workspace: Workspace) -> Path:
    """Where reports go."""
    return workspace.root / "reports"
