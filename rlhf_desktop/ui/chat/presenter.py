"""Decides what happens in Chat: which turns are shown, what is asked of the model, what is stored. Knows no widget."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from PySide6.QtCore import QObject, QTimer, Signal

from rlhf_desktop.core.errors import AppError, ModelTrouble
from rlhf_desktop.core.protocol import Completion, Done, Sampling
from rlhf_desktop.feedback.conversations import Generator, Tree
from rlhf_desktop.feedback.judgements import AllBad, Judgement, Ranking
from rlhf_desktop.operations.unfinished import forget_unfinished, note_unfinished, recover_unfinished
from rlhf_desktop.store.conversations import NewCompletion
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.chat.ranking import LETTERS, RankingState
from rlhf_desktop.ui.chat.turns import Slot, Turn, model_name, turns
from rlhf_desktop.ui.chat.worker_client import WorkerClient
from rlhf_desktop.ui.context import Session

MOST_ANSWERS = len(LETTERS)
NOTE_MS = 1000  # a crash loses at most this much of an answer
_SEEDS = 2**31


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
    stored: dict[int, str] = field(default_factory=dict)  # number of the completion → message id


@dataclass(frozen=True)
class Judging:
    """Answers shown for a ranking, in displayed order."""

    conversation: str
    displayed: tuple[str, ...]
    texts: tuple[str, ...]
    models: tuple[str, ...]
    since: float
    spent_s: float = 0.0  # before an undo brought the ranking back


class ChatPresenter(QObject):
    """One conversation at a time, with at most one request of its own under way."""

    conversationShown = Signal(list)  # [Turn]
    titleChanged = Signal(str)
    writingStarted = Signal(list)  # [Slot]
    answerGrew = Signal(int, str)  # displayed place, its whole text
    answerEnded = Signal(int, str)  # displayed place, how ("end", "length", "cancelled")
    writingEnded = Signal()
    judgingStarted = Signal(list, list)  # [Slot], [text]
    rankingChanged = Signal(object)  # RankingState
    judged = Signal(list, int)  # who wrote each answer in displayed order, the best one's place (-1: none will do)
    troubled = Signal(object)  # AppError

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
        super().__init__(parent)
        self._store, self._session, self._client, self._who = store, session, client, who
        self._clock, self._chance = clock, chance or random.Random()
        self._tree: Tree | None = None
        self._writing: Writing | None = None
        self._judging: Judging | None = None
        self.state = RankingState(0)
        self._noting = QTimer(self)
        self._noting.setSingleShot(True)
        self._noting.setInterval(NOTE_MS)
        self._noting.timeout.connect(self.note)
        client.tokenArrived.connect(self._token)
        client.completionFinished.connect(self._completion)
        client.requestDone.connect(self._done)
        client.troubleHappened.connect(self._trouble)

    @property
    def conversation_id(self) -> str | None:
        """The conversation shown; None for a new one."""
        return self._tree.conversation.id if self._tree else None

    @property
    def writing(self) -> bool:
        """Whether answers are being written."""
        return self._writing is not None

    @property
    def judging(self) -> bool:
        """Whether answers wait for a ranking."""
        return self._judging is not None

    # --- conversations

    def new_conversation(self) -> None:
        """Show an empty conversation; it is stored with its first message."""
        self._leave()
        self._tree = None
        self.titleChanged.emit("New conversation")
        self.conversationShown.emit([])

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
        project = self._session.project.id
        now = set(self._store.settings.get("hidden_conversations", [], project))
        now = now | {conversation_id} if hidden else now - {conversation_id}
        self._store.settings.set("hidden_conversations", sorted(now), project)
        self._session.conversationsChanged.emit()

    def _show(self, conversation_id: str) -> None:
        self._tree = self._store.conversations.tree(conversation_id)
        self.titleChanged.emit(self._tree.conversation.title or "New conversation")
        self.conversationShown.emit(self._turns())

    def _turns(self) -> list[Turn]:
        ids = {node.generator_id for node in self._tree.active_path() if node.generator_id}
        judged = {frozenset(j.displayed) for j in self._store.judgements.for_conversation(self.conversation_id)}
        return turns(self._tree, self._store.conversations.generators(ids), MOST_ANSWERS, judged)

    def _leave(self) -> None:
        """Before another branch is shown: stop writing (what is there is kept), put an unsaved ranking away."""
        if self._writing:
            self._client.cancel(self._writing.request)
            self._keep_unfinished()
        self._judging = None

    # --- asking

    def send(self, text: str, answers: int) -> bool:
        """Add the user's message and ask for `answers` answers. False when there is nothing to send or no model to ask."""
        if not text.strip() or not self._has_model() or self._writing:
            return False
        if self._tree is None:
            conversation = self._store.conversations.create(self._session.project.id)
            self._tree = self._store.conversations.tree(conversation.id)
        self._judging = None
        path = self._tree.active_path()
        node = self._store.conversations.add_message(self.conversation_id, path[-1].id if path else None, "user", text.strip())
        self._session.conversationsChanged.emit()
        self._ask(node.id, answers)
        return True

    def answer(self, message_id: str, answers: int) -> bool:
        """Ask for answers to a stored message of the conversation shown. False when there is no model to ask, or it is busy."""
        if not self._has_model() or self._writing:
            return False
        self._judging = None
        self._ask(message_id, answers)
        return True

    def regenerate(self, message_id: str) -> None:
        """Ask for another answer beside this one."""
        if self._has_model() and not self._writing:
            self._judging = None
            parent = self._tree.node(message_id).parent_id
            self._store.conversations.set_active_leaf(self.conversation_id, parent)
            self._ask(parent, 1, keep_leaf=parent)

    def edit(self, message_id: str, text: str, answers: int) -> None:
        """Say it differently: a new message beside this one, and answers to it."""
        if text.strip() and self._has_model() and not self._writing:
            parent = self._tree.node(message_id).parent_id
            node = self._store.conversations.add_message(self.conversation_id, parent, "user", text.strip())
            self._ask(node.id, answers)

    def stop(self) -> None:
        """Stop writing; what is there is kept."""
        if self._writing:
            self._client.cancel(self._writing.request)

    def step(self, message_id: str, by: int) -> None:
        """Show the alternative before or after this message."""
        siblings = self._tree.siblings(message_id)
        place = siblings.index(self._tree.node(message_id)) + by
        if 0 <= place < len(siblings) and not self._writing:
            self._judging = None
            self._store.conversations.set_active_leaf(self.conversation_id, self._tree.leaf_under(siblings[place].id))
            self._show(self.conversation_id)

    def _has_model(self) -> bool:
        if self._session.base is None:
            self.troubled.emit(ModelTrouble("No model is ready yet.", "Wait for the starter model, or choose one in Models."))
            return False
        return True

    def _ask(self, parent: str, answers: int, keep_leaf: str | None = None) -> None:
        conversation = self.conversation_id
        self._tree = self._store.conversations.tree(conversation)
        prompt = [node.message for node in self._tree.path(parent)]
        base, adapter = self._session.base, self._session.adapter
        seed, sampling = self._chance.randrange(_SEEDS), Sampling()
        order = self._chance.sample(range(answers), answers)
        shown = [turn for turn in self._turns() if keep_leaf is None or not _below(self._tree, keep_leaf, turn.id)]
        self._client.load(base)
        request = self._client.generate(prompt, answers, adapter, sampling, seed)
        self._writing = Writing(
            request,
            self._session.project.id,
            parent,
            conversation,
            seed,
            Generator.of(base, adapter, sampling),
            order,
            [""] * answers,
        )
        self.titleChanged.emit(self._tree.conversation.title or "New conversation")
        self.conversationShown.emit(shown)
        self.writingStarted.emit([Slot(LETTERS[place], number) for place, number in enumerate(order)])

    # --- what the worker says

    def _token(self, request: str, _prompt: int, completion: int, text: str) -> None:
        writing = self._writing
        if writing and writing.request == request:
            writing.texts[completion] += text
            if not self._noting.isActive():
                self._noting.start()
            self.answerGrew.emit(writing.order.index(completion), writing.texts[completion])

    def _completion(self, reply: Completion) -> None:
        writing = self._writing
        if writing is None or writing.request != reply.id:
            return
        writing.texts[reply.completion] = reply.text
        place = writing.order.index(reply.completion)
        self.answerGrew.emit(place, reply.text)
        self.answerEnded.emit(place, reply.finish)
        self._keep(writing, reply.completion, NewCompletion(reply.text, writing.seed, reply.finish, reply.tokens))

    def _keep(self, writing: Writing, number: int, completion: NewCompletion) -> None:
        if not completion.text.strip() or number in writing.stored:
            return
        try:
            with self._store.connection.transaction():  # stored and no longer noted as unfinished, or neither
                (node,) = self._store.conversations.add_completions(writing.parent, [completion], writing.generator)
                self._note(writing, {*writing.stored, number})
        except AppError as trouble:
            self.troubled.emit(trouble)
        else:
            writing.stored[number] = node.id

    def _done(self, reply: Done) -> None:
        if self._writing and self._writing.request == reply.id:
            self._finish_writing()

    def _trouble(self, request: str, trouble: AppError) -> None:
        if self._writing and self._writing.request == request:
            self._finish_writing()
            self.troubled.emit(trouble)

    def note(self) -> None:
        """Write down what has come in of answers that have not ended, in case the program does not live to see their end."""
        if self._writing:
            self._note(self._writing, set(self._writing.stored))

    def _note(self, writing: Writing, stored: set[int]) -> None:
        texts = [text for number, text in enumerate(writing.texts) if number not in stored]
        if any(texts):
            note_unfinished(self._store, writing.project, writing.parent, writing.generator, writing.seed, texts)
        else:
            forget_unfinished(self._store, writing.project)

    def recover(self) -> bool:
        """Show the answer that was being written when the program last ended, if there was one."""
        conversation = recover_unfinished(self._store, self._session.project)
        if conversation:
            self.open(conversation)
        return conversation is not None

    def _keep_unfinished(self) -> Writing:
        """Store what was streamed of answers that did not end."""
        writing, self._writing = self._writing, None
        self._noting.stop()
        for number, text in enumerate(writing.texts):
            self._keep(writing, number, NewCompletion(text, writing.seed, "cancelled", None))
        if len(writing.stored) < len(writing.texts):  # an empty answer is not kept, nor is what was noted of it
            forget_unfinished(self._store, writing.project)
        self.writingEnded.emit()
        return writing

    def _finish_writing(self) -> None:
        writing = self._keep_unfinished()
        shown = [writing.stored[number] for number in writing.order if number in writing.stored]
        if shown:
            self._store.conversations.set_active_leaf(writing.conversation, shown[0])
        self._session.conversationsChanged.emit()
        if len(shown) > 1:
            self._tree = self._store.conversations.tree(writing.conversation)
            self._start_judging(shown)
        else:
            self._show(writing.conversation)

    # --- judging

    def compare(self, message_id: str) -> None:
        """Rank the alternatives of a stored answer, shuffled."""
        if self._writing:
            return
        siblings = [node.id for node in self._tree.siblings(message_id)]
        self._start_judging(self._chance.sample(siblings, len(siblings)))

    def _start_judging(self, displayed: list[str], state: RankingState | None = None, spent_s: float = 0.0) -> None:
        nodes = [self._tree.node(message_id) for message_id in displayed]
        generators = self._store.conversations.generators({node.generator_id for node in nodes if node.generator_id})
        models = tuple(model_name(generators.get(node.generator_id or "")) for node in nodes)
        texts = tuple(node.content for node in nodes)
        self._judging = Judging(self.conversation_id, tuple(displayed), texts, models, self._clock(), spent_s)
        self.state = state or RankingState(len(displayed))
        parent = nodes[0].parent_id
        shown = [turn for turn in self._turns() if not _below(self._tree, parent, turn.id)]
        self.conversationShown.emit(shown)
        self.judgingStarted.emit([Slot(LETTERS[place], -1) for place in range(len(nodes))], list(texts))
        self.rankingChanged.emit(self.state)

    def place(self, answer: int) -> None:
        """An answer's key was pressed. A pair is saved at once."""
        self._advance(self.state.place(answer))

    def tie(self) -> None:
        """The next answer equals the last one."""
        self._advance(self.state.tie())

    def reject_all(self) -> None:
        """None of them will do."""
        self._advance(self.state.reject_all())

    def back(self) -> None:
        """Take back the last key."""
        self._rank(self.state.back())

    def drop(self, answer: int, bucket: int, beside: bool) -> None:
        """An answer was dragged. Saved with Enter, pairs too: a drag is easily a slip."""
        self._rank(self.state.drop(answer, bucket, beside))

    def _advance(self, state: RankingState) -> None:
        self._rank(state)
        if self._judging and state.count == 2 and state.complete:
            self.submit("")

    def _rank(self, state: RankingState) -> None:
        if self._judging and state != self.state:
            self.state = state
            self.rankingChanged.emit(state)

    def submit(self, why: str) -> bool:
        """Save the ranking. False while it is not complete."""
        judging, state = self._judging, self.state
        if judging is None or not state.complete:
            return False
        spent_s = judging.spent_s + self._clock() - judging.since
        verdict = AllBad() if state.all_bad else Ranking.of(state.ranks())
        judgement = Judgement(
            self._session.project.id, self._who(), judging.displayed, verdict, seconds_spent=round(spent_s, 2), critique=why.strip()
        )
        try:
            self._store.judgements.add(judgement)
        except AppError as trouble:
            self.troubled.emit(trouble)
            return False
        self._saved(judgement, judging, state, spent_s)
        return True

    def _saved(self, judgement: Judgement, judging: Judging, state: RankingState, spent_s: float) -> None:
        self._judging = None
        best = -1 if state.all_bad else state.buckets[0][0]
        self._store.conversations.set_active_leaf(judging.conversation, judging.displayed[max(best, 0)])
        self._show(judging.conversation)
        self.judged.emit(list(judging.models), best)
        self._session.feedbackChanged.emit()
        self._session.announce(f"Saved: {state.outcome()}", lambda: self._undo(judgement, judging, state, spent_s))

    def _undo(self, judgement: Judgement, judging: Judging, state: RankingState, spent_s: float) -> None:
        """Withdraw the judgement and bring its ranking back."""
        self._store.judgements.withdraw(judgement.id, self._who())
        self._session.feedbackChanged.emit()
        if self._writing is None and self.conversation_id == judging.conversation:
            self._tree = self._store.conversations.tree(judging.conversation)
            self._start_judging(list(judging.displayed), state.back() if state.count == 2 else state, spent_s)


def _below(tree: Tree, ancestor: str, message_id: str) -> bool:
    """Whether a message comes after `ancestor` on its branch."""
    return ancestor != message_id and any(node.id == ancestor for node in tree.path(message_id))
