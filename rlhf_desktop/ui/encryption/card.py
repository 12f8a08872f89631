"""The encryption card of Settings: how the workspace stands, and the forms that encrypt it, change the passphrase or decrypt it."""

from dataclasses import dataclass

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.paths import Workspace
from rlhf_desktop.operations import encryption, passphrases
from rlhf_desktop.ui.encryption.fields import NewPassphrase, PassphraseField
from rlhf_desktop.ui.encryption.idle import CHOICES
from rlhf_desktop.ui.encryption.request import EncryptionRequest
from rlhf_desktop.ui.encryption.unlocking import KEYRING
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.fields import Form, choice
from rlhf_desktop.ui.widgets.flow import Flow
from rlhf_desktop.ui.widgets.surfaces import Card, Notice, column
from rlhf_desktop.ui.widgets.text import caption

_OFF = "This workspace is not encrypted: whoever can read its folder, on this computer or in a copy of it, can read all of it."
_ON = "This workspace is encrypted. It is open until the program ends, or you lock it."
_UNFINISHED = "The workspace is being encrypted or decrypted: what is not done yet is finished at the next start."
_IMPOSSIBLE = "This installation of the program cannot encrypt: sqlcipher3 is missing."
PLAIN = (
    ("Models and adapters", "their weights; what a model has learned of your texts can be got out of it"),
    ("Runs under way", "what they learn from and write: it is encrypted as soon as they have ended"),
    ("What you export", "feedback files, bundles without a passphrase, exported models, reports"),
    ("What you publish", "on the Hub"),
    ("Names and sizes", "of files and runs, and when they were written"),
    ("While it is open", "memory, and what the system writes of it to disk (swap, hibernation): encrypt the disk against that"),
)
"""What encryption does not cover. resources/guide/privacy.md says the same."""


@dataclass(frozen=True)
class Standing:
    """How a workspace stands, and whether the keyring has its passphrase."""

    status: encryption.Status
    remembered: bool


def look(workspace: Workspace) -> Standing:
    """Ask both. May block."""
    return Standing(encryption.status(workspace), passphrases.remembered(workspace) is not None)


def change(workspace: Workspace, old: str, new: str) -> None:
    """Change the passphrase, in the keyring too where it is remembered."""
    known = passphrases.remembered(workspace) is not None
    encryption.change(workspace, old, new)
    if known:
        passphrases.remember(workspace, new)


class _ChangeForm(QWidget):
    """What is asked before something is changed; one is open at a time."""

    left = Signal()

    def __init__(self, go: str, danger: bool = False) -> None:
        super().__init__()
        self.body = column(self, 0, t.SPACE_S)
        self.go, self.cancel = Button(go, "danger" if danger else "primary"), Button("Cancel", "quiet")
        self.cancel.clicked.connect(self.left)

    def end(self) -> None:
        """The buttons, below everything."""
        line = Flow(t.SPACE_S)
        line.addWidget(self.go)
        line.addWidget(self.cancel)
        self.body.addLayout(line)


class EncryptionCard(Card):
    """Shows, and says what was chosen."""

    requested = Signal(object)  # EncryptionRequest
    changeRequested = Signal(str, str)  # the old passphrase, the new one
    lockRequested = Signal()
    forgetRequested = Signal()
    idleChosen = Signal(int)  # minutes; 0: never

    def __init__(self, minutes: int, parent: QWidget | None = None) -> None:
        super().__init__("Encryption", parent=parent)
        self.state = TermLabel("", wrap=True)
        self.body.addWidget(self.state)
        self.notice = Notice("alert", "", "danger")
        self.notice.hide()
        self.body.addWidget(self.notice)
        self.body.addLayout(self._make_buttons())
        self._forms = {"create": self._make_create(), "change": self._make_change(), "remove": self._make_remove()}
        for kind, form in self._forms.items():
            form.end()
            form.left.connect(lambda kind=kind: self._close(kind))
            form.hide()
            self.body.addWidget(form)
        self._make_idle(minutes)
        self._make_plain()
        for part in (self.encrypt, self.change, self.remove, self.lock, self.forget, self._idle_row):
            part.hide()  # until it is known how the workspace stands

    def _make_buttons(self) -> Flow:
        self.encrypt = Button("Encrypt this workspace…", icon="lock")
        self.change, self.remove = Button("Change passphrase…"), Button("Remove encryption…")
        self.lock = Button("Lock now", icon="lock")
        self.lock.setToolTip(keymap.tip("Lock this workspace; runs go on", "lock"))
        self.forget = Button("Forget it in the keyring", "quiet")
        self.encrypt.clicked.connect(lambda: self._open("create"))
        self.change.clicked.connect(lambda: self._open("change"))
        self.remove.clicked.connect(lambda: self._open("remove"))
        self.lock.clicked.connect(self.lockRequested)
        self.forget.clicked.connect(self.forgetRequested)
        line = Flow(t.SPACE_S)
        for button in (self.encrypt, self.lock, self.change, self.remove, self.forget):
            line.addWidget(button)
        return line

    def _make_create(self) -> _ChangeForm:
        form = _ChangeForm("Encrypt this workspace")
        self.new, self.keyring = NewPassphrase(), QCheckBox(KEYRING)
        self.keyring.setAccessibleName(KEYRING)
        said = "The window closes while everything is written anew, the backups too, and opens again then."
        for part in (self.new, self.keyring, caption(said, wrap=True)):
            form.body.addWidget(part)
        form.go.setEnabled(False)
        self.new.changed.connect(lambda: form.go.setEnabled(self.new.ready))
        self.new.submitted.connect(form.go.click)
        form.go.clicked.connect(self._create)
        return form

    def _make_change(self) -> _ChangeForm:
        form = _ChangeForm("Change passphrase")
        self.old, self.newer = PassphraseField("Passphrase up to now"), NewPassphrase()
        form.body.addWidget(self.old)
        form.body.addWidget(self.newer)
        said = "Copies of the workspace and of its backups that lie elsewhere keep the passphrase they were made with."
        form.body.addWidget(caption(said, wrap=True))

        def refresh() -> None:
            form.go.setEnabled(bool(self.old.text()) and self.newer.ready)

        refresh()
        for signal in (self.old.edited, self.newer.changed):
            signal.connect(refresh)
        for signal in (self.old.submitted, self.newer.submitted):
            signal.connect(form.go.click)
        form.go.clicked.connect(self._change)
        return form

    def _make_remove(self) -> _ChangeForm:
        form = _ChangeForm("Remove encryption", danger=True)
        said = "Everything is written anew, so that it can be read without a passphrase, by anybody who can read the folder."
        self.passphrase = PassphraseField("Passphrase")
        form.body.addWidget(caption(said, wrap=True))
        form.body.addWidget(self.passphrase)
        form.go.setEnabled(False)
        self.passphrase.edited.connect(lambda: form.go.setEnabled(bool(self.passphrase.text())))
        self.passphrase.submitted.connect(form.go.click)
        form.go.clicked.connect(self._remove)
        return form

    def _make_idle(self, minutes: int) -> None:
        self.idle = choice("Lock when nothing is used for")
        for words, value in CHOICES:
            self.idle.addItem(words, value)
        self.idle.setCurrentIndex(max(0, self.idle.findData(minutes)))
        self.idle.activated.connect(lambda _row: self.idleChosen.emit(self.idle.currentData()))
        self._idle_row = QWidget()
        form = Form()
        self._idle_row.setLayout(form)
        form.setContentsMargins(0, 0, 0, 0)
        form.add("Lock when nothing is used for", self.idle)
        self.body.addWidget(self._idle_row)

    def _make_plain(self) -> None:
        self.body.addWidget(caption("What encryption does not cover:"))
        form = Form(field_rows=False, spacing=t.SPACE_XS)
        for what, why in PLAIN:
            form.add(what, TermLabel(why, tone="muted", wrap=True))
        self.body.addLayout(form)

    # --- what holds

    def show_standing(self, standing: Standing) -> None:
        """Say how the workspace stands, and offer what can be done."""
        status, on = standing.status, standing.status.encrypted
        words = _ON if on else _OFF if status.possible else f"{_OFF} {_IMPOSSIBLE}"
        if status.state in ("encrypting", "decrypting"):
            words = _UNFINISHED
        self.state.setText(f"{words} This computer’s keyring remembers the passphrase." if standing.remembered else words)
        self.encrypt.setVisible(not on)
        self.encrypt.setEnabled(status.possible)
        for part in (self.lock, self.change, self.remove, self._idle_row):
            part.setVisible(on)
        self.forget.setVisible(standing.remembered)

    def show_trouble(self, trouble: AppError) -> None:
        """Why it was not done; what was typed stays."""
        self.notice.say("alert", str(trouble), "danger")
        self.notice.show()
        if self._forms["change"].isVisible():
            self._forms["change"].setEnabled(True)
            self.old.setFocus()
            self.old.edit.selectAll()

    def show_changed(self) -> None:
        """The passphrase is another one now."""
        self._forms["change"].setEnabled(True)
        self._close("change")

    def forget_typed(self) -> None:
        """Nothing that was typed stays when the room is left."""
        for kind in self._forms:
            self._close(kind, focus=False)

    # --- what was done

    def _open(self, kind: str) -> None:
        for other in self._forms:
            self._close(other, focus=False)
        self._forms[kind].show()
        {"create": self.new.first, "change": self.old, "remove": self.passphrase}[kind].setFocus()

    def _close(self, kind: str, focus: bool = True) -> None:
        for field in (self.new, self.newer, self.old, self.passphrase):
            field.clear()
        self.notice.hide()
        self._forms[kind].hide()
        if focus:
            self.setFocus()

    def _create(self) -> None:
        self.requested.emit(EncryptionRequest("create", self.new.text(), self.keyring.isChecked()))

    def _change(self) -> None:
        self.notice.hide()
        self._forms["change"].setEnabled(False)
        self.changeRequested.emit(self.old.text(), self.newer.text())

    def _remove(self) -> None:
        self.requested.emit(EncryptionRequest("remove", self.passphrase.text()))
