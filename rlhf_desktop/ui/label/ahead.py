"""Answers for Label are written wherever one is: whenever the model is loaded and free, and the user has not switched it off."""

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.operations.labelling import LabelQueue, label_queue
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.context import Context

_WANTED = "write ahead"


def writes_ahead(store: Store) -> bool:
    """Whether the user wants it."""
    return bool(store.settings.get(_WANTED, True))


class WriteAhead(QObject):
    """Feeds the window's `Lookahead` while nobody judges in Label.

    Chat goes first by itself: its message cancels what is written here (see `WorkerClient`), and the prompt is asked again later.
    A run that trains goes first too: it shares neither the processor nor the memory with answers nobody waits for.
    """

    readyChanged = Signal(int)

    def __init__(self, context: Context, who: Callable[[], str], parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._context, self._who, self._training = context, who, False
        self._ahead = context.ahead
        self._ahead.readyChanged.connect(self.readyChanged)
        session = context.session
        session.projectChanged.connect(self._project_changed)
        session.modelChanged.connect(self._ahead.look_again)
        session.deviceChosen.connect(self._ahead.let_go)
        session.writeAheadChosen.connect(self._choose)
        context.chat.modelLoaded.connect(self._loaded)
        self._allow()

    def set_training(self, on: bool) -> None:
        """A run trains, or none does."""
        if on != self._training:
            self._training = on
            self._allow()

    def stop(self) -> None:
        """The window closes."""
        self._ahead.stop()

    def _choose(self, on: bool) -> None:
        self._context.store.settings.set(_WANTED, on)
        self._allow()

    def _allow(self) -> None:
        self._ahead.set_allowed(writes_ahead(self._context.store) and not self._training)

    def _project_changed(self) -> None:
        self._ahead.stop()
        self._look()

    def _loaded(self, _model: object) -> None:
        self._look()

    def _look(self) -> None:
        """What waits in the project, unless Label knows it already. That it cannot be found is said where it is looked for."""
        context, project = self._context, self._context.session.project
        if not self._ahead.sitting:
            context.tasks.run(
                label_queue, context.store, project, self._who(),
                on_success=lambda queue: self._found(queue) if project == context.session.project else None,
                on_failure=self._not_found,
            )  # fmt: skip

    def _found(self, queue: LabelQueue) -> None:
        if not self._ahead.sitting:
            self._ahead.start(queue.waiting, queue.protocol.answers, queue.ready)

    def _not_found(self, _trouble: AppError) -> None:
        self._ahead.stop()
