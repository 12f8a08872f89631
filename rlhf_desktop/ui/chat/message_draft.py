"""The message being written, with its files: kept for each conversation until it is sent, over an end of the program too."""

from collections.abc import Callable

from PySide6.QtCore import QObject, QTimer

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.chat.composer import Composer
from rlhf_desktop.ui.context import Session
from rlhf_desktop.ui.people import who_am_i

_TYPING_MS = 250  # a draft is kept this soon after the last letter


class MessageDraft(QObject):
    """Follows what conversation is shown: its message comes, the one before it is put by.

    Args:
        store: Where drafts are kept.
        session: Whose project is current.
        composer: Where the message is written.
        shown: Says the id of the conversation in front; None for a new one.
        parent: Its room.
    """

    def __init__(
        self, store: Store, session: Session, composer: Composer, shown: Callable[[], str | None], parent: QObject
    ) -> None:
        super().__init__(parent)
        self._store, self._session, self._composer, self._shown = store, session, composer, shown
        self._place = self._now()  # of what is in the composer
        self._typing = QTimer(self)
        self._typing.setSingleShot(True)
        self._typing.setInterval(_TYPING_MS)
        self._typing.timeout.connect(self.keep)
        self._kept = ""
        composer.edit.textChanged.connect(self._changed)
        composer.files.changed.connect(self._changed)

    def follow(self) -> None:
        """Another conversation is shown, or another project's."""
        if self._now() == self._place:
            return
        self.keep()
        self._place = self._now()
        self._composer.clear()
        self.take_up()

    def take_up(self) -> None:
        """Show what was kept of the message to this conversation, above what has been written since."""
        project, key = self._place
        kept = self._store.drafts.get(project, who_am_i(self._store), key)
        if kept:
            self._composer.put(kept["message"])
        self._kept = self._composer.draft()
        self._typing.stop()

    def begun(self) -> None:
        """The new conversation is stored from now on: what is written goes on with it."""
        before, self._place = self._place, self._now()
        self._store.drafts.discard(before[0], who_am_i(self._store), before[1])

    def settle(self) -> None:
        """Write down what was typed a moment ago: the room is left, or the window closed."""
        if self._typing.isActive():
            self.keep()

    def keep(self, *_ignored: object) -> None:
        """Write it down, or forget it once there is nothing."""
        self._typing.stop()
        (project, key), who, message = self._place, who_am_i(self._store), self._composer.draft()
        try:
            if message.strip():
                self._store.drafts.save(project, who, key, {"message": message})
            else:
                self._store.drafts.discard(project, who, key)
            self._kept = message
        except AppError as trouble:
            self._session.troubled.emit(trouble)

    def _changed(self) -> None:
        """Files are measured anew at times, which changes nothing that is kept."""
        if self._composer.draft() != self._kept:
            self._typing.start()

    def _now(self) -> tuple[str, str]:
        return self._session.project.id, f"message:{self._shown() or ''}"
