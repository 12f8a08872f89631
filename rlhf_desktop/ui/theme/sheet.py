"""The one stylesheet. Widgets say what they are with the properties `kind`, `type` and `tone`; this says how that looks."""

from rlhf_desktop.ui.theme import tokens as t


def stylesheet(c: t.Palette, scale: float = 1.0, arrow: str = "", tick: str = "") -> str:
    """Qt stylesheet of a palette, with type sizes multiplied by `scale`; the drop-downs' and the ticks' pictures are files."""
    return "\n".join(
        (
            _base(c),
            _type(c, scale),
            _buttons(c, scale),
            _fields(c, scale, arrow, tick),
            _surfaces(c),
            _lists(c),
            _small_parts(c, scale),
        )
    )


def px(size: float, scale: float = 1.0) -> str:
    """A length for the stylesheet."""
    return f"{round(size * scale)}px"


def _base(c: t.Palette) -> str:
    return f"""
    QWidget {{ color: {c.text}; }}
    QMainWindow, QDialog, QWidget[kind="page"] {{ background: {c.bg}; }}
    QScrollArea, QScrollArea > QWidget > QWidget[kind="plain"] {{ background: transparent; border: none; }}
    QToolTip {{ background: {c.raised}; color: {c.text}; border: 1px solid {c.line}; padding: {px(t.SPACE_XS)} {px(t.SPACE_S)}; }}
    QSplitter::handle {{ background: {c.hairline}; }}
    """


def _type(c: t.Palette, scale: float) -> str:
    sizes = {
        "caption": t.TYPE_CAPTION,
        "body": t.TYPE_BODY,
        "answer": t.TYPE_ANSWER,
        "heading": t.TYPE_HEADING,
        "title": t.TYPE_TITLE,
    }
    rules = [f'*[type="{name}"] {{ font-size: {px(size, scale)}; }}' for name, size in sizes.items()]
    rules += [f'*[tone="{tone}"] {{ color: {c.colour(tone)}; }}' for tone in ("muted", "accent", "success", "warning", "danger")]
    rules.append(f'*[type="title"], *[type="heading"], *[strong="true"] {{ font-weight: {t.WEIGHT_STRONG}; }}')
    rules.append(f'*[code="true"] {{ font-family: "{t.FONT_CODE}"; }}')
    return "\n".join(rules)


def _buttons(c: t.Palette, scale: float) -> str:
    height = px(t.CONTROL_HEIGHT - 2 * t.SPACE_XS - 2, scale)
    hover = t.mix(c.accent, c.text, 0.12)
    return f"""
    QPushButton {{ background: {c.surface}; border: 1px solid {c.line}; border-radius: {px(t.RADIUS_CONTROL)};
        padding: {px(t.SPACE_XS)} {px(t.SPACE_M)}; min-height: {height}; }}
    QPushButton, QToolButton, QCheckBox, QRadioButton, QTabBar {{ outline: none; }}
    QPushButton:hover {{ background: {c.raised}; }}
    QPushButton:pressed {{ background: {c.hairline}; }}
    QPushButton:focus {{ border: 2px solid {c.accent}; padding: {px(t.SPACE_XS - 1)} {px(t.SPACE_M - 1)}; }}
    QPushButton:disabled {{ color: {c.line}; border-color: {c.hairline}; background: {c.bg}; }}
    QPushButton[kind="primary"] {{ background: {c.accent}; color: {c.on_accent}; border: 1px solid {c.accent};
        font-weight: {t.WEIGHT_STRONG}; padding: {px(t.SPACE_XS)} {px(t.SPACE_L)}; }}
    QPushButton[kind="primary"]:hover {{ background: {hover}; border-color: {hover}; }}
    QPushButton[kind="primary"]:focus {{ border: 2px solid {c.text}; padding: {px(t.SPACE_XS - 1)} {px(t.SPACE_L - 1)}; }}
    QPushButton[kind="primary"]:disabled {{ background: {c.raised}; color: {c.line}; border-color: {c.raised}; }}
    QPushButton[kind="quiet"] {{ background: transparent; border: 1px solid transparent; }}
    QPushButton[kind="quiet"]:hover, QPushButton[kind="quiet"]:checked {{ background: {c.raised}; }}
    QPushButton[kind="quiet"]:focus {{ border: 2px solid {c.accent}; }}
    QPushButton[kind="danger"] {{ color: {c.danger}; border-color: {c.danger}; }}
    QPushButton[kind="danger"]:disabled {{ color: {c.line}; border-color: {c.hairline}; }}
    QPushButton[kind="link"] {{ background: transparent; border: 1px solid transparent; color: {c.accent};
        padding: 0 {px(t.SPACE_XS)}; min-height: {px(t.SPACE_XL - 2, scale)}; }}
    QPushButton[kind="link"]:hover {{ text-decoration: underline; }}
    QPushButton[kind="link"]:focus {{ border: 2px solid {c.accent}; padding: 0 {px(t.SPACE_XS - 1)}; }}
    QPushButton[kind="status"] {{ background: transparent; border: 2px solid transparent; color: {c.muted};
        padding: 0 {px(t.SPACE_XS)}; min-height: {px(t.SPACE_L, scale)}; font-size: {px(t.TYPE_CAPTION, scale)}; }}
    QPushButton[kind="status"]:hover {{ color: {c.text}; }}
    QPushButton[kind="status"]:focus {{ border-color: {c.accent}; }}
    QPushButton[kind="row"] {{ background: transparent; border: 2px solid transparent; text-align: left; }}
    QPushButton[kind="row"]:hover, QPushButton[kind="row"]:checked {{ background: {c.raised}; }}
    QPushButton[kind="row"]:focus {{ border-color: {c.accent}; }}
    QPushButton::menu-indicator {{ image: none; width: 0; }}
    QToolButton {{ background: transparent; border: 2px solid transparent; border-radius: {px(t.RADIUS_CONTROL)};
        padding: {px(t.SPACE_XS)}; }}
    QToolButton:hover, QToolButton:checked {{ background: {c.raised}; }}
    QToolButton:pressed {{ background: {c.hairline}; }}
    QToolButton:focus {{ border-color: {c.accent}; }}
    QToolButton::menu-indicator {{ image: none; }}
    QToolButton[kind="primary"] {{ background: {c.accent}; }}
    QToolButton[kind="primary"]:hover {{ background: {hover}; }}
    QToolButton[kind="primary"]:focus {{ border-color: {c.text}; }}
    QToolButton[kind="primary"]:disabled {{ background: {c.raised}; }}
    QToolButton[kind="rail"] {{ padding: 2px {px(t.SPACE_S)}; text-align: left; }}
    QToolButton[kind="rail"]:checked {{ background: {c.raised}; color: {c.text}; font-weight: {t.WEIGHT_STRONG}; }}
    QFrame[kind="segments"] {{ background: {c.raised}; border-radius: {px(t.RADIUS_CONTROL)}; }}
    QPushButton[kind="segment"] {{ background: transparent; border: 2px solid transparent; color: {c.muted};
        padding: 0 {px(t.SPACE_S)}; min-height: {px(t.SPACE_XL, scale)}; min-width: {px(t.SPACE_M, scale)}; }}
    QPushButton[kind="segment"]:hover {{ color: {c.text}; }}
    QPushButton[kind="segment"]:checked {{ background: {c.surface}; color: {c.text}; font-weight: {t.WEIGHT_STRONG}; }}
    QPushButton[kind="segment"]:focus {{ border-color: {c.accent}; }}
    QPushButton[kind="chip"] {{ background: {c.raised}; border: 1px solid transparent; border-radius: {px(t.RADIUS_CARD)};
        padding: 0 {px(t.SPACE_S)}; min-height: {px(t.SPACE_XL - 4, scale)}; font-size: {px(t.TYPE_CAPTION, scale)}; }}
    QPushButton[kind="chip"]:checked {{ border-color: {c.accent}; }}
    QPushButton[kind="chip"]:focus {{ border: 2px solid {c.accent}; padding: 0 {px(t.SPACE_S - 1)}; }}
    """


def _fields(c: t.Palette, scale: float, arrow: str, tick: str) -> str:
    fields = "QLineEdit, QPlainTextEdit, QTextEdit, QSpinBox, QDoubleSpinBox, QComboBox"
    focused = ", ".join(f"{name.strip()}:focus" for name in fields.split(","))
    ring, dot = (
        round((t.ICON_SMALL - 2) * scale),
        round(t.SPACE_XS * scale),
    )  # a radius of over half a ring makes a square
    return f"""
    {fields} {{ background: {c.surface}; border: 1px solid {c.line}; border-radius: {px(t.RADIUS_CONTROL)};
        padding: {px(t.SPACE_XS + 2)} {px(t.SPACE_S + 2)};
        selection-background-color: {c.accent}; selection-color: {c.on_accent}; }}
    {focused} {{ border: 2px solid {c.accent}; padding: {px(t.SPACE_XS + 1)} {px(t.SPACE_S + 1)}; }}
    QLineEdit:disabled, QPlainTextEdit:disabled, QComboBox:disabled, QSpinBox:disabled, QDoubleSpinBox:disabled
        {{ color: {c.line}; border-color: {c.hairline}; background: {c.bg}; }}
    QAbstractSpinBox QLineEdit, QAbstractSpinBox QLineEdit:focus {{ border: none; background: transparent; padding: 0; }}
    QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {{ width: 0; border: none; }}
    QComboBox {{ combobox-popup: 0; }}
    QComboBox::drop-down {{ border: none; width: {px(t.SPACE_XL, scale)}; }}
    QComboBox::down-arrow {{ image: url("{arrow}"); width: {px(t.ICON_SMALL, scale)}; height: {px(t.ICON_SMALL, scale)}; }}
    QComboBox QAbstractItemView {{ background: {c.surface}; border: 1px solid {c.line}; selection-background-color: {c.raised};
        selection-color: {c.text}; outline: none; padding: {px(t.SPACE_XS)}; }}
    QTextBrowser[kind="markdown"], QTextBrowser[kind="markdown"]:focus {{ background: transparent; border: none; padding: 0; }}
    QTextBrowser[kind="guide"] {{ background: transparent; border: 2px solid transparent; border-radius: 0; padding: 0; }}
    QTextBrowser[kind="guide"]:focus {{ border: 2px solid {c.accent}; }}
    QPlainTextEdit[kind="bare"], QPlainTextEdit[kind="bare"]:focus {{ background: transparent; border: none; padding: 0; }}
    QCheckBox, QRadioButton {{ spacing: {px(t.SPACE_S)}; border: 2px solid transparent; border-radius: {px(t.RADIUS_CONTROL)};
        padding: 2px; }}
    QCheckBox::indicator, QTableView::indicator {{ width: {px(t.ICON_SMALL, scale)}; height: {px(t.ICON_SMALL, scale)};
        border: 1px solid {c.muted}; border-radius: {px(t.SPACE_XS)}; background: {c.surface}; }}
    QCheckBox::indicator:checked, QTableView::indicator:checked {{ background: {c.accent}; border: 1px solid {c.accent};
        image: url("{tick}"); }}
    QCheckBox::indicator:disabled {{ border-color: {c.hairline}; }}
    QCheckBox::indicator:checked:disabled {{ background: {c.line}; border-color: {c.line}; }}
    QRadioButton::indicator {{ width: {ring - 2}px; height: {ring - 2}px; border: 1px solid {c.muted};
        border-radius: {ring // 2}px; background: {c.surface}; }}
    QRadioButton::indicator:checked {{ width: {ring - 2 * dot}px; height: {ring - 2 * dot}px; border: {dot}px solid {c.accent}; }}
    QCheckBox:focus, QRadioButton:focus {{ border-color: {c.accent}; }}
    """


def _surfaces(c: t.Palette) -> str:
    return f"""
    QFrame[kind="card"], QPushButton[kind="card"] {{ background: {c.surface}; border: 1px solid {c.hairline};
        border-radius: {px(t.RADIUS_CARD)}; }}
    QFrame[kind="card"][chosen="true"] {{ border: 2px solid {c.accent}; }}
    QFrame[kind="card"][current="true"] {{ border-left: 4px solid {c.text}; }}
    QFrame[kind="rating"] {{ border: 2px solid transparent; border-radius: {px(t.RADIUS_CONTROL)}; }}
    QFrame[kind="rating"][focused="true"] {{ border-color: {c.accent}; }}
    QFrame[kind="rating"] QPushButton[kind="segment"]:checked {{ background: {c.accent}; color: {c.on_accent}; }}
    QFrame[kind="card"]:focus, QPushButton[kind="card"]:focus {{ border: 2px solid {c.accent}; }}
    QFrame[kind="turn"] {{ background: {c.raised}; border-radius: {px(t.RADIUS_CARD)}; }}
    QFrame[kind="thought"] {{ background: transparent; border: none; border-left: 2px solid {c.line}; }}
    QFrame[kind="thought"] QTextBrowser[kind="markdown"] {{ color: {c.muted}; }}
    QFrame[kind="composer"] {{ background: {c.surface}; border: 1px solid {c.line}; border-radius: {px(t.RADIUS_CARD)}; }}
    QFrame[kind="composer"][focused="true"] {{ border: 2px solid {c.accent}; }}
    QFrame[kind="bar"] {{ background: {c.bg}; border: none; }}
    QFrame[kind="rail"] {{ background: {c.bg}; border: none; border-right: 1px solid {c.hairline}; }}
    QFrame[kind="sidebar"] {{ background: {c.bg}; border: none; border-right: 1px solid {c.hairline}; }}
    QFrame[kind="aside"] {{ background: {c.bg}; border: none; border-left: 1px solid {c.hairline}; }}
    QFrame[kind="grip"] {{ background: transparent; border: none; }}
    QFrame[kind="grip"]:hover, QFrame[kind="grip"]:focus {{ background: {c.accent}; }}
    QFrame[kind="hairline"] {{ background: {c.hairline}; border: none; max-height: 1px; min-height: 1px; }}
    QFrame[kind="notice"] {{ background: {c.raised}; border: none; border-radius: {px(t.RADIUS_CARD)}; }}
    QFrame[kind="bucket"] {{ background: {c.raised}; border: 1px dashed {c.line}; border-radius: {px(t.RADIUS_CONTROL)}; }}
    QFrame[kind="gap"] {{ background: transparent; border: 1px solid transparent; border-radius: {px(t.RADIUS_CONTROL)}; }}
    QFrame[kind="notice"] QLabel[kind="letter"] {{ background: {c.surface}; }}
    QFrame[kind="gap"][over="true"], QFrame[kind="bucket"][over="true"] {{ border: 2px solid {c.accent}; }}
    QFrame[kind="toast"] {{ background: {c.text}; border-radius: {px(t.RADIUS_CARD)}; }}
    QFrame[kind="toast"] QLabel {{ color: {c.bg}; }}
    QFrame[kind="toast"] QPushButton {{ color: {c.bg}; background: transparent; border: 1px solid {c.bg}; }}
    QFrame[kind="toast"] QPushButton:hover {{ background: {t.mix(c.text, c.bg, 0.2)}; }}
    QFrame[kind="toast"] QPushButton:focus {{ border: 2px solid {c.bg}; }}
    QFrame[kind="palette"] {{ background: {c.surface}; border: 1px solid {c.line}; border-radius: {px(t.RADIUS_CARD)}; }}
    """


def _lists(c: t.Palette) -> str:
    return f"""
    QListView, QTreeView, QTableView {{ background: transparent; border: 2px solid transparent; outline: none;
        border-radius: {px(t.RADIUS_CONTROL)}; gridline-color: {c.hairline}; alternate-background-color: {c.bg}; }}
    QListView:focus, QTreeView:focus, QTableView:focus {{ border-color: {c.accent}; }}
    QListView::item, QTreeView::item, QTableView::item {{ padding: {px(t.SPACE_XS)} {px(t.SPACE_S)}; border: none;
        border-radius: {px(t.RADIUS_CONTROL)}; }}
    QTableView::item {{ border-radius: 0; }}
    QListView::item:hover, QTreeView::item:hover {{ background: {c.raised}; }}
    QListView::item:selected, QTreeView::item:selected, QTableView::item:selected {{ background: {c.raised}; color: {c.text}; }}
    QHeaderView::section {{ background: {c.bg}; color: {c.muted}; border: none; border-bottom: 1px solid {c.hairline};
        padding: {px(t.SPACE_XS)} {px(t.SPACE_S)}; }}
    QMenu {{ background: {c.surface}; border: 1px solid {c.line}; border-radius: {px(t.RADIUS_CONTROL)};
        padding: {px(t.SPACE_XS)}; }}
    QMenu::item {{ padding: {px(t.SPACE_XS + 2)} {px(t.SPACE_L)}; border-radius: {px(t.RADIUS_CONTROL)}; }}
    QMenu::icon {{ padding-left: {px(t.SPACE_S)}; }}
    QMenu::item:selected {{ background: {c.raised}; }}
    QMenu::item:disabled {{ color: {c.line}; }}
    QMenu::separator {{ background: {c.hairline}; height: 1px; margin: {px(t.SPACE_XS)}; }}
    """


def _small_parts(c: t.Palette, scale: float) -> str:
    return f"""
    QScrollBar {{ background: transparent; border: none; margin: 0; }}
    QAbstractScrollArea::corner {{ background: transparent; border: none; }}
    QScrollBar:vertical {{ width: {px(t.SPACE_M)}; }}
    QScrollBar:horizontal {{ height: {px(t.SPACE_M)}; }}
    QScrollBar::handle {{ background: {c.line}; border: 3px solid {c.bg}; border-radius: {px(t.RADIUS_CONTROL)};
        min-height: {px(t.SPACE_XXL)}; min-width: {px(t.SPACE_XXL)}; }}
    QScrollBar::add-line, QScrollBar::sub-line {{ width: 0; height: 0; }}
    QScrollBar::add-page, QScrollBar::sub-page {{ background: transparent; }}
    QProgressBar {{ background: {c.hairline}; border: none; border-radius: 3px; min-height: 6px; max-height: 6px; }}
    QProgressBar::chunk {{ background: {c.accent}; border-radius: 3px; }}
    QProgressBar[tone="success"]::chunk {{ background: {c.success}; }}
    QProgressBar[tone="warning"]::chunk {{ background: {c.warning}; }}
    QProgressBar[tone="danger"]::chunk {{ background: {c.danger}; }}
    QLabel[kind="chip"] {{ background: {c.raised}; border-radius: {px(t.RADIUS_CONTROL)}; padding: 2px {px(t.SPACE_S)};
        font-size: {px(t.TYPE_CAPTION, scale)}; }}
    QLabel[kind="made"] {{ background: {c.surface}; border: 1px solid {c.accent}; border-radius: {px(t.RADIUS_CONTROL)};
        padding: 2px {px(t.SPACE_S)}; font-size: {px(t.TYPE_CAPTION, scale)}; }}
    QLabel[kind="key"] {{ background: {c.surface}; border: 1px solid {c.line}; border-radius: {px(t.SPACE_XS)};
        padding: 0 {px(t.SPACE_XS)}; font-size: {px(t.TYPE_CAPTION, scale)}; }}
    QLabel[kind="letter"] {{ background: {c.raised}; border-radius: {px(t.RADIUS_CONTROL)}; padding: 2px {px(t.SPACE_S)};
        font-weight: {t.WEIGHT_STRONG}; }}
    QLabel[kind="number"] {{ background: {c.accent}; color: {c.on_accent}; border-radius: {px(t.RADIUS_CONTROL)};
        padding: 0 {px(t.SPACE_XS)}; font-weight: {t.WEIGHT_STRONG}; }}
    QLabel[kind="letter"][best="true"] {{ background: {c.accent}; color: {c.on_accent}; }}
    QTabBar::tab {{ background: transparent; color: {c.muted}; padding: {px(t.SPACE_S)} {px(t.SPACE_M)}; border: none;
        border-bottom: 2px solid transparent; }}
    QTabBar::tab:selected {{ color: {c.text}; border-bottom-color: {c.accent}; }}
    QTabBar::tab:focus {{ color: {c.accent}; }}
    QTabWidget::pane {{ border: none; border-top: 1px solid {c.hairline}; }}
    """
