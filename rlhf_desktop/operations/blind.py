"""What a blind comparison leaves in the store: both answers with who wrote them, and a judgement of them as displayed."""

from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import Completion
from rlhf_desktop.feedback.conversations import Generator, Project
from rlhf_desktop.feedback.judgements import Judgement, Ranking
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.database import Store


def keep_blind_judgement(
    store: Store,
    project: Project,
    prompt: Messages,
    displayed: tuple[tuple[Completion, Generator], tuple[Completion, Generator]],
    ranks: tuple[int, int],
    *,
    who: str,
    seconds: float,
    seed: int,
) -> Judgement:
    """Store a pair and its verdict, whole or not at all.

    Args:
        store: Where to.
        project: Whose. The prompts are held out, so the judgement never trains anything.
        prompt: What was answered.
        displayed: The left and the right answer with what wrote each.
        ranks: Of the left and the right answer; equal for a tie.
        who: Who judged.
        seconds: How long it took.
        seed: The answers' seed.
    """
    with store.connection.transaction():
        _, leaf = store.conversations.start(project.id, prompt, "label")
        nodes = [
            store.conversations.add_completions(leaf.id, [NewCompletion(c.text, seed, c.finish, c.tokens)], generator)[0]
            for c, generator in displayed
        ]
        ids = tuple(node.id for node in nodes)
        return store.judgements.add(Judgement(project.id, who, ids, Ranking.of(ranks), seconds_spent=round(seconds, 2)))
