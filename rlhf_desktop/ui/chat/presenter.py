"""Decides what happens in Chat: which turns are shown, what is asked of the model, what is stored. Knows no widget."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Signal

from rlhf_desktop.core.errors import AppError, ModelTrouble
from rlhf_desktop.core.messages import Messages
from rlhf_desktop.core.protocol import Begun, Sampling
from rlhf_desktop.feedback.conversations import MessageNode, Tree
from rlhf_desktop.operations.unfinished import recover_unfinished
from rlhf_desktop.store.database import Store
from rlhf_desktop.store.erasing import MESSAGE_THAT_WAITS
from rlhf_desktop.ui.chat.answerer import Answerer
from rlhf_desktop.ui.chat.gauge import Asked, Gauge
from rlhf_desktop.ui.chat.judged import JudgedConversation, is_below
from rlhf_desktop.ui.chat.turns import model_name
from rlhf_desktop.ui.chat.worker_client import WorkerClient
from rlhf_desktop.ui.chat.writing import Writer, Writing
from rlhf_desktop.ui.context import Session

_SEEDS = 2**31


@dataclass(frozen=True)
class Waiting:
    """A message that is sent once the model is ready."""

    text: str
    answers: int
    project: str


class ChatPresenter(JudgedConversation):
    """One conversation at a time, with at most one request of its own under way."""

    begun = Signal()  # the new conversation is stored from now on
    writingStarted = Signal(int)  # how many answers
    thoughtGrew = Signal(int, str)  # displayed place, what was thought so far
    answerGrew = Signal(int, str)  # displayed place, its whole text
    answerEnded = Signal(int, str)  # displayed place, how ("end", "length", "cancelled")
    writingEnded = Signal()
    unansweredChanged = Signal()
    waitingChanged = Signal(str)  # the message that waits for the model; "": none does
    returned = Signal(str)  # a message that was not sent: it goes on being written

    def __init__(
        self,
        store: Store,
        session: Session,
        client: WorkerClient,
        who: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
        chance: random.Random | None = None,
        parent: QObject | None = None,
    ) -> None:
        super().__init__(store, session, who, clock, chance or random.Random(), parent)
        self._answerer = Answerer(session, client, self)
        self._unanswered: tuple[str, int] | None = None  # the message a trouble left without an answer; how many were asked
        self._waiting: Waiting | None = None
        self._writer = Writer(store, self._answerer, self)
        self._writer.thoughtGrew.connect(self.thoughtGrew)
        self._writer.answerGrew.connect(self.answerGrew)
        self._writer.answerEnded.connect(self.answerEnded)
        self._writer.ended.connect(self._finish_writing)
        self._writer.failed.connect(self._failed)
        self._writer.troubled.connect(self.troubled)
        self.draft = ""  # what is being written in the composer
        self.gauge = Gauge(client, session, self._would_ask, clock, self)
        self.conversationShown.connect(lambda _turns: self.gauge.look_soon())
        self.setupKept.connect(self.gauge.look_soon)
        self._answerer.modelLoaded.connect(self._send_waiting)
        self._answerer.loadFailed.connect(self._not_loaded)
        session.modelChanged.connect(self._model_chosen)
        session.modelMissing.connect(self._not_loaded)

    @property
    def writing(self) -> bool:
        """Whether answers are being written."""
        return self._writer.current is not None

    @property
    def answers_at_once(self) -> bool:
        """Whether whoever answers begins at once: the model need not be loaded first."""
        return self._answerer.loaded

    @property
    def waiting(self) -> bool:
        """Whether a message waits for the model."""
        return self._waiting is not None

    @property
    def unanswered(self) -> bool:
        """Whether a trouble has left the last message without an answer: it can be asked again."""
        return self._unanswered is not None

    def set_instructions(self, text: str, answers: int) -> None:
        """Give the model other instructions. A conversation already begun is asked again from its start, on a new branch."""
        if self._tree is None:
            self._instructions = text
            return
        first = next((node for node in self._tree.active_path() if node.role == "user"), None)
        if first is None or self.writing or not self._has_model():
            return
        conversation = self._tree.conversation.id
        with self._store.connection.transaction():
            above = self._store.conversations.add_message(conversation, None, "system", text).id if text else None
            node = self._store.conversations.add_message(conversation, above, "user", first.content)
        self.judging.put_away()
        self._ask(node.id, answers)

    def _leave(self) -> None:
        """Before another branch is shown: stop writing (what is there is kept), put an unsaved ranking away."""
        self._leave_unanswered(None)
        self.take_back()
        self.gauge.forget()
        if self._writer.leave():
            self.writingEnded.emit()
        self.judging.put_away()

    # --- asking

    def send(self, text: str, answers: int) -> bool:
        """Add the user's message and ask for `answers` answers; while the model is got ready, the message waits for it.

        False when there is nothing to send or no model to ask.
        """
        if not text.strip() or self.writing:
            return False
        if self._waiting is not None:
            self._session.announce("One message is waiting for the model already. Edit it to add to it.")
            return False
        if not self._answerer.loaded and (self._session.preparing or self._answerer.ready):
            self._wait(Waiting(text.strip(), answers, self._session.project.id))
            return True
        if not self._has_model():
            return False
        tree = self._tree = self._tree or self._begin_conversation()
        self.judging.put_away()
        path = tree.active_path()
        node = self._store.conversations.add_message(tree.conversation.id, path[-1].id if path else None, "user", text.strip())
        self._session.conversationsChanged.emit()
        self._ask(node.id, answers)
        return True

    def _wait(self, waiting: Waiting) -> None:
        self._waiting = waiting
        self._store.settings.set(MESSAGE_THAT_WAITS, waiting.text, waiting.project)  # the program may end before the model is ready
        self.waitingChanged.emit(waiting.text)
        self._answerer.load()

    def _stop_waiting(self) -> Waiting | None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            self._store.settings.set(MESSAGE_THAT_WAITS, None, waiting.project)
            self.waitingChanged.emit("")
        return waiting

    def _send_waiting(self) -> None:
        """The model is ready: what waits is sent."""
        if self._answerer.loaded and not self.writing and (waiting := self._stop_waiting()):
            self.send(waiting.text, waiting.answers)

    def _model_chosen(self) -> None:
        """Another model answers from now on: what waits, waits for that one."""
        if self._waiting is not None:
            self._answerer.load()
            self._send_waiting()

    def _not_loaded(self, _trouble: AppError) -> None:
        """The model does not come, as the frame says: what waits goes on being written."""
        self.take_back()

    def take_back(self) -> None:
        """Do not send what waits: it goes on being written."""
        if waiting := self._stop_waiting():
            self.returned.emit(waiting.text)

    def recover_waiting(self) -> None:
        """A message that waited when the program ended goes on being written."""
        project = self._session.project.id
        if text := self._store.settings.get(MESSAGE_THAT_WAITS, "", project):
            self._store.settings.set(MESSAGE_THAT_WAITS, None, project)
            self.returned.emit(text)

    def cancel_waiting(self) -> Callable[[], None] | None:
        """Forget the message that waits. Returns what brings it back into the composer; None: none waits."""
        waiting = self._stop_waiting()
        return (lambda: self.returned.emit(waiting.text)) if waiting else None

    def set_draft(self, text: str) -> None:
        """What is being written counts before it is sent."""
        self.draft = text.strip()
        self.gauge.look_soon()

    def _would_ask(self) -> Asked | None:
        """What would be sent now; an empty conversation says nothing yet."""
        if self._tree is None and not self.draft:
            return None
        messages: Messages = [{"role": "system", "content": self._instructions}] if self._instructions else []
        if self._tree is not None:
            messages = [node.message for node in self._tree.active_path()]
        if not messages or messages[-1]["role"] != "user":
            messages = [*messages, {"role": "user", "content": self.draft or "…"}]
        return Asked(messages, self._sampling)

    def first_seen(self, left_out: int) -> int:
        """The place of the first turn the model sees after its instructions, when so many are left out; 0: it sees all."""
        path = self._tree.active_path() if self._tree else ()
        return left_out + (bool(path) and path[0].role == "system") if left_out else 0

    def _begin_conversation(self) -> Tree:
        conversation = self._store.conversations.create(self._session.project.id)
        if self._instructions:
            self._store.conversations.add_message(conversation.id, None, "system", self._instructions)
        self._tree = self._store.conversations.tree(conversation.id)
        if self._sampling != Sampling():
            self._keep_sampling()
        self.begun.emit()
        return self._tree

    def regenerate(self, message_id: str) -> None:
        """Ask for another answer beside this one."""
        if self._is_free() and self._has_model() and (parent := self._question_of(message_id)):
            self.judging.put_away()
            self._store.conversations.set_active_leaf(self._shown.conversation.id, parent)
            self._ask(parent, 1, keep_leaf=parent)

    def go_on(self, message_id: str) -> None:
        """Write the rest of an answer that was cut, as a new version of it."""
        if not self._is_free() or not self._has_model() or not (parent := self._question_of(message_id)):
            return
        node = self._store.conversations.message(message_id)
        if node.generator_id is None:
            return  # a person wrote it
        writer = self._store.conversations.generators([node.generator_id])[node.generator_id]
        if not self._answerer.is_writer(writer):
            hint = "Choose it again below the message field, or ask for another answer."
            self.troubled.emit(ModelTrouble(f"This answer was begun by {model_name(writer)}, which is not chosen now.", hint))
            return
        self.judging.put_away()
        thought_room = {"max_thought_tokens": writer.sampling.max_thought_tokens}  # what its tokens stand after
        self._ask(parent, 1, parent, node, self._sampling.model_copy(update=thought_room))

    def ask_again(self) -> None:
        """Ask once more what a trouble has left without an answer."""
        if self._unanswered and not self.writing and self._has_model():
            self._ask(*self._unanswered)

    def edit(self, message_id: str, text: str, answers: int) -> None:
        """Say it differently: a new message beside this one, and answers to it."""
        if text.strip() and self._is_free() and self._has_model():
            parent = self._shown.node(message_id).parent_id
            node = self._store.conversations.add_message(self._shown.conversation.id, parent, "user", text.strip())
            self.keep_edit(message_id, "")
            self._ask(node.id, answers)

    def answer(self, message_id: str, answers: int) -> None:
        """Ask for answers to a question that has none."""
        if self._is_free() and self._has_model():
            self.judging.put_away()
            self._ask(message_id, answers)

    def stop(self) -> None:
        """Stop writing; what is there is kept."""
        self._writer.stop()

    def step(self, message_id: str, by: int) -> None:
        """Show the alternative before or after this message."""
        tree = self._shown
        siblings = tree.alternatives(message_id)
        place = siblings.index(tree.node(message_id)) + by
        if 0 <= place < len(siblings) and self._is_free():
            self.judging.put_away()
            self._store.conversations.set_active_leaf(tree.conversation.id, tree.leaf_under(siblings[place].id))
            self._show(tree.conversation.id)

    def _has_model(self) -> bool:
        if self._answerer.ready:
            return True
        if self._session.preparing:
            self._session.announce("The model is still being got ready. Try again in a moment; a new message can wait for it.")
        else:
            self.troubled.emit(ModelTrouble("There is no model to ask.", "Choose one in Models."))
        return False

    def _ask(
        self,
        parent: str,
        answers: int,
        keep_leaf: str | None = None,
        begun: MessageNode | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        self._leave_unanswered(None)
        conversation = self._shown.conversation.id
        tree = self._tree = self._store.conversations.tree(conversation)
        prompt = [node.message for node in tree.path(parent)]
        seed, sampling = self._chance.randrange(_SEEDS), sampling or self._sampling
        order = self._chance.sample(range(answers), answers)
        shown = [turn for turn in self._turns() if keep_leaf is None or not is_below(tree, keep_leaf, turn.id)]
        if begun is None:
            asked = self._answerer.ask(prompt, answers, sampling, seed)
        else:
            rest = Begun(text=begun.content, written=self._store.conversations.written(begun.id))
            asked = self._answerer.go_on(prompt, rest, sampling, seed)
        project, texts = self._session.project.id, [""] * answers
        self._writer.begin(Writing(asked.request, project, parent, conversation, seed, asked.generator, order, texts, begun=begun))
        self.gauge.begin(asked.request)
        self.titleChanged.emit(tree.conversation.title or "New conversation")
        self.conversationShown.emit(shown)
        self.writingStarted.emit(answers)
        self._writer.show_begun()

    # --- what comes of it

    def _failed(self, writing: Writing, trouble: AppError) -> None:
        self._finish_writing(writing)
        if not writing.stored and writing.begun is None:
            self._leave_unanswered((writing.parent, len(writing.order)))
        self.troubled.emit(trouble)

    def _leave_unanswered(self, question: tuple[str, int] | None) -> None:
        if self._unanswered != question:
            self._unanswered = question
            self.unansweredChanged.emit()

    def note(self) -> None:
        """Write down what has come in of answers that have not ended, in case the program does not live to see their end."""
        self._writer.note()

    def recover(self) -> bool:
        """Show the answer that was being written when the program last ended, if there was one."""
        conversation = recover_unfinished(self._store, self._session.project)
        if conversation:
            self.open(conversation)
        return conversation is not None

    def _finish_writing(self, writing: Writing) -> None:
        self.writingEnded.emit()
        shown = [writing.stored[number] for number in writing.order if number in writing.stored]
        if shown:
            self._store.conversations.set_active_leaf(writing.conversation, shown[0])
        self._session.conversationsChanged.emit()
        if len(shown) > 1:
            self._tree = self._store.conversations.tree(writing.conversation)
            self._start_judging(shown)
        else:
            self._show(writing.conversation)
