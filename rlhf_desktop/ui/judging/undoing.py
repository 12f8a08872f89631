"""Ctrl+Z and Ctrl+Shift+Z for judgements, back through earlier days too."""

from collections.abc import Callable

from PySide6.QtCore import QObject, SignalInstance

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.feedback.judgements import Judgement
from rlhf_desktop.operations.history import verdict_words
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.context import Session


class Undoing(QObject):
    """Takes the user's last judgement back, or has it count again, and says so."""

    def __init__(self, store: Store, session: Session, who: Callable[[], str], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._store, self._session, self._who = store, session, who
        session.undoRequested.connect(self.undo)
        session.redoRequested.connect(self.redo)

    def undo(self) -> None:
        """Take the last one back. Whoever shows its answers shows them to be judged again."""
        took_back = self._session.judgementTakenBack
        self._step(self._store.judgements.undo, "Taken back", "There is no judgement of yours to undo.", took_back, self.redo)

    def redo(self) -> None:
        """Have the one last taken back count again."""
        restored = self._session.judgementRestored
        self._step(self._store.judgements.redo, "Counts again", "Nothing to redo.", restored, self.undo)

    def _step(
        self, how: Callable[[str, str], Judgement | None], words: str, none: str, signal: SignalInstance, back: Callable[[], None]
    ) -> None:
        try:
            judgement = how(self._session.project.id, self._who())
        except AppError as trouble:
            self._session.troubled.emit(trouble)
            return
        if judgement is None:
            self._session.announce(none, about="judgement")
            return
        self._session.feedbackChanged.emit()
        signal.emit(judgement)
        self._session.announce(f"{words}: {verdict_words(judgement)}.", back, "judgement")
