"""Who holds a REST stream, and what is left of it when the holder is gone: in Redis, changed by scripts only.

A stream is a hash: `owner`; `record`, sealed, as it was when it was saved last; `next`, the sequence of its next
frames; `holder`, a worker, until `till` (ms since 1970 by Redis's clock); `epoch`, one more for each holder, without
which nothing is changed. Beside it stands a list of what was asked since the record.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

LEASE_MS = 3_000  # until a stream can be taken from a holder that is silent
REDIS_SECONDS = 0.5  # for Redis to answer
SETTLE_SECONDS = 4  # after Redis has started, in which holders say what is theirs


def connect(url: str, seconds: float | None) -> Redis:
    """A client that waits so long for an answer, and never asks twice by itself: not all may be repeated."""
    once = Retry(NoBackoff(), 0)
    return Redis.from_url(
        url, retry=once, socket_timeout=seconds, socket_connect_timeout=REDIS_SECONDS, socket_keepalive=True
    )


class State(StrEnum):
    DONE = "done"
    LOST = "lost"  # somebody else holds the stream now
    MISSING = "missing"  # Redis knows nothing of it
    SETTLING = "settling"  # nor of others yet: it has just started
    HELD = "held"
    FREE = "free"


@dataclass(frozen=True)
class Taken:
    """A stream that is this worker's now: as it was saved, and what was asked since."""

    epoch: int
    record: bytes
    asked: list[bytes]


PRELUDE = f"""
local function now()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end
local function settling()
    return tonumber(redis.call('INFO', 'server'):match('uptime_in_seconds:(%d+)')) < {SETTLE_SECONDS}
end
local function mine(epoch)
    local there = redis.call('HGET', KEYS[1], 'epoch')
    return there == epoch and 'done' or there and 'lost' or 'missing'
end
local function keep(holder, lease, lasts)
    redis.call('HSET', KEYS[1], 'holder', holder, 'till', lease == '0' and 0 or now() + lease)
    redis.call('PEXPIRE', KEYS[1], lasts)
    redis.call('PEXPIRE', KEYS[2], lasts)
end
"""
LOOK = """
local owner, holder, till = unpack(redis.call('HMGET', KEYS[1], 'owner', 'holder', 'till'))
if not owner then return {settling() and 'settling' or 'missing', '', ''} end
return {now() < tonumber(till) and 'held' or 'free', holder, owner}
"""
# A holder that is `gone` (it does not listen any more) is not waited for. One that may know more than Redis does, as
# the client has been answered beyond `next`, is waited for longer than its lease.
TAKE = f"""
local holder, wanted, gone, lease = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local record, after, before, till = unpack(redis.call('HMGET', KEYS[1], 'record', 'next', 'holder', 'till'))
if not record then return {{'missing'}} end
local left, unsure = tonumber(till) - now(), wanted > tonumber(after)
if before == gone and not unsure then left = 0 end
if unsure then left = left + {1000 * SETTLE_SECONDS} end
if left > 0 or (before ~= '' and settling()) then return {{'held'}} end
local epoch = redis.call('HINCRBY', KEYS[1], 'epoch', 1)
redis.call('HSET', KEYS[1], 'holder', holder, 'till', now() + lease)
return {{'done', epoch, record, redis.call('LRANGE', KEYS[2], 0, -1)}}
"""
APPEND = """
local state = mine(ARGV[1])
if state == 'done' then
    redis.call('RPUSH', KEYS[2], ARGV[5])
    redis.call('HSET', KEYS[1], 'next', ARGV[6])
    keep(ARGV[2], ARGV[3], ARGV[4])
end
return state
"""
RENEW = """
local state = mine(ARGV[1])
if state == 'done' then keep(ARGV[2], ARGV[3], ARGV[4]) end
return state
"""
# A new epoch (`ARGV[8]`) refuses what was sent before and comes after. It may be there already: from a save that was
# done and not answered.
SAVE = """
local there, holder = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'holder'))
local known = there == ARGV[1] or (there == ARGV[8] and holder == ARGV[9])
if there and not known then return 'lost' end
redis.call('HSET', KEYS[1], 'epoch', ARGV[8], 'owner', ARGV[5], 'next', ARGV[6], 'record', ARGV[7])
redis.call('DEL', KEYS[2])
keep(ARGV[2], ARGV[3], ARGV[4])
return 'done'
"""


class Leases:
    """The scripts as functions, for one holder. All raise redis.RedisError where Redis does not answer."""

    def __init__(self, client: Redis, holder: str, seconds: float) -> None:
        """`seconds` is how long a stream is kept that nobody asks for."""
        self._holder, self._lasts = holder, LEASE_MS + round(1000 * seconds)
        script = client.register_script
        self._look, self._take, self._append, self._renew, self._save = (
            script(PRELUDE + text) for text in (LOOK, TAKE, APPEND, RENEW, SAVE)
        )

    async def look(self, identity: str) -> tuple[State, str, str]:
        """Held, free, missing or settling; the holder; the owner."""
        state, holder, owner = await self._look(keys=_keys(identity))
        return State(state.decode()), holder.decode(), owner.decode()

    async def take(self, identity: str, wanted: int, gone: str) -> Taken | None:
        """The stream, unless somebody holds it. `wanted` is the sequence that its client sends, -1 for none."""
        state, *rest = await self._take(keys=_keys(identity), args=[self._holder, wanted, gone, LEASE_MS])
        return Taken(*rest) if state == b"done" else None

    async def append(self, identity: str, epoch: int, ask: bytes, after: int) -> State:
        """Note what is about to be applied; `after` it the stream waits for that sequence."""
        return _state(await self._append(keys=_keys(identity), args=[*self._terms(epoch), ask, after]))

    async def renew(self, identity: str, epoch: int, release: bool = False) -> State:
        """Hold the stream for longer, or no more."""
        return _state(await self._renew(keys=_keys(identity), args=self._terms(epoch, release)))

    async def save(
        self, identity: str, epochs: tuple[int, int], owner: str, after: int, record: bytes, release: bool = False
    ) -> State:
        """Replace the record, and forget what was asked before it. `epochs`: the one that is, and the one to be."""
        args = [*self._terms(epochs[0], release), owner, after, record, epochs[1], self._holder]
        return _state(await self._save(keys=_keys(identity), args=args))

    def _terms(self, epoch: int, release: bool = False) -> list[Any]:
        return [epoch, "" if release else self._holder, 0 if release else LEASE_MS, self._lasts]


def _keys(identity: str) -> list[str]:
    return [f"gtcrn:{{{identity}}}", f"gtcrn:{{{identity}}}:asked"]


def _state(answer: bytes) -> State:
    return State(answer.decode())
