"""A shared REST stream as its holder has it, as it is saved in Redis, and back."""

from dataclasses import dataclass
from time import monotonic, time
from typing import Literal

from pydantic import BaseModel, ConfigDict

from gtcrn_server.service import Service
from gtcrn_server.streams.held import Ask, Held
from gtcrn_server.streams.leases import Taken
from gtcrn_server.streams.saved import Saved, seal, unseal


class Record(BaseModel):
    """A REST stream as it is saved; its last answer and its snapshot follow."""

    model_config = ConfigDict(frozen=True)

    opened: float  # seconds since 1970
    sequence: int
    state: Literal["open", "ended", "expired"]
    counts: dict[str, str]
    answer: int  # bytes
    stream: Saved | None


@dataclass
class Leased:
    """A stream that is hot here."""

    held: Held
    epoch: int
    saved: float = 0.0  # when, by `time.monotonic`
    renewed: float = 0.0  # likewise: its lease
    changed: bool = False  # since then
    adrift: bool = False  # Redis lacks something of it: nothing is noted until it is saved

    def kept(self, epoch: int) -> None:
        """Redis has all of it, under this epoch."""
        self.epoch, self.adrift, self.changed = epoch, False, False
        self.saved = self.renewed = monotonic()


def sealed(held: Held, keys: tuple[bytes, ...]) -> bytes:
    stream, snapshot = held.live.saved(held.owner) if held.live else (None, b"")
    record = Record(
        opened=time() - (monotonic() - held.opened),
        sequence=held.sequence,
        state=held.state,
        counts=held.counts,
        answer=len(held.answer),
        stream=stream,
    )
    return seal(record, held.answer + snapshot, keys)


async def restore(service: Service, held: Held, taken: Taken) -> None:
    """As it was saved, and then what was asked since. Raises ServiceError where another service saved it."""
    keys = service.state_keys
    record, body = unseal(Record, taken.record, keys)
    held.opened = held.touched - (time() - record.opened)
    held.sequence, held.state, held.counts = record.sequence, record.state, record.counts
    held.answer = body[: record.answer]
    if record.stream is None or held.place is None:
        return
    live = await service.resume(record.stream, body[record.answer :], held.place)
    live.identity, held.live = held.identity, live
    for asked in taken.asked:
        ask, data = unseal(Ask, asked, keys)
        await held.catch_up(ask.model_copy(update={"body": data}))
