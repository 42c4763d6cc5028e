"""Tokens of WebSocket streams: a saved stream as text, kept by the client itself."""

import base64
import binascii
from time import time

from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.live import Live
from gtcrn_server.messages import Token
from gtcrn_server.service import Service
from gtcrn_server.streams.saved import Saved, refusal, seal, unseal

START_BYTES = 1024  # of a start message beside its token


def token(service: Service, live: Live, owner: str) -> Token:
    """What continues the stream from here."""
    head, snapshot = live.saved(owner)
    text = base64.b64encode(seal(head, snapshot, service.state_keys)).decode()
    return Token(token=text, received=head.received, sent=head.sent)


def refuse_too_long(service: Service, live: Live, owner: str) -> None:
    """Raises ServiceError where a start message could not hold the stream's tokens: it has too many channels."""
    size, limit = len(token(service, live, owner).token), service.settings.max_message_bytes - START_BYTES
    if size > limit:
        raise ServiceError(Kind.SETTING, f"A token of this stream has {size} bytes, and {limit} are the most.")


def read(service: Service, text: str, owner: str) -> tuple[Saved, bytes]:
    """The stream of a token and its snapshot. Raises ServiceError for one that is damaged, old or somebody else's."""
    try:
        sealed = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise refusal("the token is no base64") from error
    saved, snapshot = unseal(Saved, sealed, service.state_keys)
    if saved.owner != owner:
        raise refusal("the token was given to another key")
    age, limit = time() - saved.at, service.settings.token_seconds
    if age > limit:
        raise refusal(f"the token is {age:.0f} s old, and {limit:g} s are the most")
    return saved, snapshot
