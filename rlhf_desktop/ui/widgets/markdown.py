"""Shows text nobody vouches for: Markdown without HTML, no image, no file or address opened, no link followed without asking."""

from collections.abc import Iterator
from html import escape

from PySide6.QtCore import QEvent, QSize, Qt, QUrl, Signal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QDesktopServices,
    QFont,
    QHelpEvent,
    QImage,
    QResizeEvent,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFormat,
    QWheelEvent,
)
from PySide6.QtWidgets import QFrame, QMessageBox, QSizePolicy, QTextBrowser, QToolTip, QWidget

from rlhf_desktop.core.offline import is_offline
from rlhf_desktop.ui.help.asking import offer_help
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import current

_LINK = "This text links to a page on the internet."
_IMAGE_CHARACTERS = 300  # an address may hold the whole image
_MOST_BARS = 600  # of tables: laying one out takes Qt some 0.2 ms a cell, and the window stands still meanwhile


def _features(text: str) -> QTextDocument.MarkdownFeature:
    """How a text is read: never with HTML; with tables unless they are so large that they would be better as a file."""
    small = text.count("|") <= _MOST_BARS
    kind = QTextDocument.MarkdownFeature
    return (kind.MarkdownDialectGitHub if small else kind.MarkdownDialectCommonMark) | kind.MarkdownNoHTML


class _InertDocument(QTextDocument):
    """A document that never opens a file or an address: given nothing, Qt's image handler would open the file by itself."""

    def loadResource(self, _kind: int, _name: QUrl | str) -> object:
        return QImage(1, 1, QImage.Format.Format_Mono)


def inert_document(text: str, font: QFont | None = None) -> QTextDocument:
    """A text as a document that is not on screen, such as one to be printed: Markdown without HTML, its images written out."""
    document = _InertDocument()
    if font is not None:
        document.setDefaultFont(font)
    document.setMarkdown(text, _features(text))
    _write_out_images(document)
    return document


class MarkdownView(QTextBrowser):
    """A read-only text that grows with its content and leaves scrolling to whoever holds it."""

    heightChanged = Signal()

    def __init__(self, text: str = "", name: str = "Message", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._source = ""
        self._worn: tuple[str, str] | None = None  # what the text was dressed for
        self.setProperty("kind", "markdown")
        self.setProperty("type", "answer")
        self.setAccessibleName(name)
        document = _InertDocument(self)
        document.setDocumentMargin(0)
        self.setDocument(document)
        self.setOpenLinks(False)
        self.anchorClicked.connect(self._ask_to_open)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setLineWrapMode(QTextBrowser.LineWrapMode.WidgetWidth)
        document.documentLayout().documentSizeChanged.connect(lambda _size: self._fit())
        self.set_text(text)

    def text(self) -> str:
        """The Markdown being shown."""
        return self._source

    def set_text(self, text: str) -> None:
        """Show other Markdown."""
        self._source = text
        self.document().setMarkdown(text, _features(text))
        _write_out_images(self.document())
        self._dress()
        self._fit()

    def loadResource(self, kind: int, name: QUrl | str) -> object:
        """Nothing is ever opened; Qt asks the view before the document."""
        return self.document().loadResource(kind, name)

    def sizeHint(self) -> QSize:
        """As tall as the text."""
        return QSize(self._measure(), self.height())

    def minimumSizeHint(self) -> QSize:
        """Narrow windows are welcome."""
        return QSize(t.SPACE_XXL * 4, super().minimumSizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Wrap anew."""
        super().resizeEvent(event)
        self._fit()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Scrolling belongs to whoever holds this view."""
        event.ignore()

    def changeEvent(self, event: QEvent) -> None:
        """Dress again when theme or font has changed. Qt says so several times for each new view."""
        super().changeEvent(event)
        looks = (QEvent.Type.PaletteChange, QEvent.Type.FontChange, QEvent.Type.StyleChange)
        if event.type() in looks and self._worn != self._look():
            self.setMaximumWidth(self._measure())
            self._dress()
            self._fit()

    def _measure(self) -> int:
        return self.fontMetrics().averageCharWidth() * t.MEASURE_CHARACTERS

    def _fit(self) -> None:
        height = round(self.document().size().height()) + 2
        if height != self.height():
            self.setFixedHeight(height)
            self.updateGeometry()
            self.heightChanged.emit()

    def _look(self) -> tuple[str, str]:
        return self.font().key(), current().raised

    def _dress(self) -> None:
        self._worn = self._look()
        document = self.document()
        document.setDefaultFont(self.font())
        cursor = QTextCursor(document)
        cursor.beginEditBlock()
        cursor.select(QTextCursor.SelectionType.Document)
        spacing = QTextBlockFormat()
        # Qt's percentage is of the font's own line spacing, ours of its size
        share = t.LINE_HEIGHT_PERCENT * self.fontInfo().pixelSize() / max(1, self.fontMetrics().lineSpacing())
        spacing.setLineHeight(share, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        cursor.mergeBlockFormat(spacing)
        block = document.begin()
        while block.isValid():
            self._dress_block(block)
            if block.next().isValid() and not block.next().textList() and block.length() > 1:
                _space_after(block)
            block = block.next()
        cursor.endEditBlock()

    def _dress_block(self, block: QTextBlock) -> None:
        iterator = block.begin()
        fenced = block.blockFormat().hasProperty(QTextFormat.Property.BlockCodeFence)
        if fenced:
            _let_wrap(block)
        spans = []
        while not iterator.atEnd():
            fragment = iterator.fragment()
            if fenced or fragment.charFormat().fontFixedPitch():
                spans.append((fragment.position(), fragment.length()))
            iterator += 1
        for start, length in spans:
            cursor = QTextCursor(block)
            cursor.setPosition(start)
            cursor.setPosition(start + length, QTextCursor.MoveMode.KeepAnchor)
            cursor.mergeCharFormat(code_format(self.font()))

    def event(self, event: QEvent) -> bool:
        """A link's address is its tooltip."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
            QToolTip.showText(event.globalPos(), escape(self.anchorAt(event.pos())), self)
            return True
        return super().event(event)

    def _ask_to_open(self, url: QUrl) -> None:
        ask_to_open(url, _LINK, self)


def ask_to_open(url: QUrl, why: str, parent: QWidget | None) -> None:
    """Show a web page's address, and open it if the user says so; offline it is only shown."""
    if url.scheme() not in ("http", "https"):
        return
    question = QMessageBox(QMessageBox.Icon.Question, "Open a web page?", why, parent=parent)
    question.setTextFormat(Qt.TextFormat.PlainText)
    question.setInformativeText(url.toDisplayString())
    opening = None
    if is_offline():
        question.setText(f"{why} Offline is on, so it is not opened.")
    else:
        opening = question.addButton("Open in browser", QMessageBox.ButtonRole.AcceptRole)
    question.addButton(QMessageBox.StandardButton.Cancel)
    question.buttonClicked.connect(lambda pressed: opening is not None and pressed is opening and QDesktopServices.openUrl(url))
    question.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    offer_help(question, parent)
    question.open()


def _write_out_images(document: QTextDocument) -> None:
    """Put what an image is called, and its address, in place of each image."""
    images = [found for found in _fragments(document) if found[2].isImageFormat()]
    for position, length, look in reversed(images):
        image = look.toImageFormat()
        called = str(image.property(QTextFormat.Property.ImageAltText) or "")
        cursor = QTextCursor(document)
        cursor.setPosition(position)
        cursor.setPosition(position + length, QTextCursor.MoveMode.KeepAnchor)
        cursor.insertText(" ".join(("[image:", *filter(None, (called, image.name()))))[:_IMAGE_CHARACTERS] + "]", QTextCharFormat())


def _fragments(document: QTextDocument) -> Iterator[tuple[int, int, QTextCharFormat]]:
    """Position, length and look of every piece of text."""
    block = document.begin()
    while block.isValid():
        pieces = block.begin()
        while not pieces.atEnd():
            fragment = pieces.fragment()
            yield fragment.position(), fragment.length(), fragment.charFormat()
            pieces += 1
        block = block.next()


def _let_wrap(block: QTextBlock) -> None:
    """A line of code too long for a narrow card is wrapped: cut off it could not be judged."""
    wrapping = QTextBlockFormat()
    wrapping.setNonBreakableLines(False)
    QTextCursor(block).mergeBlockFormat(wrapping)


def _space_after(block: QTextBlock) -> None:
    """A gap under a paragraph, unless a list item or a further line of code follows."""
    lines_of_code = QTextFormat.Property.BlockCodeFence
    following = block.next()
    if block.blockFormat().hasProperty(lines_of_code) and following.blockFormat().hasProperty(lines_of_code):
        return
    if block.textList() is None or following.textList() is None:
        gap = QTextBlockFormat()
        gap.setBottomMargin(t.SPACE_S)
        QTextCursor(block).mergeBlockFormat(gap)


def code_format(base: QFont) -> QTextCharFormat:
    """How words from a terminal look beside text in `base`."""
    made = QTextCharFormat()
    made.setFontFamilies([t.FONT_CODE])
    made.setProperty(QTextCharFormat.Property.FontPixelSize, round(base.pixelSize() * t.TYPE_BODY / t.TYPE_ANSWER) or t.TYPE_BODY)
    made.setBackground(QBrush(QColor(current().raised)))
    return made
