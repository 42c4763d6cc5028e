"""From a TOML file to a recipe, and what is said about a mistake: one sentence, with the right words."""

import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, to_json

from gtcrn.errors import ConfigError
from gtcrn_recipes.settings.models import Recipe, Section

S = TypeVar("S", bound=Section)

UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
WORDS = {
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "model_type": "must be a table",
    "dataclass_type": "must be a table",
}


def load(path: Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe; `overrides` are single changes such as `train.lr=5e-4`. Raises ConfigError."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"no recipe at {path}.") from error
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}.") from error
    for override in overrides:
        _apply(table, override)
    return build(Recipe, {"name": path.stem, **table})


def _apply(table: dict[str, Any], override: str) -> None:
    """Set one dotted name in a nested table; the value is read as TOML, else taken as text."""
    name, found, text = override.partition("=")
    *parents, last = (part.strip() for part in name.split("."))
    if not found or not all((*parents, last)):
        raise ConfigError(f"--set wants name=value, such as train.lr=5e-4, not {override!r}.")
    for parent in parents:
        table = table.setdefault(parent, {})
        if not isinstance(table, dict):
            raise ConfigError(f"--set {override}: {parent} has no settings of its own.")
    table[last] = _value(text)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        return text


def build(kind: type[S], values: dict[str, Any], where: str = "") -> S:
    """A section from a table of plain values, `where` its own name in messages. Raises ConfigError."""
    try:  # by way of JSON, in which lists are what strict tuples are made of
        return kind.model_validate_json(to_json(values, inf_nan_mode="constants"))
    except ValidationError as error:
        raise ConfigError(_sentence(kind, error.errors()[0], where)) from error


def to_table(recipe: Recipe) -> dict[str, Any]:
    """Plain values for TOML, the opposite of `build`; what is None is left out."""
    return recipe.model_dump(mode="json", exclude_none=True)


def _sentence(kind: type[Section], error: ErrorDetails, where: str) -> str:
    place, given = error["loc"], error["input"]
    name = _dotted((where, *place) if where else place)
    if error["type"] in UNKNOWN:
        return _unknown(kind, place, name)
    if error["type"] in ("missing", "too_long"):  # of a list
        return f"{name} has too {'few' if error['type'] == 'missing' else 'many'} values: {given}."
    said = WORDS.get(error["type"]) or error["msg"].replace("Input should be", "must be")
    said = said.removeprefix("Value error, ").replace("String", "must be text that")
    if isinstance(given, dict) and error["type"] == "value_error":  # of a section as a whole
        return f"{name}: {said}." if name else f"{said}."
    return f"{name} {said}, not {given!r}."


def _dotted(place: tuple[int | str, ...]) -> str:
    """train.betas of ("train", "betas", 0)."""
    return ".".join(part for part in place if isinstance(part, str))


def _unknown(kind: type[Section], place: tuple[int | str, ...], name: str) -> str:
    section: Any = kind
    for part in place[:-1]:
        section = _names(section)[str(part)]
    near = _nearest(kind, _names(section), place)
    hint = f"did you mean {near!r}? Valid" if near else "valid"
    return f"unknown setting {name!r}; {hint} are {', '.join(_names(section))}."


def _nearest(kind: type[Section], own: Iterable[str], place: tuple[int | str, ...]) -> str:
    """The same name in another section, or the closest in this one; empty where nothing is near."""
    *parents, last = map(str, place)
    if elsewhere := [name for name in _all_names(kind) if name.rpartition(".")[2] == last]:
        return elsewhere[0]
    return ".".join((*parents, *close)) if (close := get_close_matches(last, own, 1)) else ""


def _names(section: Any) -> dict[str, Any]:
    """The settings of a section, each with its type."""
    if isinstance(section, type) and issubclass(section, BaseModel):
        return {name: field.annotation for name, field in section.model_fields.items()}
    hints = get_type_hints(section) if is_dataclass(section) else {}
    return {field.name: hints[field.name] for field in fields(section)} if hints else {}


def _all_names(section: Any, where: str = "") -> Iterator[str]:
    """Dotted, of sections and settings."""
    for name, kind in _names(section).items():
        yield where + name
        yield from _all_names(kind, f"{where}{name}.")
