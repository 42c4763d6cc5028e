"""Every limit and option of the service, with its unit; read from `GTCRN_...` variables by whoever makes a Settings."""

import contextlib
import difflib
import ipaddress
from collections.abc import Iterable
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from gtcrn.errors import ConfigError
from gtcrn_server.addresses import EVERY, Addresses

LEAST_SECRET = 16  # characters
Names = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """`Settings()` reads the environment; arguments win over it. Counts are those of one worker process."""

    model_config = SettingsConfigDict(env_prefix="GTCRN_", frozen=True, extra="forbid")

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    workers: int = Field(1, ge=1, le=256, description="processes that share the port")
    weights: str | None = Field(None, description="weights: a shipped name or a path; empty: the shipped ones")

    max_streams: int = Field(
        120,
        ge=1,
        description="live streams of one channel at 16 kHz at a time (503, close 1013); at 48 kHz one weighs 1.63",
    )
    max_streams_per_client: int = Field(
        80, ge=1, description="of these for one key, or one address without keys, but a proxy's"
    )
    max_stream_weight: float = Field(40, gt=0, description="of one stream, in such streams (422, close 1008)")
    max_files: int = Field(16, ge=1, description="files being received or denoised at a time; more are refused (503)")
    file_threads: int = Field(1, ge=1, description="files denoised at a time, each in a thread of low priority")
    max_files_per_client: int = Field(8, ge=1, description="of these for one key, or one address without keys (503)")
    max_connections: int = Field(1000, ge=1, description="connections at a time; more are answered 503 and closed")
    max_connections_per_client: int = Field(
        128, ge=1, description="of these from one address (IPv6: /64) but a proxy's"
    )
    trusted_proxies: Names = Field(
        ("127.0.0.1", "::1"),
        description="addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are believed; * is all",
    )
    max_queue_ms: float = Field(200, gt=0, description="no new streams while the event loop runs later than this, ms")
    retry_after: int = Field(5, ge=1, description="seconds that a refused client is told to wait")

    max_body_bytes: int = Field(200_000_000, ge=1, description="bytes of an uploaded file (413)")
    max_audio_seconds: float = Field(7200, gt=0, description="seconds that an uploaded file may decode to (413)")
    max_audio_samples: int = Field(
        400_000_000, ge=1, description="samples of all channels that an uploaded file may decode to (413)"
    )
    max_message_bytes: int = Field(262_144, ge=1024, description="bytes of one message or one REST frame (413, 1009)")

    start_seconds: float = Field(
        10, gt=0, description="time for the header of a request, the begin of its body, a stream's start (408, 1008)"
    )
    min_body_rate: float = Field(1000, gt=0, description="bytes a second of a body, on average over idle_seconds (408)")
    idle_seconds: float = Field(60, gt=0, description="time without a message until a stream ends (1008; REST 410)")
    session_seconds: float = Field(14_400, gt=0, description="longest life of a stream (close 1008; REST 410)")
    slow_reader_seconds: float = Field(10, gt=0, description="time a client may leave its answers unread")
    drain_seconds: float = Field(30, ge=0, description="time that running streams have after SIGTERM (then close 1001)")

    state_keys: Names = Field(
        (),
        description="secrets that sign streams which go on elsewhere, comma-separated: the first signs, all are "
        "believed; the same on every host; empty: made at the start",
    )
    token_seconds: float = Field(300, gt=0, description="age up to which a token continues its stream (close 1008)")

    redis_url: str | None = Field(
        None,
        pattern="^(redis|rediss|unix)://",
        description="Redis in which the workers of all hosts share REST streams; empty: each lives in one worker",
    )
    save_seconds: float = Field(
        1, ge=0.1, le=60, description="time after which a shared stream is saved to Redis again"
    )

    api_keys: Names = Field((), description="keys, comma-separated; empty: no key is asked for")
    allow_anonymous: bool = Field(False, description="without keys, serve other machines than this one all the same")
    status_needs_key: bool = Field(True, description="/metrics, /v1/info and /openapi.json ask for a key too")
    allowed_hosts: Names = Field(
        (), description="names that the service goes by, beside addresses, localhost and the host above; * allows all"
    )
    allowed_origins: Names = Field((), description="further origins of web pages, comma-separated; * allows all")

    call_bot: str | None = Field(
        None,
        pattern="^wss?://",
        description="WebSocket that calls at /v1/twilio and /v1/telnyx go to; empty: none",
    )
    asterisk_bot: str | None = Field(
        None,
        pattern="^wss?://",
        description="WebSocket that calls of Asterisk's chan_websocket at /v1/asterisk go to; empty: none",
    )
    audiosocket_port: int | None = Field(
        None, ge=0, le=65535, description="TCP port for Asterisk's AudioSocket; empty: none"
    )
    audiosocket_bot: str | None = Field(
        None, pattern=r":\d+$", description="HOST:PORT, speaking AudioSocket, that calls at that port go to"
    )
    audiosocket_clients: Names = Field(
        ("127.0.0.1", "::1"), description="addresses and networks that may call there: the protocol has no keys"
    )

    @field_validator(
        "allowed_hosts", "allowed_origins", "trusted_proxies", "audiosocket_clients", "state_keys", mode="before"
    )
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies", "audiosocket_clients")
    @classmethod
    def _addresses(cls, names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        for name in names:
            if not (info.field_name == "trusted_proxies" and name == EVERY):
                _refuse_no_address(name)
        return names

    @field_validator("state_keys")
    @classmethod
    def _long_enough(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if any(len(key) < LEAST_SECRET for key in keys):
            raise ValueError(f"a secret has {LEAST_SECRET} characters or more")
        return keys

    @field_validator("api_keys", mode="before")
    @classmethod
    def _keys(cls, value: object) -> object:
        """A list that was meant to hold keys and holds none would open the service to everybody."""
        keys = tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value
        if isinstance(keys, tuple) and not all(keys):
            raise ValueError("holds no key, or a blank one; leave it out where no key is to be asked for")
        return keys

    @model_validator(mode="after")
    def _closed_to_strangers(self) -> "Settings":
        if not (self.api_keys or self.allow_anonymous or is_loopback(self.host)):
            raise ValueError(
                f"listening on {self.host} without GTCRN_API_KEYS would serve anybody; name keys, or set "
                "GTCRN_ALLOW_ANONYMOUS=true"
            )
        return self

    @model_validator(mode="after")
    def _calls_go_somewhere(self) -> "Settings":
        if (self.audiosocket_port is None) != (self.audiosocket_bot is None):
            raise ValueError("GTCRN_AUDIOSOCKET_PORT and GTCRN_AUDIOSOCKET_BOT go together")
        return self

    @model_validator(mode="after")
    def _shared_streams_are_signed(self) -> "Settings":
        if self.redis_url and not self.state_keys:
            raise ValueError("GTCRN_REDIS_URL needs GTCRN_STATE_KEYS, the same on every host")
        return self

    @field_validator(
        "weights", "redis_url", "call_bot", "asterisk_bot", "audiosocket_port", "audiosocket_bot", mode="before"
    )
    @classmethod
    def _empty_is_none(cls, value: object) -> object:
        return None if value == "" else value


def _refuse_no_address(name: str) -> None:
    try:
        Addresses([name])
    except ValueError as error:
        raise ValueError(f"{name:.50} is neither an address nor a network such as 10.0.0.0/8") from error


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host.lower() == "localhost"


def refuse_unknown(names: Iterable[str]) -> None:
    """Raises ConfigError for a variable that looks like a setting and is none: its rule would not hold."""
    known = [f"GTCRN_{name.upper()}" for name in Settings.model_fields]
    for name in sorted(names):
        if name.upper().startswith("GTCRN_") and name.upper() not in known:
            near = difflib.get_close_matches(name.upper(), known, 1, 0.8)
            hint = f"did you mean {near[0]}?" if near else "`gtcrn serve --help` lists all."
            raise ConfigError(f"{name} is no setting; {hint}")


def describe() -> str:
    """One line a setting: its variable, its default, what it means."""
    lines = []
    for name, field in Settings.model_fields.items():
        default = ",".join(field.default) if isinstance(field.default, tuple) else field.default
        default = "" if default is None else default
        lines.append(f"  GTCRN_{name.upper()}={default}\n      {field.description}")
    return "\n".join(lines)
