"""The Settings room: who you are, how it looks, where things are, what this computer offers, and what the program is."""

import functools
import platform
import re
from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtCore import QObject, Qt, QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QCheckBox, QLineEdit, QSystemTrayIcon, QWidget

import rlhf_desktop
from rlhf_desktop.core.devices import choose_device
from rlhf_desktop.core.errors import AppError
from rlhf_desktop.core.paths import resources_dir
from rlhf_desktop.core.runs import DeviceRef
from rlhf_desktop.core.words import count
from rlhf_desktop.feedback.conversations import utc_now
from rlhf_desktop.hub.client import endpoint_address
from rlhf_desktop.jobs.device import known_device
from rlhf_desktop.operations import passphrases
from rlhf_desktop.operations.checkup import who_can_look
from rlhf_desktop.operations.spelling import NEEDS, OFF, languages
from rlhf_desktop.store.profiles import Profile
from rlhf_desktop.ui.context import Context
from rlhf_desktop.ui.encryption.card import EncryptionCard, change, look
from rlhf_desktop.ui.encryption.idle import LOCK_AFTER
from rlhf_desktop.ui.frame import keymap
from rlhf_desktop.ui.frame.notify import TRAY
from rlhf_desktop.ui.frame.spelling import SETTING, chosen_language, language_name
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.label.ahead import writes_ahead
from rlhf_desktop.ui.people import who_am_i
from rlhf_desktop.ui.settings.audit import AuditCard
from rlhf_desktop.ui.settings.device import DeviceCard, look_at_machine
from rlhf_desktop.ui.settings.privacy import PrivacyCard
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.theme.style import TEXT_SIZES, Mode
from rlhf_desktop.ui.widgets.buttons import Button, SegmentedControl
from rlhf_desktop.ui.widgets.fields import Form, choice
from rlhf_desktop.ui.widgets.saved_state import KeptForm
from rlhf_desktop.ui.widgets.surfaces import Card, Notice, Page, row
from rlhf_desktop.ui.widgets.text import ElidedLabel, Label, caption, title

_FIRST_LICENCES = 5  # of this program, its starter model, fonts and icons; the libraries follow


class SettingsRoom(QObject):
    """Every change is kept at once; there is nothing to save."""

    title, icon = "Settings", "settings"

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._keeper = context.keys.of(endpoint_address())
        self._root = Page(t.FORM_WIDTH)
        self._root.setProperty("kind", "page")
        self.setParent(self._root)  # what the theme says is for nobody once the window is gone
        body = self._root.body
        body.addWidget(title("Settings"))
        for card in (
            self._who(),
            self._label(),
            self._privacy(),
            self._encryption(),
            self._appearance(),
            self._places(),
            self._audit(),
            self._device(),
            self._about(),
        ):
            body.addWidget(card)
        body.addStretch(1)
        context.theme.changed.connect(self._show_mode)  # a method: it is let go with this room
        context.theme.textSizeChanged.connect(self._show_text_size)

    def widget(self) -> QWidget:
        """The room."""
        return self._root

    def focus_place(self) -> QWidget:
        """No control at all."""
        return self._root

    def activated(self) -> None:
        """Ask what the computer has and what is free of it, and whether a token is kept."""
        self._context.tasks.run(self._keeper.get, on_success=self.privacy.show_token, on_failure=self._troubled)
        self.probe(refresh=False)
        self.audit.look()
        self._look_at_encryption()

    def deactivated(self) -> None:
        """Keep what is being typed, and forget passphrases."""
        self._keep_who()
        self.encryption.forget_typed()

    # --- who

    def _who(self) -> Card:
        card = Card("Who you are")
        card.body.addWidget(caption("Written beside each of your judgements, so that a team can tell them apart.", wrap=True))
        settings = self._context.store.settings
        self.name = _field("Your name", str(settings.get("who", "")), who_am_i(self._context.store))
        self.role = _field("Your role", self._profile().role, "For example: support lead, nurse, lawyer")
        form = Form()
        form.add("Name", self.name)
        form.add("Role", self.role)
        card.body.addLayout(form)
        self.kept = KeptForm({"name": self.name, "role": self.role}, parent=self)
        card.body.addWidget(self.kept.words)
        self.name.editingFinished.connect(self._keep_who)
        self.role.editingFinished.connect(self._keep_who)
        return card

    def _keep_who(self) -> None:
        changed = self.kept.dirty
        self._context.store.settings.set("who", self.name.text().strip() or None)
        profile, role = self._profile(), self.role.text().strip()
        if profile.role != role and self.role.isModified():
            try:
                self._context.store.profiles.save(replace(profile, role=role, updated_at=utc_now()))
            except AppError as trouble:
                self._troubled(trouble)
        self.role.setText(self._profile().role)  # of somebody else, once there is another name
        if changed:
            self.kept.saved()

    def _profile(self) -> Profile:
        """Of whoever judges here."""
        name = who_am_i(self._context.store)
        return self._context.store.profiles.get(name) or Profile(name)

    # --- label

    def _label(self) -> Card:
        card = Card("Label")
        self.ahead = QCheckBox("Write answers ahead in every room")
        self.ahead.setAccessibleName(self.ahead.text())
        self.ahead.setChecked(writes_ahead(self._context.store))
        self.ahead.toggled.connect(self._context.session.writeAheadChosen)
        card.body.addWidget(self.ahead)
        card.body.addWidget(
            caption(
                "A few answers to the prompts that wait in Label, so that they are there when you come. A message in Chat and a "
                "run that trains go first. Switched off, answers are written only while you label. Never at a server.",
                wrap=True,
            )
        )
        return card

    # --- privacy

    def _privacy(self) -> PrivacyCard:
        session = self._context.session
        self.privacy = PrivacyCard()
        self.privacy.offlineChosen.connect(session.offlineChosen)
        self.privacy.tokenGiven.connect(self._keep_token)
        self.privacy.tokenForgotten.connect(self._forget_token)
        session.networkChanged.connect(self._show_rule)
        self._show_rule()
        self.privacy.show_others(who_can_look(self._context.workspace))
        return self.privacy

    def _show_rule(self) -> None:
        self.privacy.show_rule(self._context.session.network)

    def _keep_token(self, token: str) -> None:
        """The keyring may take its time, or ask the user to unlock it."""
        self._context.tasks.run(self._keeper.keep, token, on_success=self.privacy.show_kept, on_failure=self._troubled)

    def _forget_token(self) -> None:
        self._context.tasks.run(
            self._keeper.forget, on_success=lambda _none: self.privacy.show_token(None), on_failure=self._troubled
        )

    def _troubled(self, trouble: AppError) -> None:
        self._context.session.troubled.emit(trouble)

    # --- encryption

    def _encryption(self) -> EncryptionCard:
        context, session = self._context, self._context.session
        self.encryption = EncryptionCard(int(context.store.settings.get(LOCK_AFTER, 0)))
        self.encryption.requested.connect(session.encryptionRequested)
        self.encryption.lockRequested.connect(session.lockRequested)
        self.encryption.idleChosen.connect(self._choose_idle)
        self.encryption.changeRequested.connect(self._change_passphrase)
        self.encryption.forgetRequested.connect(self._forget_passphrase)
        return self.encryption

    def _look_at_encryption(self) -> None:
        self._context.tasks.run(look, self._context.workspace, on_success=self.encryption.show_standing, on_failure=self._troubled)

    def _choose_idle(self, minutes: int) -> None:
        self._context.store.settings.set(LOCK_AFTER, minutes)
        self._context.session.lockAfterChosen.emit(minutes)

    def _change_passphrase(self, old: str, new: str) -> None:
        self._context.tasks.run(
            change, self._context.workspace, old, new, on_success=self._passphrase_changed, on_failure=self.encryption.show_trouble
        )

    def _passphrase_changed(self, _none: None) -> None:
        self.encryption.show_changed()
        self._context.session.announce("The passphrase is changed. The one before opens nothing here any more.")

    def _forget_passphrase(self) -> None:
        self._context.tasks.run(
            passphrases.forget, self._context.workspace,
            on_success=lambda _none: self._look_at_encryption(), on_failure=self._troubled,
        )  # fmt: skip

    # --- appearance

    def _appearance(self) -> Card:
        card = Card("Appearance")
        modes: list[tuple[str, Mode]] = [("As the system", "system"), ("Light", "light"), ("Dark", "dark")]
        self.appearance = SegmentedControl("Appearance", modes, self._context.theme.mode)
        self.appearance.changed.connect(self._set_mode)
        line = row()
        line.addWidget(self.appearance)
        line.addStretch(1)
        card.body.addLayout(line)
        self.text_size = choice("Text size")
        for percent in TEXT_SIZES:
            self.text_size.addItem(f"{percent}%", percent)
        self.text_size.activated.connect(lambda _row: self._context.theme.set_text_size(self.text_size.currentData()))
        form = Form()
        form.add("Text size", self.text_size)
        card.body.addLayout(form)
        keys = ", ".join(map(keymap.shown, ("larger text", "smaller text", "usual text")))
        said = f"{keys} change it anywhere. It grows with your system's font size, too. Motion stops when the system asks for less."
        card.body.addWidget(caption(said, wrap=True))
        self._show_text_size()
        words = Form()
        words.add("Spell check", self._spelling())
        card.body.addLayout(words)
        self.tray = QCheckBox("Show how runs go in the system's tray")
        self.tray.setAccessibleName(self.tray.text())
        self.tray.setChecked(bool(self._context.store.settings.get(TRAY, True)))
        self.tray.setVisible(QSystemTrayIcon.isSystemTrayAvailable())
        self.tray.toggled.connect(self._set_tray)
        card.body.addWidget(self.tray)
        return card

    def _spelling(self) -> QWidget:
        """Which language is checked; where there is no spell check, what it needs."""
        known, chosen = languages(), self._context.store.settings.get(SETTING)
        if not known:
            return TermLabel(NEEDS, tone="muted", wrap=True)
        self.spelling = choice("Spell check")
        for code in (OFF, *known):
            self.spelling.addItem("Off" if code == OFF else language_name(code), code)
        self.spelling.setCurrentIndex(self.spelling.findData(chosen_language(chosen, known)))
        self.spelling.activated.connect(lambda _row: self._context.session.spellingChosen.emit(self.spelling.currentData()))
        return self.spelling

    def _show_text_size(self) -> None:
        self.text_size.setCurrentIndex(self.text_size.findData(self._context.theme.text_size))

    def _set_tray(self, on: bool) -> None:
        self._context.store.settings.set(TRAY, on)
        self._context.session.trayChosen.emit()

    def _set_mode(self, mode: Mode) -> None:
        self._context.theme.set_mode(mode)
        self._context.store.settings.set("appearance", mode)

    # --- places

    def _places(self) -> Card:
        card = Card("Where things are")
        workspace = self._context.workspace
        form = Form(field_rows=False, spacing=t.SPACE_S)
        for name, path in (
            ("Workspace", workspace.root),
            ("Feedback", workspace.database),
            ("Runs", workspace.runs),
            ("Models", workspace.models),
            ("Adapters from elsewhere", workspace.adapters),
            ("Backups", workspace.backups),
        ):
            label = ElidedLabel(str(path), tone="muted")
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            form.add(name, label)
        card.body.addLayout(form)
        line = row()
        show = Button("Open the folder", icon="folder")
        show.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(workspace.root))))
        self.restore = Button("Restore a backup…", icon="undo")
        self.restore.clicked.connect(self._context.session.restoreRequested)
        line.addWidget(show)
        line.addWidget(self.restore)
        line.addWidget(caption("Copying this folder is a complete backup.", wrap=True), 1)
        card.body.addLayout(line)
        if self._context.store.notice:
            card.body.addWidget(Notice("info", self._context.store.notice))
        return card

    def _show_mode(self) -> None:
        self.appearance.set_value(self._context.theme.mode)

    def _audit(self) -> AuditCard:
        self.audit = AuditCard(self._context)
        return self.audit

    # --- device

    def _device(self) -> Card:
        self.device = DeviceCard()
        self.device.deviceChosen.connect(self._choose_device)
        self.device.lookRequested.connect(lambda: self.probe(refresh=True))
        return self.device

    def probe(self, refresh: bool) -> None:
        """Ask the training software what this computer offers, unless it is known, and what memory is free now."""
        if refresh or known_device() is None:
            self.device.say("Looking… this takes some seconds.")
        look = functools.partial(look_at_machine, refresh=refresh)
        self._context.tasks.run(look, on_success=self.device.show_machine, on_failure=lambda trouble: self.device.say(str(trouble)))

    def _choose_device(self, device: DeviceRef | None) -> None:
        choose_device(device)
        self._context.session.deviceChosen.emit()
        self.probe(refresh=False)

    # --- about

    def _about(self) -> Card:
        card = Card("About")
        card.body.addWidget(
            Label(f"RLHF Desktop {rlhf_desktop.__version__}, Python {platform.python_version()}, {platform.system()}")
        )
        card.body.addWidget(caption("Built on open software, with thanks:"))
        rows = licences()
        card.body.addLayout(_licence_form(rows[:_FIRST_LICENCES]))
        self.licences = Button(f"Licences of {count(len(rows) - _FIRST_LICENCES, 'library', 'libraries')}", "link")
        self.licences.clicked.connect(lambda: self._show_licences(card, rows[_FIRST_LICENCES:]))
        card.body.addWidget(self.licences, 0, Qt.AlignmentFlag.AlignLeft)
        return card

    def _show_licences(self, card: Card, rows: Sequence[tuple[str, str]]) -> None:
        self.licences.hide()
        card.body.addLayout(_licence_form(rows))


def licences() -> list[tuple[str, str]]:
    """What the program is built on, with its version, and under which licence: as resources/NOTICE.md lists them."""
    table = (resources_dir() / "NOTICE.md").read_text("utf-8").partition("|---")[2]
    rows = re.findall(r"^\| ([^|]+?) \| ([^|]*?) \| ([^|]+?) \|$", table, re.MULTILINE)
    return [(f"{name} {version}".strip(), licence) for name, version, licence in rows]


def _licence_form(rows: Sequence[tuple[str, str]]) -> Form:
    form = Form(field_rows=False, spacing=t.SPACE_S)
    for name, licence in rows:
        form.add(name, Label(licence, tone="muted", wrap=True))
    return form


def _field(name: str, text: str, placeholder: str) -> QLineEdit:
    field = QLineEdit(text)
    field.setAccessibleName(name)
    field.setPlaceholderText(placeholder)
    field.setMaxLength(120)
    return field
