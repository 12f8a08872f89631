"""What can be done to a conversation: the same behind its ⋯ and under the right button in the list."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, QPoint, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QDialog, QFileDialog, QWidget

from rlhf_desktop.core.errors import AppError
from rlhf_desktop.operations.conversation_export import (
    Transcript,
    as_markdown,
    export_conversation,
    file_name,
    remember_export,
    transcript,
)
from rlhf_desktop.ui.chat.actions import Action, fill, popped
from rlhf_desktop.ui.chat.conversation_list import ConversationList
from rlhf_desktop.ui.chat.paper import draw, write_pdf
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.help.asking import offer_help

if TYPE_CHECKING:  # may be missing: it needs the system's printing library
    from PySide6.QtPrintSupport import QPrinter

_FORMS = {"Markdown (*.md)": ".md", "PDF (*.pdf)": ".pdf", "JSON (*.json)": ".json"}


class ConversationActions(QObject):
    """Copies, exports and prints by itself; the rest is handed to the list.

    Args:
        context: The program's parts.
        listed: Renames and files conversations.
        remove: Deletes one.
        parent: Whose menus and dialogs these are.
    """

    def __init__(self, context: Context, listed: ConversationList, remove: Callable[[str], None], parent: QWidget) -> None:
        super().__init__(parent)
        self._context, self._list, self._remove, self._parent = context, listed, remove, parent

    def show(self, conversation_id: str, at: QPoint) -> None:
        """The menu about a conversation."""
        menu = popped(self._parent)
        fill(menu, [Action("Rename", lambda: self._list.rename_in_place(conversation_id), key=keymap.shown("rename"))])
        self._list.add_shelving(menu, conversation_id)
        fill(menu, self.actions(conversation_id))
        menu.popup(at)

    def actions(self, conversation_id: str) -> list[Action]:
        """All but what the list adds."""
        return [
            Action("Copy the conversation", lambda: self.copy(conversation_id), apart=True),
            Action("Export…", lambda: self.choose_file(conversation_id)),
            Action("Print…", lambda: self.print(conversation_id)),
            Action("Delete", lambda: self._remove(conversation_id), key=keymap.shown("delete"), apart=True),
        ]

    def copy(self, conversation_id: str) -> None:
        """All of it as text, for another program."""
        self._read(conversation_id, self._copied)

    def _copied(self, found: Transcript) -> None:
        QGuiApplication.clipboard().setText(as_markdown(found))
        self._context.session.announce("The conversation is copied.")

    def choose_file(self, conversation_id: str) -> None:
        """Ask for the file's name; its ending says what is written."""
        title = self._context.store.conversations.get(conversation_id).title
        dialog = QFileDialog(self._parent, "Export the conversation", file_name(title), ";;".join(_FORMS))
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix("md")
        dialog.filterSelected.connect(lambda chosen: dialog.setDefaultSuffix(_FORMS[chosen].lstrip(".")))
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.fileSelected.connect(lambda path: self.write(conversation_id, Path(path)))
        dialog.open()

    def write(self, conversation_id: str, path: Path) -> None:
        """Write it to a file, off this thread."""
        context = self._context
        context.tasks.run(
            _write, context, conversation_id, path,
            on_success=lambda _done: context.session.announce(f"The conversation is in {path.name}."),
            on_failure=context.session.troubled.emit,
        )  # fmt: skip

    def print(self, conversation_id: str) -> None:
        """Ask for the printer, then print, off this thread."""
        self._read(conversation_id, self._choose_printer)

    def _choose_printer(self, found: Transcript) -> None:
        try:  # part of Qt, but it needs the system's printing library
            from PySide6.QtPrintSupport import QPrintDialog, QPrinter
        except ImportError as missing:
            self._context.session.troubled.emit(
                AppError("This computer cannot print from here.", "Export the conversation as PDF, and print that.", str(missing))
            )
            return
        printer = QPrinter(QPrinter.PrinterMode.HighResolution)
        printer.setDocName(found.title)
        dialog = QPrintDialog(printer, self._parent)
        dialog.setWindowTitle("Print the conversation")
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.accepted.connect(lambda: self._print(found, printer))
        offer_help(dialog, self._parent)
        QDialog.open(dialog)  # its own wants a slot

    def _print(self, found: Transcript, printer: "QPrinter") -> None:
        session = self._context.session
        self._context.tasks.run(
            draw, found, printer,
            on_success=lambda _done: session.announce("The conversation is being printed."),
            on_failure=session.troubled.emit,
        )  # fmt: skip

    def _read(self, conversation_id: str, then: Callable[[Transcript], None]) -> None:
        context = self._context
        context.tasks.run(transcript, context.store, conversation_id, on_success=then, on_failure=context.session.troubled.emit)


def _write(context: Context, conversation_id: str, path: Path) -> None:
    if path.suffix.lower() != ".pdf":
        export_conversation(context.store, context.workspace, conversation_id, path)
        return
    write_pdf(transcript(context.store, conversation_id), path)
    remember_export(context.store, context.workspace, conversation_id, path)
