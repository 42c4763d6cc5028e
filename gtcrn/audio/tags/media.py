"""Titles and covers of media files, by PyAV; it gives covers as streams of one picture."""

import contextlib
import io
import itertools
from collections.abc import Mapping
from typing import Any

from gtcrn.audio.tags.values import MOST, Picture, Tags, bounded, kept_texts, mime_of

NAMES = {"track": "tracknumber"}  # FFmpeg's, where they differ
PICTURES = {"image/jpeg": "jpeg_pipe", "image/png": "png_pipe"}  # FFmpeg's names
WITH_PICTURES = ("ipod", "mp4")


def read_texts(found: Mapping[str, str]) -> dict[str, str]:
    """What FFmpeg tells, by our names."""
    return kept_texts({NAMES.get(name.lower(), name.lower()): text for name, text in found.items()})


def read_pictures(container: Any) -> tuple[Picture, ...]:
    """The covers of a container that has just been opened."""
    streams = [stream for stream in container.streams.video if is_picture(stream)]
    if not streams:
        return ()
    found = [
        bytes(packet) for packet in itertools.islice(container.demux(streams), len(streams)) if packet.size <= MOST
    ]
    return bounded([Picture(data, mime) for data in found if (mime := mime_of(data))])


def is_picture(stream: Any) -> bool:
    """Whether a stream of video is a cover."""
    import av.stream

    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def write_tags(output: Any, kind: str, tags: Tags) -> None:
    """Texts, and covers where FFmpeg's format `kind` has a place for them, into an output whose streams are known."""
    names = {name: theirs for theirs, name in NAMES.items()}
    output.metadata.update({names.get(name, name): text for name, text in tags.texts.items()})
    for picture in tags.pictures if kind in WITH_PICTURES else ():
        _attach(output, picture)


def _attach(output: Any, picture: Picture) -> None:
    """The cover as it is; one that FFmpeg cannot read is left out."""
    import av
    import av.stream

    with contextlib.suppress(av.FFmpegError, StopIteration):
        source: Any = av.open(io.BytesIO(picture.data), format=PICTURES[picture.mime])
        packet = next(source.demux(video=0))
        if not source.streams.video[0].width:  # then the whole output would be refused
            return
        stream = output.add_stream_from_template(source.streams.video[0])
        stream.disposition = av.stream.Disposition.attached_pic
        packet.stream, packet.pts, packet.dts = stream, 0, 0
        output.start_encoding()
        output.mux(packet)
