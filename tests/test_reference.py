"""Docstrings say what the API reference is made of: every public name, argument and error."""

import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

import gtcrn

ROOT = Path(__file__).resolve().parent.parent
SPOKEN = ("__init__", "__call__")


def function_of(member: object) -> Callable[..., Any] | None:
    """What a method, class method or property runs; None for anything else."""
    for kind, name in ((property, "fget"), (cached_property, "func"), (classmethod, "__func__")):
        if isinstance(member, kind):
            member = getattr(member, name)
    return member if inspect.isfunction(member) else None


def public() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Functions, and methods and properties of classes, that gtcrn exports; what dataclasses generate is not."""
    for name in gtcrn.__all__:
        exported = getattr(gtcrn, name)
        for inner, member in vars(exported).items() if inspect.isclass(exported) else ():
            function = function_of(member)
            written = inner in SPOKEN and not (is_dataclass(exported) and inner == "__init__")
            if function and (written or not inner.startswith("_")):
                yield f"{name}.{inner}", function
        if inspect.isfunction(exported):
            yield name, exported


PUBLIC = dict(public())


@pytest.mark.parametrize("name", PUBLIC)
def test_a_docstring_names_every_argument_and_error(name: str) -> None:
    told = inspect.getdoc(PUBLIC[name]) or ""
    assert len(told) > 20
    arguments = set(inspect.signature(PUBLIC[name]).parameters) - {"self", "cls"}
    raised = set(re.findall(r"raise (?:\w+\.)?(\w+Error)\b", inspect.getsource(PUBLIC[name])))
    assert {word for word in arguments | raised if not re.search(rf"\b{word}\b", told)} == set()


@pytest.mark.parametrize("name", gtcrn.__all__)
def test_every_exported_name_is_described(name: str) -> None:
    exported = getattr(gtcrn, name)
    told = exported.__doc__ or ""
    assert not told.startswith(f"{name}(")  # what a dataclass says of itself
    for field in fields(exported) if is_dataclass(exported) else ():
        assert field.metadata.get("description") or re.search(rf"\b{field.name}\b", told), field.name


def test_the_reference_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [str(ROOT / ".ci" / "api"), str(tmp_path)]
    result = subprocess.run(command, env={"PYTHON": sys.executable}, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    page = (tmp_path / "gtcrn.html").read_text()
    assert {name for name in [*gtcrn.__all__, *PUBLIC] if f'id="{name}"' not in page} <= {"Denoiser.__call__"}
    assert "Bins kept as they are." in page
