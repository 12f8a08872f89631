"""The protocol's form says exactly what it was given, for every preset and for words with commas in them."""

import pytest
from PySide6.QtCore import Qt

from rlhf_desktop.feedback.protocol import PRESETS, Attribute, LabelQuestion, Protocol
from rlhf_desktop.ui.label.protocol_page import ProtocolPage

COMMAS = Protocol(
    name="My own",
    buckets=["Great, as it is", "Usable"],
    attributes=[Attribute(name="accuracy", levels=["wrong, in part", "right"])],
    labels=[LabelQuestion(name="Why?", labels=["tone, mostly", "facts"], several=True)],
)


@pytest.fixture
def page(qtbot):
    made = ProtocolPage()
    qtbot.addWidget(made)
    return made


@pytest.mark.parametrize("protocol", [*PRESETS.values(), COMMAS], ids=lambda protocol: protocol.name)
def test_the_form_gives_back_what_it_shows(page, protocol):
    page.show_protocol(protocol)
    assert page.value() == protocol


def test_a_preset_saved_unchanged_keeps_its_name(qtbot, page):
    page.show_protocol(PRESETS["General"])
    page.preset.setCurrentText("Law")
    page.preset.textActivated.emit("Law")
    with qtbot.waitSignal(page.saved) as saved:
        page.save.click()
    assert saved.args[0] == PRESETS["Law"]


def test_a_number_stands_as_far_in_as_other_fields(page):
    assert page.answers.lineEdit().textMargins().left() > 4


def test_groups_are_asked_for_only_where_answers_are_sorted_into_some(page):
    page.show_protocol(PRESETS["General"])
    page.show()
    assert not page.buckets.isVisible()
    page.comparison.setCurrentIndex(page.comparison.findData("buckets"))
    assert page.buckets.isVisible()
    page.buckets.setText("Safe, Unsafe")
    page.comparison.setCurrentIndex(page.comparison.findData("ranking"))
    assert not page.buckets.isVisible()
    page.comparison.setCurrentIndex(page.comparison.findData("buckets"))
    assert page.value().buckets == ["Safe", "Unsafe"]


@pytest.mark.parametrize("field", ["preset", "answers", "attributes", "repeats", "back"])
def test_esc_goes_back_from_any_field(qtbot, page, field):
    page.show_protocol(PRESETS["General"])
    page.show()
    with qtbot.waitSignal(page.left):
        qtbot.keyClick(getattr(page, field), Qt.Key.Key_Escape)
