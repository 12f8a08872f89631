"""Settings' card about this computer: the devices there are, which of them models compute on, and what they offer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox

from rlhf_desktop.core.devices import chosen_device
from rlhf_desktop.jobs.device import Device, devices_of, free_bytes, is_told, probe_device, same_device, wanted_device
from rlhf_desktop.ui import words
from rlhf_desktop.ui.help.termlabel import TermLabel
from rlhf_desktop.ui.theme import tokens as t
from rlhf_desktop.ui.widgets.buttons import Button
from rlhf_desktop.ui.widgets.fields import Form, choice
from rlhf_desktop.ui.widgets.surfaces import Card, row
from rlhf_desktop.ui.widgets.text import caption

_AUTOMATIC = "Automatic: the card with the most free memory"
_KEPT = "Chat moves at once; a run keeps the device it was started for, and may be resumed on another."
_TOLD = "This window was started with --device, which goes before what is chosen here."


@dataclass(frozen=True)
class Machine:
    """What the probe said, and the memory that is free on each device now."""

    probed: Mapping[str, Any]
    devices: Sequence[Device] = ()
    free: Mapping[str, int] = field(default_factory=dict)  # bytes by a device's key

    @property
    def used(self) -> Device:
        """The device that models compute on."""
        chosen = wanted_device(self.devices)
        found = same_device(chosen, self.devices) if chosen else None
        return found or max([each for each in self.devices if each.is_card] or self.devices, key=lambda each: self.free[each.key])


def look_at_machine(*, refresh: bool = False) -> Machine:
    """Ask what there is, unless it is known, and what is free. Blocks: for seconds the first time."""
    probed = probe_device(refresh=refresh)
    devices = devices_of(probed)
    return Machine(probed, devices, {each.key: free_bytes(each, ask=False) for each in devices})


class DeviceCard(Card):
    """Shows the machine; emits what is chosen and when to look again."""

    deviceChosen = Signal(object)  # DeviceRef; None: automatic
    lookRequested = Signal()

    def __init__(self) -> None:
        super().__init__("This computer")
        self.choice = choice("Compute on")
        self.choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)  # names can be long
        self.choice.activated.connect(lambda index: self.deviceChosen.emit(self.choice.itemData(index)))
        self._choosing = Form()
        self._choosing.add("Compute on", self.choice)
        self._note = caption(_TOLD if is_told() else _KEPT, wrap=True)
        self.facts = Form(field_rows=False, spacing=t.SPACE_S)
        self.words = caption("", wrap=True)
        again = Button("Look again", icon="refresh")
        again.clicked.connect(self.lookRequested)
        line = row()
        line.addWidget(again)
        line.addStretch(1)
        self.body.addLayout(self._choosing)
        self.body.addWidget(self._note)
        self.body.addLayout(self.facts)
        self.body.addWidget(self.words)
        self.body.addLayout(line)
        self._show_choice(False)
        self.words.hide()

    def say(self, text: str) -> None:
        """Show a sentence instead of news."""
        self.words.setText(text)
        self.words.show()

    def show_machine(self, machine: Machine) -> None:
        """Show what there is."""
        self.words.hide()
        self._fill(machine)
        self._show_facts(machine)

    def _show_choice(self, shown: bool) -> None:
        self._choosing.setRowVisible(self.choice, shown)
        self._note.setVisible(shown)

    def _fill(self, machine: Machine) -> None:
        """Every device by name with its free memory; a chosen one that is gone is still said."""
        chosen = chosen_device()
        found = same_device(chosen, machine.devices) if chosen else None
        self.choice.clear()
        self.choice.addItem(_AUTOMATIC, None)
        for device in machine.devices:
            self.choice.addItem(_described(device, machine.free[device.key]), device.ref)
            if device is found:
                self.choice.setCurrentIndex(self.choice.count() - 1)
        if chosen and found is None:
            self.choice.addItem(f"{chosen.name or chosen.key}: not in this computer now", chosen)
            self.choice.setCurrentIndex(self.choice.count() - 1)
        self._show_choice(len(machine.devices) > 1 or chosen is not None)

    def _show_facts(self, machine: Machine) -> None:
        while self.facts.rowCount():
            self.facts.removeRow(0)
        used, probed = machine.used, machine.probed
        versions = probed.get("versions", {})
        facts = [
            ("Computes on", f"{used.name} ({used.id})"),
            ("Memory for models", f"{words.size(used.total_bytes)}, {words.size(machine.free[used.key])} free now"),
            ("Memory of the computer", words.size(probed.get("ram_total_bytes") or 0)),
            ("Fast number format", used.fast_dtype),
            ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        ]
        for name, value in facts:
            self.facts.add(name, TermLabel(value, tone="muted", wrap=True))


def _described(device: Device, free: int) -> str:
    kind = "" if device.is_card else " (the processor)"
    size = f" · {words.size(free)} of {words.size(device.total_bytes)} free" if device.total_bytes else ""
    return f"{device.name}{kind}{size}"
