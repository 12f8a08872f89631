"""“Models for real work”: a short list with size, licence and fit, each one press from being here."""

from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QWidget

from rlhf_desktop.core.fit import model_fit
from rlhf_desktop.core.offline import NetworkRule
from rlhf_desktop.core.recommended import RECOMMENDED, REVIEWED, Recommended
from rlhf_desktop.hub.remote import RemoteModel
from rlhf_desktop.ui import words
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.models.hubresult import FIT_TONES, Wanted
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.surfaces import Card, Notice, column, row
from rlhf_desktop.ui.widgets.text import Label, caption


class Suggestion(QWidget):
    """One model: what it is, what one may do with it, whether it fits, and Download."""

    asked = Signal(object)  # Recommended

    def __init__(self, model: Recommended, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = model
        across, names = row(self, 0, t.SPACE_M), column(spacing=2)
        names.addWidget(Label(model.name, strong=True))
        size = f"{words.parameters(model.parameters)}  ·  {words.size(model.download_bytes)} to download"
        names.addWidget(caption(f"{size}  ·  {model.note}", wrap=True))
        names.addWidget(caption(licence_words(model), wrap=True))
        self.fit = TermLabel("", strong=True)
        self.get = Button("Download", icon="download")
        self.get.setAccessibleName(f"Download {model.repo}")
        self.get.clicked.connect(lambda: self.asked.emit(model))
        self.here = TermLabel("in your library", tone="muted")
        self.here.hide()
        across.addLayout(names, 1)
        for part in (self.fit, self.here, self.get):
            across.addWidget(part, 0, Qt.AlignmentFlag.AlignVCenter)

    def show_memory(self, memory_bytes: float | None) -> None:
        """Whether it fits this computer."""
        fit = model_fit(self.model.parameters, memory_bytes)
        self.fit.setText("checking…" if fit.verdict == "unknown" else fit.verdict)
        self.fit.set_tone(FIT_TONES[fit.verdict])
        self.fit.setToolTip(fit.sentence)

    def show_here(self, here: bool) -> None:
        """Whether it is in the library."""
        self.here.setVisible(here)
        self.get.setVisible(not here)


class SuggestionsCard(Card):
    """Says which was asked for."""

    asked = Signal(object)  # Wanted
    settingsAsked = Signal()

    def __init__(self, device: Mapping[str, Any] | None, parent: QWidget | None = None) -> None:
        super().__init__("Models for real work", parent=parent)
        self.body.addWidget(caption("All of them can be taught here. The starter only shows how it goes.", wrap=True))
        self.offline = Notice("wifi-off", "", "muted", "Settings")
        self.offline.acted.connect(self.settingsAsked)
        self.offline.hide()
        self.body.addWidget(self.offline)
        self.lines = [Suggestion(model) for model in RECOMMENDED]
        for line in self.lines:
            line.asked.connect(lambda model: self.asked.emit(wanted(model)))
            self.body.addWidget(line)
        self.memory = caption("", wrap=True)
        self.body.addWidget(self.memory)
        self._busy = self._offline = False
        self.show_memory(device)

    @property
    def fits(self) -> list[Label]:
        """The verdicts."""
        return [line.fit for line in self.lines]

    def show_memory(self, device: Mapping[str, Any] | None) -> None:
        """What the computer has, and so what fits."""
        total = device.get("memory_total_bytes") if device else None
        for line in self.lines:
            line.show_memory(total)
        has = f"This computer: {device.get('name', '')}, {words.size(total)} of memory. " if device and total else ""
        self.memory.setText(f"{has}Sizes and licences as of {words.day(REVIEWED)} {REVIEWED[:4]}; the Hub says what holds today.")

    def show_here(self, here: frozenset[str]) -> None:
        """Which repositories are in the library."""
        for line in self.lines:
            line.show_here(line.model.repo in here)

    def show_network(self, rule: NetworkRule) -> None:
        """Without the network they come another way."""
        self._offline = rule.offline
        self.offline.say(
            "wifi-off",
            "Offline is on. Download one on another computer (from huggingface.co, or by “hf download OWNER/NAME”), then add its "
            f"folder with “A folder…”. {rule.why}",
            "muted",
            "" if rule.locked else "Settings",
        )
        self.offline.setVisible(rule.offline)
        self._refresh()

    def set_busy(self, busy: bool) -> None:
        """One download at a time."""
        self._busy = busy
        self._refresh()

    def _refresh(self) -> None:
        for line in self.lines:
            line.get.setEnabled(not self._busy and not self._offline)


def licence_words(model: Recommended) -> str:
    """The licence, what it means, and what it asks for."""
    terms = model.terms
    first = " Accept it on the model’s page and give your token in Settings first." if terms.accept else ""
    return f"{terms.name}: {terms.meaning}.{first}"


def wanted(model: Recommended) -> Wanted:
    """Its newest version."""
    remote = RemoteModel(
        repo=model.repo, revision="", licence=model.licence, gated=model.terms.accept, private=False, downloads=0,
        parameters=int(model.parameters), size_bytes=int(model.download_bytes),
    )  # fmt: skip
    return Wanted(remote)
