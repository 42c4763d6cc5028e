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
AtLeastOne = Annotated[float, Field(ge=1)]
ShareSpan = Annotated[tuple[Share, Share], AfterValidator(_ordered)]
AtLeastOneSpan = Annotated[tuple[AtLeastOne, AtLeastOne], AfterValidator(_ordered)]
SetName = Annotated[str, Field(pattern=r"^(speech|noise|rir)/.+")]


class Section(BaseModel):
    """A part of a recipe: unknown names, wrong types and values out of range are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class Balance(Section):
    """What share of the draws begins with a group or a data set; the rest goes by seconds (rooms: by the response)."""

    by_group: Share = Field(0.0, description="First a speaker (noise recording, room): each alike, long or short.")
    by_set: Share = Field(0.0, description="First a data set: each alike, large or small.")

    @model_validator(mode="after")
    def _leave_room(self) -> Self:
        if self.by_group + self.by_set > 1:
            raise ValueError("by_group and by_set must not exceed 1 together")
        return self


class Drawing(Balance):
    """How items are drawn: by seconds, by group (speaker, noise recording) or by data set; from one clip or several."""

    join: Share = Field(0.0, description="Items that go on with clips of their group; others run on into the next.")
    join_fade_ms: NotNegative = Field(20.0, description="Cross-fade from clip to clip of such an item, ms.")


class DataSettings(Section):
    """What is trained on."""

    root: str = Field("data", min_length=1, description="Folder that `gtcrn prepare` wrote.")
    memory: Literal["auto", "device", "host", "mapped"] = Field(
        "auto", description="Where the clips live; mapped: read from disk as needed; auto: a role above 1 GiB (9 h) is."
    )
    include: tuple[SetName, ...] = Field(
        (), description='Data sets as role/name ("speech/emodb"); none of a role: all.'
    )
    exclude: tuple[SetName, ...] = Field((), description="Data sets to leave out, named the same way.")
    segment_seconds: float = Field(2.0, ge=0.1, description="Length of a training item, s.")
    rir_seconds: NotNegative = Field(1.0, description="Room responses are cut to this, s.")
    validation: str = Field("valid", description="Ready pairs that select the checkpoint; empty: none.")
    speech: Drawing = Drawing()
    noise: Drawing = Drawing()
    rir: Balance = Balance()


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
    noise_reverb_probability: Share = Field(0.2, description="Noise in the room of the item before.")
    early_ms: NotNegative = Field(50.0, description="Reflections that stay in the target, after the direct sound, ms.")
    early_fade_ms: NotNegative = Field(20.0, description="How long the reflections that stay fade out, ms.")
    coloured_probability: Share = Field(0.05, description="Coloured noise instead of the first noise.")
    coloured_exponent: Span = Field((-0.5, 2.0), description="Its power falls as 1 / f^exponent.")
    babble_probability: Share = Field(0.1, description="Voices of other items instead of the first noise.")
    babble_voices: AtLeastOneSpan = Field((3.0, 8.0), description="How many voices.")
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
    formant_probability: Share = Field(0.0, description="Speech of a longer or shorter vocal tract, its pitch kept.")
    formant: PositiveSpan = Field((0.85, 1.18), description="Factor of the formants' frequencies.")
    wind_probability: Share = Field(0.0, description="Wind in the microphone instead of the first noise.")
    wind_exponent: Span = Field((2.0, 4.0), description="Its power falls as 1 / f^exponent.")
    wind_gust_db: NotNegative = Field(8.0, description="Standard deviation of its level over time, dB.")
    talker_probability: Share = Field(0.0, description="In the noise beside speech, a talker nearby: the item before.")
    talker_db: Span = Field((-6.0, 12.0), description="Its active level relative to the other noise, dB.")
    microphone_probability: Share = Field(0.0, description="The whole item, input and target, through a microphone.")
    microphone_db: Span = Field((-9.0, 9.0), description="Heights of its two resonances, dB.")
    gain_step_probability: Share = Field(0.0, description="The gain of the whole item, input and target, changes once.")
    gain_step_db: Span = Field((-12.0, 12.0), description="By how much, dB.")
    mu_law_probability: Share = Field(0.0, description="The input, not the target, in 8 bits of mu-law.")
    codec_probability: Share = Field(0.0, description="The input, not the target, through a speech codec (PyAV).")
    codecs: tuple[Literal["opus", "mp3", "amr", "g722"], ...] = Field(
        ("opus", "mp3", "amr"), min_length=1, description="Which, each alike."
    )
    codec_kbps: PositiveSpan = Field((6.0, 32.0), description="Bit rate, where the codec has a choice, kbit/s.")
    packet_loss_probability: Share = Field(0.0, description="The input, not the target, loses packets.")
    packet_loss: ShareSpan = Field((0.02, 0.15), description="About which share of them.")
    packet_ms: Positive = Field(20.0, description="Length of a packet, ms.")
    packet_burst: Count = Field(4, description="Most packets that are lost at once.")

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
    estoi: NotNegative = Field(0.0, description="1 - ESTOI of items with 0.4 s of speech.")
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
    def wants_spectrum(self) -> bool:
        """Whether a term looks at the spectrum that the network returns; the others want its waveform only."""
        return self.from_network or self.consistency > 0

    @property
    def taught(self) -> Self:
        """What compares with a teacher's output: not the terms that judge speech, nor the one that asks for more."""
        return self.model_copy(update={"over_suppression": 0.0, "estoi": 0.0, "pesq": 0.0})

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
    native: bool = Field(True, description="On a CPU, the compiled layers: the same network, faster.")
    precision: Literal["32-true", "bf16-mixed"] = Field("32-true", description="Numbers of the network.")
    seed: Natural = Field(1, description="Of the weights and of every draw.")
    init: str = Field("", description="Weights to begin with, a file or shipped, as wide or narrower; empty: random.")
    teacher: str = Field("", description="Weights whose output teaches too, a file or shipped; empty: none.")
    teacher_share: Share = Field(0.5, description="Of the loss that compares with a teacher's output.")
    pesq_from: Share = Field(0.0, description="Share of the steps before the loss's PESQ term counts.")
    log_every: Count = Field(50, description="Steps between two lines of the history.")
    validate_every: Count = Field(1000, description="Steps between two validations (SI-SDR) and checkpoints.")
    score_every: Natural = Field(5, description="Validations between two of PESQ and ESTOI; 0: never.")
    select: Literal["si_sdr", "pesq", "estoi"] = Field("pesq", description="The score that chooses the best weights.")
    expected_gain_db: Span = Field(
        (0.0, 0.0),
        description="SI-SDR gain on the validation pairs that is told as usual at the end, dB; equal: none is.",
    )
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
        if self.train.teacher and not any(self.loss.taught.weights.values()):
            raise ValueError("train.teacher has no loss to compare with; raise loss.real_imaginary or loss.magnitude")
        others = {name: weight for name, weight in self.loss.weights.items() if name != "pesq"}
        if self.train.pesq_from and not any(others.values()):
            raise ValueError(f"train.pesq_from leaves no loss until then; raise one of {', '.join(others)}")
        return self
