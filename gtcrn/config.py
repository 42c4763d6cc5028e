"""The numbers everything else derives from: the short-time spectrum and the network. Free of torch."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from gtcrn.errors import ConfigError

LARGEST = 65_536  # of any number of a configuration that was read
SAMPLE_RATE = 16_000  # Hz, of the network's speech: weights, data, metrics


def _setting(default: Any, description: str, at_least: int = 0) -> Any:
    """A field whose metadata are what a recipe's reference page and check say of it (the words are pydantic's)."""
    return field(default=default, metadata={"description": description, "ge": at_least})


@dataclass(frozen=True)
class SpectralConfig:
    """Short-time Fourier transform: sqrt-Hann window of `n_fft` samples, moved by `hop` samples."""

    sample_rate: int = _setting(SAMPLE_RATE, "Hz.", at_least=1)
    n_fft: int = _setting(512, "Samples in a window.", at_least=2)
    hop: int = _setting(256, "Samples between frames: half a window.", at_least=1)

    def __post_init__(self) -> None:
        if self.n_fft < 2 or self.n_fft != 2 * self.hop:
            raise ConfigError(f"hop must be half of n_fft, not {self.hop} of {self.n_fft}.")
        if self.sample_rate <= 0:
            raise ConfigError(f"sample_rate must be positive, not {self.sample_rate}.")

    @property
    def bins(self) -> int:
        """Frequencies of one frame, 0 to half the sample rate."""
        return self.n_fft // 2 + 1

    @property
    def frame_seconds(self) -> float:
        """Seconds from frame to frame."""
        return self.hop / self.sample_rate

    @property
    def window_seconds(self) -> float:
        """Seconds of signal in a frame."""
        return self.n_fft / self.sample_rate

    @property
    def latency(self) -> int:
        """Samples that must have arrived, itself included, before a sample can leave: one window."""
        return self.n_fft


@dataclass(frozen=True)
class GTCRNConfig:
    """Widths of the network; the defaults are the published ones (Rong et al., ICASSP 2024).

    `input_exponent` compresses the magnitude of the input features to |X|^e and leaves the phase: 1 is the published
    network, 1/2 and 1/4 (square roots, exact in every implementation) make it less sensitive to the level.
    """

    features: ClassVar[int] = 3  # of a bin: magnitude, real and imaginary part
    groups: ClassVar[int] = 2  # that the second convolution and the recurrent layers are cut into
    kernel: ClassVar[int] = 3  # frames, and bands, that the depthwise convolution of a GTConvBlock spans

    spectral: SpectralConfig = field(default_factory=SpectralConfig, metadata={"description": "Short-time spectrum."})
    erb_low: int = _setting(65, "Bins kept as they are.", at_least=1)
    erb_high: int = _setting(64, "Bands that the other bins are gathered into.", at_least=1)
    channels: int = _setting(16, "Of every layer; a multiple of 4.", at_least=4)
    kernel_width: int = _setting(5, "Bins, of the two strided convolutions.", at_least=1)
    neighbours: int = _setting(3, "Bins that subband feature extraction puts side by side.", at_least=1)
    dilations: tuple[int, ...] = field(default=(1, 2, 5), metadata={"description": "Frames, one GTConvBlock each."})
    shared_bands: int = _setting(
        0, "Neighbouring bands with weights in common in the pointwise layers and along time; 0: all of them."
    )
    dual_path_blocks: int = _setting(2, "Dual-path recurrent blocks.")
    input_exponent: float = field(
        default=1.0, metadata={"description": "Of the input's magnitudes: 1 (as published), 0.5 or 0.25."}
    )

    def __post_init__(self) -> None:
        if self.erb_low >= self.spectral.bins:
            raise ConfigError(f"erb_low must be below {self.spectral.bins} bins, not {self.erb_low}.")
        if not all(dilation >= 1 for dilation in self.dilations):
            raise ConfigError(f"dilations must be at least 1 frame, not {list(self.dilations)}.")
        for name in ("kernel_width", "neighbours"):
            if not getattr(self, name) % 2:
                raise ConfigError(f"{name} must be odd, not {getattr(self, name)}.")
        if self.channels % 4:
            raise ConfigError(f"channels must be a multiple of 4, not {self.channels}.")
        if self.bands % 4 != 1:
            raise ConfigError(f"erb_low + erb_high must leave 1 when divided by 4, not {self.bands % 4}.")
        if self.input_exponent not in (1.0, 0.5, 0.25):
            raise ConfigError(f"input_exponent must be 1, 0.5 or 0.25, not {self.input_exponent}.")

    @property
    def bands(self) -> int:
        """Width in frequency after the ERB filter bank."""
        return self.erb_low + self.erb_high

    @property
    def width(self) -> int:
        """Width in frequency after the two convolutions of stride 2."""
        return (self.bands + 3) // 4

    @property
    def band_groups(self) -> int:
        """Of the width's bands, each with weights of its own; the last may have fewer bands than the others."""
        return -(-self.width // (self.shared_bands or self.width))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, as a checkpoint keeps them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "GTCRNConfig":
        """From the `values` that `to_dict` gave. Raises ConfigError for a name that is no field, or a wrong value."""
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"unknown network setting {unknown[0]!r}; valid are {', '.join(sorted(known))}.")
        values = dict(values)
        spectral = values.pop("spectral", {})
        dilations = values.pop("dilations", cls.dilations)
        if not isinstance(spectral, dict) or not isinstance(dilations, list | tuple):
            raise ConfigError("spectral must be a table, dilations a list of numbers.")
        exponent = values.pop("input_exponent", 1.0)
        if not all(type(n) is int and 0 <= n <= LARGEST for n in (*spectral.values(), *values.values(), *dilations)):
            raise ConfigError(f"network settings must be whole numbers from 0 to {LARGEST}.")
        return cls(spectral=SpectralConfig(**spectral), dilations=tuple(dilations), input_exponent=exponent, **values)
