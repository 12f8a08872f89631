"""Which engine answers: from the file a model came from, from a copy made once, or torch; and when it is refused."""

import shutil
import sys
from pathlib import Path

import pytest

from rlhf_desktop.core.errors import BadInput, ModelTrouble, NoSpace, NotFound
from rlhf_desktop.core.families import GGUF_FAMILIES
from rlhf_desktop.core.files import sha256_file
from rlhf_desktop.core.gguf_header import check_gguf
from rlhf_desktop.core.protocol import Sampling
from rlhf_desktop.feedback.conversations import Generator
from rlhf_desktop.hub.library import Library
from rlhf_desktop.operations import engines as module
from rlhf_desktop.operations.engines import choices, use_llama, use_torch
from tests.hostile import edit

HERE = {"engines": {"llama.cpp": {"release": "1", "trouble": ""}}}

# Stands in for `worker convert`: the tiny model, whatever is asked for.
CONVERT = """
import json, shutil, sys
shutil.copytree({model!r}, sys.argv[2], dirs_exist_ok=True)
print(json.dumps({{"parameters": 100000, "dtype": "float16", "licence": "", "architecture": "llama"}}))
"""
# Stands in for `worker export`: a file that says what was asked for, or a trouble.
EXPORT = """
import json, pathlib, sys
asked = json.loads(sys.argv[1])
(pathlib.Path(asked["target"]) / asked["file"]).write_text(asked["numbers"] + asked["base"])
print(json.dumps({"files": [asked["file"]]}))
"""
FAIL = 'import json; print(json.dumps({"error": {"kind": "NoSpace", "message": "Full.", "hint": "", "detail": ""}}))'


@pytest.fixture
def library(workspace, tiny_model):
    made = Library(workspace, convert_command=[sys.executable, "-c", CONVERT.format(model=tiny_model.path)])
    made.add(tiny_model.path, "tiny")
    return made


@pytest.fixture(scope="module")
def gguf_file(tiny_model, tmp_path_factory):
    from rlhf_desktop.inference.gguf_export import export_gguf

    file = tmp_path_factory.mktemp("gguf") / "came.gguf"
    export_gguf(Path(tiny_model.path), None, file, "came")
    return file


@pytest.fixture
def converted(library, gguf_file, tmp_path):
    """A model that came from a GGUF file, and that file."""
    shutil.copy(gguf_file, tmp_path / "came.gguf")
    library.add(tmp_path / "came.gguf", "came")
    return tmp_path / "came.gguf"


def entry(library, name):
    return next(model for model in library.list() if model.name == name)


def use(library, name, numbers=None, said=None, script=EXPORT):
    command = [sys.executable, "-c", script]
    return use_llama(library, name, numbers, probe=lambda: HERE, command=command, on_note=(said if said is not None else []).append)


def test_a_copy_is_made_once_and_goes_with_the_model(library):
    said = []
    assert [(choice.numbers, choice.made) for choice in choices(library, entry(library, "tiny"))] == [
        ("Q8_0", False),
        ("F16", False),
    ]
    ref = use(library, "tiny", said=said)
    file = Path(ref.gguf.path)
    assert (ref.engine, len(said)) == ("llama.cpp Q8_0", 1)
    assert (ref.gguf.sha256, ref.gguf.bytes) == (sha256_file(file), file.stat().st_size)
    assert library.get("tiny") == ref
    assert entry(library, "tiny").disk_bytes == entry(library, "tiny").size_bytes + ref.gguf.bytes
    assert use(library, "tiny", said=said, script="never") == ref
    assert use_torch(library, "tiny").gguf is None
    assert library.get("tiny").engine == ""
    assert use(library, "tiny", said=said, script="never") == ref
    assert len(said) == 1
    library.remove("tiny")
    assert not file.exists()


def test_another_quantisation_takes_the_place_of_the_one_before(library):
    first = Path(use(library, "tiny").gguf.path)
    second = use(library, "tiny", "F16")
    assert second.engine == "llama.cpp F16"
    assert [file.name for file in first.parent.iterdir()] == ["tiny-F16.gguf"]
    assert [choice.made for choice in choices(library, entry(library, "tiny"))] == [False, True]


def test_the_workers_copy_is_the_model_in_8_bits(library):
    ref = use_llama(library, "tiny", probe=lambda: HERE)
    facts = check_gguf(Path(ref.gguf.path))
    assert (facts.numbers, facts.parameters) == ("Q8_0", entry(library, "tiny").parameters)


def test_a_copy_that_fails_leaves_everything_as_it_was(library, monkeypatch):
    before = use(library, "tiny", "F16")
    with pytest.raises(NoSpace, match="Full"):
        use(library, "tiny", "Q8_0", script=FAIL)
    assert library.get("tiny") == before
    assert Path(before.gguf.path).is_file()
    monkeypatch.setattr(module, "free_disk_bytes", lambda _: 10)
    with pytest.raises(NoSpace, match="on this disk"):
        use(library, "tiny", "Q8_0", script="never")
    assert sorted(file.name for file in library.copies("tiny").parent.iterdir()) == ["llama.cpp", "model.json"]


def test_the_file_a_model_came_from_is_used_as_it_is(library, converted):
    ref = use(library, "came", script="never")
    assert (Path(ref.gguf.path), ref.engine, ref.gguf.sha256) == (converted, "llama.cpp F16", sha256_file(converted))
    assert not library.copies("came").exists()
    assert entry(library, "came").disk_bytes == entry(library, "came").size_bytes
    with converted.open("ab") as file:
        file.write(b"more")
    with pytest.raises(ModelTrouble, match="another file than the one"):
        use(library, "came", script="never")
    converted.unlink()
    assert [choice.file for choice in choices(library, entry(library, "came"))] == [None, None]
    assert use(library, "came").engine == "llama.cpp Q8_0"


def test_what_cannot_be_is_refused(library, tiny_model, tmp_path):
    with pytest.raises(NotFound):
        use(library, "nobody")
    with pytest.raises(BadInput, match="none of the choices"):
        use(library, "tiny", "Q2_K")
    with pytest.raises(BadInput, match="no GGUF file yet"):
        library.answer_by("tiny", "llama.cpp")
    with pytest.raises(ModelTrouble, match="No such processor"):
        use_llama(library, "tiny", probe=lambda: {"engines": {"llama.cpp": {"trouble": "No such processor."}}})
    shutil.copytree(tiny_model.path, tmp_path / "gemma")
    edit(tmp_path / "gemma" / "config.json", model_type="phi3", architectures=["Phi3ForCausalLM"])
    library.add(tmp_path / "gemma", "another")
    with pytest.raises(ModelTrouble, match="by torch alone"):
        use(library, "another")


def test_what_an_answer_is_kept_with_says_the_engine(library):
    torchs = Generator.of(library.get("tiny"), None, Sampling())
    llamas = Generator.of(use(library, "tiny"), None, Sampling())
    assert (torchs.sampling, llamas.sampling.engine) == (Sampling(), "llama.cpp Q8_0")
    assert torchs.id != llamas.id
    assert "engine" not in torchs.sampling.identity()  # so answers of before keep their generator


def test_the_families_are_those_that_can_be_written():
    from rlhf_desktop.inference.gguf_export import _ARCHITECTURES

    assert set(_ARCHITECTURES) == GGUF_FAMILIES


def test_numbers_are_called_as_llama_cpp_calls_them():
    import gguf

    from rlhf_desktop.core.gguf_header import _FILE_TYPES

    assert {number: gguf.LlamaFileType(number).name.split("_", 1)[1] for number in _FILE_TYPES} == _FILE_TYPES
