"""`worker export REQUEST`: an adapter or model as files for other programs; prints one JSON object, facts or a trouble."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from rlhf_desktop.core.errors import BadInput
from rlhf_desktop.inference.export import export_merged, export_peft
from rlhf_desktop.inference.gguf_export import export_gguf, export_gguf_adapter
from rlhf_desktop.inference.model import load_tokenizer
from rlhf_desktop.inference.modelfile import modelfile
from rlhf_desktop.worker.convert import describe


def main(argv: Sequence[str], out: BinaryIO) -> int:
    """Write the files; 0 and the facts, or 1 and `{"error": {"kind", "message", "hint", "detail"}}`."""
    try:
        answer: dict[str, Any] = export(json.loads(argv[0]))
        code = 0
    except Exception as problem:  # one reply whatever happens: the caller has no other way to know
        answer, code = {"error": describe(problem, "export")}, 1
    out.write(json.dumps(answer).encode() + b"\n")
    return code


def export(request: dict[str, Any]) -> dict[str, Any]:
    """Do it.

    Args:
        request: `base` (folder), `base_name`, `adapter` (folder or null), `form`, `target` (an existing folder), `title`; of a
            copy for llama.cpp also `file` and `numbers`.
    """
    base, target, title = Path(request["base"]), Path(request["target"]), str(request["title"])
    adapter = Path(request["adapter"]) if request["adapter"] else None
    form = request["form"]
    if form == "merged":
        export_merged(base, adapter, target, title)
    elif form == "copy":
        export_gguf(base, None, target / request["file"], title, request["numbers"])
    elif form == "gguf":
        name = f"{_file_name(title)}-F16.gguf"
        tokenizer = export_gguf(base, adapter, target / name, title)
        (target / "Modelfile").write_text(modelfile(name, tokenizer), "utf-8", newline="\n")
    elif adapter is None:
        raise BadInput("There is no adapter to export.", "Name one; the base model itself can be exported merged or as gguf.")
    elif form == "peft":
        export_peft(adapter, request["base_name"], target)
    else:
        base_file, name = f"{_file_name(request['base_name'])}-F16.gguf", f"{_file_name(title)}-lora.gguf"
        export_gguf_adapter(base, adapter, target / name, title)
        export_gguf(base, None, target / base_file, request["base_name"])
        (target / "Modelfile").write_text(modelfile(base_file, load_tokenizer(base, title), name), "utf-8", newline="\n")
    return {"files": sorted(file.relative_to(target).as_posix() for file in target.rglob("*") if file.is_file())}


def _file_name(title: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in title).strip("-.") or "model"
