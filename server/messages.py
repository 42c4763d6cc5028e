"""The JSON messages of the WebSocket protocol and the bodies of REST, as typed models. PROTOCOL.md shows each."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, ValidationError, model_validator

from gtcrn.audio.limits import HIGHEST_RATE, LOWEST_RATE, MAX_CHANNELS
from gtcrn_server.errors import Kind, ServiceError

Encoding = Literal["s16le", "f32le"]  # those of gtcrn.audio.pcm that a stream takes
Rate = Annotated[int, Field(ge=LOWEST_RATE, le=HIGHEST_RATE, description="Hz")]
Channels = Annotated[int, Field(ge=1, le=MAX_CHANNELS, description="interleaved; each is denoised by itself")]
Limit = Annotated[
    float | None, Field(ge=0, le=1000, description="dB by which noise may be pulled down; null: without limit")
]
KeepHighs = Annotated[
    bool,
    Field(description="keep what lies above 8 kHz, with a gain by what lies below"),
]
Bypass = Annotated[bool, Field(description="pass the delayed input on unchanged")]


class Message(BaseModel):
    """Strict about names, so that a misspelled option is told and not ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Options(Message):
    """What a stream is opened with."""

    model_config = ConfigDict(json_schema_extra={"example": {"sample_rate": 48000, "encoding": "s16le"}})

    sample_rate: Rate = 16_000
    channels: Channels = 1
    encoding: Encoding = "s16le"
    attenuation_limit: Limit = None
    bypass: Bypass = False
    keep_highs: KeepHighs = False


class Change(Message):
    """What may change between two samples; what is absent stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"attenuation_limit": 12.0}})

    attenuation_limit: Limit = None
    bypass: Bypass = False
    keep_highs: KeepHighs = False


class Start(Options):
    type: Literal["start"]
    levels: Annotated[bool, Field(description="tell what the network hears, every 96 ms")] = False
    tokens: Annotated[float | None, Field(ge=1, le=60, description="give a token every so many seconds")] = None
    resume: Annotated[str | None, Field(description="the token of the stream to continue, with its options")] = None

    @model_validator(mode="after")
    def _options_are_known(self) -> "Start":
        if self.resume is not None and self.model_fields_set & Options.model_fields.keys():
            raise ValueError("a stream that is resumed has the options it was opened with")
        return self


class Set(Change):
    type: Literal["set"]


class Reset(Message):
    type: Literal["reset"]


class Mark(Message):
    type: Literal["mark"]
    id: Annotated[str, Field(max_length=128)] | int


class End(Message):
    type: Literal["end"]


class FromClient(RootModel[Annotated[Start | Set | Reset | Mark | End, Field(discriminator="type")]]):
    """Any message a client may send."""


class Description(Message):
    """A stream as it was opened."""

    id: str
    sample_rate: int
    channels: int
    encoding: Encoding
    frame: Annotated[int, Field(description="samples a channel that come out at a time")]
    latency: Annotated[int, Field(description="samples a channel that must have arrived until a sample leaves")]
    latency_ms: float


class Position(Message):
    """Where a stream stands, in samples of a channel since it was opened."""

    received: Annotated[int, Field(description="samples that the service has")]
    sent: Annotated[int, Field(description="samples that have come back")]


class Ready(Description, Position):
    type: Literal["ready"] = "ready"


class Token(Position):
    """What continues the stream from here, on any host with the same settings."""

    type: Literal["token"] = "token"
    token: str


class Marked(Message):
    type: Literal["mark"] = "mark"
    id: str | int


class Levels(Message):
    """What the network makes of the last 32 ms (gtcrn.Levels)."""

    type: Literal["levels"] = "levels"
    speech: Annotated[float, Field(description="probability that someone speaks, 0 to 1")]
    noise: Annotated[float, Field(description="level of what is taken away, dBFS")]
    reduction: Annotated[float, Field(description="dB by which the sound becomes quieter")]


class Done(Message):
    type: Literal["done"] = "done"
    seconds: Annotated[float, Field(description="audio that went through")]
    real_time_factor: Annotated[float, Field(description="processor time over audio time")]
    nonfinite: Annotated[int, Field(description="NaN and infinite samples that were replaced by silence")]
    clipped: Annotated[int, Field(description="samples of the answer that were beyond full scale")]


class Overloaded(Message):
    """The service is late with a stream's audio; the stream goes on."""

    type: Literal["overloaded"] = "overloaded"
    behind_ms: float


class StreamStatus(Message):
    """Where a REST stream stands."""

    id: str
    sequence: Annotated[int, Field(description="sequence number of the next frames")]
    attenuation_limit: Limit
    bypass: Bypass
    keep_highs: KeepHighs
    seconds: float
    nonfinite: int
    clipped: int


class Info(Message):
    """The service, its network and its limits."""

    version: str
    model: str
    sample_rate: Annotated[int, Field(description="Hz that the network works at; others are resampled")]
    frame: Annotated[int, Field(description="samples at that rate")]
    latency: Annotated[int, Field(description="samples at that rate")]
    latency_ms: float
    encodings: list[str]
    in_browser: Annotated[bool, Field(description="whether the page can denoise a microphone without the service")]
    max_streams: int
    max_body_bytes: int
    max_audio_seconds: float
    max_message_bytes: int


class Health(Message):
    """One word on how the process is."""

    status: str


class Fault(Message):
    """What was wrong, in one sentence, and its kind."""

    model_config = ConfigDict(json_schema_extra={"example": {"code": "busy", "message": "All 100 streams are taken."}})

    code: str
    message: str


class Error(Fault):
    type: Literal["error"] = "error"


def parse(text: str) -> Start | Set | Reset | Mark | End:
    """The message in `text`; raises ServiceError with a sentence that names the field."""
    try:
        return FromClient.model_validate_json(text).root
    except ValidationError as error:
        raise ServiceError(Kind.MALFORMED, sentence(error.errors()[0])) from error


def sentence(error: object) -> str:
    """One sentence for one entry of a pydantic error list; the offending input is not repeated."""
    assert isinstance(error, dict)
    place = error["loc"][1:] or error["loc"] or ("message",)  # the first part says which message, or body or query
    return f"{'.'.join(map(str, place))}: {error['msg']}."
