"""Decides what the panels under a model do: export it, publish it, choose its engine, keep notes on it."""

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject, Signal
from shiboken6 import isValid

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.runs import ModelRef
from rlhf_desktop.hub.library import LibraryModel
from rlhf_desktop.hub.push import Pushed, PushPlan
from rlhf_desktop.hub.tokens import Secret
from rlhf_desktop.operations.audit import head_words, note_model_export, note_published
from rlhf_desktop.operations.exporting import Exported, export_adapter
from rlhf_desktop.operations.written import model_written
from rlhf_desktop.ui.background import LongWork
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.models.cards import ModelLine
from rlhf_desktop.ui.models.datawork import Asked, Reached
from rlhf_desktop.ui.models.engines import EngineChoice, EnginePanel
from rlhf_desktop.ui.models.lineage import AdapterEntry
from rlhf_desktop.ui.models.panels import ExportPanel, NotesRow, PublishPanel
from rlhf_desktop.ui.models.work import HubWork, plan_of, send
from rlhf_desktop.ui.theme import tokens as t

Panel = ExportPanel | PublishPanel | EnginePanel | NotesRow

_NOTES = "model notes"  # a setting: notes by the model's hash


class Sharing(QObject):
    """One panel at a time.

    Args:
        context: The program's parts.
        hub: The Hub, with this session's token.
        say: Shows a sentence at the top of the room: icon, words, tone.
    """

    closed = Signal()  # the panel there was
    exporting = Signal()
    written = Signal(object)  # operations.written.Written

    def __init__(self, context: Context, hub: HubWork, say: Callable[[str, str, t.Role], None]) -> None:
        super().__init__()
        self._context, self._hub, self._say = context, hub, say
        self._line: ModelLine | None = None
        self.panel: Panel | None = None
        self.engines = EngineChoice(context, say, self)
        self.engines.done.connect(self._engine_chosen)
        self._plan: PushPlan | None = None
        self._opened = 0  # the number of the panel asked for last
        self._opening = False  # it will be there as soon as it is known what to show
        self._asked = Asked()
        self.sending = LongWork("publishing", "Publish again: what has arrived is not sent twice.", self)
        self.sending.progressed.connect(self._reached)
        self.sending.succeeded.connect(self._published)
        self.sending.failed.connect(self._failed)

    @property
    def is_open(self) -> bool:
        """Whether there is a panel, or one will be in a moment: the line it is under must live."""
        return self.panel is not None or self._opening

    def open(self, what: str, line: ModelLine, model: LibraryModel, entry: AdapterEntry | None) -> None:
        """Open "export", "publish", "engine" or "notes" under a line."""
        self._opened += 1
        self._opening = what in ("publish", "engine")
        if self._line is not None:
            self._line.open_below(None)  # the room is not read again: the line must live
        name = entry.ref.name if entry else model.name
        if what == "export":
            panel = ExportPanel(name, entry.kind if entry else "policy")
            panel.exported.connect(lambda form, folder: self.export(model, entry, form, folder))
            self._place(line, panel)
        elif what == "publish" and entry is not None:
            self._open_publish(line, entry)
        elif what == "engine":
            number = self._opened
            self.engines.open(model, lambda made: self._place_later(line, made, number), self._not_opened)
        elif what == "notes":
            digest = entry.ref.hash if entry else model.hash
            notes = NotesRow(name, self.notes().get(digest, "" if entry else model.notes))
            before = notes.line.text().strip()
            notes.kept.connect(lambda text: self._keep_notes(name, model, entry, before, text))
            self._place(line, notes)

    def _open_publish(self, line: ModelLine, entry: AdapterEntry) -> None:
        """The keyring may take its time: another panel may be asked for meanwhile."""
        number = self._opened

        def show(token: Secret | None) -> None:
            if number != self._opened:
                return
            panel = PublishPanel(entry.ref.name, self._context.session.network, token is not None)
            panel.previewed.connect(lambda: self.preview(entry))
            panel.published.connect(self.publish)
            panel.stopAsked.connect(self._asked.stop)
            self._place(line, panel)

        self._context.tasks.run(self._hub.keeper.get, on_success=show, on_failure=self._not_opened)

    def _not_opened(self, trouble: AppError) -> None:
        self._opening = False
        self._failed(trouble)
        self.closed.emit()  # what was not shown meanwhile

    def _engine_chosen(self) -> None:
        self.close()
        self._context.session.modelsChanged.emit()

    def _place_later(self, line: ModelLine, panel: Panel, number: int) -> None:
        """Under a line, unless something else was asked for meanwhile."""
        if isValid(line) and number == self._opened:
            self._place(line, panel)
        else:
            panel.deleteLater()

    def _place(self, line: ModelLine, panel: Panel) -> None:
        self._line, self.panel, self._opening = line, panel, False
        if not isinstance(panel, NotesRow):
            panel.closed.connect(self.close)
        line.open_below(panel)

    def close(self) -> None:
        """Close the panel there is."""
        if self._line is not None:
            self._line.open_below(None)
        opened, self._line, self.panel, self._plan = self.panel is not None, None, None, None
        if opened:
            self.closed.emit()

    # --- export

    def export(self, model: LibraryModel, entry: AdapterEntry | None, form: str, folder: Path) -> None:
        """Write the files in the background."""
        context = self._context
        self.exporting.emit()
        if isinstance(self.panel, ExportPanel):
            self.panel.begin.setEnabled(False)
        self._say("clock", f"Exporting to {folder.name}… this can take some minutes.", "muted")

        def work() -> Exported:
            base: ModelRef = context.library.by_hash(model.hash)
            log = head_words(context.store)
            done = export_adapter(context.library, base, entry.ref if entry else None, form, folder, log=log)
            note_model_export(context.store, base, entry.ref if entry else None, form, done.size_bytes)
            return done

        name = entry.ref.name if entry else model.name
        context.tasks.run(work, on_success=lambda done: self._exported(done, form, name), on_failure=self._failed)

    def _exported(self, done: Exported, form: str, name: str) -> None:
        self.close()
        self.written.emit(model_written(done, form, name))

    # --- publish

    def preview(self, entry: AdapterEntry) -> None:
        """Gather exactly what would be sent, and show it."""
        panel, context = self.panel, self._context
        if not isinstance(panel, PublishPanel):
            return
        form = panel.form
        try:
            repo, said = form.repository(), form.statement()
        except AppError as trouble:
            self._failed(trouble)
            form.repo.setFocus()
            return
        private, tag = not form.public.isChecked(), form.tag.text().strip()
        panel.set_busy(True)
        context.tasks.run(
            lambda: plan_of(context.workspace, context.library, context.store, entry, repo, said, private=private, tag=tag),
            on_success=self._planned,
            on_failure=self._failed,
        )

    def _planned(self, plan: PushPlan) -> None:
        self._plan = plan
        if isinstance(self.panel, PublishPanel):
            self.panel.set_busy(False)
            self.panel.show_plan(plan)
            self.panel.send.setEnabled(not self._context.session.network.offline)

    def publish(self, token: str) -> None:
        """Send what was shown, and nothing else; with a token just typed, or the one that is kept."""
        plan, asked = self._plan, self._asked
        if plan is None or self.sending.running or not isinstance(self.panel, PublishPanel):
            return
        asked.reset()
        self.panel.set_busy(True)

        def note(done: Pushed) -> None:
            note_published(self._context.store, plan, done)

        self.sending.start(lambda tell: send(self._hub, plan, token, tell, asked.stopped, note))

    def _reached(self, far: Reached) -> None:
        if isinstance(self.panel, PublishPanel):
            self.panel.show_progress(far)

    def _published(self, done: Pushed) -> None:
        self.close()
        self._say("success", f"Published: {done.url}. {done.words}", "success")

    def _failed(self, trouble: AppError) -> None:
        if isinstance(self.panel, PublishPanel):
            self.panel.set_busy(False)
            self.panel.show_progress(None)
        elif isinstance(self.panel, ExportPanel):
            self.panel.begin.setEnabled(True)
        self._say("alert", str(trouble), "danger")

    # --- notes

    def notes(self) -> dict[str, str]:
        """Notes on adapters, by hash."""
        return dict(self._context.store.settings.get(_NOTES, {}))

    def settle(self) -> None:
        """The room is left: notes that are being typed are kept."""
        if isinstance(self.panel, NotesRow):
            self.panel.settle()

    def _keep_notes(self, name: str, model: LibraryModel, entry: AdapterEntry | None, before: str, text: str) -> None:
        self.keep_notes(model, entry, text)
        if text != before:
            self._context.session.announce(f"Notes on {name} saved.")

    def keep_notes(self, model: LibraryModel, entry: AdapterEntry | None, text: str) -> None:
        """Keep a line of notes: a base's beside it, an adapter's in the database."""
        if entry is None:
            tell = self._context.session.modelsChanged.emit
            self._context.tasks.run(
                self._context.library.annotate, model.name, text, on_success=lambda _none: tell(), on_failure=self._failed
            )
            self.close()
            return
        kept = {**self.notes(), entry.ref.hash: text}
        self._context.store.settings.set(_NOTES, {digest: note for digest, note in kept.items() if note})
        self.close()
