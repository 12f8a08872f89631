"""What a room is, and which rooms there are. A room is imported and made on the first visit."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from PySide6.QtWidgets import QWidget

from rlhf_desktop.ui.context import Context


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
    shortcut: str
    make: Callable[[Context], Room]


def _lazily(module: str, name: str) -> Callable[[Context], Room]:
    return lambda context: getattr(import_module(module), name)(context)


ROOMS: tuple[RoomSpec, ...] = (
    RoomSpec("chat", "Chat", "chat", "Ctrl+1", _lazily("rlhf_desktop.ui.chat.room", "ChatRoom")),
    RoomSpec("label", "Label", "label", "Ctrl+2", _lazily("rlhf_desktop.ui.label.room", "LabelRoom")),
    RoomSpec("feedback", "Feedback", "feedback", "Ctrl+3", _lazily("rlhf_desktop.ui.feedback.room", "FeedbackRoom")),
    RoomSpec("train", "Train", "train", "Ctrl+4", _lazily("rlhf_desktop.ui.train.room", "TrainRoom")),
    RoomSpec("evaluate", "Evaluate", "evaluate", "Ctrl+5", _lazily("rlhf_desktop.ui.evaluate.room", "EvaluateRoom")),
    RoomSpec("models", "Models", "models", "Ctrl+6", _lazily("rlhf_desktop.ui.models.room", "ModelsRoom")),
    RoomSpec("settings", "Settings", "settings", "Ctrl+7", _lazily("rlhf_desktop.ui.settings.room", "SettingsRoom")),
)
