"""The privacy card of Settings: the offline switch, the Hub token, and everything that is ever sent."""

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from rlhf_desktop.core.offline import NetworkRule
from rlhf_desktop.hub.tokens import Kept, Secret
from rlhf_desktop.operations.checkup import Finding
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button, SegmentedControl
from rlhf_desktop.ui.widgets.fields import Form
from rlhf_desktop.ui.widgets.surfaces import Card, Notice, row
from rlhf_desktop.ui.widgets.text import caption

SENT = (
    ("Searching the Hub", "the words you search for"),
    ("Downloading a model", "its name, and your token if you have given one"),
    ("Publishing", "exactly the files you were shown, and your token"),
    ("A server you named", "the conversation it is to answer, and the key you gave for it"),
)
"""What leaves this computer, and when. resources/guide/privacy.md says the same at length; a test holds them together."""


class PrivacyCard(Card):
    """Shows, and says what was chosen."""

    offlineChosen = Signal(bool)
    tokenGiven = Signal(str)
    tokenForgotten = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Privacy", parent=parent)
        self.network = SegmentedControl("Network", [("Only when I ask", False), ("Offline", True)], False)
        self.network.changed.connect(lambda offline: self.offlineChosen.emit(bool(offline)))
        line = row()
        line.addWidget(self.network)
        line.addStretch(1)
        self.body.addLayout(line)
        self.why = caption("", wrap=True)
        self.body.addWidget(self.why)
        self.lock = Notice("info", "", "warning")
        self.lock.hide()
        self.body.addWidget(self.lock)
        self.others = Notice("info", "", "warning")
        self.others.hide()
        self.body.addWidget(self.others)
        self.body.addWidget(caption("All that this program ever sends, and only when you ask for it:"))
        form = Form(field_rows=False, spacing=t.SPACE_XS)
        for when, what in SENT:
            form.add(when, TermLabel(what, tone="muted", wrap=True))
        form.add("Anything else", TermLabel("nothing: no telemetry, no updates, no crash reports", tone="muted", wrap=True))
        self.body.addLayout(form)
        self.body.addLayout(self._token_row())
        self.token_words = caption("", wrap=True)
        self.body.addWidget(self.token_words)

    def _token_row(self) -> QHBoxLayout:
        self.token = QLineEdit()
        self.token.setAccessibleName("Your Hub token")
        self.token.setEchoMode(QLineEdit.EchoMode.Password)
        self.token.setPlaceholderText("Your Hugging Face Hub token, for gated models and publishing")
        self.keep = Button("Keep")
        self.keep.setAccessibleName("Keep the Hub token in this system's keyring")
        self.forget = Button("Forget it", "quiet")
        self.forget.setAccessibleName("Forget the Hub token")
        self.keep.clicked.connect(self._given)
        self.token.returnPressed.connect(self._given)
        self.forget.clicked.connect(self.tokenForgotten)
        across = row()
        across.addWidget(self.token, 1)
        across.addWidget(self.keep)
        across.addWidget(self.forget)
        return across

    def _given(self) -> None:
        text = self.token.text().strip()
        self.token.clear()
        if text:
            self.tokenGiven.emit(text)

    def show_rule(self, rule: NetworkRule) -> None:
        """What holds, and who says so."""
        self.network.set_value(rule.offline)
        self.network.setEnabled(not rule.locked)
        self.why.setText(
            "No part of this program can reach anything but this computer."
            if rule.offline
            else "The network is used for what you start yourself, listed here, and for nothing else."
        )
        self.lock.words.setText(rule.why)
        self.lock.setVisible(rule.locked or (rule.offline and "--offline" in rule.why))

    def show_others(self, finding: Finding) -> None:
        """Whether other users of the computer see into the workspace."""
        self.others.words.setText(f"{finding.sentence} {finding.remedy}")
        self.others.setVisible(finding.state != "well")

    def show_token(self, token: Secret | None) -> None:
        """Whether there is one; never which."""
        self.forget.setEnabled(token is not None)
        self.token_words.setText("A token is kept." if token else "No token is kept. Public models need none.")

    def show_kept(self, where: Kept) -> None:
        """Where it went."""
        self.forget.setEnabled(True)
        words = {
            "keyring": "Kept in this system's keyring.",
            "session": "This system has no keyring, so it is kept until you close the program.",
        }
        self.token_words.setText(words[where])
