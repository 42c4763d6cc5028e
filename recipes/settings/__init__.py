"""What a recipe may say: one validated model, how a TOML file becomes one, and the reference page made from it."""

from gtcrn_recipes.settings.models import (
    Balance,
    DataSettings,
    Drawing,
    LossConfig,
    MixingConfig,
    Recipe,
    TrainSettings,
)
from gtcrn_recipes.settings.reading import build, load, to_table

__all__ = [
    "Balance",
    "DataSettings",
    "Drawing",
    "LossConfig",
    "MixingConfig",
    "Recipe",
    "TrainSettings",
    "build",
    "load",
    "to_table",
]
