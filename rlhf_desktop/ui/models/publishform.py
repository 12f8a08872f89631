"""What only the user can say before something is published: where to, under which licence, for what, who may read it."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QLineEdit, QPlainTextEdit, QWidget

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.hub.cards import Statement, licence_choices
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.fields import Form, choice, writable
from rlhf_desktop.ui.widgets.surfaces import column


class PublishForm(QWidget):
    """Fields for the repository and the card.

    Args:
        has_token: Whether a Hub token is kept; otherwise one is asked for.
        languages: Ask for the texts' languages too (datasets).
    """

    changed = Signal()

    def __init__(self, has_token: bool, languages: bool = False, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.repo = line_field("Repository", "", "owner/name")
        self.licence = choice("Licence")
        writable(self.licence, "Licence")
        self.licence.addItems(["", *licence_choices()])
        self.use = text_field("Intended use", "What it is for, in a sentence or two")
        self.limits = text_field("Limits", "What it is not for, and where it fails")
        self.languages = line_field("Languages", "", "codes, for example: en, de")
        self.tag = line_field("Version tag", "", "optional, for example v1")
        self.public = QCheckBox("Everybody may read it")
        self.public.setAccessibleName("Everybody may read it; otherwise only your account can")
        self.token = line_field("Your Hub token", "", "needs write permission; kept in this system's keyring, never in a file")
        self.token.setEchoMode(QLineEdit.EchoMode.Password)
        self._form = Form()
        rows = [("Repository", self.repo), ("Licence", self.licence), ("Intended use", self.use), ("Limits", self.limits)]
        rows += [("Languages", self.languages)] if languages else []
        for label, field in (*rows, ("Version tag", self.tag), ("", self.public), ("Your Hub token", self.token)):
            self._form.add(label, field)
        column(self).addLayout(self._form)
        self.show_token(has_token)
        for field in (self.repo, self.languages, self.tag):
            field.textChanged.connect(self.changed)
        for field in (self.use, self.limits):
            field.textChanged.connect(self.changed)
        self.licence.currentTextChanged.connect(self.changed)
        self.public.toggled.connect(self.changed)

    def show_token(self, has_token: bool) -> None:
        """Ask for a token, or don't."""
        self._form.setRowVisible(self.token, not has_token)

    def take_token(self) -> str:
        """What was typed, which is then gone from the field."""
        typed = self.token.text().strip()
        self.token.clear()
        return typed

    def statement(self) -> Statement:
        """What the user says about it."""
        codes = tuple(code.strip() for code in self.languages.text().replace(";", ",").split(",") if code.strip())
        licence, use, limits = self.licence.currentText(), self.use.toPlainText(), self.limits.toPlainText()
        return Statement(licence.strip(), "", use.strip(), limits.strip(), codes)

    def repository(self) -> str:
        """Where to.

        Raises:
            BadInput: it is no name of a repository.
        """
        repo = self.repo.text().strip()
        if repo.count("/") != 1 or not all(repo.split("/")):
            raise BadInput("The repository needs a name.", "Names look like owner/name; the owner is your account on the Hub.")
        return repo


def line_field(name: str, text: str, placeholder: str = "") -> QLineEdit:
    """A named line of text."""
    field = QLineEdit(text)
    field.setAccessibleName(name)
    field.setPlaceholderText(placeholder)
    return field


def text_field(name: str, placeholder: str) -> QPlainTextEdit:
    """A named field for a few sentences."""
    field = QPlainTextEdit()
    field.setAccessibleName(name)
    field.setPlaceholderText(placeholder)
    field.setTabChangesFocus(True)
    field.setFixedHeight(t.CONTROL_HEIGHT * 2)
    return field
