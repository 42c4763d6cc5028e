"""A recipe: one TOML file into frozen dataclasses. Unknown names are refused with the valid ones."""

import tomllib
import types
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from gtcrn.config import GTCRNConfig
from gtcrn.errors import ConfigError
from gtcrn_recipes.mixing.mixture import MixingConfig
from gtcrn_recipes.training.losses import LossConfig

T = TypeVar("T")


@dataclass(frozen=True)
class DataSettings:
    root: str = "data"  # folder that `gtcrn prepare` wrote
    memory: str = "host"  # where the clips live: "device", "host" or "mapped" (read from disk as needed)
    include: tuple[str, ...] = ()  # data sets as "role/name", "speech/emodb" say; none of a role: all
    exclude: tuple[str, ...] = ()
    segment_seconds: float = 2.0  # length of a training item
    rir_seconds: float = 1.0  # room responses are cut to this
    validation: str = "valid"  # name of the ready pairs that select the checkpoint


@dataclass(frozen=True)
class TrainSettings:
    steps: int = 100_000
    batch: int = 16  # items of one draw
    draws: int = 1  # independent draws in a step, dealt out to the processes
    optimizer: str = "adamw"  # or "soap"
    lr: float = 1e-3
    lr_min: float = 1e-6
    warmup: int = 500  # steps of linear warm-up
    hold: float = 0.0  # share of the steps at full rate before the cosine
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.99)
    clip: float = 3.0  # largest norm of the gradient
    ema: float = 0.0  # decay of the averaged weights that are validated and kept; 0: none
    native: bool = True  # on a CPU, the compiled layers: the same network, faster; one thread
    precision: str = "32-true"  # or "bf16-mixed"
    seed: int = 1
    init: str = ""  # weights to start from; empty: random
    pesq_from: float = 0.0  # share of the steps before the loss's PESQ term counts: it is dear, and misleads early
    log_every: int = 50  # steps
    validate_every: int = 1000  # steps, SI-SDR
    score_every: int = 5  # validations, PESQ and ESTOI too; 0: never
    select: str = "pesq"  # the score that chooses the best checkpoint: "si_sdr", "pesq" or "estoi"
    max_skipped: int = 20  # batches in a row without a finite gradient before giving up


@dataclass(frozen=True)
class Recipe:
    """Everything a run depends on; saved beside its results."""

    name: str
    description: str = ""
    data: DataSettings = field(default_factory=DataSettings)
    model: GTCRNConfig = field(default_factory=GTCRNConfig)
    mixing: MixingConfig = field(default_factory=MixingConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    train: TrainSettings = field(default_factory=TrainSettings)


def load(path: Path, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe; `overrides` are single changes such as `train.lr=5e-4`. Raises ConfigError."""
    try:
        table = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"no recipe at {path}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path.name} is not valid TOML: {error}.") from error
    for override in overrides:
        _apply(table, override)
    return build(Recipe, {"name": path.stem, **table})


def _apply(table: dict[str, Any], override: str) -> None:
    """Set one dotted name in a nested table; the value is read as TOML, else taken as text."""
    name, found, text = override.partition("=")
    if not found:
        raise ConfigError(f"--set wants name=value, not {override!r}.")
    try:
        value = tomllib.loads(f"x = {text}")["x"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = name.strip().split(".")
    for parent in parents:
        table = table.setdefault(parent, {})
    table[last] = value


def build(kind: type[T], values: dict[str, Any], where: str = "") -> T:
    """A dataclass from a table, nested ones too; raises ConfigError for unknown names and wrong types."""
    hints = get_type_hints(kind)
    known = {f.name: hints[f.name] for f in fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise ConfigError(f"unknown setting {where + name!r}; valid are {', '.join(known)}.")
    return kind(**{name: _convert(known[name], value, where + name) for name, value in values.items()})


def _convert(kind: Any, value: Any, name: str) -> Any:
    if is_dataclass(kind) and isinstance(kind, type) and isinstance(value, dict):
        return build(kind, value, name + ".")
    if get_origin(kind) is tuple and isinstance(value, list):
        items = get_args(kind)
        inner = items * len(value) if len(items) == 1 else (items[:1] * len(value) if items[-1] is ... else items)
        if len(inner) != len(value):
            raise ConfigError(f"{name} takes {len(inner)} values, not {len(value)}.")
        return tuple(_convert(k, v, name) for k, v in zip(inner, value, strict=True))
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(k for k in get_args(kind) if k is not type(None))
    if kind is float and type(value) is int:
        return float(value)
    if not is_dataclass(kind) and get_origin(kind) is None and type(value) is kind:
        return value
    raise ConfigError(f"{name} must be {_words(kind)}, not {value!r}.")


def _words(kind: Any) -> str:
    names = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
    return names.get(kind, "a table" if is_dataclass(kind) else "a list")


def to_table(recipe: Recipe) -> dict[str, Any]:
    """Plain values for TOML, the opposite of `build`; what is None is left out."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if v is not None}
        return [plain(v) for v in value] if isinstance(value, (tuple, list)) else value

    table: dict[str, Any] = plain(asdict(recipe))
    return table
