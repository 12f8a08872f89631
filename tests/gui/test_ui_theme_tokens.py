"""The tokens keep their promises of contrast."""

import pytest

from rlhf_desktop.ui.theme import tokens as t

PALETTES = [t.LIGHT, t.DARK]


def test_contrast_agrees_with_the_standard_at_its_ends():
    assert t.contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert t.contrast("#777777", "#777777") == pytest.approx(1)


@pytest.mark.parametrize("palette", PALETTES, ids=lambda p: p.name)
@pytest.mark.parametrize("ground", ["bg", "surface", "raised"])
def test_text_is_readable_on_every_surface(palette, ground):
    for role in ("text", "muted"):
        assert t.contrast(palette.colour(role), palette.colour(ground)) >= 4.5, role


@pytest.mark.parametrize("palette", PALETTES, ids=lambda p: p.name)
@pytest.mark.parametrize("ground", ["bg", "surface"])
def test_meaning_is_readable_and_controls_are_visible(palette, ground):
    for role in ("accent", "success", "warning", "danger"):
        assert t.contrast(palette.colour(role), palette.colour(ground)) >= 4.5, role
    assert t.contrast(palette.line, palette.colour(ground)) >= 3


@pytest.mark.parametrize("palette", PALETTES, ids=lambda p: p.name)
def test_words_on_the_accent_are_readable(palette):
    assert t.contrast(palette.accent, palette.on_accent) >= 4.5
