"""Answers while they are written: what comes in is noted, and kept when it ends, however that happens."""

from dataclasses import dataclass, field

from PySide6.QtCore import QObject, QTimer, Signal

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.protocol import Completion, Done
from rlhf_desktop.feedback.conversations import Generator, MessageNode
from rlhf_desktop.operations.unfinished import forget_unfinished, note_unfinished
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.chat.answerer import Answerer

NOTE_MS = 1000  # a crash loses at most this much of an answer


@dataclass
class Writing:
    """A request under way: its answers as they stream in."""

    request: str
    project: str
    parent: str
    conversation: str
    seed: int
    generator: Generator
    order: list[int]  # displayed place → number of the completion
    texts: list[str] = field(default_factory=list)  # by number of the completion
    thoughts: dict[int, str] = field(default_factory=dict)  # number of the completion → what was thought before it
    stored: dict[int, str] = field(default_factory=dict)  # number of the completion → message id
    begun: MessageNode | None = None  # the stored answer that this one goes on from; what comes begins with it

    @property
    def continues(self) -> str:
        """The id of the answer this one goes on from, or ""."""
        return self.begun.id if self.begun else ""

    def has_caught_up(self, number: int) -> bool:
        """Whether as much has come as there was before."""
        return self.begun is None or len(self.texts[number]) >= len(self.begun.content)

    def has_news(self, number: int) -> bool:
        """Whether there is more of an answer than what it began with."""
        if self.begun is None:
            return True
        return len(self.texts[number] + self.thoughts.get(number, "")) > len(self.begun.content + self.begun.thought)

    def drafts(self, stored: set[int]) -> list[tuple[str, str]]:
        """Text and thought of the answers that are not stored yet."""
        return [(text, self.thoughts.get(n, "")) for n, text in enumerate(self.texts) if n not in stored]


class Writer(QObject):
    """Listens to one request at a time, and stores its answers.

    Args:
        store: Where they go.
        answerer: Who writes them.
    """

    thoughtGrew = Signal(int, str)  # displayed place, what was thought so far
    answerGrew = Signal(int, str)  # displayed place, its whole text
    answerEnded = Signal(int, str)  # displayed place, how ("end", "length", "cancelled")
    ended = Signal(object)  # Writing: all of it is stored
    failed = Signal(object, object)  # Writing, AppError: what there was is stored
    troubled = Signal(object)  # AppError: an answer could not be stored

    def __init__(self, store: Store, answerer: Answerer, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store, self._answerer = store, answerer
        self.current: Writing | None = None
        self._noting = QTimer(self)
        self._noting.setSingleShot(True)
        self._noting.setInterval(NOTE_MS)
        self._noting.timeout.connect(self.note)
        answerer.tokenArrived.connect(self._token)
        answerer.thoughtArrived.connect(self._think)
        answerer.completionFinished.connect(self._completion)
        answerer.requestDone.connect(self._done)
        answerer.troubleHappened.connect(self._trouble)

    def begin(self, writing: Writing) -> None:
        """A request has been sent."""
        self.current = writing

    def show_begun(self) -> None:
        """An answer that is continued is on screen from the start."""
        if self.current and self.current.begun:
            if self.current.begun.thought:
                self.thoughtGrew.emit(0, self.current.begun.thought)
            self.answerGrew.emit(0, self.current.begun.content)

    def stop(self) -> None:
        """Stop writing; what is there is kept."""
        if self.current:
            self._answerer.cancel(self.current.request)

    def leave(self) -> Writing | None:
        """Stop, and listen no more: what has come in is stored at once."""
        self.stop()
        return self._keep_unfinished(self.current) if self.current else None

    # --- what the model says

    def _token(self, request: str, _prompt: int, completion: int, text: str) -> None:
        writing = self.current
        if writing and writing.request == request:
            writing.texts[completion] += text
            self._note_soon()
            if writing.has_caught_up(completion):
                self.answerGrew.emit(writing.order.index(completion), writing.texts[completion])

    def _think(self, request: str, _prompt: int, completion: int, text: str) -> None:
        writing = self.current
        if writing and writing.request == request:
            writing.thoughts[completion] = writing.thoughts.get(completion, "") + text
            self._note_soon()
            self.thoughtGrew.emit(writing.order.index(completion), writing.thoughts[completion])

    def _completion(self, reply: Completion) -> None:
        writing = self.current
        if writing is None or writing.request != reply.id:
            return
        writing.texts[reply.completion], writing.thoughts[reply.completion] = reply.text, reply.thought
        place = writing.order.index(reply.completion)
        self.answerGrew.emit(place, reply.text)
        self.answerEnded.emit(place, reply.finish)
        if reply.finish == "end" or writing.has_news(reply.completion):
            self._keep(writing, reply.completion, NewCompletion.of(reply, writing.seed, writing.continues))

    def _done(self, reply: Done) -> None:
        if self.current and self.current.request == reply.id:
            self.ended.emit(self._keep_unfinished(self.current))

    def _trouble(self, request: str, trouble: AppError) -> None:
        if self.current and self.current.request == request:
            self.failed.emit(self._keep_unfinished(self.current), trouble)

    # --- keeping it

    def _keep(self, writing: Writing, number: int, completion: NewCompletion) -> None:
        alone = len(writing.order) == 1  # a thought without an answer cannot be judged, but it can be read
        if not (completion.text.strip() or (alone and completion.thought)) or number in writing.stored:
            return
        try:
            with self._store.connection.transaction():  # stored and no longer noted as unfinished, or neither
                (node,) = self._store.conversations.add_completions(writing.parent, [completion], writing.generator)
                self._note(writing, {*writing.stored, number})
        except AppError as trouble:
            self.troubled.emit(trouble)
        else:
            writing.stored[number] = node.id

    def _keep_unfinished(self, writing: Writing) -> Writing:
        """Store what was streamed of answers that did not end."""
        self.current = None
        self._noting.stop()
        for number, text in enumerate(writing.texts):
            thought = writing.thoughts.get(number, "")
            if writing.has_news(number):
                kept = NewCompletion(text, writing.seed, "cancelled", thought=thought, continues=writing.continues)
                self._keep(writing, number, kept)
        if len(writing.stored) < len(writing.texts):  # an empty answer is not kept, nor is what was noted of it
            forget_unfinished(self._store, writing.project)
        return writing

    def _note_soon(self) -> None:
        if not self._noting.isActive():
            self._noting.start()

    def note(self) -> None:
        """Write down what has come in of answers that have not ended, in case the program does not live to see their end."""
        if self.current:
            self._note(self.current, set(self.current.stored))

    def _note(self, writing: Writing, stored: set[int]) -> None:
        drafts = writing.drafts(stored)
        if any(text or thought for text, thought in drafts) and any(map(writing.has_news, range(len(writing.texts)))):
            made = (writing.parent, writing.generator, writing.seed, drafts, writing.continues)
            note_unfinished(self._store, writing.project, *made)
        else:
            forget_unfinished(self._store, writing.project)
