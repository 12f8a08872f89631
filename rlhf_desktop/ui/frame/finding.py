"""What the search finds besides conversations: actions, places in the rooms, and the guide. Ranked by `ui.help.ranking`."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractSpinBox, QComboBox, QLabel, QLineEdit, QTabBar, QWidget

from rlhf_desktop.ui.frame.palette import Command
from rlhf_desktop.ui.frame.room import Room
from rlhf_desktop.ui.help import guide
from rlhf_desktop.ui.help.ranking import Words, best
from rlhf_desktop.ui.widgets.surfaces import reveal

MOST = 8  # the rest of the list is for conversations
_FIELDS = (QLineEdit, QComboBox, QAbstractSpinBox)
_ACTION, _TERM, _PAGE = 6.0, 3.0, 0.0  # of two that match alike, the one to act with comes first


@dataclass(frozen=True)
class Spot:
    """A place in a room, by what is written there."""

    text: str
    room: str
    part: str = ""  # a heading, or a control's accessible name
    tab: str = ""
    aliases: str = ""


SPOTS: tuple[Spot, ...] = (
    Spot("Your name and role", "settings", "Who you are", aliases="who am i, user, account, annotator, rater"),
    Spot("Offline, and what is ever sent", "settings", "Privacy", aliases="offline, network, internet, telemetry, privacy"),
    Spot("Encryption and passphrase", "settings", "Encryption", aliases="encrypt, password, passphrase, lock, sqlcipher, at rest"),
    Spot("Hugging Face token", "settings", "Your Hub token", aliases="hub token, password, login, api key, gated"),
    Spot("Appearance", "settings", "Appearance", aliases="theme, colours, colors, night mode, font size, text size"),
    Spot(
        "Where things are, and backups", "settings", "Where things are",
        aliases="backup, folder, workspace, database, restore, files, location",
    ),
    Spot("Audit log", "settings", "Audit log", aliases="audit, log, who did what, history, verify, hash, chain, compliance"),
    Spot("Device to compute on", "settings", "This computer", aliases="gpu, cpu, cuda, graphics card, device, memory, vram"),
    Spot("Version and licences", "settings", "About", aliases="version, licence, license, about"),
    Spot(
        "Import feedback", "feedback", "Import", "Import / export",
        aliases="import, csv, excel, jsonl, parquet, load data, upload data, dataset",
    ),
    Spot("Export feedback", "feedback", "Export", "Import / export", aliases="export, save as, download data, csv, jsonl, trl"),
    Spot("Bundles for a team", "feedback", "", "Import / export", aliases="merge, bundle, colleague, share, team"),
    Spot("Undo a merge", "feedback", "", "Import / export", aliases="undo merge, take back a bundle, unmerge, revert"),
    Spot("Quality of the judgements", "feedback", "", "Quality", aliases="bias, consistency, statistics, plots, quality"),
    Spot("Team: agreement and disagreements", "feedback", "", "Team", aliases="agreement, krippendorff, settle, colleagues"),
    Spot(
        "Erase judgements for good", "feedback", "", "Judgements",
        aliases="erase, delete data, delete judgements, forget, gdpr, withdraw, revise",
    ),
    Spot("Add prompts to judge", "label", "", aliases="prompts, prompt set, questions, guidelines, what is asked, protocol"),
    Spot("Start training", "train", "", aliases="train, fine-tune, finetune, ppo, dpo, sft, kto, start a run, runs, queue"),
    Spot("Compare two models blind", "evaluate", "", aliases="blind, a/b test, ab test, win rate, evaluate, is it better"),
)  # fmt: skip


def rank(text: str, commands: Sequence[Command], open_help: Callable[[str], None]) -> list[Command]:
    """The actions and pages that match what was typed, the best first; all actions when nothing was."""
    if not text.strip():
        return list(commands)
    sections = [_section(section, open_help) for section in guide.sections()]
    return [found.command for found in best(text, [*map(_action, commands), *sections], lambda each: each.words, MOST)]


def spots(show_room: Callable[[str], Room]) -> list[Command]:
    """The places as commands.

    Args:
        show_room: Brings a room to the front and returns it.
    """
    return [Command(spot.text, spot.room, partial(_go_to, show_room, spot), aliases=spot.aliases) for spot in SPOTS]


@dataclass(frozen=True)
class _Findable:
    command: Command
    words: Words


def _action(command: Command) -> _Findable:
    return _Findable(command, Words(command.text, command.aliases, weight=_ACTION))


def _section(section: guide.Section, open_help: Callable[[str], None]) -> _Findable:
    page = guide.page(section.page)
    shown = Command(
        section.title, "book", lambda: open_help(section.target), "help" if not section.anchor else f"help · {page.title}"
    )
    term = section.page == "glossary" and section.anchor
    return _Findable(shown, Words(section.title, section.also, section.text, _TERM if term else _PAGE))


def _go_to(show_room: Callable[[str], Room], spot: Spot) -> None:
    """Bring a place into sight, and give it the keys: a heading does nothing with them, and Tab goes on from it."""
    root = show_room(spot.room).widget()
    for bar in root.findChildren(QTabBar) if spot.tab else []:
        names = [bar.tabText(place) for place in range(bar.count())]
        if spot.tab in names:
            bar.setCurrentIndex(names.index(spot.tab))
    widget = _named(root, spot.part) if spot.part else None
    if widget is not None:
        reveal(widget, at_top=not isinstance(widget, _FIELDS))
        if isinstance(widget, (*_FIELDS, QLabel)):
            widget.setFocus(Qt.FocusReason.ShortcutFocusReason)


def _named(root: QWidget, part: str) -> QWidget | None:
    said = (widget for widget in root.findChildren(QWidget) if part in _names(widget))
    return next(said, None)


def _names(widget: QWidget) -> tuple[str, ...]:
    return (widget.accessibleName(), widget.text() if isinstance(widget, QLabel) else "")
