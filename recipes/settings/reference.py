"""`python -m gtcrn_recipes.settings.reference [FOLDER]` writes SETTINGS.md and recipe.schema.json from the model."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gtcrn_recipes.settings.models import Recipe

PAGE, SCHEMA = "SETTINGS.md", "recipe.schema.json"
HEAD = """# Settings of a recipe

What a recipe may say; made from the model that checks it by `python -m gtcrn_recipes.settings.reference`. Everything
has a default. `--set section.name=value` changes one value of a run.
"""
LIMITS = {"minimum": ">= {}", "exclusiveMinimum": "> {}", "maximum": "<= {}", "exclusiveMaximum": "< {}"}
WORDS = {"number": "number", "integer": "whole number", "string": "text", "boolean": "true or false"}

Schema = dict[str, Any]


def schema() -> Schema:
    """The JSON schema of a recipe, for editors that complete and check TOML."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Recipe.model_json_schema()}


def page() -> str:
    """SETTINGS.md."""
    whole = schema()
    return HEAD + "".join(f"\n{line}" for line in _section(whole, whole, "")) + "\n"


def write(folder: Path) -> None:
    """Write both files."""
    (folder / PAGE).write_text(page(), encoding="utf-8")
    (folder / SCHEMA).write_text(json.dumps(schema(), indent=1) + "\n", encoding="utf-8")


def _section(whole: Schema, section: Schema, name: str) -> Iterator[str]:
    """Its settings as a table, then the sections within."""
    within = {n: part for n, part in section["properties"].items() if "$ref" in part}
    yield from ("| setting | value | default | |", "|---|---|---|---|")
    for setting, about in section["properties"].items():
        if setting not in within:
            default = f"`{json.dumps(about['default'])}`"
            words = about["description"].replace("|", "\\|")
            yield f"| `{setting}` | {_values(about)} | {default} | {words} |"
    for inner, part in within.items():
        dotted, section = f"{name}.{inner}".lstrip("."), whole["$defs"][part["$ref"].rpartition("/")[2]]
        yield from ("", f"## [{dotted}]", "", *section["description"].splitlines(), "")
        yield from _section(whole, section, dotted)


def _values(about: Schema) -> str:
    """What a setting may be, in words."""
    if "enum" in about:
        return ", ".join(f"`{value}`" for value in about["enum"])
    if about["type"] == "array":
        fixed = about.get("prefixItems")
        return f"[{', '.join(map(_values, fixed))}]" if fixed else f"list of {_values(about['items'])}"
    limits = " and ".join(words.format(f"{about[key]:g}") for key, words in LIMITS.items() if key in about)
    return f"{WORDS[about['type']]} {limits}".strip()


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent.parent)
