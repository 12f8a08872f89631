"""Makes the guide's pictures: parts of the window with the sample content, light, small enough to lie in the repository.

    python packaging/guide_pictures.py [--out resources/guide/pictures] [--only chat,train]

Each picture is the smallest part of a scene of `screenshots.py` that shows what the text beside it speaks of.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import screenshots
from PySide6.QtCore import QPoint, QPointF, QRect, QSize
from PySide6.QtGui import QColor, QImage, QLinearGradient, QPainter
from PySide6.QtWidgets import QApplication, QScrollArea, QWidget
from screenshot_studio import Scene, Studio

from rlhf_desktop.core.paths import resources_dir
from rlhf_desktop.ui.help.first_round import Progress
from rlhf_desktop.ui.theme import tokens as t

_WINDOW = (1000, 760)
_MOST = (560, 440)  # a picture is shown beside a room: wider ones would have letters too small to read
_FADE = 40  # pixels over which a part that goes on fades away


@dataclass(frozen=True)
class Picture:
    """What is photographed: all that is seen of some classes in a scene, with a little air round it."""

    scene: str
    parts: tuple[str, ...]
    before: Scene | None = None  # after the scene, and before the picture
    most: tuple[int, int] = _MOST
    window: tuple[int, int] = _WINDOW


def _scroll(kind: str) -> Scene:
    """Bring the first widget of a class to the top of its page."""

    def scene(studio: Studio) -> None:
        widget = find(studio, kind)[0]
        area = widget.parentWidget()
        while not (isinstance(area, QScrollArea) and area.widget() is not None):
            area = area.parentWidget()
        top = widget.mapTo(area.widget(), QPoint()).y()
        area.verticalScrollBar().setValue(max(0, top - t.SPACE_L))

    return scene


def _first_round(studio: Studio) -> None:
    """As the line of the first round is at the beginning."""
    bar = studio.window.first_round
    bar.show_progress(Progress(2, "27 of 100"))
    bar.show()


def _ready(studio: Studio) -> None:
    """As if the silent worker had its model."""
    studio.context.chat._set_state("ready")


PICTURES: dict[str, Picture] = {
    "rlhf-1-show": Picture("chat", ("TurnView",), _ready, most=(640, 300)),
    "rlhf-2-compare": Picture("label-judging", ("AnswerBoard",), most=(640, 440)),
    "rlhf-3-train": Picture("train", ("RecipeCard",), most=(690, 330)),
    "rlhf-4-check": Picture("evaluate-better", ("ResultPage",), most=(900, 330)),
    "first-round": Picture("chat", ("Header", "FirstRoundBar"), _first_round, most=(960, 120)),
    "chat": Picture("chat", ("TurnView", "Composer"), _ready, most=(640, 700), window=(1000, 520)),
    "label": Picture("label-judging", ("PromptCard", "AnswerCard"), most=(620, 400)),
    "feedback": Picture("feedback", ("HistoryTable",), most=(560, 330)),
    "training": Picture("train-live", ("RunPage",), most=(560, 440)),
    "evaluation": Picture("evaluate-blind", ("JudgingView",), most=(640, 340)),
    "models": Picture("models", ("BaseCard",), most=(560, 300)),
    "settings": Picture("settings", ("PrivacyCard", "Card"), most=(560, 440)),
    "projects": Picture("train", ("Header",), most=(960, 80)),
    "encryption": Picture("settings-encrypted", ("EncryptionCard",), _scroll("EncryptionCard"), most=(560, 440)),
    "privacy": Picture("settings", ("PrivacyCard",), _scroll("PrivacyCard"), most=(560, 330)),
    "signals": Picture("label-groups", ("AnswerCard",), most=(640, 360)),
    "feedback_files": Picture("feedback-files", ("ImportCard",), most=(560, 440)),
    "trainers": Picture("train-start", ("StartPanel",), _scroll("StartPanel"), most=(560, 440)),
    "reward-models": Picture("evaluate-reward", ("RewardPage",), most=(560, 330)),
    "projects-new": Picture("projects-new", ("NewProjectPage",), most=(420, 500)),
    "families": Picture("models-add", ("AddPanel",), most=(660, 360)),
    "glossary": Picture("train-start", ("SettingsForm",), _scroll("SettingsForm"), most=(560, 260)),
}


def seen(studio: Studio) -> Iterable[QWidget]:
    """Every widget that is in the picture."""
    return (widget for widget in studio.window.findChildren(QWidget) if widget.isVisible())


def find(studio: Studio, kind: str) -> list[QWidget]:
    """All that is seen of a class."""
    return [widget for widget in seen(studio) if type(widget).__name__ == kind]


def crop(studio: Studio, picture: Picture) -> tuple[QRect, QRect]:
    """Where the parts are, and how much of that is shown."""
    whole = QRect()
    for widget in (widget for kind in picture.parts for widget in find(studio, kind)):
        whole = whole.united(QRect(widget.mapTo(studio.window, QPoint()), widget.size()))
    whole = whole.adjusted(-t.SPACE_S, -t.SPACE_S, t.SPACE_S, t.SPACE_S).intersected(studio.window.rect())
    return whole, QRect(whole.topLeft(), whole.size().boundedTo(QSize(*picture.most)))


def framed(picture: QImage, right: bool, below: bool) -> QImage:
    """A frame; and a picture that goes on at its right, or below, fades there."""
    painter, ground = QPainter(picture), QColor(t.LIGHT.bg)
    edges = []
    if right:
        edges.append((QPointF(picture.width() - _FADE, 0), QPointF(picture.width(), 0)))
    if below:
        edges.append((QPointF(0, picture.height() - _FADE), QPointF(0, picture.height())))
    for start, end in edges:
        gradient = QLinearGradient(start, end)
        gradient.setColorAt(0, QColor(ground.red(), ground.green(), ground.blue(), 0))
        gradient.setColorAt(1, ground)
        painter.fillRect(picture.rect(), gradient)
    painter.setPen(QColor(t.LIGHT.hairline))
    painter.drawRect(picture.rect().adjusted(0, 0, -1, -1))
    painter.end()
    return picture


def take(studio: Studio, picture: Picture) -> QImage:
    """Make the scene and photograph its part."""
    studio.window.resize(*picture.window)
    screenshots.SCENES[picture.scene](studio)
    studio.settle()
    studio.show_loaded()
    if picture.before is not None:
        picture.before(studio)
        studio.settle(1)
    whole, shown = crop(studio, picture)
    studio.window.first_round.setVisible("FirstRoundBar" in picture.parts)
    image = studio.window.grab(shown).toImage().convertToFormat(QImage.Format.Format_RGB888)
    return framed(image, shown.right() < whole.right(), shown.bottom() < whole.bottom())


def main(only: Callable[[str], bool] = lambda _name: True, out: Path | None = None) -> None:
    """Write the pictures asked for."""
    folder = out or resources_dir() / "guide" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    app = QApplication.instance() or QApplication([])
    with tempfile.TemporaryDirectory() as work:
        os.environ["RLHF_DESKTOP_STATE"] = str(Path(work) / "state")
        studio = Studio(app, Path(work) / "workspace", _WINDOW, 1.0)
        try:
            for name, picture in PICTURES.items():
                if only(name):
                    image = take(studio, picture)
                    image.save(str(folder / f"{name}.png"))
                    print(
                        f"{name} {image.width()}×{image.height()} {(folder / f'{name}.png').stat().st_size // 1000} kB", flush=True
                    )
        finally:
            studio.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    wanted = tuple(filter(None, asked.only.split(",")))
    main(lambda name: not wanted or name.startswith(wanted), asked.out)
