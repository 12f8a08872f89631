"""The conversation being shown: which one, what of it, what can be changed about it without asking the model. Knows no widget."""

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.feedback.conversations import Tree
from rlhf_desktop.operations.conversations import hide_conversation
from rlhf_desktop.operations.sampling import choose_thought_room, usual_sampling
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.chat.turns import Turn, turns
from rlhf_desktop.ui.context import Session
from rlhf_desktop.ui.judging.ranking import LETTERS

MOST_ANSWERS = len(LETTERS)


class ShownConversation(QObject):
    """One conversation at a time; what asks the model or judges is added by `ChatPresenter`."""

    conversationShown = Signal(list)  # [Turn]
    titleChanged = Signal(str)
    setupChanged = Signal(str, object, bool)  # instructions, Sampling, whether the conversation has begun
    setupKept = Signal()  # answers are drawn in another way from now on
    troubled = Signal(object)  # AppError

    def __init__(self, store: Store, session: Session, who: Callable[[], str], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store, self._session, self._who = store, session, who
        self._tree: Tree | None = None
        self._instructions = ""  # of a conversation not yet begun
        self._sampling = usual_sampling(store, session.project)

    @property
    def conversation_id(self) -> str | None:
        """The conversation shown; None for a new one."""
        return self._tree.conversation.id if self._tree else None

    @property
    def _shown(self) -> Tree:
        """The conversation whose turns are on the screen: what is done to one of them is done to it."""
        if self._tree is None:
            raise RuntimeError("No stored conversation is shown")
        return self._tree

    def _leave(self) -> None:
        """Before another branch is shown."""

    def new_conversation(self) -> None:
        """Show an empty conversation; it is stored with its first message."""
        self._leave()
        self._tree, self._instructions, self._sampling = None, "", self._usual()
        self.titleChanged.emit("New conversation")
        self.conversationShown.emit([])
        self.setupChanged.emit("", self._sampling, False)

    def open(self, conversation_id: str) -> None:
        """Show a stored conversation."""
        self._leave()
        self._show(conversation_id)

    def rename(self, conversation_id: str, title: str) -> None:
        """Give a conversation another title."""
        if not title.strip():
            return
        self._store.conversations.rename(conversation_id, title)
        if conversation_id == self.conversation_id:
            self.titleChanged.emit(title.strip())
        self._session.conversationsChanged.emit()

    def hide(self, conversation_id: str) -> Callable[[], None]:
        """Take a conversation off the list; its judgements stay. Returns what brings it back."""
        self._set_hidden(conversation_id, True)
        if conversation_id == self.conversation_id:
            self.new_conversation()
        return lambda: self._set_hidden(conversation_id, False)

    def _set_hidden(self, conversation_id: str, hidden: bool) -> None:
        hide_conversation(self._store, self._session.project, conversation_id, hidden)
        self._session.conversationsChanged.emit()

    def _show(self, conversation_id: str) -> None:
        self._tree = self._store.conversations.tree(conversation_id)
        self.titleChanged.emit(self._tree.conversation.title or "New conversation")
        self.conversationShown.emit(self._turns())
        self._sampling = self._kept_sampling(conversation_id)
        first = self._tree.active_path()[:1]
        self.setupChanged.emit(first[0].content if first and first[0].role == "system" else "", self._sampling, bool(first))

    def _turns(self) -> list[Turn]:
        tree = self._shown
        path = tree.active_path()
        ids = {node.generator_id for node in path if node.generator_id}
        judged = {frozenset(j.displayed) for j in self._store.judgements.for_conversation(tree.conversation.id)}
        kept = self._store.drafts.some(self._session.project.id, self._who(), [_edit_key(node.id) for node in path])
        drafts = {node.id: kept[_edit_key(node.id)]["text"] for node in path if _edit_key(node.id) in kept}
        return turns(tree, self._store.conversations.generators(ids), MOST_ANSWERS, judged, drafts)

    # --- one turn

    def delete_turn(self, message_id: str) -> tuple[int, Callable[[], None]]:
        """Take a message and all that follows it off the conversation. Returns how many that were, and what brings them back."""
        conversation, path = self._shown.conversation.id, self._shown.active_path()
        follow = len(path) - [node.id for node in path].index(message_id)
        self._set_deleted(conversation, message_id, True)
        return follow, lambda: self._set_deleted(conversation, message_id, False)

    def _set_deleted(self, conversation_id: str, message_id: str, deleted: bool) -> None:
        is_shown = conversation_id == self.conversation_id
        if is_shown:
            self._leave()
        self._store.conversations.delete_turn(message_id, deleted)
        self._session.conversationsChanged.emit()
        if is_shown:
            self._show(conversation_id)

    def keep_edit(self, message_id: str, text: str) -> None:
        """Keep what is typed of an edit until it is saved or given up (""): it comes back with the conversation."""
        project, who, key = self._session.project.id, self._who(), _edit_key(message_id)
        try:
            if text:
                self._store.drafts.save(project, who, key, {"text": text})
            else:
                self._store.drafts.discard(project, who, key)
        except AppError as trouble:
            self.troubled.emit(trouble)

    # --- how answers are drawn

    @property
    def answering(self) -> tuple[str, Sampling]:
        """The instructions of this conversation, and how its answers are drawn."""
        first = self._tree.active_path()[:1] if self._tree else ()
        said = first[0].content if first and first[0].role == "system" else ""
        return said if self._tree else self._instructions, self._sampling

    def _kept_sampling(self, conversation_id: str) -> Sampling:
        kept = self._store.settings.get(f"sampling:{conversation_id}", None, self._session.project.id)
        return Sampling.model_validate(kept) if kept else Sampling()

    def _usual(self) -> Sampling:
        return usual_sampling(self._store, self._session.project)

    def set_sampling(self, sampling: Sampling) -> None:
        """Draw this conversation's answers like this from now on."""
        self._sampling = sampling
        self.setupKept.emit()
        if self._tree is not None:
            self._keep_sampling()

    def make_usual(self) -> None:
        """Let new conversations of this project, Label and comparisons think as this conversation does."""
        choose_thought_room(self._store, self._session.project, self._sampling.max_thought_tokens)

    def _keep_sampling(self) -> None:
        """Against the program's defaults: the project's may change, and a conversation goes on as it was."""
        value = self._sampling.model_dump(mode="json") if self._sampling != Sampling() else None
        self._store.settings.set(f"sampling:{self.conversation_id}", value, self._session.project.id)


def _edit_key(message_id: str) -> str:
    return f"edit:{message_id}"
