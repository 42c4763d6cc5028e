"""The model of a recipe. Ranges and units stand here and nowhere else: SETTINGS.md and the editors' schema follow."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from gtcrn.config import SAMPLE_RATE, GTCRNConfig


def _ordered(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError("must be [lowest, highest]")
    return span


Natural = Annotated[int, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Span = Annotated[tuple[float, float], AfterValidator(_ordered)]
PositiveSpan = Annotated[tuple[Positive, Positive], AfterValidator(_ordered)]


class Section(BaseModel):
    """A part of a recipe: unknown names, wrong types and values out of range are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class DataSettings(Section):
    """What is trained on."""

    root: str = Field("data", min_length=1, description="Folder that `gtcrn prepare` wrote.")
    memory: Literal["device", "host", "mapped"] = Field(
        "host", description="Where the clips live; mapped: read from disk as needed."
    )
    include: tuple[str, ...] = Field((), description='Data sets as role/name, "speech/emodb" say; none of a role: all.')
    exclude: tuple[str, ...] = Field((), description="Data sets to leave out, named the same way.")
    segment_seconds: float = Field(2.0, ge=0.1, description="Length of a training item, s.")
    rir_seconds: NotNegative = Field(1.0, description="Room responses are cut to this, s.")
    validation: str = Field("valid", description="Ready pairs that select the checkpoint; empty: none.")


class MixingConfig(Section):
    """How often each effect happens to an item (`..._probability`) and how strongly (ranges, drawn uniformly)."""

    sample_rate: ClassVar[int] = SAMPLE_RATE

    snr_db: Span = Field((-5.0, 20.0), description="Active speech as heard (with its room) over noise, dB.")
    level_dbfs: Span = Field((-46.0, -12.0), description="Active speech as heard, dBFS.")
    active_span_db: NotNegative = Field(40.0, description="Frames this near the loudest count as active speech, dB.")
    speech_floor_dbfs: float = Field(-50.0, description="Speech of an active level below is taken for silence, dBFS.")
    noise_only_probability: Share = Field(0.05, description="Items without speech: the target is silence.")
    speech_only_probability: Share = Field(0.05, description="Items without noise.")
    reverb_probability: Share = Field(0.5, description="Speech in a room, where the item has a room response.")
    noise_reverb_probability: Share = Field(0.2, description="Noise in the room of the next item.")
    early_ms: NotNegative = Field(50.0, description="Reflections that stay in the target, after the direct sound, ms.")
    early_fade_ms: NotNegative = Field(20.0, description="How long the reflections that stay fade out, ms.")
    coloured_probability: Share = Field(0.05, description="Coloured noise instead of the first noise.")
    coloured_exponent: Span = Field((-0.5, 2.0), description="Its power falls as 1 / f^exponent.")
    babble_probability: Share = Field(0.1, description="Voices of other items instead of the first noise.")
    babble_voices: PositiveSpan = Field((3.0, 8.0), description="How many voices.")
    babble_spread_db: NotNegative = Field(10.0, description="A voice may be this much below the loudest, dB.")
    second_noise_probability: Share = Field(0.3, description="A second noise beside the first.")
    second_noise_db: Span = Field((-15.0, 0.0), description="Its level relative to the first, dB.")
    speech_speed_probability: Share = Field(0.0, description="Speech slower or faster.")
    noise_speed_probability: Share = Field(0.0, description="Noise slower or faster, each of the two by itself.")
    speed: PositiveSpan = Field((0.9, 1.1), description="1.1 is a tenth faster and higher.")
    speech_colour_probability: Share = Field(0.3, description="Speech through a tilt and an equaliser.")
    noise_colour_probability: Share = Field(0.5, description="Noise through a tilt and an equaliser.")
    tilt_db: Span = Field((-3.0, 3.0), description="dB per octave.")
    equaliser_db: Span = Field((-6.0, 6.0), description="dB at each octave.")
    low_pass_probability: Share = Field(0.1, description="The whole item, input and target, loses its high band.")
    low_pass_hz: PositiveSpan = Field((3000.0, 7500.0), description="Where that band begins, Hz.")
    telephone_probability: Share = Field(0.03, description="The whole item keeps 300 to 3400 Hz.")
    clipping_probability: Share = Field(0.05, description="The input, not the target, overloads.")
    clipping_db: Span = Field((1.0, 12.0), description="Where it clips, dB below its peak.")

    @model_validator(mode="after")
    def _leave_something(self) -> Self:
        if self.noise_only_probability + self.speech_only_probability > 1:
            raise ValueError("noise_only_probability and speech_only_probability must not exceed 1 together")
        return self

    def samples(self, milliseconds: float) -> int:
        return round(milliseconds * self.sample_rate / 1000)


class LossWeights(Section):
    """The weight of each term; a term of weight 0 is not computed."""

    real_imaginary: NotNegative = Field(30.0, description="Compressed spectrum, real and imaginary parts.")
    magnitude: NotNegative = Field(70.0, description="Compressed magnitudes.")
    si_snr: NotNegative = Field(1.0, description="-SI-SNR / 10 dB.")
    multi_resolution: NotNegative = Field(0.0, description="Compressed spectra of 256, 1024 and 2048 samples.")
    consistency: NotNegative = Field(0.0, description="How far the output is from the spectrum of any waveform.")
    over_suppression: NotNegative = Field(0.0, description="Compressed magnitudes, where too little is left.")
    waveform: NotNegative = Field(0.0, description="Mean absolute difference of the samples.")
    pesq: NotNegative = Field(0.0, description="Disturbance of P.862; dear to compute.")


class LossConfig(LossWeights):
    """Weights of the terms, and what the terms depend on."""

    exponent: float = Field(0.3, gt=0, le=1, description="Of the compression: |S|^exponent.")
    si_snr_limit_db: float = Field(50.0, description="Items better than this stop to matter, dB.")
    from_network: bool = Field(False, description="Compare the network's own spectrum, not that of its waveform.")
    equal_levels: bool = Field(False, description="First bring each target, its output with it, to -26 dBFS.")

    @model_validator(mode="after")
    def _some_term(self) -> Self:
        if not any(self.weights.values()):
            raise ValueError(f"every weight is 0; raise one of {', '.join(self.weights)}")
        return self

    @property
    def weights(self) -> dict[str, float]:
        """Term -> weight, zeros too."""
        return {name: getattr(self, name) for name in LossWeights.model_fields}


class TrainSettings(Section):
    """How it is trained."""

    steps: Count = Field(100_000, description="Updates of the weights.")
    batch: Count = Field(16, description="Items of one draw.")
    draws: Count = Field(1, description="Independent draws in a step, dealt out to the processes.")
    optimizer: Literal["adamw", "soap"] = Field("adamw", description="SOAP learns more from the same audio.")
    lr: Positive = Field(1e-3, description="Highest learning rate.")
    lr_min: NotNegative = Field(1e-6, description="Learning rate at the end.")
    warmup: Natural = Field(500, description="Steps of linear warm-up.")
    hold: Share = Field(0.0, description="Share of the steps at full rate before the cosine.")
    weight_decay: NotNegative = Field(0.01, description="Decoupled, as in AdamW.")
    betas: tuple[Decay, Decay] = Field((0.9, 0.99), description="Decays of the optimiser's two moments.")
    clip: Positive = Field(3.0, description="Largest norm of the gradient.")
    ema: Decay = Field(0.0, description="Decay of the averaged weights that are validated and kept; 0: none.")
    native: bool = Field(True, description="On a CPU, the compiled layers: the same network, faster; one thread.")
    precision: Literal["32-true", "bf16-mixed"] = Field("32-true", description="Numbers of the network.")
    seed: Natural = Field(1, description="Of the weights and of every draw.")
    init: str = Field("", description="Weights to start from; empty: random.")
    pesq_from: Share = Field(0.0, description="Share of the steps before the loss's PESQ term counts.")
    log_every: Count = Field(50, description="Steps between two lines of the history.")
    validate_every: Count = Field(1000, description="Steps between two validations (SI-SDR) and checkpoints.")
    score_every: Natural = Field(5, description="Validations between two of PESQ and ESTOI; 0: never.")
    select: Literal["si_sdr", "pesq", "estoi"] = Field("pesq", description="The score that chooses the best weights.")
    max_skipped: Count = Field(20, description="Batches in a row without a finite gradient before giving up.")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.lr_min > self.lr:
            raise ValueError(f"lr_min ({self.lr_min}) must not exceed lr ({self.lr})")
        if self.select != "si_sdr" and not self.score_every:
            raise ValueError(f"select = {self.select!r} is never scored; raise score_every, or select si_sdr")
        return self


class Recipe(Section):
    """Everything a run depends on; saved beside its results."""

    name: str = Field("", pattern=r"^[^/\\]*$", description="Name of the run; the file's unless given.")
    description: str = Field("", description="One sentence for people.")
    data: DataSettings = DataSettings()
    model: GTCRNConfig = GTCRNConfig()
    mixing: MixingConfig = MixingConfig()
    loss: LossConfig = LossConfig()
    train: TrainSettings = TrainSettings()

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if (rate := self.model.spectral.sample_rate) != SAMPLE_RATE:
            raise ValueError(f"model.spectral.sample_rate must be {SAMPLE_RATE}, the rate of prepared data, not {rate}")
        others = {name: weight for name, weight in self.loss.weights.items() if name != "pesq"}
        if self.train.pesq_from and not any(others.values()):
            raise ValueError(f"train.pesq_from leaves no loss until then; raise one of {', '.join(others)}")
        return self
