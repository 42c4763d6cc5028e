"""POST /v1/denoise: an audio file up, the denoised file down. Decoding and denoising run in a worker thread."""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable, Iterator
from typing import Annotated, BinaryIO, Literal

from fastapi import APIRouter, Query, Request, Response
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.types import Receive, Scope, Send

from gtcrn.audio.encode import Encoder, encoded, encoder
from gtcrn.audio.formats import target_format
from gtcrn.audio.media import Opened, open_audio
from gtcrn.errors import GtcrnError
from gtcrn.types import Samples
from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.headers import Trailers, counts
from gtcrn_server.limits import TheCaller, TheService, bounded
from gtcrn_server.messages import KeepHighs, Limit
from gtcrn_server.openapi import AUDIO, FILE_BODY, answers
from gtcrn_server.service import Service
from gtcrn_server.turns import Result, beside

router = APIRouter(tags=["files"])

AHEAD_BLOCKS, AHEAD_BYTES = 64, 2_000_000  # made before the answer begins; if they are all, its header tells the counts
BLOCK = 16_384  # samples a channel that are worked on at once
MEDIA_TYPES = {"WAV": "audio/wav", "FLAC": "audio/flac", "OGG": "audio/ogg"}


@router.post(
    "/v1/denoise",
    response_class=Response,
    responses=answers(AUDIO, 400, 408, 413, 422, 503, 507),
    openapi_extra={"requestBody": FILE_BODY},
)
async def denoise_file(
    service: TheService,
    caller: TheCaller,
    request: Request,
    format: Annotated[
        Literal["wav", "flac", "ogg"] | None, Query(description="of the answer; absent: as the file, else WAV")
    ] = None,
    subtype: Annotated[str | None, Query(max_length=32, description="PCM_16, PCM_24, FLOAT, VORBIS, ...")] = None,
    attenuation_limit: Annotated[Limit, Query()] = None,
    keep_highs: Annotated[KeepHighs, Query()] = False,
) -> Response:
    """Denoise an audio file: the body itself, or the multipart field `file`. The answer starts before it is complete.

    Samples keep their rate, channels and place. A fault behind the first second ends the answer before its end.
    """
    job = FileJob(service, caller.client)
    try:
        await job.receive(request)
        await job.prepare(format, subtype, attenuation_limit, keep_highs)
        return FileAnswer(job, *await job.begin())
    except BaseException:
        job.close()
        raise


class FileJob:
    """One file in the works: its place among the others, its temporary file, its pieces to come."""

    def __init__(self, service: Service, client: str) -> None:
        service.refuse_if_leaving()
        service.files.take(client)
        self._service, self._client = service, client
        self._resources = contextlib.ExitStack()

    def close(self) -> None:
        """Give the place back; the temporary file goes."""
        self._resources.close()
        self._service.files.give(self._client)

    async def receive(self, request: Request) -> None:
        """The body, or its field `file`, into a temporary file. Raises ServiceError where it is over a limit."""
        settings = self._service.settings
        body = bounded(request, settings, settings.max_body_bytes)
        if not request.headers.get("content-type", "").startswith("multipart/form-data"):
            self._source: BinaryIO = self._resources.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 (the stack closes it)
            async for piece in body:
                await asyncio.to_thread(self._source.write, piece)
            self._source.seek(0)
            return
        try:
            form = await MultiPartParser(request.headers, body, max_files=1, max_fields=8).parse()  # type: ignore[arg-type]
        except (MultiPartException, KeyError) as error:
            raise ServiceError(Kind.MALFORMED, "The multipart body is damaged, or holds too much.") from error
        for _, part in form.multi_items():
            if isinstance(part, UploadFile):
                self._resources.enter_context(part.file)
        upload = form.get("file")
        if not isinstance(upload, UploadFile):
            raise ServiceError(Kind.MALFORMED, "The multipart body has no file in its field `file`.")
        self._source = upload.file

    async def prepare(self, container: str | None, subtype: str | None, limit: float | None, keep_highs: bool) -> None:
        """Open the file and choose the answer's format. Raises AudioError, or ServiceError when it is too long."""
        opened: contextlib.AbstractContextManager[Opened] = await self.thread(lambda: open_audio(self._source))
        reader = self._resources.enter_context(opened)
        if not container and reader.format.container not in MEDIA_TYPES:
            container = "WAV"
        form = target_format(reader.format, "", container, subtype)
        self._most = int(self._service.settings.max_audio_seconds * form.sample_rate)  # samples of a channel
        self._channels = form.channels
        frames = await self.thread(reader.exact_frames)
        self._refuse_long(frames or 0)
        self.media_type = MEDIA_TYPES[form.container]
        self.out: Encoder = encoder(form, frames)
        self._pieces = encoded(self._denoised(reader, limit, keep_highs), self.out)

    def _denoised(self, reader: Opened, limit: float | None, keep_highs: bool) -> Iterator[Samples]:
        rate, channels, seen = reader.format.sample_rate, reader.format.channels, 0
        stream = self._service.denoiser.stream(rate, channels, limit, keep_highs=keep_highs)
        for block in reader.blocks(BLOCK):
            seen += block.shape[1]
            self._refuse_long(seen)
            yield stream.push(block)
        yield stream.flush()
        self.seconds, self.nonfinite = seen / rate, stream.nonfinite

    def _refuse_long(self, frames: int) -> None:
        if frames > self._most:
            seconds = self._service.settings.max_audio_seconds
            raise ServiceError(Kind.TOO_LARGE, f"The audio is longer than {seconds:g} s, the most that is taken.")
        if frames * self._channels > (most := self._service.settings.max_audio_samples):
            raise ServiceError(Kind.TOO_LARGE, f"The audio has over {most} samples in its {self._channels} channels.")

    async def step(self) -> bytes | None:
        """The next piece of the answer; None behind the last."""
        return await self.thread(lambda: next(self._pieces, None))

    async def begin(self) -> tuple[list[bytes], bool]:
        """The first pieces, and whether they are all."""
        pieces: list[bytes] = []
        while len(pieces) < AHEAD_BLOCKS and sum(map(len, pieces)) < AHEAD_BYTES:
            if (piece := await self.step()) is None:
                return pieces, True
            pieces.append(piece)
        return pieces, False

    async def thread(self, work: Callable[[], Result]) -> Result:
        """Await `work` in the service's threads for files."""
        return await beside(self._service.threads, work)

    def count(self) -> None:
        """Tell the telemetry of a file that was denoised to its end."""
        self._service.telemetry.file_seconds += self.seconds

    def tell(self, error: Exception) -> None:
        self._service.tell(error)


class FileAnswer(Response):
    """Sends pieces while they are made; without an end when something fails, so that nobody takes it for whole."""

    def __init__(self, job: FileJob, first: list[bytes], whole: bool) -> None:
        super().__init__(media_type=job.media_type)
        del self.headers["content-length"]
        if whole:
            self.headers.update(counts(job.nonfinite, job.out.clipped))
            self.headers["content-length"] = str(sum(map(len, first)))
        elif job.out.size is not None:
            self.headers["content-length"] = str(job.out.size)
        self._job, self._first, self._whole = job, first, whole

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        trailers = Trailers(scope)
        if not self._whole:
            trailers.announce(self.headers)
        gone = asyncio.ensure_future(receive())  # the body is read: what comes now is the end of the connection
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            piece: bytes | None = b"".join(self._first)
            while piece is not None and not gone.done():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                piece = None if self._whole else await self._job.step()
            if piece is None:
                if not self._whole:
                    trailers.tell(self._job.nonfinite, self._job.out.clipped)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                self._job.count()
        except GtcrnError as error:
            self._job.tell(error)
        finally:
            gone.cancel()
            self._job.close()
