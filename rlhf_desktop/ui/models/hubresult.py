"""One repository found on the Hub: what one chooses by, Download, and which version or file of it."""

from collections.abc import Sequence
from dataclasses import dataclass

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from rlhf_desktop.core.fit import Fit, model_fit
from rlhf_desktop.hub.remote import RemoteModel
from rlhf_desktop.ui import words
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.models.publishform import line_field
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.fields import Form, choice, writable
from rlhf_desktop.ui.widgets.surfaces import clear, column, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, caption

TEACHING_TONES = {"trains": "success", "chats": "warning", "refused": "danger", "tried": "muted"}
TRIED = "Whether it can be taught is found out when it is added."
FIT_TONES = {"fits": "success", "tight": "warning", "won't fit": "danger", "unknown": "muted"}


@dataclass(frozen=True)
class Wanted:
    """What to download of a repository. None: the newest version, the only file, the repository's name."""

    model: RemoteModel
    revision: str | None = None
    file: str | None = None
    name: str | None = None


@dataclass(frozen=True)
class Offer:
    """What a repository has to choose from."""

    model: RemoteModel  # with its files
    revisions: Sequence[str]


class HubResult(QWidget):
    """Says what was asked for; the room does it."""

    chosen = Signal(object)  # Wanted
    versionsAsked = Signal()

    def __init__(self, model: RemoteModel, memory_bytes: float | None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = model
        fit = model_fit(model.parameters, memory_bytes) if model.parameters else Fit("unknown", 0, memory_bytes)
        box = column(self, 0, t.SPACE_S)
        across = row(spacing=t.SPACE_M)
        names = column(spacing=2)
        names.addWidget(ElidedLabel(model.repo, strong=True))
        self._facts = ElidedLabel(facts_of(model), "caption", "muted")
        names.addWidget(self._facts)
        across.addLayout(names, 1)
        verdict = TermLabel(fit.verdict if model.parameters else "size unknown", strong=True, tone=FIT_TONES[fit.verdict])
        verdict.setToolTip(fit.sentence if model.parameters else "")
        teaching = TermLabel(model.verdict.words, strong=True, tone=TEACHING_TONES[model.verdict.kind])
        teaching.setToolTip(TRIED if model.verdict.kind == "tried" else model.verdict.reason)
        across.addWidget(teaching)
        across.addWidget(verdict)
        self.versions = Button("Versions…", "quiet")
        self.versions.setAccessibleName(f"Choose a version or file of {model.repo}")
        self.versions.setToolTip("An older version, one of several files, or another name here")
        self.versions.clicked.connect(self._toggle)
        self.get = Button("Download", icon="download")
        self.get.setAccessibleName(f"Download {model.repo}")
        self.get.clicked.connect(lambda: self.chosen.emit(Wanted(model)))
        across.addWidget(self.versions)
        across.addWidget(self.get)
        box.addLayout(across)
        self._place = column(spacing=0)
        box.addLayout(self._place)
        self.form: VersionForm | None = None

    def _toggle(self) -> None:
        if self.form is None:
            self.versionsAsked.emit()
        else:
            clear(self._place)
            self.form = None

    def show_offer(self, offer: Offer) -> None:
        """Let one choose, in place."""
        clear(self._place)
        self.form = VersionForm(offer)
        self.form.chosen.connect(self.chosen)
        self._place.addWidget(self.form)
        self.form.first.setFocus()

    def set_here(self, here: bool) -> None:
        """Whether it is in the library already; another version can still be fetched, under another name."""
        self._facts.setText("  ·  ".join([*(["in your library"] if here else []), facts_of(self.model)]))

    def set_busy(self, busy: bool) -> None:
        """One download at a time."""
        for button in self.buttons:
            button.setEnabled(not busy)

    @property
    def buttons(self) -> list[Button]:
        """Those that begin a download."""
        return [self.get, *([self.form.get] if self.form else [])]


class VersionForm(QWidget):
    """Which version, which file, and what to call it."""

    chosen = Signal(object)  # Wanted

    def __init__(self, offer: Offer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._model = offer.model
        self.revision = choice("Version")
        writable(self.revision, "Version: a branch, a tag or a commit")
        self.revision.addItems(list(offer.revisions))
        self.file = choice("File")
        for found in offer.model.ggufs:
            self.file.addItem(f"{found.path}  ·  {words.size(found.size)}", found.path)
        self.name = line_field("Name here", "", offer.model.repo.split("/")[-1])
        self.get = Button("Download this", icon="download")
        self.get.setAccessibleName(f"Download this version of {offer.model.repo}")
        self.get.clicked.connect(lambda: self.chosen.emit(self.wanted()))
        form = Form()
        form.add("Version", self.revision)
        if self.file.count():
            form.add("File", self.file)
            form.addRow(
                "", caption("The larger the file, the less was lost in compressing it, and the better it learns.", wrap=True)
            )
        form.add("Name here", self.name)
        box = column(self, 0, t.SPACE_S)
        box.addLayout(form)
        across = row()
        across.addWidget(self.get)
        across.addStretch(1)
        box.addLayout(across)

    @property
    def first(self) -> QWidget:
        """What one most likely came for."""
        return self.file if self.file.count() else self.revision

    def wanted(self) -> Wanted:
        """What is chosen."""
        return Wanted(
            self._model, self.revision.currentText().strip() or None, self.file.currentData(), self.name.text().strip() or None
        )


def facts_of(model: RemoteModel) -> str:
    """Parameters, size, licence and access in a line."""
    parts = [words.parameters(model.parameters)] if model.parameters else []
    parts += [words.size(model.size_bytes)] if model.size_bytes else []
    parts += ["GGUF"] if model.architecture else []
    parts.append(f"licence {model.licence}" if model.licence else "licence not given")
    parts += ["gated: its makers want to know who uses it"] if model.gated else []
    return "  ·  ".join(parts)
