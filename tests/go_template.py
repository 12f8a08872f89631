"""The part of Go's template language that Modelfiles are written in, so that tests can see what Ollama would write."""

import re


def go(template, messages):
    """The part of Go's templates that is written here: range, if, else if, fields."""
    system = "".join(m["content"] for m in messages if m["role"] == "system")
    default = re.match(r"(.*?)\{\{ if not \.System \}\}(.*?)\{\{ end \}\}(.*)", template, re.DOTALL)
    if default and "range" not in default[1]:
        template = default[1] + ("" if system else default[2]) + default[3]
    before, body, after = re.fullmatch(
        r"(.*?)\{\{ range \.Messages \}\}(.*)\{\{ end \}\}\{\{ end \}\}(.*)", template, re.DOTALL
    ).groups()
    cases = re.split(r"\{\{ (?:else )?if eq \.Role \"(\w+)\" \}\}", body)
    by_role = dict(zip(cases[1::2], cases[2::2], strict=True))
    assert cases[0] == ""
    return before + "".join(by_role[m["role"]].replace("{{ .Content }}", m["content"]) for m in messages) + after


def template_of(modelfile):
    """The template in a Modelfile."""
    return re.search(r'TEMPLATE """(.*?)"""', modelfile, re.DOTALL)[1]
