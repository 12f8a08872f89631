"""The pictures of encryption: the card in Settings, and the windows that stand where the workspace's own is closed."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtWidgets import QMainWindow
from screenshot_studio import Scene, Studio

from rlhf_desktop.operations.encryption import Status
from rlhf_desktop.ui.encryption.card import Standing
from rlhf_desktop.ui.encryption.request import EncryptionRequest
from rlhf_desktop.ui.encryption.unlocking import UnlockWindow
from rlhf_desktop.ui.encryption.working import WorkWindow
from rlhf_desktop.ui.widgets.surfaces import reveal

_PASSPHRASE = "kettle mountain purple verdict"


def _settings(standing: Standing, form: str) -> Scene:
    def scene(studio: Studio) -> None:
        studio.window.show_room("settings")
        studio.settle()
        card = studio.window.room("settings").encryption
        card.show_standing(standing)
        card._open(form)
        for field in (card.new if form == "create" else card.newer).first, (card.new if form == "create" else card.newer).again:
            field.edit.setText(_PASSPHRASE)
        reveal(card)

    return scene


LOCKED_SCENES: dict[str, Scene] = {
    "settings-encrypt": _settings(Standing(Status(False, True), False), "create"),
    "settings-encrypted": _settings(Standing(Status(True, True, "on"), True), "change"),
}


def _locked(studio: Studio) -> QMainWindow:
    return UnlockWindow(studio.workspace, by_keyring=False)


def _wrong(studio: Studio) -> QMainWindow:
    made = UnlockWindow(studio.workspace, by_keyring=False)
    made.passphrase.edit.setText(_PASSPHRASE)
    made.notice.say("alert", "This is not the passphrase of this workspace. Check Caps Lock and the keyboard's language.", "danger")
    made.notice.show()
    return made


def _helped(studio: Studio) -> QMainWindow:
    made = UnlockWindow(studio.workspace, by_keyring=False)
    made.show()  # a page is scrolled once it has a size
    made.toggle_help()
    return made


def _encrypting(studio: Studio) -> QMainWindow:
    made = WorkWindow(studio.workspace, EncryptionRequest("create", _PASSPHRASE))
    made._over = True  # it would begin
    made._say("Encrypting feedback-2026-11-29.db")
    return made


LOCKED_WINDOWS: dict[str, Callable[[Studio], QMainWindow]] = {
    "locked": _locked,
    "locked-wrong": _wrong,
    "locked-help": _helped,
    "encrypting": _encrypting,
}
