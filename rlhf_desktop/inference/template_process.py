"""`python -m rlhf_desktop.inference.template_process`: renders chat templates for `sandbox`, one JSON line in, one out.

A template is a program that came with a model. Here it runs where it can do no harm: in jinja's immutable sandbox, in a process
with little memory, no network, no secrets and a CPU limit for each text, which the system enforces even inside one long
operation. The environment is the one transformers documents for chat templates, and renders the same texts.
"""

import json
import sys
from datetime import datetime
from typing import Any

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from rlhf_desktop.core import kernel_guard
from rlhf_desktop.core.limits import limit_cpu, limit_memory

MEMORY_BYTES = 1 << 30
TEXT_LIMIT_CHARS = 8_000_000
_templates: dict[str, jinja2.Template] = {}


class _Generation(Extension):
    """`{% generation %}` marks what the assistant said; the text is the same without the marks."""

    tags = {"generation"}

    def parse(self, parser: Parser) -> nodes.Node:
        """Keep the body as it is."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body).set_lineno(line)


def environment() -> ImmutableSandboxedEnvironment:
    """What a chat template may use."""
    made = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
    made.filters["tojson"] = _tojson
    made.globals["raise_exception"] = _refuse
    made.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    made.globals["dict"] = _Dict()
    made.globals["namespace"] = _Namespace
    made.globals.pop("lipsum", None)
    return made


class _Dict:
    """`dict(…)` in a template, and nothing else of the class."""

    def __call__(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        return dict(*args, **kwargs)


class _Namespace(jinja2.utils.Namespace):
    """Jinja's, without names that start with an underscore."""

    def __init__(*args: Any, **kwargs: Any) -> None:
        self, args = args[0], args[1:]
        values = dict(*args, **kwargs)
        for name in values:
            _check_name(name)
        jinja2.utils.Namespace.__init__(self, values)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_name(name)
        super().__setitem__(name, value)


def _check_name(name: Any) -> None:
    if isinstance(name, str) and name.startswith("_"):
        raise jinja2.exceptions.SecurityError(f"{name!r} cannot be stored")


def _tojson(value: Any, ensure_ascii: bool = False, indent: Any = None, separators: Any = None, sort_keys: bool = False) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _refuse(message: str) -> None:
    raise jinja2.TemplateError(message)


def render(request: dict[str, Any]) -> str:
    """The text of one request: `template`, and the `values` it sees."""
    source = request["template"]
    if source not in _templates:
        _templates.clear()
        _templates[source] = environment().from_string(source)
    text = _templates[source].render(**request["values"])
    if len(text) > TEXT_LIMIT_CHARS:
        raise jinja2.TemplateError("its text is too long")
    return text


def answer(line: bytes) -> dict[str, str]:
    """Whatever happens, one reply."""
    try:
        return {"text": render(json.loads(line))}
    except MemoryError:
        return {"error": "it needs too much memory"}
    except Exception as problem:  # jinja's own errors and whatever a template raises
        return {"error": f"{problem}"[:500] or type(problem).__name__}


def main() -> None:
    """Serve until the input ends."""
    seconds = float(sys.argv[1])
    limit_memory(MEMORY_BYTES)
    for line in sys.stdin.buffer:
        limit_cpu(seconds)
        reply = json.dumps(answer(line)).encode() + b"\n"
        limit_cpu(0)
        sys.stdout.buffer.write(reply)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    kernel_guard.hold()
    main()
