"""Chunks of an iterator through a stream, for who awaits them."""

from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from gtcrn.types import Pcm, as_samples

if TYPE_CHECKING:
    from gtcrn.stream import Stream

INLINE_SECONDS = 0.25  # audio whose denoising takes less than handing it to a thread and back gains


async def denoised(stream: "Stream", chunks: AsyncIterable[Any] | Iterable[Any]) -> AsyncIterator[Any]:
    """What `Stream.over` gives."""
    from asyncio import to_thread  # dear to import, and not needed by who denoises files

    async for chunk in _asynchronous(chunks):
        ready = await to_thread(stream.push, chunk) if _is_long(chunk, stream.sample_rate) else stream.push(chunk)
        if _length(ready):
            yield ready
    if _length(rest := stream.flush()):
        yield rest


def _is_long(chunk: Any, sample_rate: int) -> bool:
    samples = len(chunk) // 2 if isinstance(chunk, Pcm) else as_samples(chunk).size
    return samples > INLINE_SECONDS * sample_rate


async def _asynchronous(chunks: AsyncIterable[Any] | Iterable[Any]) -> AsyncIterator[Any]:
    if isinstance(chunks, AsyncIterable):
        async for chunk in chunks:
            yield chunk
    else:
        for chunk in chunks:
            yield chunk


def _length(samples: Any) -> int:
    """Samples of an array, or bytes."""
    return len(samples) if isinstance(samples, bytes) else int(samples.size)
