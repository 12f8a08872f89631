"""Trying a mutant: its tests are run in a process forked from this one, with the mutated text in place of its module's."""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import pickle
import resource
import select
import signal
import sys
import threading
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.bench.mutating import Mutant

_SLOWER = 10  # times what the tests took at first, and then some: a mutant that loops is noticed, a busy machine is not
_AND_MORE_S = 30
_STARTERS = {"queue"}  # fixtures of tests that start supervisors
_OF_TESTS = ("tests", "test_", "conftest", "_", "py.")  # never imported ahead: pytest rewrites their assertions


def in_child(work: Callable[[Path], Any], *, limit_s: float, cpu_s: int | None = None) -> Any:
    """What `work` returns, called with an empty folder in a forked process; None when it took too long or died.

    Args:
        work: Is called in the child.
        limit_s: On the clock, after which the child and all it started are killed.
        cpu_s: Of computing.
    """
    with TemporaryDirectory() as folder:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _in_the_child(work, Path(folder), writer, cpu_s)
        os.close(writer)
        try:
            return _read(reader, limit_s)
        finally:
            os.close(reader)
            with suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _in_the_child(work: Callable[[Path], Any], folder: Path, writer: int, cpu_s: int | None) -> None:
    try:
        os.setpgid(0, 0)
        if cpu_s:
            resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
        found = pickle.dumps(work(folder))
        with os.fdopen(writer, "wb") as out:
            out.write(found)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(0)


def _read(reader: int, limit_s: float) -> Any:
    parts, end = [], time.monotonic() + limit_s
    while select.select([reader], [], [], max(0.0, end - time.monotonic()))[0]:
        part = os.read(reader, 1 << 16)
        if not part:
            return pickle.loads(b"".join(parts)) if parts else None
        parts.append(part)
    return None


def _pytest(folder: Path, paths: Sequence[Path], plugin: object) -> int:
    """Run tests in this process; what they say goes into a file."""
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # loading them takes longer than most tests; ours knows when to stop
    options = ["-q", "-x", "-m", "not slow", "--basetemp", str(folder / "tests"), "-W", "ignore::pytest.PytestConfigWarning"]
    return int(pytest.main([*options, *map(str, paths)], plugins=[_Calm(), plugin]))


class _Calm:
    """Property tests draw the same examples for every mutant, and not many; tests that start processes are left out.

    Those would run the code as it is, and leave processes behind where a mutant is killed in the midst.
    """

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = [item for item in items if not _STARTERS & set(getattr(item, "fixturenames", ()))]

    def pytest_collection(self) -> None:
        from hypothesis import settings

        parent = settings.get_profile("patient")
        settings.register_profile("mutants", parent=parent, derandomize=True, database=None, max_examples=30)
        settings.load_profile("mutants")


# --- which tests reach which lines --------------------------------------------------------------------------------------------


@dataclass
class Tests:
    """The tests of a module: how long each takes, and which lines each reaches."""

    paths: list[Path]
    seconds: dict[str, float]
    reach: dict[str, set[int]]
    loaded: list[str]  # modules that running them imports
    total_s: float
    last: list[str] = field(default_factory=list)  # that noticed a mutant, the newest first

    def of(self, mutant: Mutant) -> list[str]:
        """Those that reach a mutant, those likely to notice it soon first."""
        found = [name for name, lines in self.reach.items() if lines & set(mutant.lines)]
        return sorted(found, key=lambda name: (self.last.index(name) if name in self.last[:3] else 3, self.seconds[name]))

    def noticed(self, name: str) -> None:
        """Remember which test noticed a mutant."""
        if name in self.seconds:
            self.last = [name, *(other for other in self.last if other != name)]

    def import_others(self) -> None:
        """Import what the tests need, so that forked processes have it."""
        for name in self.loaded:
            with suppress(Exception):  # a module may be there only in parts of what pulled it in
                importlib.import_module(name)


class _Reach:
    """Watches which lines of a file each test reaches. What a fixture reaches counts for all tests of its file."""

    def __init__(self, path: Path) -> None:
        self.path, self.file = str(path), "import"
        self.now: set[int] = set()
        self.at_import: set[int] = self.now
        self.fixtures: dict[str, set[int]] = defaultdict(set)
        self.calls: dict[str, set[int]] = defaultdict(set)
        self.seconds: dict[str, float] = defaultdict(float)

    def start(self) -> None:
        threading.settrace(self._trace)
        sys.settrace(self._trace)

    def _trace(self, frame: Any, event: str, argument: object) -> Any:
        return self._line if frame.f_code.co_filename == self.path else None

    def _line(self, frame: Any, event: str, argument: object) -> Any:
        self.now.add(frame.f_lineno)
        return self._line

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.now = self.fixtures[nodeid.split("::")[0]]

    def pytest_runtest_call(self, item: Any) -> None:
        self.now = self.calls[item.nodeid]

    def pytest_runtest_teardown(self, item: Any) -> None:
        self.now = self.fixtures[item.nodeid.split("::")[0]]

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] += report.duration

    def found(self) -> dict[str, set[int]]:
        return {name: self.at_import | self.fixtures[name.split("::")[0]] | self.calls[name] for name in self.seconds}


class Unusable(Exception):
    """Tests that fail without any mutant say nothing of mutants."""


def learn_reach(module: str, path: Path, tests: Sequence[Path]) -> Tests:
    """Run the tests of a module as it is. Raises Unusable when they do not all pass."""
    import grimp

    def work(folder: Path) -> Any:
        watch = _Reach(path)
        watch.start()
        code = _pytest(folder, tests, watch)
        sys.settrace(None)
        sys.stdout.flush()
        return code, watch.found(), dict(watch.seconds), sorted(sys.modules), (folder / "log").read_text("utf-8")[-3000:]

    begun = time.monotonic()
    result = in_child(work, limit_s=1800)
    if result is None or result[0] != 0:
        raise Unusable(f"The tests of {module} do not pass as it is.\n{result[-1] if result else ''}")
    _, reach, seconds, loaded, _ = result
    graph = grimp.build_graph("rlhf_desktop")
    changed = {module, *graph.find_downstream_modules(module)}
    kept = [name for name in loaded if name not in changed and not name.startswith(_OF_TESTS)]
    return Tests(list(tests), seconds, reach, kept, time.monotonic() - begun)


# --- one mutant ---------------------------------------------------------------------------------------------------------------


class _Mutated(importlib.machinery.SourceFileLoader):
    """Loads a module from another text than its file's."""

    def __init__(self, name: str, path: Path, text: str) -> None:
        super().__init__(name, str(path))
        self._text = text

    def get_code(self, fullname: str) -> Any:
        return compile(self._text, self.path, "exec", dont_inherit=True)


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, loader: _Mutated) -> None:
        self._loader = loader

    def find_spec(self, fullname: str, path: object, target: object = None) -> Any:
        if fullname != self._loader.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._loader.path, loader=self._loader)


class _Only:
    """Runs some tests in an order, and remembers the first that failed."""

    def __init__(self, names: Sequence[str]) -> None:
        self._places = {name: place for place, name in enumerate(names)}
        self.failed = ""

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        items[:] = sorted((i for i in items if i.nodeid in self._places), key=lambda item: self._places[item.nodeid])

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.failed:
            self.failed = report.nodeid


def try_mutant(module: str, path: Path, mutant: Mutant, tests: Tests) -> tuple[str, str]:
    """What becomes of a mutant: "killed" and by which test, "time" when it takes too long, "survived", or "unreached"."""
    names = tests.of(mutant)
    if not names:
        return "unreached", ""
    files = [path for path in tests.paths if any(name.split("::")[0] in str(path) for name in names)]

    def work(folder: Path) -> tuple[int, str]:
        sys.meta_path.insert(0, _Finder(_Mutated(module, path, mutant.source)))
        only = _Only(names)
        return _pytest(folder, files, only), only.failed

    limit = _SLOWER * sum(tests.seconds[name] for name in names) + _AND_MORE_S
    result = in_child(work, limit_s=3 * limit, cpu_s=int(limit))
    if result is None:
        return "time", ""
    return ("survived", "") if result[0] == 0 else ("killed", result[1] or "import")
