"""Every key of the program, in one table: what it means, what it is, where it holds. Nothing else in the program names a key.

Widgets ask by meaning: a button for its shortcut (`text`), a field or a board for what a press says (`heard`), a tooltip or a key
bar for how a key is written here (`shown`). A meaning has one key in the whole program, and a letter one meaning; tests hold to
both. Tab, the arrows within a list and what Qt's own fields do with keys are not in here.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from PySide6.QtCore import QEvent, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import QWidget

from rlhf_desktop.ui.judging.keys import symbol

Standard = QKeySequence.StandardKey

KEYS: dict[str, tuple[str | QKeySequence.StandardKey, ...]] = {
    # anywhere in the window
    "chat": ("Ctrl+1",),
    "label": ("Ctrl+2",),
    "feedback": ("Ctrl+3",),
    "train": ("Ctrl+4",),
    "evaluate": ("Ctrl+5",),
    "models": ("Ctrl+6",),
    "settings": ("Ctrl+7",),
    "search everything": ("Ctrl+K",),
    "help": ("F1",),
    "keys": ("?", "Ctrl+/"),
    "larger text": (Standard.ZoomIn, "Ctrl+="),
    "smaller text": (Standard.ZoomOut,),
    "usual text": ("Ctrl+0",),
    "undo": (Standard.Undo,),
    "redo": (Standard.Redo,),
    "lock": ("Ctrl+L",),
    "quit": (Standard.Quit,),
    "cut": (Standard.Cut,),
    "copy": (Standard.Copy,),
    "paste": (Standard.Paste,),
    "select all": (Standard.SelectAll,),
    # in one room
    "new conversation": ("Ctrl+N",),
    "instructions": ("Ctrl+I",),
    "another answer": ("Ctrl+R",),
    "attach": ("Ctrl+O",),
    "find": (Standard.Find,),
    "next match": ("Return", "Enter", Standard.FindNext),
    "previous match": ("Shift+Return", "Shift+Enter", Standard.FindPrevious),
    "rename": ("F2",),
    "delete": ("Delete",),
    "fold prompt": ("P",),
    "fold guidelines": ("G",),
    "tick": ("Space",),
    "back": ("Alt+Left",),
    # judging
    "number": tuple("123456789"),
    "tie": ("=",),
    "none": ("0",),
    "take back": ("Backspace",),
    "thumb up": ("+",),
    "thumb down": ("-",),
    "edit": ("E",),
    "mark": ("M",),
    "rate": ("R",),
    "how sure": ("C",),
    "why": ("Y",),
    "write": ("W",),
    "skip": ("S",),
    "flag": ("F",),
    "how bad": ("B",),
    "show all": ("D",),
    # within a field, a row or a list
    "save": ("Return", "Enter"),
    "send": ("Return", "Enter", "Ctrl+Return", "Ctrl+Enter"),
    "new line": ("Shift+Return", "Shift+Enter"),
    "keep": ("Ctrl+Return", "Ctrl+Enter"),
    "leave": ("Esc",),
    "clear": ("Backspace", "Delete"),
    "left": ("Left",),
    "right": ("Right",),
    "up": ("Up",),
    "down": ("Down",),
    "page up": ("PgUp",),
    "page down": ("PgDown",),
    "line start": ("Home",),
    "line end": ("End",),
    "select": ("Shift+Left", "Shift+Right", "Shift+Home", "Shift+End"),
}


@dataclass(frozen=True)
class Place:
    """Somewhere keys hold: a room, or something within rooms."""

    title: str
    rooms: tuple[str, ...] = ()  # empty: in all of them


@dataclass(frozen=True)
class Use:
    """What a key does in one place."""

    place: str
    name: str  # in KEYS
    does: str


_JUDGING_ROOMS = ("chat", "label", "feedback")

PLACES: dict[str, Place] = {
    "window": Place("Everywhere"),
    "chat": Place("Chat", ("chat",)),
    "composer": Place("Chat: the message", ("chat",)),
    "finding": Place("Chat: find in the conversation", ("chat",)),
    "conversations": Place("Chat: the list of conversations", ("chat",)),
    "label": Place("Label", ("label",)),
    "feedback": Place("Feedback", ("feedback",)),
    "history": Place("Feedback: the table", ("feedback",)),
    "run": Place("Train: the page of a run", ("train",)),
    "result": Place("Evaluate: a result", ("evaluate",)),
    "judging": Place("Judging answers", _JUDGING_ROOMS),
    "rating": Place("In a row of marks or labels", _JUDGING_ROOMS),
    "marking": Place("Marking parts of an answer", _JUDGING_ROOMS),
    "revising": Place("Revising a judgement", ("feedback",)),
    "blind": Place("Comparing blind", ("evaluate",)),
    "ticking": Place("Models: a table with ticks", ("models",)),
    "writing": Place("Writing a longer text"),
    "text": Place("In any text"),
    "segments": Place("In a row of choices"),
    "notices": Place("In the list of notices"),
    "projects": Place("Projects"),
    "rail": Place("In the list of rooms"),
    "palette": Place("In the search"),
    "help": Place("In the help"),
    "sheet": Place("In this list of keys"),
}

USES: tuple[Use, ...] = (
    Use("window", "chat", "Chat"),
    Use("window", "label", "Label"),
    Use("window", "feedback", "Feedback"),
    Use("window", "train", "Train"),
    Use("window", "evaluate", "Evaluate"),
    Use("window", "models", "Models"),
    Use("window", "settings", "Settings"),
    Use("window", "search everything", "find anything"),
    Use("window", "help", "help for what is in front"),
    Use("window", "keys", "this list of keys"),
    Use("window", "larger text", "larger text"),
    Use("window", "smaller text", "smaller text"),
    Use("window", "usual text", "text in its usual size"),
    Use("window", "undo", "undo: take your last judgement back"),
    Use("window", "redo", "redo: have it count again"),
    Use("window", "lock", "lock this workspace, where it is encrypted; runs go on"),
    Use("window", "quit", "close the window; runs go on"),
    Use("chat", "new conversation", "new conversation"),
    Use("chat", "instructions", "instructions and sampling"),
    Use("chat", "another answer", "write another answer"),
    Use("chat", "attach", "attach files to the message"),
    Use("chat", "find", "find in the conversation"),
    Use("chat", "leave", "stop writing; while answers wait: a message instead, and back"),
    Use("composer", "send", "send"),
    Use("composer", "new line", "new line"),
    Use("finding", "next match", "the next one"),
    Use("finding", "previous match", "the one before"),
    Use("finding", "leave", "close, and back to where you were"),
    Use("conversations", "rename", "rename the conversation"),
    Use("conversations", "delete", "delete the conversation"),
    Use("label", "fold prompt", "fold or unfold the prompt"),
    Use("label", "fold guidelines", "show or fold the guidelines"),
    Use("feedback", "find", "search"),
    Use("history", "edit", "revise the chosen judgement"),
    Use("run", "back", "all runs"),
    Use("result", "back", "all comparisons"),
    Use("judging", "number", "the next best answer, or the group of the current one"),
    Use("judging", "tie", "the next answer equals the last one"),
    Use("judging", "none", "none of the answers will do"),
    Use("judging", "take back", "take the last key back"),
    Use("judging", "save", "save (a pair saves on its number)"),
    Use("judging", "left", "the answer before is current"),
    Use("judging", "right", "the next answer is current"),
    Use("judging", "up", "read on in the current answer: up"),
    Use("judging", "down", "read on in it: down"),
    Use("judging", "page up", "a page up in it"),
    Use("judging", "page down", "a page down in it"),
    Use("judging", "show all", "show all that can be said, or fold it into one line"),
    Use("judging", "thumb up", "the current answer is good"),
    Use("judging", "thumb down", "the current answer is not good"),
    Use("judging", "edit", "correct the current answer"),
    Use("judging", "mark", "mark parts of it"),
    Use("judging", "rate", "rate it, then numbers"),
    Use("judging", "how sure", "how sure you are"),
    Use("judging", "why", "say why"),
    Use("judging", "write", "write the answer yourself"),
    Use("judging", "skip", "skip: do not judge this one"),
    Use("judging", "flag", "flag: the prompt or an answer is wrong"),
    Use("rating", "number", "choose"),
    Use("rating", "left", "one lower"),
    Use("rating", "right", "one higher"),
    Use("rating", "up", "the row before"),
    Use("rating", "down", "the next row"),
    Use("rating", "clear", "say nothing"),
    Use("rating", "leave", "back to the answers"),
    Use("marking", "select", "select text"),
    Use("marking", "left", "begin one character before"),
    Use("marking", "right", "begin one character after"),
    Use("marking", "line start", "begin at the start of the line"),
    Use("marking", "line end", "begin at the end of the line"),
    Use("marking", "number", "mark what is selected"),
    Use("marking", "how bad", "how bad it is"),
    Use("marking", "leave", "back to the answers"),
    Use("revising", "leave", "leave the judgement as it is"),
    Use("blind", "number", "this one is better"),
    Use("blind", "tie", "about equal"),
    Use("blind", "none", "neither will do"),
    Use("blind", "up", "read on in both answers: up"),
    Use("blind", "down", "read on in both: down"),
    Use("blind", "page up", "a page up in both"),
    Use("blind", "page down", "a page down in both"),
    Use("blind", "skip", "skip"),
    Use("blind", "take back", "take the last verdict back"),
    Use("blind", "why", "say why"),
    Use("blind", "leave", "see the result so far"),
    Use("ticking", "tick", "tick or untick the chosen rows"),
    Use("writing", "keep", "keep the text"),
    Use("writing", "leave", "leave it"),
    Use("text", "cut", "cut"),
    Use("text", "copy", "copy"),
    Use("text", "paste", "paste"),
    Use("text", "select all", "select all"),
    Use("segments", "left", "the choice before"),
    Use("segments", "right", "the next choice"),
    Use("notices", "leave", "close"),
    Use("projects", "leave", "leave the question, then the page"),
    Use("rail", "leave", "back to the room"),
    Use("palette", "up", "the one above"),
    Use("palette", "down", "the one below"),
    Use("palette", "leave", "close"),
    Use("help", "back", "the page before"),
    Use("help", "line start", "the page's beginning"),
    Use("help", "line end", "the page's end"),
    Use("help", "up", "the one found above"),
    Use("help", "down", "the one found below"),
    Use("help", "left", "on its edge: wider"),
    Use("help", "right", "on its edge: narrower"),
    Use("help", "leave", "close, and back to the room"),
    Use("sheet", "leave", "close"),
)

_ALIKE = {"number": "1–9"}
_SIGNS = {"Left": "←", "Right": "→", "Up": "↑", "Down": "↓", "-": "−"}
_WHERE_IT_IS = Qt.KeyboardModifier.KeypadModifier | Qt.KeyboardModifier.GroupSwitchModifier  # not what it means


def text(name: str) -> str:
    """A meaning's first key, as `QKeySequence` reads it."""
    return sequences(name)[0].toString()


@cache
def sequences(name: str) -> tuple[QKeySequence, ...]:
    """A meaning's keys; those that the system has for it, where it has some."""
    made: list[QKeySequence] = []
    for key in KEYS[name]:
        made += QKeySequence.keyBindings(key) if isinstance(key, Standard) else [QKeySequence(key)]
    return tuple(made)


def written(sequence: QKeySequence) -> str:
    """A key as it stands on this system's keyboards."""
    said = sequence.toString(QKeySequence.SequenceFormat.NativeText).replace("Return", "Enter")
    held, _, key = said.rpartition("+")
    return f"{held}+{_SIGNS.get(key, key)}" if held else _SIGNS.get(said, said)


def shown(name: str) -> str:
    """A meaning's first key as it is written here; all of them where they are alike."""
    if name == "select":  # two keys, one for each way
        return f"{written(sequences(name)[0])} {written(QKeySequence(Qt.Key.Key_Right))}"
    return _ALIKE.get(name) or written(sequences(name)[0])


def all_shown(name: str) -> list[str]:
    """A meaning's keys as they are written here: at most two, without those that look the same (the two Enters)."""
    return [shown(name)] if name in (*_ALIKE, "select") else list(dict.fromkeys(map(written, sequences(name))))[:2]


def tip(words: str, name: str) -> str:
    """A tooltip: the words, and the key."""
    return f"{words}  ({shown(name)})"


def heard(event: QKeyEvent, place: str) -> str:
    """The name of what a key press says in a place; "" for nothing. Shift counts only where it makes a difference."""
    said = symbol(event)
    if name := next((name for name in _names(place) if said and said in KEYS[name]), ""):
        return name
    held = event.modifiers() & ~_WHERE_IT_IS
    for modifiers in (held, held & ~Qt.KeyboardModifier.ShiftModifier):
        pressed = QKeySequence(event.key() | modifiers.value)
        if name := next((name for name in _names(place) if pressed in _long(name)), ""):
            return name
    return ""


def pressed(event: QEvent, place: str) -> str:
    """What a key press says, in an event filter: "" for every other event."""
    return heard(event, place) if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress else ""


def overrides(event: QEvent, name: str, place: str) -> bool:
    """Whether Qt asks for whom a key press is that says this: a widget's `event` accepts it to have it before the shortcuts."""
    return isinstance(event, QKeyEvent) and event.type() == QEvent.Type.ShortcutOverride and heard(event, place) == name


def listen(owner: QWidget, name: str, then: Callable[[], object], inside: bool = False) -> list[QShortcut]:
    """Have a meaning's keys do something in the owner's window, or only `inside` the owner."""
    made = [QShortcut(sequence, owner, then) for sequence in sequences(name)]
    for shortcut in made if inside else []:
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
    return made


def in_order(room: str) -> Iterator[tuple[Place, list[Use]]]:
    """Everything the keys do, place by place: those of a room first, then what holds everywhere, then the other rooms."""

    def far(place: str) -> int:
        rooms = PLACES[place].rooms
        return 0 if room in rooms else 1 if not rooms else 2

    for place in sorted(PLACES, key=far):
        yield PLACES[place], [use for use in USES if use.place == place]


@cache
def _names(place: str) -> tuple[str, ...]:
    return tuple(use.name for use in USES if use.place == place)


@cache
def _long(name: str) -> tuple[QKeySequence, ...]:
    """A meaning's keys that are no single letter, digit or sign: those count by what is typed (`symbol`)."""
    return tuple(sequence for sequence in sequences(name) if len(sequence.toString()) > 1)
