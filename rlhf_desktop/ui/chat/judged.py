"""Judging in Chat: which answers are shown to be judged, and how the conversation goes on from what was said. Knows no widget."""

import random
from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.feedback.conversations import Tree
from rlhf_desktop.feedback.judgements import Judgement
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.chat.shown import ShownConversation
from rlhf_desktop.ui.context import Session
from rlhf_desktop.ui.judging.presenter import Judging, Saved


class JudgedConversation(ShownConversation):
    """The conversation shown, with the judgement of its answers under way."""

    judged = Signal(object)  # Saved: after the conversation goes on from the best answer

    def __init__(
        self,
        store: Store,
        session: Session,
        who: Callable[[], str],
        clock: Callable[[], float],
        chance: random.Random,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(store, session, who, parent)
        self._chance = chance
        self.judging = Judging(store, session, who, clock, self)
        self.judging.saved.connect(self._judged)
        self.judging.troubled.connect(self.troubled)
        session.judgementTakenBack.connect(self._taken_back)
        session.judgementRestored.connect(self._restored)

    @property
    def writing(self) -> bool:
        """Whether answers are being written."""
        return False

    def _is_free(self) -> bool:
        """Whether something else can be done now; while an answer is written it is said that it cannot."""
        if self.writing:
            self._session.announce("An answer is being written. Stop it first, or wait until it has ended.")
        return not self.writing

    def open(self, conversation_id: str) -> None:
        """Show a stored conversation, and the judgement begun in it."""
        super().open(conversation_id)
        self._resume_judging()

    def compare(self, message_id: str) -> None:
        """Judge the alternatives of a stored answer, shuffled."""
        if self._is_free() and self._question_of(message_id):
            siblings = [node.id for node in self._shown.alternatives(message_id)]
            self._start_judging(self._chance.sample(siblings, len(siblings)))

    def judge_one(self, message_id: str) -> None:
        """Judge one stored answer by itself: rate it, mark it, put it right."""
        if self._is_free() and self._question_of(message_id):
            self._start_judging([message_id])

    def thumb(self, message_id: str, up: bool) -> None:
        """A thumb for one stored answer, saved at once."""
        if self._is_free() and self._question_of(message_id):
            self.judging.begin((message_id,), f"chat:{message_id}")
            self.judging.thumb(0, up)
            self.judging.submit()

    def correct(self, message_id: str, text: str) -> None:
        """Save what a stored answer should have said. What more the project asks of an answer is asked before it is saved."""
        if self._is_free() and self._question_of(message_id):
            self.judging.begin((message_id,), f"chat:{message_id}")
            self.judging.correct(0, text)
            self.keep_edit(message_id, "")
            self.judging.submit()

    def _start_judging(self, displayed: list[str]) -> None:
        self.judging.put_away()
        tree = self._shown
        parent = tree.node(displayed[0]).parent_id
        self.conversationShown.emit([turn for turn in self._turns() if not is_below(tree, parent, turn.id)])
        self.judging.begin(tuple(displayed), self._key(displayed))

    def _question_of(self, message_id: str) -> str | None:
        """The message that an answer answers; None, and it is said, for a greeting that opens an imported conversation."""
        question = self._shown.node(message_id).parent_id
        if question is None:
            self.troubled.emit(BadInput("This message opens the conversation: it answers nothing.", "Choose an answer below it."))
        return question

    def _key(self, displayed: list[str]) -> str:
        return f"chat:{displayed[0] if len(displayed) == 1 else self._shown.node(displayed[0]).parent_id}"

    def _resume_judging(self) -> None:
        """A judgement begun here and not saved comes back."""
        path = self._shown.active_path()
        if not path:
            return
        for key in (f"chat:{path[-1].parent_id}", f"chat:{path[-1].id}"):
            kept = self._store.drafts.get(self._session.project.id, self._who(), key)
            if kept and set(kept["displayed"]) <= {node.id for node in self._shown.siblings(path[-1].id)}:
                self._start_judging(kept["displayed"])
                return

    def _judged(self, saved: Saved) -> None:
        """The conversation goes on from the best answer, or from what it should have said."""
        shown = saved.showing.displayed
        leaf = shown[max(saved.best, 0)]
        if saved.judgement.kind == "demonstration":
            leaf = saved.judgement.displayed[0]
        elif saved.text and (parent := self._store.conversations.message(leaf).parent_id):
            (node,) = self._store.conversations.add_answers(parent, [saved.text])
            leaf = node.id
        elif len(shown) == 1:
            leaf = self._shown.leaf_under(leaf)
        self._store.conversations.set_active_leaf(saved.showing.conversation, leaf)
        self._show(saved.showing.conversation)
        self.judged.emit(saved)

    def _taken_back(self, judgement: Judgement) -> None:
        """An undone judgement of this conversation is shown again, to be judged anew."""
        if self._tree is None or self.writing:
            return
        tree = self._store.conversations.tree(self._tree.conversation.id)
        known = {node.id for node in tree.nodes}
        if judgement.displayed and known.issuperset(judgement.displayed):
            self._tree = tree
            parent = tree.node(judgement.displayed[0]).parent_id
            self.conversationShown.emit([turn for turn in self._turns() if not is_below(tree, parent, turn.id)])
            self.judging.take_up(judgement, self._key(list(judgement.displayed)))

    def _restored(self, judgement: Judgement) -> None:
        """What is shown to be judged again counts again: go on."""
        showing = self.judging.showing
        if showing is not None and showing.displayed == judgement.displayed:
            self.judging.put_away()
            self._show(showing.conversation)


def is_below(tree: Tree, ancestor: str | None, message_id: str) -> bool:
    """Whether a message comes after `ancestor` on its branch."""
    return ancestor != message_id and any(node.id == ancestor for node in tree.path(message_id))
