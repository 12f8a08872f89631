"""What decides in the window knows no widget: of Qt it has signals and timers, whatever it imports, and whatever that imports."""

import ast
from pathlib import Path

import pytest

import rlhf_desktop

ROOT = Path(rlhf_desktop.__file__).parent
MODULES = {".".join(("rlhf_desktop", *path.relative_to(ROOT).with_suffix("").parts)): path for path in ROOT.rglob("*.py")}
DECIDE = sorted(
    {name for name in MODULES if name.startswith("rlhf_desktop.ui.") and name.endswith(".presenter")}
    | {f"rlhf_desktop.ui.{name}" for name in ("evaluate.answers", "judging.undoing", "label.ahead", "train.follower")}
)


def imported(path):
    """Modules and names imported when a module is; what only the type checker reads is left out."""
    found, blocks = set(), [ast.parse(path.read_text("utf-8"))]
    for node in blocks:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{each.name}" for each in node.names} | {str(node.module)}
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            blocks += ast.iter_child_nodes(node)
    return found


def reached(name):
    """Everything that is imported with a module."""
    seen, found, to_do = set(), set(), [name]
    while to_do:
        module = to_do.pop()
        if module not in seen:
            seen.add(module)
            names = imported(MODULES[module])
            found |= names
            to_do += [each for each in names if each in MODULES]
    return found


@pytest.mark.parametrize("name", DECIDE)
def test_a_presenter_knows_no_widget(name):
    qt = {each.split(".")[1] for each in reached(name) if each.startswith("PySide6.")}
    assert qt <= {"QtCore"}
    assert not [each for each in reached(name) if each.startswith("pyqtgraph")]


def test_the_presenters_are_found_and_a_room_would_not_pass():
    assert {f"rlhf_desktop.ui.{room}.presenter" for room in ("chat", "judging", "label")} <= set(DECIDE)
    assert "PySide6.QtWidgets" in reached("rlhf_desktop.ui.chat.room")
