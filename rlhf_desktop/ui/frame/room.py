"""What a room is, and which rooms there are. A room is imported and made on the first visit."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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


class ChatPlaces(Room, Protocol):
    """Where in Chat other parts of the window lead."""

    @property
    def conversation_id(self) -> str | None:
        """The conversation shown; None for a new one."""

    def show_conversation(self, conversation_id: str) -> None:
        """A conversation."""

    def new_conversation(self) -> None:
        """An empty one."""

    def show_setup(self) -> None:
        """Its instructions and sampling."""


class LabelPlaces(Room, Protocol):
    """Where in Label other parts of the window lead."""

    @property
    def judges(self) -> bool:
        """Whether somebody is judging from the queue."""

    def go_on(self) -> None:
        """Judge on as soon as it is known what waits."""

    def write_prompts(self, keep_aside: bool) -> None:
        """The page where prompts are added."""


class TrainPlaces(Room, Protocol):
    """Where in Train other parts of the window lead."""

    def show_run(self, run_id: str) -> None:
        """A run's page."""

    def show_sample_project(self) -> None:
        """The sample project."""


class EvaluatePlaces(Room, Protocol):
    """Where in Evaluate other parts of the window lead."""

    def show_result(self, evaluation_id: str) -> None:
        """What a comparison has found."""

    def show_result_of(self, run_id: str) -> None:
        """How good what a run has made is."""


class ModelsPlaces(Room, Protocol):
    """Where in Models other parts of the window lead."""

    def show_adding(self) -> None:
        """What adds a model."""

    def show_publishing(self) -> None:
        """The page that publishes comparisons."""


@runtime_checkable
class NamesFocus(Protocol):
    """A page, or the window, that says where keys belong when nothing else has taken the focus."""

    def focus_place(self) -> QWidget | None:
        """The widget for them; None: there is none."""


def _chat(context: Context) -> ChatPlaces:
    from rlhf_desktop.ui.chat.room import ChatRoom

    return ChatRoom(context)


def _label(context: Context) -> LabelPlaces:
    from rlhf_desktop.ui.label.room import LabelRoom

    return LabelRoom(context)


def _feedback(context: Context) -> Room:
    from rlhf_desktop.ui.feedback.room import FeedbackRoom

    return FeedbackRoom(context)


def _train(context: Context) -> TrainPlaces:
    from rlhf_desktop.ui.train.room import TrainRoom

    return TrainRoom(context)


def _evaluate(context: Context) -> EvaluatePlaces:
    from rlhf_desktop.ui.evaluate.room import EvaluateRoom

    return EvaluateRoom(context)


def _models(context: Context) -> ModelsPlaces:
    from rlhf_desktop.ui.models.room import ModelsRoom

    return ModelsRoom(context)


def _settings(context: Context) -> Room:
    from rlhf_desktop.ui.settings.room import SettingsRoom

    return SettingsRoom(context)


ROOMS: tuple[RoomSpec, ...] = (
    RoomSpec("chat", "Chat", "chat", _chat),
    RoomSpec("label", "Label", "label", _label),
    RoomSpec("feedback", "Feedback", "feedback", _feedback),
    RoomSpec("train", "Train", "train", _train),
    RoomSpec("evaluate", "Evaluate", "evaluate", _evaluate),
    RoomSpec("models", "Models", "models", _models),
    RoomSpec("settings", "Settings", "settings", _settings),
)
