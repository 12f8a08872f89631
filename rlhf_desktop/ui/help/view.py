"""Shows one page of the guide. It reads the guide's own pictures and no other file, and never an address."""

from collections.abc import Iterator

from PySide6.QtCore import QEvent, QPoint, Qt, QUrl, Signal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFont,
    QImage,
    QKeyEvent,
    QResizeEvent,
    QTextBlock,
    QTextBlockFormat,
    QTextCharFormat,
    QTextCursor,
    QTextDocument,
    QTextFrame,
    QTextFrameFormat,
    QTextLength,
    QTextList,
    QTextListFormat,
    QTextOption,
    QTextTable,
)
from PySide6.QtWidgets import QFrame, QTextBrowser, QWidget

from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.help import guide
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import current
from rlhf_desktop.ui.widgets.markdown import code_format

_FEATURES = QTextDocument.MarkdownFeature.MarkdownDialectGitHub | QTextDocument.MarkdownFeature.MarkdownNoHTML
_HEADING_SIZES = {1: t.TYPE_HEADING, 2: t.TYPE_ANSWER}  # a narrow page; smaller ones are bold
_PICTURES = "pictures/"


class _GuideDocument(QTextDocument):
    """Loads pictures of the guide by their plain names, as wide as the text at most; whatever else is asked for is empty."""

    width = 0
    ratio = 1.0

    def loadResource(self, _kind: int, name: QUrl | str) -> object:
        asked = QUrl(name).toString()
        file = guide.folder() / _PICTURES / asked.removeprefix(_PICTURES)
        if not asked.startswith(_PICTURES) or file.parent != guide.folder() / _PICTURES or not file.is_file():
            return QImage(1, 1, QImage.Format.Format_Mono)
        picture = QImage(str(file))
        most = round(self.width * self.ratio)
        if 0 < most < picture.width():
            picture = picture.scaledToWidth(most, Qt.TransformationMode.SmoothTransformation)
        picture.setDevicePixelRatio(self.ratio)
        return picture


class GuideView(QTextBrowser):
    """A page to read: arrows and page keys scroll, Tab walks its links, Enter follows one."""

    targetChosen = Signal(str)  # a link to a page of the guide: "page" or "page#anchor"
    addressChosen = Signal(QUrl)  # a link that leads out of the guide

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._page = ""
        self._markdown = ""
        self._drawn: tuple[object, ...] | None = None  # what the text was dressed for
        self._drawing = False
        self.setProperty("kind", "guide")
        self.setAccessibleName("The guide")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)  # or a page could need it only because it has one
        self.setWordWrapMode(QTextOption.WrapMode.WordWrap)  # or a narrow table would cut words
        self._document = _GuideDocument(self)
        self.setDocument(self._document)
        self.anchorClicked.connect(self._follow)

    def show_page(self, name: str, markdown: str, anchor: str = "") -> None:
        """Show a page, from one of its headings on."""
        self._page, self._markdown, self._drawn = name, markdown, None
        self._draw()
        self.show_anchor(anchor)

    def show_anchor(self, anchor: str) -> None:
        """Bring a heading to the top."""
        block = self._heading(anchor) if anchor else None
        top = self.document().documentLayout().blockBoundingRect(block).y() if block is not None else 0
        self.verticalScrollBar().setValue(max(0, round(top) - t.SPACE_S if anchor else 0))

    def headings(self) -> list[str]:
        """The anchors that this page has."""
        return [guide.slug(block.text()) for block in _blocks(self.document()) if block.blockFormat().headingLevel()]

    def top_heading(self) -> str:
        """The anchor of the heading that is read now."""
        at = self.cursorForPosition(QPoint(0, t.SPACE_L)).block()
        while at.isValid() and not at.blockFormat().headingLevel():
            at = at.previous()
        return guide.slug(at.text()) if at.isValid() else ""

    def loadResource(self, kind: int, name: QUrl | str) -> object:
        """Qt asks the view before the document."""
        return self._document.loadResource(kind, name)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Pictures are as wide as the text."""
        super().resizeEvent(event)
        self._redraw()

    def changeEvent(self, event: QEvent) -> None:
        """Dress again when theme or font has changed."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._redraw()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Home and End go to the page's ends: there is no cursor to move."""
        bar = self.verticalScrollBar()
        end = {"line start": bar.minimum(), "line end": bar.maximum()}.get(keymap.heard(event, "help"))
        if end is None:
            super().keyPressEvent(event)
        else:
            bar.setValue(end)

    def _follow(self, url: QUrl) -> None:
        target = guide.resolve(url.toString(), self._page)
        if target is None:
            self.addressChosen.emit(url)
        else:
            self.targetChosen.emit(target)

    def _heading(self, anchor: str) -> QTextBlock | None:
        blocks = (block for block in _blocks(self.document()) if block.blockFormat().headingLevel())
        return next((block for block in blocks if guide.slug(block.text()) == anchor), None)

    # --- looks

    def _look(self) -> tuple[object, ...]:
        return self.viewport().width(), self.font().key(), current().name, self.devicePixelRatioF()

    def _redraw(self) -> None:
        if self._markdown and not self._drawing and self._drawn != self._look():
            bar = self.verticalScrollBar()
            share = bar.value() / bar.maximum() if bar.maximum() else 0.0
            self._draw()
            bar.setValue(round(share * bar.maximum()))

    def _draw(self) -> None:
        self._drawing, self._drawn = True, self._look()
        document = self._document
        document.clear()  # with the pictures of another width
        document.setDocumentMargin(t.SPACE_L)
        document.setIndentWidth(t.SPACE_L + t.SPACE_XS)
        document.setDefaultFont(self.font())
        document.width, document.ratio = self.viewport().width() - 2 * t.SPACE_L, self.devicePixelRatioF()
        document.setMarkdown(self._markdown, _FEATURES)
        cursor = QTextCursor(document)
        cursor.beginEditBlock()
        for block in _blocks(document):
            self._dress(block)
        for text_list in {block.textList() for block in _blocks(document) if block.textList() is not None}:
            _dress_list(text_list)
        for frame in document.rootFrame().childFrames():
            _dress_table(frame)
        cursor.endEditBlock()
        self._drawing = False

    def _dress(self, block: QTextBlock) -> None:
        level = block.blockFormat().headingLevel()
        looks = QTextBlockFormat()
        share = t.LINE_HEIGHT_PERCENT * self.fontInfo().pixelSize() / max(1, self.fontMetrics().lineSpacing())
        share = 100 if _holds_picture(block) else share
        looks.setLineHeight(share, QTextBlockFormat.LineHeightTypes.ProportionalHeight.value)
        looks.setNonBreakableLines(False)  # a line from a terminal is wrapped, not cut
        in_list = block.textList() is not None
        looks.setTopMargin(t.SPACE_L if level > 1 else 0)
        in_table = QTextCursor(block).currentTable() is not None
        looks.setBottomMargin(0 if in_table else t.SPACE_XS if in_list else t.SPACE_S)
        QTextCursor(block).mergeBlockFormat(looks)
        if level:
            self._dress_heading(block, level)
        for start, length, fixed in _spans(block):
            if fixed:
                _select(block, start, length).mergeCharFormat(code_format(self.font()))
            if in_table:
                _select(block, start, length).mergeCharFormat(self._sized(t.TYPE_CAPTION))

    def _dress_heading(self, block: QTextBlock, level: int) -> None:
        looks = self._sized(_HEADING_SIZES.get(level, t.TYPE_BODY))  # in place of the importer's sizes in steps, which would win
        looks.setFontWeight(QFont.Weight.DemiBold)
        _select(block, block.position(), block.length() - 1).setCharFormat(looks)

    def _sized(self, size: int) -> QTextCharFormat:
        looks = QTextCharFormat()
        looks.setProperty(QTextCharFormat.Property.FontPixelSize, round(size * self.font().pixelSize() / t.TYPE_BODY))
        return looks


def _blocks(document: QTextDocument) -> Iterator[QTextBlock]:
    block = document.begin()
    while block.isValid():
        yield block
        block = block.next()


def _spans(block: QTextBlock) -> list[tuple[int, int, bool]]:
    found, pieces = [], block.begin()
    while not pieces.atEnd():
        fragment = pieces.fragment()
        found.append((fragment.position(), fragment.length(), fragment.charFormat().fontFixedPitch()))
        pieces += 1
    return found


def _holds_picture(block: QTextBlock) -> bool:
    return "\ufffc" in block.text()


def _select(block: QTextBlock, start: int, length: int) -> QTextCursor:
    cursor = QTextCursor(block)
    cursor.setPosition(start)
    cursor.setPosition(start + length, QTextCursor.MoveMode.KeepAnchor)
    return cursor


def _dress_list(text_list: QTextList) -> None:
    looks = text_list.format()
    if looks.style() in (QTextListFormat.Style.ListCircle, QTextListFormat.Style.ListSquare):
        looks.setStyle(QTextListFormat.Style.ListDisc)
        text_list.setFormat(looks)


def _dress_table(frame: QTextFrame) -> None:
    if isinstance(frame, QTextTable):
        looks = frame.format()
        looks.setBorder(1)
        looks.setBorderStyle(QTextFrameFormat.BorderStyle.BorderStyle_Solid)
        looks.setBorderBrush(QBrush(QColor(current().hairline)))
        looks.setBorderCollapse(True)
        looks.setCellPadding(t.SPACE_XS)
        looks.setCellSpacing(0)
        looks.setWidth(QTextLength(QTextLength.Type.PercentageLength, 98))
        looks.setTopMargin(t.SPACE_XS)
        looks.setBottomMargin(t.SPACE_M)
        frame.setFormat(looks)
