"""Which conversations the list shows, and where they are filed: asked of the store, the pages off this thread."""

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.operations.conversations import find_conversations
from rlhf_desktop.store.conversations import ConversationStore
from rlhf_desktop.store.shelf import ConversationCursor, ConversationPage, ConversationQuery
from rlhf_desktop.ui.chat.conversation_list import Shelves
from rlhf_desktop.ui.context import Context


class Shelving(QObject):
    """What the list asks for and tells."""

    changed = Signal()  # something was filed or tagged

    def __init__(self, context: Context, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._context = context

    def fetch(self, query: ConversationQuery, after: ConversationCursor | None, then: Callable[[ConversationPage], None]) -> None:
        """Look for a page of conversations."""
        self._context.tasks.run(
            find_conversations, self._context.store, self._context.session.project, query, after,
            on_success=then, on_failure=self._context.session.troubled.emit,
        )  # fmt: skip

    def shelves(self) -> Shelves:
        """The folders and tags in use."""
        shelf, project = self._context.store.conversations, self._context.session.project.id
        return Shelves(tuple(shelf.folders(project)), tuple(shelf.tags(project)))

    def tags_of(self, conversation_id: str) -> tuple[str, ...]:
        """The tags of one conversation."""
        return self._context.store.conversations.tags_of([conversation_id]).get(conversation_id, ())

    def file(self, conversation_id: str, folder: str) -> None:
        """Put a conversation into a folder."""
        self._change(lambda shelf: shelf.file([conversation_id], folder))

    def tag(self, conversation_id: str, tag: str, on: bool) -> None:
        """Put a tag on it, or take it off."""
        self._change(lambda shelf: (shelf.tag if on else shelf.untag)([conversation_id], tag))

    def _change(self, change: Callable[[ConversationStore], None]) -> None:
        try:
            change(self._context.store.conversations)
        except AppError as trouble:
            self._context.session.troubled.emit(trouble)
        self.changed.emit()
