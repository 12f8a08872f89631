"""TRL's own loss code, run on tensors: its trainers' `compute_loss` called on a stand-in for the trainer.

TRL is a development dependency. Its loss functions need none of the data libraries its modules import, so those that are not
installed are stood in for while it is imported, and gone afterwards.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections import defaultdict
from types import SimpleNamespace
from unittest.mock import MagicMock

import pytest
import torch

UNUSED = ("datasets", "pandas", "pyarrow")


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules that TRL's losses do not use but its files import."""

    def find_spec(self, name, path=None, target=None):
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.split(".")[0] in UNUSED else None

    def create_module(self, spec):
        return MagicMock(name=spec.name, __path__=[])

    def exec_module(self, module):
        pass


def trl_trainer(name):
    """The class `RewardTrainer`, `DPOTrainer` or `KTOTrainer`; skips the test where TRL is not installed."""
    pytest.importorskip("trl")
    finder = _StandIns()
    sys.meta_path.append(finder)
    try:
        module = importlib.import_module(f"trl.trainer.{name.removesuffix('Trainer').lower()}_trainer")
    finally:
        sys.meta_path.remove(finder)
        for loaded in [m for m in sys.modules if m.split(".")[0] in UNUSED and isinstance(sys.modules[m], MagicMock)]:
            del sys.modules[loaded]
    return getattr(module, name)


def stand_in(**attributes):
    """What `compute_loss` reads of its trainer besides the model."""
    accelerator = SimpleNamespace(device=torch.device("cpu"), gather=lambda x: x, gather_for_metrics=lambda x: x)
    return SimpleNamespace(
        accelerator=accelerator,
        model=SimpleNamespace(training=True),
        _metrics={"train": defaultdict(list)},
        _total_train_tokens=0,
        _tp_size=1,
        aux_loss_enabled=False,
        **attributes,
    )
