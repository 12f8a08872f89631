"""How a project's answers are drawn where nobody says otherwise: in new conversations, in Label, in comparisons "as in chat"."""

from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.store.database import Store

_THOUGHT = "thought_tokens"


def usual_sampling(store: Store, project: Project) -> Sampling:
    """The defaults, with the room for thoughts that was chosen for the project: none unless it was."""
    return Sampling(max_thought_tokens=store.settings.get(_THOUGHT, 0, project.id))


def choose_thought_room(store: Store, project: Project, tokens: int) -> None:
    """Let the project's models think so many tokens before they answer; 0: they answer at once, where they can."""
    store.settings.set(_THOUGHT, tokens or None, project.id)
