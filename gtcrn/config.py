"""The numbers everything else derives from: the short-time spectrum and the network. Free of torch."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from gtcrn.errors import ConfigError


@dataclass(frozen=True)
class SpectralConfig:
    """Short-time Fourier transform: sqrt-Hann window of `n_fft` samples, moved by `hop` samples."""

    sample_rate: int = 16_000  # Hz
    n_fft: int = 512  # samples in a window
    hop: int = 256  # samples between frames

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
        return self.hop / self.sample_rate

    @property
    def window_seconds(self) -> float:
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

    spectral: SpectralConfig = field(default_factory=SpectralConfig)
    erb_low: int = 65  # bins kept as they are
    erb_high: int = 64  # bands that the other bins are gathered into
    channels: int = 16
    kernel_width: int = 5  # bins, of the two strided convolutions
    neighbours: int = 3  # bins that subband feature extraction puts side by side
    dilations: tuple[int, ...] = (1, 2, 5)  # frames, one GTConvBlock each
    dual_path_blocks: int = 2
    input_exponent: float = 1.0

    def __post_init__(self) -> None:
        if self.erb_low >= self.spectral.bins:
            raise ConfigError(f"erb_low must be below {self.spectral.bins} bins, not {self.erb_low}.")
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

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists, as a checkpoint keeps them."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "GTCRNConfig":
        """The opposite of `to_dict`; raises ConfigError for a name that is not a field."""
        known = {f.name for f in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ConfigError(f"unknown network setting {unknown[0]!r}; valid are {', '.join(sorted(known))}.")
        values = dict(values)
        if isinstance(values.get("spectral"), dict):
            values["spectral"] = SpectralConfig(**values["spectral"])
        if "dilations" in values:
            values["dilations"] = tuple(values["dilations"])
        return cls(**values)
