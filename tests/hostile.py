"""Models, adapters and templates that somebody made to do harm, each in a few lines. Building them is safe; loading is the test."""

import json
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np


class Bomb:
    """Unpickling it makes the tripwire file."""

    def __init__(self, tripwire: Path) -> None:
        self._tripwire = tripwire

    def __reduce__(self):
        return (Path.touch, (self._tripwire,))


def edit(file: Path, **changes) -> None:
    value = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**value, **changes}))


def header(file: Path, text: bytes, data: bytes = b"", length: int | None = None) -> None:
    file.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def tensors(file: Path, **described) -> None:
    end = max((entry["data_offsets"][1] for entry in described.values()), default=0)
    header(file, json.dumps(described).encode(), b"\0" * min(end, 10**6))


def tensor(shape, begin, end, dtype="F32"):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def python_file(folder: Path, name: str, tripwire: Path) -> None:
    (folder / name).write_text(f"import pathlib; pathlib.Path({str(tripwire)!r}).touch()\nclass Model: pass\nConfig = Model\n")


def _code_in(file: str, key: str = "auto_map", family: str = "martian"):
    def build(folder: Path, tripwire: Path) -> None:
        python_file(folder, "modeling.py", tripwire)
        edit(folder / "config.json", model_type=family)
        edit(folder / file, **{key: dict.fromkeys(("AutoConfig", "AutoModelForCausalLM", "AutoTokenizer"), "modeling.Model")})

    return build


def _other_class(folder: Path, tripwire: Path) -> None:
    _code_in("config.json", family="llama")(folder, tripwire)
    edit(folder / "config.json", architectures=["MartianForCausalLM"])


def _nested_code(folder: Path, tripwire: Path) -> None:
    python_file(folder, "modeling.py", tripwire)
    edit(folder / "config.json", text_config={"deeper": [{"auto_map": {"AutoConfig": "modeling.Model"}}]})


def _pickled(name: str):
    def build(folder: Path, tripwire: Path) -> None:
        for file in folder.glob("*.safetensors"):
            file.unlink()
        (folder / name).write_bytes(pickle.dumps(Bomb(tripwire)))

    return build


def _weights(write: Callable[[Path], None]):
    def build(folder: Path, tripwire: Path) -> None:
        write(next(folder.glob("*.safetensors")))

    return build


def _config(file: str = "config.json", **changes):
    return lambda folder, tripwire: edit(folder / file, **changes)


def _text(name: str, content: str | bytes):
    def build(folder: Path, tripwire: Path) -> None:
        (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return build


def _pattern(regex: str):
    def build(folder: Path, tripwire: Path) -> None:
        split = {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
        edit(folder / "tokenizer.json", pre_tokenizer={"type": "Sequence", "pretokenizers": [split]})

    return build


def _index(name: str):
    return _text("model.safetensors.index.json", json.dumps({"weight_map": {"a": name}}))


def _trailing(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"#!/bin/sh\n" * 10)


MODELS: dict[str, Callable[[Path, Path], None]] = {
    "code-in-config": _code_in("config.json"),
    "code-in-tokenizer": _code_in("tokenizer_config.json"),
    "code-in-generation": _code_in("generation_config.json"),
    "code-nested": _nested_code,
    "code-generate": _code_in("generation_config.json", "custom_generate"),
    "code-pipeline": _code_in("config.json", "custom_pipelines"),
    "code-of-another-class": _other_class,
    "trust-me": _config(trust_remote_code=True),
    "pickle-bin": _pickled("pytorch_model.bin"),
    "pickle-pt": _pickled("model.pt"),
    "pickle-as-safetensors": lambda folder, tripwire: next(folder.glob("*.safetensors")).write_bytes(pickle.dumps(Bomb(tripwire))),
    "header-huge": _weights(lambda f: header(f, b" " * (17 * 2**20))),
    "header-length-lies": _weights(lambda f: header(f, b"{}", length=2**63)),
    "header-nested": _weights(lambda f: header(f, b'{"a":' + b"[" * 10**6)),
    "tensors-too-many": _weights(lambda f: tensors(f, **{str(n): tensor([0], 0, 0) for n in range(100_001)})),
    "tensor-too-large": _weights(lambda f: tensors(f, w=tensor([2**40], 0, 2**42))),
    "tensor-shape-lies": _weights(lambda f: tensors(f, w=tensor([10**9, 10**9], 0, 4))),
    "tensor-negative": _weights(lambda f: tensors(f, w=tensor([-1], 0, -4))),
    "tensors-overlap": _weights(lambda f: tensors(f, a=tensor([2], 0, 8), b=tensor([2], 4, 12))),
    "tensor-unknown-kind": _weights(lambda f: tensors(f, w=tensor([1], 0, 8, "PICKLE"))),
    "second-content": _weights(_trailing),
    "index-outside": _index("../../../etc/passwd"),
    "index-absolute": _index("/etc/passwd"),
    "config-nested": _text("config.json", "[" * 10**6),
    "config-huge": _text("config.json", '{"a": "' + "x" * (5 * 2**20) + '"}'),
    "config-list": _text("config.json", "[]"),
    "config-hidden": _config(hidden_size=2**40),
    "config-layers": _config(num_hidden_layers=10**7),
    "config-promises": _config(vocab_size=2**22, hidden_size=2**14),
    "config-negative": _config(num_hidden_layers=-1),
    "config-text": _config(hidden_size="__import__('os')"),
    "quantised-elsewhere": _config(quantization_config={"quant_method": "evil", "modules": "os"}),
    "architecture-unknown": _config(model_type="martian", architectures=["Martian"]),
    "tokenizer-pattern": _pattern("(a+)+$"),
    "tokenizer-pattern-nested": _pattern("(?:x*y?)*z"),
    "tokenizer-nested": _text("tokenizer.json", "[" * 10**6),
    "template-file-huge": _text("chat_template.jinja", "x" * 300_000),
}


HARMLESS: dict[str, Callable[[Path, Path], None]] = {  # transformers has this family's code itself, and leaves the folder's alone
    f"code-in-{name}": _code_in(f"{name}.json", family="llama") for name in ("config", "tokenizer_config", "generation_config")
}


def make_adapter(folder: Path, rank: int = 4) -> Path:
    """A plain LoRA adapter for the tiny model's query projections."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    factors = {}
    for layer in range(2):
        name = f"base_model.model.model.layers.{layer}.self_attn.q_proj"
        factors[f"{name}.lora_A.weight"] = np.full((rank, 64), 0.01, np.float32)
        factors[f"{name}.lora_B.weight"] = np.full((64, rank), 0.01, np.float32)
    save_file(factors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "target_modules": ["q_proj"], "task_type": "CAUSAL_LM"}
    (folder / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "somebody/tiny"}))
    return folder


def _adapter(**changes):
    return _config("adapter_config.json", **changes)


def _bin_beside(folder: Path, tripwire: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(Bomb(tripwire)))


ADAPTERS: dict[str, Callable[[Path, Path], None]] = {
    "bin-fallback": _bin_beside,
    "pickle-as-safetensors": lambda folder, tripwire: (folder / "adapter_model.safetensors").write_bytes(
        pickle.dumps(Bomb(tripwire))
    ),
    "auto-mapping": _adapter(auto_mapping={"base_model_class": "Model", "parent_library": "antigravity"}),
    "auto-map": _adapter(auto_map={"AutoModel": "modeling.Model"}),
    "base-url": _adapter(base_model_name_or_path="https://evil.example/model"),
    "base-share": _adapter(base_model_name_or_path="\\\\evil\\share\\model"),
    "base-above": _adapter(base_model_name_or_path="../../../../root/model"),
    "targets-pattern": _adapter(target_modules="(.*)*x"),
    "targets-pattern-in-list": _adapter(target_modules=["(a+)+$"]),
    "targets-none": _adapter(target_modules=None),
    "exclude-pattern": _adapter(exclude_modules="(.*)*x"),
    "layers-pattern": _adapter(layers_pattern="(a+)+$"),
    "rank-pattern": _adapter(rank_pattern={"(a+)+$": 4}),
    "rank-huge": _adapter(r=10**9),
    "rank-lies": _adapter(r=8),
    "rank-text": _adapter(r="4"),
    "alpha-endless": _adapter(lora_alpha=float("inf")),
    "other-kind": _adapter(peft_type="PREFIX_TUNING"),
    "dora": _adapter(use_dora=True),
    "changes-base": _adapter(init_lora_weights="pissa_niter_16"),
    "replaces-layers": _adapter(modules_to_save=["lm_head"]),
    "replicates-layers": _adapter(layer_replication=[[0, 10**6]]),
    "config-nested": _text("adapter_config.json", "[" * 10**6),
    "header-length-lies": lambda folder, tripwire: header(folder / "adapter_model.safetensors", b"{}", length=2**62),
}


def make_reward(folder: Path, members: int = 2, heads: int = 2) -> Path:
    """A plain reward model: an ensemble whose members have heads for attributes."""
    from safetensors.numpy import load_file, save_file

    places = [folder, *(folder / "members" / str(n) for n in range(1, members))]
    for place in places:
        make_adapter(place)
        edit(place / "adapter_config.json", task_type="SEQ_CLS", modules_to_save=["score"])
        head = {"base_model.model.score.weight": np.ones((1, 64), np.float32)}
        save_file({**load_file(place / "adapter_model.safetensors"), **head}, place / "adapter_model.safetensors")
        save_file({"weight": np.ones((heads, 64), np.float32)}, place / "heads.safetensors")
    scale = {"mean": 0.5, "std": 2.0}
    edit(folder / "reward.json", v=1, members=[scale] * members, attributes=["kind", "brief"][:heads], part_tokens=0.0)
    return folder


def _reward(**changes):
    return _config("reward.json", **changes)


REWARDS: dict[str, Callable[[Path, Path], None]] = {
    "members-endless": _reward(members=[{"mean": 0, "std": 1}] * 100_000),
    "members-none": _reward(members=[]),
    "members-text": _reward(members="ab"),
    "mean-endless": _reward(members=[{"mean": float("nan"), "std": 1}]),
    "spread-none": _reward(members=[{"mean": 0, "std": 0}]),
    "attributes-endless": _reward(attributes=["a"] * 10**5),
    "attributes-numbers": _reward(attributes=[1, 2]),
    "parts-text": _reward(part_tokens="__import__('os')"),
    "description-nested": _text("reward.json", "[" * 10**6),
    "description-code": _reward(auto_map={"AutoModel": "modeling.Model"}),
    "member-missing": lambda folder, tripwire: shutil.rmtree(folder / "members" / "1"),
    "member-pickled": lambda folder, tripwire: _bin_beside(folder / "members" / "1", tripwire),
    "member-pattern": lambda folder, tripwire: edit(folder / "members" / "1" / "adapter_config.json", target_modules="(.*)*x"),
    "heads-missing": lambda folder, tripwire: (folder / "heads.safetensors").unlink(),
    "heads-pickled": lambda folder, tripwire: (folder / "heads.safetensors").write_bytes(pickle.dumps(Bomb(tripwire))),
    "heads-lie": lambda folder, tripwire: tensors(folder / "heads.safetensors", weight=tensor([10**9, 10**9], 0, 4)),
    "heads-endless": lambda folder, tripwire: tensors(folder / "heads.safetensors", weight=tensor([10**4, 1], 0, 4 * 10**4)),
}

TEMPLATES: dict[str, str] = {
    "endless-loop": "{% set r = range(99999) %}{% for a in r %}{% for b in r %}{% for c in r %}{% endfor %}{% endfor %}"
    "{% endfor %}",
    "endless-text": "{% for a in range(99999) %}{% for b in range(99999) %}{{ messages }}{% endfor %}{% endfor %}",
    "memory-times": "{{ 'a' * 10**10 }}",
    "memory-doubling": "{% set ns = namespace(s='aaaaaaaaaaaaaaaa') %}"
    "{% for i in range(60) %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}{{ ns.s }}",
    "number-power": "{{ 9 ** (9 ** 9) }}",
    "number-shift": "{{ 10 ** (10 ** 9) % 7 }}",
    "format-width": "{{ '{:>99999999999}'.format('a') }}",
    "percent-width": "{{ '%99999999999d' % 1 }}",
    "indent-width": "{{ 'a\nb' | indent(9999999999) }}",
    "recursion": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "subclasses": "{{ ().__class__.__base__.__subclasses__() }}",
    "globals": "{{ cycler.__init__.__globals__.os.system('touch TRIPWIRE') }}",
    "joiner": "{{ joiner.__init__.__globals__['__builtins__']['open']('TRIPWIRE', 'w') }}",
    "attr-filter": "{{ messages | attr('__class__') | attr('mro') }}{{ (messages|attr('__class__')).__subclasses__() }}",
    "format-attribute": "{{ '{0.__class__.__mro__}'.format(messages) }}",
    "import": "{% import 'os' as os %}{{ os.system('touch TRIPWIRE') }}",
    "include": "{% include '/etc/passwd' %}",
    "self-environment": "{{ self.__init__.__globals__ }}{{ self._TemplateReference__context.environment }}",
    "mutate": "{{ messages.append('x') }}",
    "map-attribute": "{{ [messages] | map(attribute='__class__.__base__') | first }}{{ x.y.z }}",
    "generator-frame": "{% set g = (messages | map('upper')) %}{{ g.gi_frame.f_back.f_globals }}",
    "macro-code": "{% macro m() %}{% endmacro %}{{ m._func.__code__ }}",
    "syntax": "{% for message in messages %}",
}


def gguf(
    file: Path, *, keys: bytes = b"", key_count: int | None = None, tensor_count: int = 0, version: int = 3, more: bytes = b""
) -> Path:
    """A GGUF file of this architecture-less header: write the keys with `text_key`."""
    count = keys.count(b"\0KEY\0") if key_count is None else key_count
    raw = keys.replace(b"\0KEY\0", b"")
    file.write_bytes(b"GGUF" + struct.pack("<IQQ", version, tensor_count, count) + raw + more)
    return file


def text_key(name: str, value: str) -> bytes:
    key, said = name.encode(), value.encode()
    return b"\0KEY\0" + struct.pack("<Q", len(key)) + key + struct.pack("<IQ", 8, len(said)) + said


def list_key(name: str, kind: int, count: int) -> bytes:
    return b"\0KEY\0" + struct.pack("<Q", len(name)) + name.encode() + struct.pack("<IIQ", 9, kind, count)


LLAMA = text_key("general.architecture", "llama")


def described(dimensions: tuple[int, ...], kind: int = 0, offset: int = 0) -> bytes:
    return struct.pack("<Q", 1) + b"w" + struct.pack(f"<I{len(dimensions)}QIQ", len(dimensions), *dimensions, kind, offset)


GGUFS: dict[str, Callable[[Path], Path]] = {
    "tensor-count": lambda f: gguf(f, keys=LLAMA, tensor_count=2**60),
    "key-count": lambda f: gguf(f, keys=LLAMA, key_count=2**60),
    "text-length": lambda f: gguf(f, key_count=1, more=struct.pack("<Q", 2**60)),
    "list-length": lambda f: gguf(f, keys=LLAMA + list_key("tokenizer.ggml.tokens", 8, 2**60)),
    "list-of-lists": lambda f: gguf(f, keys=LLAMA + list_key("deep", 9, 2)),
    "value-kind": lambda f: gguf(f, keys=LLAMA + b"\0KEY\0" + struct.pack("<Q", 1) + b"k" + struct.pack("<I", 77)),
    "dimensions": lambda f: gguf(f, keys=LLAMA, tensor_count=1, more=struct.pack("<Q", 1) + b"w" + struct.pack("<I", 2**31)),
    "tensor-size": lambda f: gguf(f, keys=LLAMA, tensor_count=1, more=described((2**40, 2**40))),
    "tensor-kind": lambda f: gguf(f, keys=LLAMA, tensor_count=1, more=described((4,), kind=999)),
    "cut-short": lambda f: gguf(f, keys=LLAMA, tensor_count=1, more=described((4, 4))),
    "version": lambda f: gguf(f, keys=LLAMA, version=99),
    "architecture": lambda f: gguf(f, keys=text_key("general.architecture", "martian")),
    "alignment": lambda f: gguf(
        f, keys=LLAMA + b"\0KEY\0" + struct.pack("<Q", 17) + b"general.alignment" + struct.pack("<II", 4, 0)
    ),
}


def copy_model(source: str, folder: Path) -> Path:
    """A model's folder to spoil."""
    return shutil.copytree(source, folder)
