"""A stream as bytes that another process or host continues: what is known of it, and its snapshot, signed together.

The bytes are a line that names the format, a line of JSON (a model of the caller's), and a body. gtcrn.snapshot signs
them; the snapshot within says itself which kernel and weights it belongs to.
"""

import secrets
from collections.abc import Iterable
from time import time
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gtcrn import snapshot
from gtcrn.errors import AudioError
from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.messages import Options

FORMAT = b"gtcrn-stream-1\n"
Head = TypeVar("Head", bound=BaseModel)


class Saved(BaseModel):
    """A live stream but for its audio. Positions are in samples of one channel."""

    model_config = ConfigDict(frozen=True)

    owner: str  # the caller's key, digested
    options: Options
    received: int
    sent: int
    busy: float  # seconds of work so far
    nonfinite: int  # of the streams before a reset, as is
    clipped: int
    at: float = Field(default_factory=time)  # seconds since 1970


def state_keys(names: Iterable[str]) -> tuple[bytes, ...]:
    """The keys of the settings: the first signs, all are believed. Without any, one that nobody else has."""
    return tuple(name.encode() for name in names) or (secrets.token_bytes(32),)


def seal(head: BaseModel, body: bytes, keys: tuple[bytes, ...]) -> bytes:
    return snapshot.sign(FORMAT + head.model_dump_json().encode() + b"\n" + body, keys[0])


def unseal(kind: type[Head], sealed: bytes, keys: tuple[bytes, ...]) -> tuple[Head, bytes]:
    """What was sealed with one of the keys. Raises ServiceError for anything else."""
    text = _verified(sealed, keys)
    if not text.startswith(FORMAT):
        raise refusal("it was made by another version of the service")
    head, _, body = text.removeprefix(FORMAT).partition(b"\n")
    try:
        return kind.model_validate_json(head), body
    except ValidationError as error:
        raise refusal("it was made by another version of the service") from error


def refusal(reason: str) -> ServiceError:
    return ServiceError(Kind.RESUME, f"The stream cannot be continued: {reason}.")


def _verified(sealed: bytes, keys: tuple[bytes, ...]) -> bytes:
    for key in keys:
        try:
            return snapshot.verify(sealed, key)
        except AudioError:
            continue
    raise refusal("what it was saved as is damaged, or was not signed by this service")
