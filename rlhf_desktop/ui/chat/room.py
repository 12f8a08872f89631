"""The Chat room: composes list, conversation and composer, and connects them to the presenter, all in one place."""

from pathlib import Path

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QFrame, QLayout, QScrollArea, QWidget
from shiboken6 import isValid

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.core.words import count
from rlhf_desktop.feedback.protocol import Protocol
from rlhf_desktop.ui.chat.actions import below
from rlhf_desktop.ui.chat.attaching import Attaching
from rlhf_desktop.ui.chat.composer import ANSWERS, Composer
from rlhf_desktop.ui.chat.conversation_actions import ConversationActions
from rlhf_desktop.ui.chat.conversation_list import ConversationList
from rlhf_desktop.ui.chat.conversation_view import ConversationView
from rlhf_desktop.ui.chat.finding import FindBar
from rlhf_desktop.ui.chat.gauge import Reading
from rlhf_desktop.ui.chat.message_draft import MessageDraft
from rlhf_desktop.ui.chat.model_menu import ModelMenu
from rlhf_desktop.ui.chat.presenter import ChatPresenter
from rlhf_desktop.ui.chat.saved_instructions import InstructionShelf
from rlhf_desktop.ui.chat.setup_panel import SetupPanel
from rlhf_desktop.ui.chat.shelving import Shelving
from rlhf_desktop.ui.chat.turn_view import TurnView
from rlhf_desktop.ui.chat.turns import Turn, revealed
from rlhf_desktop.ui.chat.waiting import WaitingBar
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.form_drafts import FormDrafts
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.judging.area import JudgingArea
from rlhf_desktop.ui.judging.presenter import Saved, Showing
from rlhf_desktop.ui.judging.ranking import LETTERS
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import IconButton
from rlhf_desktop.ui.widgets.files import FileDrop
from rlhf_desktop.ui.widgets.surfaces import EmptyState, Notice, Pages, column, row
from rlhf_desktop.ui.widgets.text import ElidedLabel


class ChatRoom(QObject):
    """Talk to the model, ask for several answers, rank them."""

    title, icon = "Chat", "chat"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self.presenter = ChatPresenter(context.store, context.session, context.chat, lambda: who_am_i(context.store), parent=self)
        self.area = JudgingArea(self.presenter.judging, self)
        self._root = QWidget()
        self._root.setProperty("kind", "page")
        self._root.installEventFilter(self)
        across = row(self._root, 0, 0)
        self.shelving = Shelving(context, self)
        self.list = ConversationList(self.shelving.fetch, self.shelving.shelves, self.shelving.tags_of)
        across.addWidget(self.list)
        across.addWidget(self._make_middle(), 1)
        self.actions = ConversationActions(context, self.list, self._remove, self._root)
        self.models = ModelMenu(context, self)
        self.instructions = InstructionShelf(context.store, context.session, self)
        self.attaching = Attaching(context, self.composer.files, lambda: self.presenter.answering, self._root)
        self.message = MessageDraft(context.store, context.session, self.composer, lambda: self.presenter.conversation_id, self)
        self._connect()
        self._show_model()
        self._show_state(context.chat.state)
        self.waiting.show_loading(context.session.loading)
        self.message.take_up()
        self._begin()

    def _make_middle(self) -> QWidget:
        middle = QWidget()
        box = column(middle, 0, 0)
        top = row(None, 0, t.SPACE_XS)
        top.setContentsMargins(t.SPACE_XL + t.SPACE_L, t.SPACE_M, t.SPACE_L, 0)
        self.name = ElidedLabel("", strong=True)
        self.setup_button = IconButton("tune", "Instructions and sampling", keymap.text("instructions"))
        self.setup_button.setCheckable(True)
        more = IconButton("more", "Conversation menu")
        more.clicked.connect(lambda: self._conversation_menu(more))
        search = IconButton("search", "Find in the conversation")
        search.setToolTip(keymap.tip("Find in the conversation", "find"))
        search.clicked.connect(lambda: self.find.open())
        top.addWidget(self.name, 1)
        top.addWidget(search)
        top.addWidget(self.setup_button)
        top.addWidget(more)
        self.setup = SetupPanel()
        self._drafts, self._setup_draft = FormDrafts(self._context), "instructions"
        self.setup.hide()
        self.conversation = ConversationView(self.area)
        self.empty = EmptyState(
            "chat",
            "Talk to the model, then teach it",
            "Write a message below. Ask for two or more answers and say which is better: that is what the model learns from.",
        )
        self._stack = Pages()
        self._blank = _scrolling(self.empty)
        self._stack.addWidget(self._blank)
        self._stack.addWidget(self.conversation)
        self.notice = Notice("alert", "", "warning", "Restart")
        self.notice.hide()
        self.waiting: WaitingBar = WaitingBar()
        self.composer: Composer = Composer()
        bottom = row(None, 0, 0)
        bottom.setContentsMargins(t.SPACE_XL, t.SPACE_S, t.SPACE_XL, t.SPACE_L)
        below = column(None, 0, t.SPACE_S)
        below.addWidget(self.notice)
        below.addLayout(_in_the_middle(self.waiting))
        below.addWidget(self.setup)
        below.addWidget(self.area.panel)
        below.addLayout(_in_the_middle(self.composer))
        bottom.addStretch(1)
        bottom.addLayout(below, 1000)
        bottom.addStretch(1)
        box.addLayout(top)
        box.addLayout(self._make_find())
        box.addWidget(self._stack, 1)
        box.addLayout(bottom)
        return middle

    def _make_find(self) -> QLayout:
        """Above the conversation, as wide as it."""
        self.find: FindBar = FindBar(self.conversation, self.composer.edit)
        self.find.setMaximumWidth(t.CONTENT_WIDTH - t.SIDEBAR_WIDTH)
        across = row(None, 0, 0)
        across.setContentsMargins(t.SPACE_XL, t.SPACE_S, t.SPACE_XL, 0)
        across.addStretch(1)
        across.addWidget(self.find, 1000)
        across.addStretch(1)
        return across

    def _connect(self) -> None:
        """Every connection of this room."""
        p, v, session = self.presenter, self.conversation, self._context.session
        keymap.listen(self._root, "find", self.find.open, inside=True)
        self.list.newRequested.connect(self._new)
        self.list.opened.connect(p.open)
        self.list.renamed.connect(p.rename)
        self.list.removed.connect(self._remove)
        self.list.filed.connect(self.shelving.file)
        self.list.tagged.connect(self.shelving.tag)
        self.shelving.changed.connect(self._reload_list)
        self.list.menuRequested.connect(self.actions.show)
        self.composer.sendRequested.connect(self._send)
        self.composer.stopRequested.connect(p.stop)
        self.composer.modelMenuRequested.connect(self.models.open)
        self.composer.attachRequested.connect(self.attaching.choose)
        self.composer.filesGiven.connect(self.attaching.add)
        FileDrop(self._root).dropped.connect(self._take_files)
        self.notice.acted.connect(self._mend)
        self.waiting.edited.connect(p.take_back)
        self.waiting.cancelled.connect(self._cancel_waiting)
        p.waitingChanged.connect(self.waiting.show_message)
        p.returned.connect(self.composer.write_on)
        p.returned.connect(self.message.keep)
        session.loadingChanged.connect(self.waiting.show_loading)
        p.unansweredChanged.connect(lambda: self._show_state(self._context.chat.state))
        p.conversationShown.connect(self._show_turns)
        p.titleChanged.connect(self.name.setText)
        p.writingStarted.connect(self._writing_started)
        p.thoughtGrew.connect(v.think)
        p.answerGrew.connect(v.grow)
        p.answerEnded.connect(v.end)
        p.writingEnded.connect(self._writing_ended)
        p.judging.began.connect(self._judging_began)
        p.judging.ended.connect(self.composer.show)
        self.area.panel.offer_message()
        self.area.panel.messageRequested.connect(self._write_instead)
        p.judged.connect(self._judged)
        p.setupChanged.connect(self._show_setup_of)
        p.setupChanged.connect(lambda *_: self.message.follow())
        p.begun.connect(self.message.begun)
        self.setup.kept.draftChanged.connect(lambda values: self._drafts.keep(self._setup_draft, values))
        p.setupChanged.connect(lambda *_: self.attaching.measure())
        self.setup_button.toggled.connect(self._show_setup)
        self.setup.left.connect(lambda: self.setup_button.setChecked(False))
        self.setup.instructionsGiven.connect(self._instruct)
        self.setup.samplingChanged.connect(p.set_sampling)
        self.setup.samplingChanged.connect(lambda *_: self.attaching.measure())
        self.setup.usualChosen.connect(self._make_usual)
        self.setup.saved.saved.connect(self.instructions.save)
        self.setup.saved.renamed.connect(self.instructions.rename)
        self.setup.saved.deleted.connect(self.instructions.delete)
        self.instructions.changed.connect(self.setup.saved.show_saved)
        self.instructions.show()
        self._context.chat.modelLoaded.connect(lambda _loaded: self._show_thinking())
        session.modelChanged.connect(self._show_thinking)
        self.composer.edit.textChanged.connect(lambda: p.set_draft(self.composer.draft()))
        self.composer.files.changed.connect(lambda: p.set_draft(self.composer.draft()))
        p.gauge.changed.connect(self._show_reading)
        p.troubled.connect(session.troubled)
        v.turnMade.connect(self._connect_turn)
        session.conversationsChanged.connect(self._reload_list)
        session.modelChanged.connect(self._show_model)
        session.projectChanged.connect(self._project_changed)
        self._context.chat.stateChanged.connect(self._show_state)

    def widget(self) -> QWidget:
        """The room."""
        return self._root

    def focus_place(self) -> QWidget:
        """The board while answers are judged, else the composer."""
        return self.area.board if self.presenter.judging.showing else self.composer.edit

    def activated(self) -> None:
        """Come to the front."""
        self.list.reload()
        self.list.select(self.presenter.conversation_id)
        self.focus_place().setFocus()

    def deactivated(self) -> None:
        """Drafts stay where they are."""
        self.conversation.settle()
        self.presenter.judging.settle()
        self.setup.kept.settle()
        self.message.settle()

    def show_conversation(self, conversation_id: str) -> None:
        """Open a stored conversation."""
        self.presenter.open(conversation_id)

    def new_conversation(self) -> None:
        """Begin an empty conversation."""
        self._new()

    @property
    def conversation_id(self) -> str | None:
        """The conversation shown; None for a new one."""
        return self.presenter.conversation_id

    def show_setup(self) -> None:
        """Open the instructions and how answers are drawn."""
        self.setup_button.setChecked(True)

    # --- what the presenter says

    def _show_turns(self, turns: list[Turn]) -> None:
        self._stack.setCurrentWidget(self.conversation if turns else self._blank)
        self.conversation.show_turns(turns)
        self.conversation.mark_unseen(self.presenter.first_seen(self.presenter.gauge.reading.left_out))
        self.find.refresh()
        self.list.select(self.presenter.conversation_id)

    def _show_reading(self, reading: Reading) -> None:
        self.composer.set_status(reading.words, reading.explained, reading.nearly_full)
        self.conversation.mark_unseen(self.presenter.first_seen(reading.left_out))

    def _writing_started(self, answers: int) -> None:
        self.composer.set_writing(True)
        self._stack.setCurrentWidget(self.conversation)
        self.conversation.start_writing(answers, "" if self.presenter.answers_at_once else "Loading the model…")

    def _writing_ended(self) -> None:
        self.composer.set_writing(False)
        self.conversation.draw()

    def _judging_began(self, showing: Showing) -> None:
        self._stack.setCurrentWidget(self.conversation)
        self.conversation.make_room()
        self.conversation.show_answers()
        self.find.refresh()
        if self.composer.empty:
            self.area.board.setFocus()
            self.composer.setVisible(len(showing.displayed) == 1)  # several answers need the room

    def _write_instead(self) -> None:
        """Bring the composer back while answers wait, or send it away again; what is typed in it stays in sight."""
        away = self.composer.isVisibleTo(self._root) and self.composer.empty
        self.composer.setVisible(not away)
        (self.area.board if away else self.composer.edit).setFocus()

    def _judged(self, saved: Saved) -> None:
        self.composer.edit.setFocus()
        models = list(saved.showing.models)
        if len(models) == 1:
            chosen = ""
        else:
            chosen = f"You go on from {LETTERS[saved.best]}." if saved.best >= 0 else "None was good enough."
        if saved.text:
            chosen = "You go on from your correction."
        self.conversation.add_note(f"{chosen} {revealed(models)}".strip())

    def _show_setup_of(self, instructions: str, sampling: Sampling, begun: bool) -> None:
        """What holds for the conversation, and the instructions that were written for it and not used yet."""
        self.setup.kept.settle()  # of the one before
        self._setup_draft = f"instructions {self.presenter.conversation_id or ''}".strip()
        self.setup.show_setup(instructions, sampling, begun)
        self.setup.kept.take_up(self._drafts.get(self._setup_draft))

    def _show_setup(self, on: bool) -> None:
        self.setup.setVisible(on)
        if not on:
            self.setup.settle()
        (self.setup.edit if on else self.focus_place()).setFocus()

    def _make_usual(self) -> None:
        self.presenter.make_usual()
        self._context.session.announce("New conversations of this project begin so.")

    def _show_thinking(self) -> None:
        """What the model that answers knows of thoughts; until it is loaded, what most know."""
        loaded = self._context.chat.loaded
        if self._context.session.server is not None:
            self.setup.show_thinking(None)
        else:
            self.setup.show_thinking(loaded.thinking if loaded else "switch")

    def _instruct(self, text: str) -> None:
        self.presenter.set_instructions(text, self.composer.answers.value())
        self.setup_button.setChecked(False)

    # --- what the user did

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The ranking's keys, while no text field has the focus; Esc stops writing."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress and self._key(event):
            return True
        return super().eventFilter(watched, event)

    def _key(self, event: QKeyEvent) -> bool:
        if keymap.heard(event, "chat") == "leave" and self._leave():
            return True
        return self.area.key(event)

    def _leave(self) -> bool:
        """Esc: stop writing; while several answers wait, from the reason back to them, else to the composer and back."""
        showing = self.presenter.judging.showing
        if self.presenter.writing:
            self.presenter.stop()
        elif self.presenter.waiting:
            self.presenter.take_back()
        elif self.area.panel.why.hasFocus():
            self.area.board.setFocus()
        elif showing is not None and len(showing.displayed) > 1:
            self._write_instead()
        else:
            return False
        return True

    def _send(self, text: str, answers: int) -> None:
        if self.presenter.send(text, answers):
            self.composer.clear()
            self.message.keep()

    def _take_files(self, paths: list[Path]) -> None:
        self.composer.show()
        self.attaching.add(paths)
        self.composer.edit.setFocus()

    def _cancel_waiting(self) -> None:
        if undo := self.presenter.cancel_waiting():
            self._context.session.announce("The message is not sent.", undo)
        self.focus_place().setFocus()

    def _new(self) -> None:
        self.presenter.new_conversation()
        self.composer.edit.setFocus()

    def _remove(self, conversation_id: str) -> None:
        self._context.session.announce("Conversation deleted. Its judgements are kept.", self.presenter.hide(conversation_id))

    def _connect_turn(self, turn: TurnView) -> None:
        turn.continued.connect(self.presenter.go_on)
        turn.regenerated.connect(self.presenter.regenerate)
        turn.stepped.connect(self.presenter.step)
        turn.compared.connect(self.presenter.compare)
        turn.judged.connect(self.presenter.judge_one)
        turn.thumbed.connect(self.presenter.thumb)
        turn.answered.connect(lambda message: self.presenter.answer(message, self.composer.answers.value()))
        turn.edited.connect(lambda message, text: self.presenter.edit(message, text, self.composer.answers.value()))
        turn.corrected.connect(self.presenter.correct)
        turn.drafted.connect(self.presenter.keep_edit)
        turn.editLeft.connect(lambda: self.focus_place().setFocus())
        turn.instructionsAsked.connect(lambda: self.setup_button.setChecked(True))
        turn.deleted.connect(self._delete_turn)

    def _delete_turn(self, message_id: str) -> None:
        gone, undo = self.presenter.delete_turn(message_id)
        what = count(gone, "message is", "messages are")
        self._context.session.announce(f"{what} deleted. Judgements about them are kept, as they were displayed.", undo)
        self.focus_place().setFocus()

    # --- menus, list, state

    def _reload_list(self) -> None:
        self.list.reload()
        self.list.select(self.presenter.conversation_id)

    def _begin(self) -> None:
        """An empty conversation, unless an answer was cut off by the program's end."""
        self.presenter.new_conversation()
        self._offer_answers()
        if self.presenter.recover():
            self._context.session.announce("The answer being written when the program ended was kept.")
        self.presenter.recover_waiting()

    def _offer_answers(self) -> None:
        """As many as the project asks for, where somebody has said how many."""
        asked = self._context.store.protocols.get(self._context.session.project.id)
        self.composer.answers.set_value(1 if asked == Protocol() else max(n for n in ANSWERS if n <= asked.answers))

    def _project_changed(self) -> None:
        self._begin()
        self.list.reload()

    def _conversation_menu(self, at: QWidget) -> None:
        shown = self.presenter.conversation_id
        if shown is None:
            self._context.session.announce("This conversation is still empty: write a message first.")
        else:
            self.actions.show(shown, below(at))

    def _show_model(self) -> None:
        session = self._context.session
        name = session.adapter.name if session.adapter else session.base.name if session.base else "No model yet"
        name = f"{session.server.reference.name} (a server)" if session.server else name
        self.composer.set_model(name)

    def _show_state(self, state: str) -> None:
        if not isValid(self.notice):  # the worker ends after the window, which took the room's widgets with it
            return
        if state == "failed":
            self.notice.say("alert", "The model has stopped. Your conversation is saved.", "warning", "Restart")
        elif self.presenter.unanswered:
            self.notice.say("alert", "Your last message has not been answered.", "warning", "Ask again")
        self.notice.setVisible(state == "failed" or self.presenter.unanswered)

    def _mend(self) -> None:
        """What the notice's button does: a process that has ended comes first."""
        if self._context.chat.state == "failed":
            self._context.chat.restart()
        else:
            self.presenter.ask_again()

    def show_trouble(self, trouble: AppError) -> None:
        """Say what is wrong, beside the composer."""
        self.notice.say("alert", str(trouble), "warning", "Restart" if self._context.chat.state == "failed" else "")
        self.notice.show()


def _in_the_middle(widget: QWidget) -> QLayout:
    """As wide as a line is read well, in the middle however wide the panel above is."""
    widget.setMaximumWidth(t.CONTENT_WIDTH - t.SIDEBAR_WIDTH)
    held = row(None, 0, 0)
    held.addStretch(1)
    held.addWidget(widget, 1000)
    held.addStretch(1)
    return held


def _scrolling(widget: QWidget) -> QScrollArea:
    """What need not all be seen: it gives way to the panels below it where the window is low."""
    area = QScrollArea()
    area.setWidgetResizable(True)
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    widget.setProperty("kind", "plain")
    area.setWidget(widget)
    return area
