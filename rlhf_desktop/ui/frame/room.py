"""What a room is, and which rooms there are. A room is imported and made on the first visit."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from PySide6.QtWidgets import QWidget

from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.frame import keymap


class Room(Protocol):
    """One of the window's seven places."""

    title: str
    icon: str

    def widget(self) -> QWidget:
        """The room's widget, always the same one."""

    def focus_place(self) -> QWidget:
        """Where keys belong when nothing else in the room has the focus; never something that starts work."""

    def activated(self) -> None:
        """The room has come to the front: refresh, take the focus, start timers."""

    def deactivated(self) -> None:
        """Another room has come to the front: stop timers, keep drafts."""


@dataclass(frozen=True)
class RoomSpec:
    """A room before it exists."""

    key: str
    title: str
    icon: str
    make: Callable[[Context], Room]

    @property
    def shortcut(self) -> str:
        """Its key."""
        return keymap.text(self.key)


def _lazily(module: str, name: str) -> Callable[[Context], Room]:
    return lambda context: getattr(import_module(module), name)(context)


ROOMS: tuple[RoomSpec, ...] = (
    RoomSpec("chat", "Chat", "chat", _lazily("rlhf_desktop.ui.chat.room", "ChatRoom")),
    RoomSpec("label", "Label", "label", _lazily("rlhf_desktop.ui.label.room", "LabelRoom")),
    RoomSpec("feedback", "Feedback", "feedback", _lazily("rlhf_desktop.ui.feedback.room", "FeedbackRoom")),
    RoomSpec("train", "Train", "train", _lazily("rlhf_desktop.ui.train.room", "TrainRoom")),
    RoomSpec("evaluate", "Evaluate", "evaluate", _lazily("rlhf_desktop.ui.evaluate.room", "EvaluateRoom")),
    RoomSpec("models", "Models", "models", _lazily("rlhf_desktop.ui.models.room", "ModelsRoom")),
    RoomSpec("settings", "Settings", "settings", _lazily("rlhf_desktop.ui.settings.room", "SettingsRoom")),
)
