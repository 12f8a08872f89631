"""Writing feedback to a file, in any of the formats."""

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QCheckBox, QFileDialog, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.feedback.formats import FORMATS
from rlhf_desktop.operations.feedback import EXPORT_FORMATS, export_feedback
from rlhf_desktop.operations.written import Written, feedback_written
from rlhf_desktop.store.database import Store
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.fields import Form, choice
from rlhf_desktop.ui.widgets.surfaces import Card, Meter, Notice, row
from rlhf_desktop.ui.widgets.text import caption
from rlhf_desktop.ui.widgets.written import WrittenCard

_CONTAINERS = {".jsonl": "JSON lines", ".json": "JSON", ".csv": "CSV", ".parquet": "Parquet"}


class ExportCard(Card):
    """A format, a kind of file, and Save as."""

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__("Export", parent=parent)
        self._context = context
        self.body.addWidget(caption("Only what counts is written: nothing that was taken back.", wrap=True))
        form = Form()
        self.form, self.container = choice("Format to write"), choice("Kind of file")
        for name in EXPORT_FORMATS:
            if name in FORMATS:
                self.form.addItem(FORMATS[name].title, name)
        for suffix, title in _CONTAINERS.items():
            self.container.addItem(f"{title} ({suffix})", suffix)
        form.add("Format", self.form)
        form.add("File", self.container)
        self.body.addLayout(form)
        self.keys = caption("", wrap=True)
        self.body.addWidget(self.keys)
        self.names = QCheckBox("With the names of who judged")
        self.names.setAccessibleName("With the names of who judged")
        self.names.setToolTip("Otherwise each person is a number, the same throughout the file")
        self.body.addWidget(self.names)
        self.save = Button("Save as…", icon="download")
        held = row()
        held.addWidget(self.save)
        held.addStretch(1)
        self.body.addLayout(held)
        self.meter = Meter("Export")
        self.meter.hide()
        self.notice = Notice("info", "")
        self.notice.hide()
        self.written = WrittenCard()
        for part in (self.meter, self.notice, self.written):
            self.body.addWidget(part)
        self.form.currentIndexChanged.connect(self._explain)
        self.save.clicked.connect(self._choose)
        self._explain()

    def _explain(self) -> None:
        self.keys.setText(f"Keys: {FORMATS[self.form.currentData()].keys}")

    def _choose(self) -> None:
        suffix = self.container.currentData()
        dialog = QFileDialog(self, "Export feedback", f"{self.form.currentData()}{suffix}", f"*{suffix}")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(suffix[1:])
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.export_file(Path(path)))
        dialog.open()

    def export_file(self, path: Path) -> None:
        """Write the project's feedback, on a connection of its own."""
        project, database, name = self._context.session.project, self._context.store.path, self.form.currentData()
        names = self.names.isChecked()

        def work() -> Written:
            with Store.open(database) as store:
                return feedback_written(export_feedback(store, project, path, name, names=names), path, name)

        self.notice.hide()
        self.written.hide()
        self.meter.set_value(0, 0, f"Writing {path.name}…")
        self.meter.show()
        self._context.tasks.run(work, on_success=self._done, on_failure=self._failed)

    def _done(self, written: Written) -> None:
        self.meter.hide()
        self.written.show_written(written)

    def _failed(self, trouble: AppError) -> None:
        self.meter.hide()
        self.notice.say("alert", str(trouble), "danger")
        self.notice.show()
