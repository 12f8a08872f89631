"""Fixtures every test may use. Nothing here imports torch or Qt until a test asks."""

import os

import pytest

from tests.tiny import make_tiny_model

os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory):
    """The `ModelRef` of a tiny random model, saved once a session. Read only."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model")
