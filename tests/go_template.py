"""The part of Go's template language that Modelfiles are written in, so that tests can see what Ollama would write."""

import re

_FOLD = re.compile(r"\{\{ if and \$\.System \(le \$i 1\) \}\}\{\{ \$\.System \}\}(.*?)\{\{ end \}\}", re.DOTALL)


def go(template, messages):
    """The part of Go's templates that is written here: range with and without an index, if, else if, fields."""
    system = "".join(m["content"] for m in messages if m["role"] == "system")
    default = re.match(r"(.*?)\{\{ if not \.System \}\}(.*?)\{\{ end \}\}(.*)", template, re.DOTALL)
    if default and "range" not in default[1]:
        template = default[1] + ("" if system else default[2]) + default[3]
    before, body, after = re.fullmatch(
        r"(.*?)\{\{ range (?:\$i, \$m := )?\.Messages \}\}(.*)\{\{ end \}\}\{\{ end \}\}(.*)", template, re.DOTALL
    ).groups()
    cases = re.split(r"\{\{ (?:else )?if eq \.Role \"(\w+)\" \}\}", body)
    by_role = dict(zip(cases[1::2], cases[2::2], strict=True))
    assert cases[0] == ""
    written = [_turn(by_role.get(m["role"], ""), number, m["content"], system) for number, m in enumerate(messages)]
    return before + "".join(written) + after


def _turn(case, number, content, system):
    folded = _FOLD.sub(lambda found: system + found[1] if system and number <= 1 else "", case)
    assert "$" not in folded.replace(system, "") or not system
    return folded.replace("{{ .Content }}", content)


def template_of(modelfile):
    """The template in a Modelfile."""
    return re.search(r'TEMPLATE """(.*?)"""', modelfile, re.DOTALL)[1]
