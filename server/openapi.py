"""What the OpenAPI document says beyond the models: bodies of bytes, and the answers to what went wrong."""

from typing import Any

from gtcrn_server.errors import Kind
from gtcrn_server.messages import Fault

BYTES: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
PCM: dict[str, Any] = {
    "description": "Interleaved PCM in the encoding of the stream; as many samples in all as were sent.",
    "content": {"application/octet-stream": BYTES},
}
PCM_BODY: dict[str, Any] = {"required": True, "content": {"application/octet-stream": BYTES}}
AUDIO: dict[str, Any] = {
    "description": "The denoised file, sent while it is made.",
    "content": {"audio/*": BYTES},
}
FILE_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "audio/*": BYTES,
        "application/octet-stream": BYTES,
        "multipart/form-data": {
            "schema": {"type": "object", "required": ["file"], "properties": {"file": BYTES["schema"]}}
        },
    },
}


def faults(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route refused with these statuses, or for want of a key, or for its origin or Host."""
    return {status: {"model": Fault, "description": _codes(status)} for status in (401, 403, *statuses)}


def answers(success: dict[str, Any], *statuses: int) -> dict[int | str, dict[str, Any]]:
    """The same for a route whose good answer is bytes."""
    return {200: success, **faults(*statuses)}


def _codes(status: int) -> str:
    return ", ".join(kind.code for kind in Kind if kind.status == status)
