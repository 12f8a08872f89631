"""A base model with its adapters as a tree."""

from collections.abc import Mapping, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QMenu, QWidget

from rlhf_desktop.core.runs import AdapterRef, ModelRef
from rlhf_desktop.hub.library import STARTER, LibraryModel
from rlhf_desktop.jobs.adapters import IMPORTED
from rlhf_desktop.ui import words
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.models.lineage import AdapterEntry, LineageRow, lineage
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.train.wording import recipe_of
from rlhf_desktop.ui.widgets.buttons import Button, IconButton
from rlhf_desktop.ui.widgets.surfaces import Card, ConfirmRow, clear, column, hairline, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, IconLabel, caption


class ModelLine(QWidget):
    """Name, facts and actions of one thing that can be chatted with."""

    chosen = Signal()
    removed = Signal()
    opened = Signal()
    asked = Signal(str)  # "current", "compare", "export", "publish", "engine", "hold:4bit" and its like, "notes"

    def __init__(
        self,
        name: str,
        facts: str,
        icon: str,
        current: bool,
        usable: bool,
        question: str,
        run: bool,
        offers: Sequence[tuple[str, str]] = (),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._offers = offers
        box = column(self, 0, t.SPACE_S)
        across = row(spacing=t.SPACE_M)
        across.addWidget(IconLabel(icon, "muted", t.ICON_SMALL))
        names = column(spacing=2)
        names.addWidget(ElidedLabel(name, strong=True))
        names.addWidget(ElidedLabel(facts, "caption", "muted"))
        across.addLayout(names, 1)
        for part in self._actions(name, current, usable, run):
            across.addWidget(part)
        box.addLayout(across)
        self.confirm = ConfirmRow(question)
        self.confirm.confirmed.connect(self.removed)
        box.addWidget(self.confirm)
        self._place = column(spacing=0)
        box.addLayout(self._place)

    def open_below(self, panel: QWidget | None) -> None:
        """Show a panel under the line; None closes the one there is."""
        clear(self._place)
        if panel is not None:
            self._place.addWidget(panel)

    def _actions(self, name: str, current: bool, usable: bool, run: bool) -> list[QWidget]:
        parts: list[QWidget] = []
        if current:
            parts += [IconLabel("check", "success", t.ICON_SMALL), TermLabel("Current", tone="success", strong=True)]
        elif usable:
            use = Button("Use in Chat")
            use.setAccessibleName(f"Use {name} in Chat")
            use.clicked.connect(self.chosen)
            parts.append(use)
        if run:
            show = Button("Run", "quiet")
            show.setToolTip("Show the run that made it")
            show.setAccessibleName(f"Show the run that made {name}")
            show.clicked.connect(self.opened)
            parts.append(show)
        if self._offers:
            self.more = IconButton("more", f"More for {name}")
            self.more.clicked.connect(self._open_menu)
            parts.append(self.more)
        self.remove = IconButton("trash", f"Remove {name}")
        self.remove.setEnabled(not current)
        self.remove.clicked.connect(lambda: self.confirm.show())
        return [*parts, self.remove]

    def _open_menu(self) -> None:
        menu = QMenu(self.more)
        for key, text in self._offers:
            menu.addAction(text, lambda key=key: self.asked.emit(key))
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.popup(self.more.mapToGlobal(self.more.rect().bottomLeft()))


_HOLDINGS = {"auto": "As its adapters were trained", "4bit": "In 4-bit numbers: a quarter of the memory", "none": "Whole"}
_HELD = {"4bit": "  ·  held in 4-bit numbers", "none": "  ·  held whole"}


def _offers(current: bool, usable: bool = True, run: bool = True, base: LibraryModel | None = None) -> list[tuple[str, str]]:
    """What else can be done with a model, by key and words."""
    offers = [("current", "Make current")] if usable and not current else []
    offers += [("compare", "Compare it blind…")] if run and usable and not base else []
    offers += [("export", "Export to files…")]
    offers += [] if base else [("publish", "Publish on the Hub…")]
    offers += [("engine", "What computes its answers…")] if base else []
    offers += [(f"hold:{key}", f"Hold in memory: {text}") for key, text in _HOLDINGS.items() if base and key != base.quantization]
    return [*offers, ("notes", "Notes…")]


class BaseCard(Card):
    """A base model: licence, size, notes, and what was trained on it."""

    chosen = Signal(object)  # an AdapterRef, or None for the base itself
    removed = Signal()
    adapterRemoved = Signal(object)  # AdapterEntry
    runOpened = Signal(str)
    asked = Signal(object, str)  # an AdapterEntry, or None for the base itself; and what for

    def __init__(
        self,
        model: LibraryModel,
        adapters: Sequence[AdapterEntry],
        base: ModelRef | None,
        adapter: AdapterRef | None,
        notes: Mapping[str, str] | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent=parent)
        self.setAccessibleName(f"Base model {model.name}")
        mine = base is not None and (base.hash, base.name) == (model.hash, model.name)
        rows = lineage(adapters, model.hash)
        question = f"Remove {model.name} from the library? Converted weights are deleted; a folder of your own is left alone."
        if rows:
            question += f" {words.count(len(rows), 'adapter')} made on it cannot be used until it is added again."
        size = words.parameters(model.parameters)
        facts = f"{size}  ·  {model.licence or 'licence unknown'}  ·  {words.size(model.disk_bytes)} on disk"
        facts += _HELD.get(model.quantization, "")
        facts += f"  ·  answered by llama.cpp {model.gguf.numbers}" if model.engine == "llama.cpp" and model.gguf else ""
        self._notes = notes or {}
        current = mine and adapter is None
        self.line = ModelLine(model.name, facts, "models", current, True, question, run=False, offers=_offers(current, base=model))
        self.line.asked.connect(lambda what: self.asked.emit(None, what))
        self.line.chosen.connect(lambda: self.chosen.emit(None))
        self.line.removed.connect(self.removed)
        self.body.addWidget(self.line)
        about = (
            "Only for demonstration: it is very small. Choose a larger model for real work."
            if model.name == STARTER
            else model.notes
        )
        if about:
            self.body.addWidget(caption(about, wrap=True))
        self.lines: dict[str, ModelLine] = {}
        if rows:
            self.body.addWidget(hairline())
        for entry in rows:
            self._add(entry, mine and adapter is not None and adapter.hash == entry.entry.ref.hash)

    def _add(self, found: LineageRow, current: bool) -> None:
        entry = found.entry
        recipe = recipe_of(entry.algorithm)
        usable, came = entry.kind == "policy", entry.run_id.startswith(IMPORTED)
        parts = [recipe.title] if recipe else []
        parts += [entry.measure] if entry.measure else []
        parts += ["from elsewhere"] if came else []
        parts += [words.ago(entry.created), words.size(entry.size_bytes)]
        parts += [] if usable else ["marks answers, does not chat"]
        parts += [note] if (note := self._notes.get(entry.ref.hash)) else []
        kept = "It can be downloaded again." if came else "The run and your feedback stay; training again makes it anew."
        offers = _offers(current, usable, run=not came)
        icon = recipe.icon if recipe else "layers"
        line = ModelLine(
            entry.ref.name,
            "  ·  ".join(parts),
            icon,
            current,
            usable,
            f"Remove {entry.ref.name}? {kept}",
            run=not came,
            offers=offers,
        )
        line.asked.connect(lambda what: self.asked.emit(entry, what))
        line.chosen.connect(lambda: self.chosen.emit(entry.ref))
        line.removed.connect(lambda: self.adapterRemoved.emit(entry))
        line.opened.connect(lambda: self.runOpened.emit(entry.run_id))
        self.lines[entry.ref.hash] = line
        indent = row(spacing=t.SPACE_S)
        indent.setContentsMargins(found.depth * t.SPACE_XL, t.SPACE_XS, 0, 0)
        if found.depth:
            branch = IconLabel("branch", "muted", t.ICON_SMALL)
            branch.setFixedHeight(t.CONTROL_HEIGHT)
            indent.addWidget(branch, 0, Qt.AlignmentFlag.AlignTop)
        indent.addWidget(line, 1)
        self.body.addLayout(indent)
