"""Whole programs, on a disk that keeps what it acknowledged."""

import pytest


@pytest.fixture(autouse=True)
def hasty_disk():
    """Not here: these tests wait for the disk as the program does."""
