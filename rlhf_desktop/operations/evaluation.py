"""Is the reward model right, and is one policy better than another? Always with an interval, and said when it is no evidence."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rlhf_desktop.core.errors import BadInput, NotEnoughFeedback
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.core.words import count, noun
from rlhf_desktop.evaluation.winrate import WinRate, all_pairs, win_rate
from rlhf_desktop.feedback.formats import read_feedback
from rlhf_desktop.feedback.rankings import pairs
from rlhf_desktop.feedback.rows import Problem, RankingRow
from rlhf_desktop.feedback.snapshot import read_snapshot
from rlhf_desktop.feedback.split import prompt_hash
from rlhf_desktop.jobs.chat_client import ChatWorker
from rlhf_desktop.jobs.runfolder import RunFolder
from rlhf_desktop.operations.generation import OnProgress, generate_answers, score_answers
from rlhf_desktop.operations.lineage import lineage
from rlhf_desktop.operations.rows import Answer, AnswerRow


@dataclass(frozen=True)
class RewardReport:
    """How often a reward model orders two answers as the expert did: equal scores count half, the expert's ties don't count.

    `held_out` is None when every prompt of the file was trained on; `seen` is then all there is, and flatters.
    """

    held_out: WinRate | None
    seen: WinRate | None
    caveat: str


@dataclass(frozen=True)
class PolicyReport:
    """Both models' answers to the same prompts; scores and a win rate of B over A where a reward model was given."""

    a: list[AnswerRow]
    b: list[AnswerRow]
    b_over_a: WinRate | None
    caveat: str


def read_rankings_file(path: Path) -> list[RankingRow]:
    """The rankings of a file, used whole or not at all.

    Raises:
        NotFound: there is no such file.
        BadInput: a line cannot be used, or nothing in it is ranked.
    """
    rows = []
    for row in read_feedback(path):
        if isinstance(row, Problem):
            raise BadInput(f"{path.name}, line {row.line}: {row.reason}.", "Mend or remove the line, then try again.")
        if isinstance(row, RankingRow):
            rows.append(row)
    if not rows:
        raise BadInput(f"{path.name} holds no rankings.", "Give rankings, or pairs with chosen and rejected.")
    return rows


def evaluate_reward(
    client: ChatWorker,
    rows: Sequence[RankingRow],
    *,
    base: ModelRef,
    reward: AdapterRef,
    runs: Path,
    on_progress: OnProgress | None = None,
) -> RewardReport:
    """Accuracy on prompts the reward model has not learned from, with its interval by prompts; the others apart.

    Raises:
        NotEnoughFeedback: all the rankings are ties.
    """
    answers = [AnswerRow(row.prompt, tuple(Answer(text) for text in row.completions)) for row in rows]
    scored = score_answers(client, answers, base=base, reward=reward, on_progress=on_progress)
    trained = trained_prompts(runs, reward)
    fresh: dict[str, list[float]] = {}
    seen: dict[str, list[float]] = {}
    for ranking, row in zip(rows, scored, strict=True):
        key = prompt_hash(ranking.prompt)
        outcomes = _agreements(ranking, [answer.score or 0.0 for answer in row.completions])
        if outcomes:
            (seen if key in trained else fresh).setdefault(key, []).extend(outcomes)
    if not fresh and not seen:
        raise NotEnoughFeedback("All the rankings are ties, so there is nothing to agree with.", "Rank some answers above others.")
    caveat = "" if fresh else "Not evidence: the reward model has learned from every one of these prompts."
    return RewardReport(_rate(fresh), _rate(seen), caveat)


def _agreements(ranking: RankingRow, scores: Sequence[float]) -> list[float]:
    """For each pair the expert ordered: 1 when the scores agree, 0.5 when they tie, 0 when they don't."""
    return [all_pairs([scores[p.better]], [scores[p.worse]])[0] for p in pairs(ranking.ranks) if not p.tie]


def _rate(by_prompt: dict[str, list[float]]) -> WinRate | None:
    return win_rate(list(by_prompt.values())) if by_prompt else None


def trained_prompts(runs: Path, adapter: AdapterRef) -> set[str]:
    """Hashes of the prompts that an adapter, and those it stands on, were trained on."""
    found: set[str] = set()
    for config in lineage(runs, adapter):
        found |= _trained_in(RunFolder(runs / config.run_id))
    return found


def _trained_in(run: RunFolder) -> set[str]:
    return {prompt_hash(row.prompt) for row in read_snapshot(run.data) if row.split == "train"}


def compare_policies(
    client: ChatWorker,
    prompts: Sequence[Messages],
    *,
    base: ModelRef,
    a: AdapterRef | None,
    b: AdapterRef | None,
    runs: Path,
    reward: AdapterRef | None = None,
    sampling: Sampling | None = None,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> PolicyReport:
    """One answer of each policy to each prompt; with `reward`, how often B's scores higher than A's."""
    base = base.held(a, b)  # the same for both
    rows = [
        generate_answers(client, prompts, base=base, adapter=adapter, sampling=sampling, seed=seed, on_progress=on_progress)
        for adapter in (a, b)
    ]
    if reward is None:
        return PolicyReport(rows[0], rows[1], None, "")
    scored = [score_answers(client, side, base=base, reward=reward) for side in rows]
    outcomes = [all_pairs(_scores(theirs), _scores(ours)) for ours, theirs in zip(*scored, strict=True)]
    return PolicyReport(scored[0], scored[1], win_rate(outcomes), caveat(runs, reward, (a, b), prompts))


def _scores(row: AnswerRow) -> list[float]:
    return [answer.score or 0.0 for answer in row.completions]


def caveat(runs: Path, reward: AdapterRef, policies: Iterable[AdapterRef | None], prompts: Sequence[Messages]) -> str:
    """Why a win rate by this reward model on these prompts is not evidence; "" when nothing is known against it."""
    for policy in policies:
        for config in lineage(runs, policy):
            if config.reward is not None and config.reward.hash == reward.hash:
                return f"Not evidence: “{config.title}” was trained to please this reward model. Judge it yourself in Evaluate."
    trained = trained_prompts(runs, reward)
    for policy in policies:
        trained |= trained_prompts(runs, policy) if policy else set()
    known = sum(prompt_hash(prompt) in trained for prompt in prompts)
    if known:
        some = f"{known} of {count(len(prompts), 'prompt')} {noun(known, 'was', 'were')}"
        return f"Not evidence: {some} trained on. Use prompts that were held out."
    return ""
