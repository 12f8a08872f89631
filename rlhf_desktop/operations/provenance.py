"""Which judgements a run learns from: kept beside its data, so that an adapter leads back to the exact feedback."""

from collections.abc import Iterable

from rlhf_desktop.core.recipes import Algorithm
from rlhf_desktop.feedback.signals import SIGNALS, Judged, settled
from rlhf_desktop.jobs.runnotes import Provenance


def provenance_of(algorithm: Algorithm, judged: Iterable[Judged]) -> Provenance:
    """Which judgements a run learns from, both halves of the split. PPO learns from a reward model, so from none directly."""
    taught_by = {signal.kind for signal in SIGNALS if algorithm in signal.trainers}
    used = [item.judgement for item in settled(judged) if taught_by.intersection(item.judgement.kinds)]
    times = sorted(judgement.created_at for judgement in used)
    return Provenance(
        judgements=[judgement.id for judgement in used],
        guideline_versions=sorted({judgement.guideline_version for judgement in used}),
        first=times[0] if times else "",
        last=times[-1] if times else "",
    )
