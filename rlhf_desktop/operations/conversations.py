"""Conversations as every list of the window shows them: found by words, folder and tag, without those the user deleted."""

from rlhf_desktop.core.errors import NotFound
from rlhf_desktop.feedback.conversations import Project
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.shelf import ConversationCursor, ConversationPage, ConversationQuery, ConversationSummary

_HIDDEN = "hidden_conversations"


def hide_conversation(store: Store, project: Project, conversation_id: str, hidden: bool = True) -> None:
    """Take a conversation off every list, or put it back. What was judged in it stays."""
    with store.connection.transaction():
        now = set(store.settings.get(_HIDDEN, [], project.id))
        now = now | {conversation_id} if hidden else now - {conversation_id}
        store.settings.set(_HIDDEN, sorted(now), project.id)


def find_conversations(
    store: Store, project: Project, query: ConversationQuery, after: ConversationCursor | None = None, limit: int = 50
) -> ConversationPage:
    """The next conversations that are not deleted; give a page's `next` as `after` to go on."""
    hidden = set(store.settings.get(_HIDDEN, [], project.id))
    found: list[ConversationSummary] = []
    while True:
        page = store.conversations.page(project.id, query, after, limit)
        found += [row for row in page.rows if row.conversation.id not in hidden]
        after = page.next
        if after is None or len(found) >= limit:
            return ConversationPage(tuple(found), after)


def count_conversations(store: Store, project: Project) -> int:
    """How many conversations the lists of the window hold."""
    return store.conversations.count(project.id, set(store.settings.get(_HIDDEN, [], project.id)))


def is_listed(store: Store, project: Project, conversation_id: str) -> bool:
    """Whether a conversation of the project is there and not deleted."""
    try:
        found = store.conversations.get(conversation_id)
    except NotFound:  # erased since
        return False
    return found.project_id == project.id and conversation_id not in store.settings.get(_HIDDEN, [], project.id)
