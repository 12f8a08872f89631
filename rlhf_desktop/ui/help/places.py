"""Which page of the guide a screen has. Screens are known by the names of their classes, so that none of them knows the guide."""

from collections.abc import Iterator

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QWidget

ROOMS = {
    "": "first-round",  # the welcome page
    "chat": "chat",
    "label": "label",
    "feedback": "feedback",
    "train": "training",
    "evaluate": "evaluation",
    "models": "models",
    "settings": "settings",
}
# what fills a room, or is open in it: the innermost that is seen is meant
PAGES = {
    "ProjectsPage": "projects#putting-away-deleting-bringing-back",
    "NewProjectPage": "projects#a-new-project",
    "SetupPanel": "chat#instructions-and-sampling",
    "WritePrompts": "label#prompts",
    "ProtocolPage": "feedback#what-is-asked",
    "QualityPage": "feedback#looking-back",
    "TeamPage": "feedback#as-a-team",
    "FilesPage": "feedback_files",
    "ErasingPage": "feedback_files#erasing",
    "RevisingPage": "feedback#looking-back",
    "StartPanel": "training#before-a-run-the-train-room",
    "RunPage": "training#while-it-runs",
    "ComparePage": "training#after-a-run",
    "JudgingView": "evaluation#compare-blind",
    "ResultPage": "evaluation#the-interval-and-when-to-stop",
    "RewardPage": "reward-models",
    "AddPanel": "models#2-get-it",
    "ExportPanel": "models#4-use-it-elsewhere",
    "PublishPanel": "models#5-publish-it",
    "DataPage": "privacy#before-you-publish-feedback",
}
# parts of a page: only meant when the focus is in them
PARTS = {
    "GuidelinePanel": "feedback#guidelines",
    "ImportCard": "feedback_files#import",
    "ExportCard": "feedback_files#export",
    "BundleCard": "feedback_files#bundles-working-as-a-team",
    "SettingsForm": "trainers",
    "EffectsCard": "evaluation#side-effects",
    "ServerCard": "models#6-a-model-that-runs-elsewhere",
    "PrivacyCard": "privacy",
    "EncryptionCard": "privacy#encryption",
    "DeviceCard": "settings#this-computer",
}
RECIPES = {"sft": "trainers#four-ways-to-learn", "reward": "reward-models", "ppo": "trainers#what-ppo-does-in-one-round"}


def place(room: str, root: QWidget, focus: QWidget | None) -> str:
    """The page for what has the focus in a room, else for what is open in it, else for the room."""
    if focus is not None and root.isAncestorOf(focus):
        around = next((found for widget in _upwards(focus, root) if (found := _of(widget, {**PAGES, **PARTS}))), "")
        if around:
            return around
    seen = [w for w in root.findChildren(QWidget) if type(w).__name__ in PAGES and w.isVisible()]
    innermost = max(seen, key=lambda widget: len(list(_upwards(widget, root))), default=None)
    return _of(innermost, PAGES) if innermost is not None else ROOMS[room]


def _of(widget: QObject, table: dict[str, str]) -> str:
    recipe = RECIPES.get(getattr(widget, "algorithm", "")) if type(widget).__name__ == "StartPanel" else None
    return recipe or table.get(type(widget).__name__, "")


def _upwards(widget: QWidget | None, root: QWidget) -> Iterator[QWidget]:
    while widget is not None and widget is not root:
        yield widget
        widget = widget.parentWidget()
