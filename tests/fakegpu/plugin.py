"""`pytest -p tests.fakegpu.plugin`: the guard is loaded before anything imports torch, and a test may ask for a card."""

import pytest

from tests.fakegpu.fakegpu import FakeGpu  # before torch
from tests.fakegpu.tally import TALLY


@pytest.fixture
def card():
    """The computer has one card until the test ends; the tally counts from zero."""
    with FakeGpu() as there:
        TALLY.clear()
        yield there
