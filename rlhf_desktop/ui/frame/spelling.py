"""Marks misspelled words in the fields where longer texts are written, and offers better ones under the right button."""

from functools import partial

from PySide6.QtCore import QLocale, QObject, QPoint, QTimer, Signal
from PySide6.QtGui import QColor, QTextCharFormat, QTextCursor
from PySide6.QtWidgets import QPlainTextEdit, QTextEdit, QWidget

from rlhf_desktop.operations.spelling import OFF, Dictionary, dictionary, languages, misspelled, suggestions, usual_language
from rlhf_desktop.store.projects import SettingsStore
from rlhf_desktop.ui.application import application
from rlhf_desktop.ui.frame.textmenu import Group, TextAction
from rlhf_desktop.ui.tasks import TaskRunner
from rlhf_desktop.ui.theme.style import current
from rlhf_desktop.ui.widgets.highlight import highlight, place_of

PAUSE_MS = 400  # after the last letter: a word is not called wrong while it is typed
SETTING = "spelling"


class Spelling(QObject):
    """The dictionary in use, and the fields it is used for."""

    changed = Signal()

    def __init__(self, settings: SettingsStore, tasks: TaskRunner, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._settings = settings
        self.words: Dictionary | None = None
        self._begins = True
        application().focusChanged.connect(self._take)
        tasks.run(_opened, settings.get(SETTING), on_success=self._begin)

    def _begin(self, words: Dictionary | None) -> None:
        if self._begins:  # nobody has chosen meanwhile
            self._use(words)

    def _use(self, words: Dictionary | None) -> None:
        self._begins = False
        self.words = words
        self.changed.emit()

    def choose(self, language: str) -> None:
        """Check this language from now on, or none."""
        self._settings.set(SETTING, language)
        self._use(dictionary(language))

    def _take(self, _old: QWidget | None, now: QWidget | None) -> None:
        """A field for longer texts has the focus, perhaps for the first time."""
        if isinstance(now, QPlainTextEdit) and not now.isReadOnly() and now.findChild(Marks) is None:
            Marks(now, self)

    def offers(self, text: QWidget, at: QPoint) -> list[Group]:
        """For the menu of a text: better words for the marked one under the pointer."""
        marks = text.findChild(Marks) if isinstance(text, QPlainTextEdit) and self.words is not None else None
        cursor = marks.at(at) if marks else None
        if cursor is None or self.words is None:
            return []
        word = cursor.selectedText()
        better = [TextAction(each, partial(cursor.insertText, each)) for each in suggestions(word, self.words)]
        none = [TextAction("No suggestions", lambda: None, on=False)]
        return [better or none, [TextAction(f"Add “{word}” to the dictionary", lambda: self._add(word), "book")]]

    def _add(self, word: str) -> None:
        if self.words is not None:
            self.words.add(word.replace("’", "'"))
            self.changed.emit()


def chosen_language(chosen: object, known: list[str]) -> str:
    """The language that was chosen, else the system's; OFF: no spell check."""
    return str(chosen) if chosen in (OFF, *known) else usual_language(known, QLocale.system().name())


def _opened(chosen: object) -> Dictionary | None:
    """The dictionary to begin with. Finding out which there are takes a moment."""
    return dictionary(chosen_language(chosen, languages()))


class Marks(QObject):
    """Underlines the misspelled words of one field."""

    def __init__(self, field: QPlainTextEdit, spelling: Spelling) -> None:
        super().__init__(field)
        self._field, self._spelling = field, spelling
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(PAUSE_MS)
        self._pause.timeout.connect(self.mark)
        field.textChanged.connect(self._pause.start)
        spelling.changed.connect(self.mark)
        self.mark()

    def mark(self) -> None:
        """Look through all of the text."""
        words = self._spelling.words
        text = self._field.toPlainText()
        found = [(_units(text, start), _units(text, end)) for start, end in misspelled(text, words)] if words is not None else []
        typing = self._field.textCursor().position() if self._field.hasFocus() else -1
        self._field.setExtraSelections([self._marked(start, end) for start, end in found if end != typing])

    def at(self, place: QPoint) -> QTextCursor | None:
        """The marked word at a place of the field, selected; None: there is none."""
        position = self._field.cursorForPosition(place).position()
        for each in self._field.extraSelections():
            marked = place_of(each)
            if marked.selectionStart() <= position <= marked.selectionEnd():
                return marked
        return None

    def _marked(self, start: int, end: int) -> QTextEdit.ExtraSelection:
        cursor = self._field.textCursor()
        cursor.setPosition(start)
        cursor.setPosition(end, QTextCursor.MoveMode.KeepAnchor)
        look = QTextCharFormat()
        look.setUnderlineStyle(QTextCharFormat.UnderlineStyle.SpellCheckUnderline)
        look.setUnderlineColor(QColor(current().danger))
        return highlight(cursor, look)


def _units(text: str, place: int) -> int:
    """A place in a text as Qt counts: letters beyond the first 65,536, an emoji for instance, are two."""
    return place if text.isascii() else len(text[:place].encode("utf-16-le")) // 2


def language_name(code: str) -> str:
    """A language as its speakers call it: "Deutsch (Deutschland)"."""
    locale = QLocale(code)
    if locale.language() == QLocale.Language.C:
        return code
    name, country = locale.nativeLanguageName(), locale.nativeTerritoryName()
    name = name[:1].upper() + name[1:]
    return f"{name} ({country})" if "_" in code and country else name
