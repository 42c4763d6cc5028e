"""REST streams that any worker of any host can serve: hot in one of them, which holds a lease in Redis.

Whoever gets a request for another's stream asks the holder by letter, or takes the stream over where there is none.
What a request does to a stream is noted in Redis before it is applied, and the stream is saved now and then: whoever
takes it over applies what was noted since, so that nothing is lost or applied twice. While Redis is away, streams go on
where they are, and are saved when it is back.
"""

import asyncio
import logging
from time import monotonic

from redis.exceptions import RedisError

from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.service import Service
from gtcrn_server.streams.held import Ask, Held, Reply, away, late, unknown
from gtcrn_server.streams.leases import LEASE_MS, REDIS_SECONDS, Leases, State, Taken, connect
from gtcrn_server.streams.letters import Letters, end
from gtcrn_server.streams.outage import Outage
from gtcrn_server.streams.records import Leased, restore, sealed
from gtcrn_server.streams.saved import seal

PATIENCE_SECONDS = 5.0  # for a stream that changes hands
PAUSE_SECONDS = 0.05  # between two looks at it
RENEW_SECONDS = LEASE_MS / 3000
LOOK_SECONDS = 0.2  # between two looks at which streams are to be saved


class SharedStreams:
    """The streams that this worker holds, and its way to all others."""

    def __init__(self, service: Service, url: str) -> None:
        self._service, self._every = service, service.settings.save_seconds
        self._client = connect(url, REDIS_SECONDS)
        self._post = connect(url, None)  # it listens for hours
        self._letters = Letters(self._client, self._post, service.state_keys, self._answer)
        self._leases = Leases(self._client, self._letters.name, service.settings.idle_seconds)
        self._hot: dict[str, Leased] = {}
        self._over: dict[str, Leased] = {}  # ended or expired, to be saved once more
        self._events = service.telemetry.shared
        self._outage = Outage(self._events)

    async def start(self) -> None:
        self._letters.start()
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        await end(self._keeping)
        await self._letters.stop()
        await self._client.aclose()
        await self._post.aclose()

    async def leave(self) -> None:
        """Whoever is asked next has them; while Redis is away they stay."""
        for leased in list(self._hot.values()):
            await self._keep_one(leased)
            if leased.adrift:
                return

    async def put(self, held: Held) -> None:
        leased = Leased(held, 1)
        await self._save(leased)
        if leased.adrift:
            raise away()
        self._hot[held.identity] = leased

    def expire(self, touched: float, opened: float) -> None:
        for leased in [each for each in self._hot.values() if late(each.held, touched, opened)]:
            leased.held.close("expired")
            self._drop(leased)
            self._over[leased.held.identity] = leased

    async def ask(self, ask: Ask) -> Reply:
        """Here, by letter, or after a hand-over. Raises ServiceError (503) while Redis is away, too."""
        deadline = monotonic() + PATIENCE_SECONDS
        while monotonic() < deadline:
            try:
                leased = self._find(ask.identity)
                reply = await (self._here(leased, ask) if leased else self._elsewhere(ask))
            except (RedisError, OSError) as error:
                self._outage.tell(error)
                raise away() from error
            if reply:
                return reply
        raise away()

    async def _answer(self, ask: Ask) -> Reply:
        """To a letter: only of what is hot here."""
        leased = self._find(ask.identity)
        if leased and (reply := await self._here(leased, ask)):
            return reply
        raise ServiceError(Kind.ELSEWHERE, "The stream is not here.")

    async def _here(self, leased: Leased, ask: Ask) -> Reply | None:
        """None where the stream turns out to be another's by now."""
        held = leased.held
        if held.owner != ask.owner:
            raise unknown()
        held.touched = monotonic()
        async with held.lock:
            if not self._has(leased):
                return None
            try:
                if held.changed_by(ask):
                    await self._note(leased, ask)
            except ServiceError:  # true of a stream that is still ours
                await self._renew(leased)
                if self._has(leased):
                    raise
            if not self._has(leased):
                return None
            reply = await held.obey(ask)
            if held.state == "ended":
                self._over[ask.identity] = self._hot.pop(ask.identity, leased)
                await self._save_over(leased)
        return reply

    async def _elsewhere(self, ask: Ask) -> Reply | None:
        """By letter, or None: the stream is here now, or is looked for once more."""
        state, holder, owner = await self._leases.look(ask.identity)
        if state is State.MISSING or (owner and owner != ask.owner):
            raise unknown()
        gone = ""
        if state is State.HELD:
            try:
                if reply := await self._letters.ask(holder, ask):
                    self._events["forwarded"] += 1
                    return reply
                gone = holder if ask.verb == "frames" else ""
            except TimeoutError:
                return None
            except ServiceError as error:
                if error.kind is not Kind.ELSEWHERE:
                    raise
        if (state is State.FREE or gone) and (reply := await self._take(ask, gone)):
            return reply
        if ask.identity not in self._hot:
            await asyncio.sleep(PAUSE_SECONDS)
        return None

    async def _take(self, ask: Ask, gone: str) -> Reply | None:
        """Have the stream here, if it can be had; a reply where it is over."""
        place = self._service.admit("rest", ask.client)
        held, taken = Held(ask.identity, ask.owner, None, place, 0.0, monotonic()), None
        try:
            if taken := await self._leases.take(ask.identity, ask.sequence, gone):
                self._events["taken"] += 1
                await restore(self._service, held, taken)
        except BaseException:
            await self._give_back(held, taken)
            raise
        if taken and held.live:
            self._hot[ask.identity] = Leased(held, taken.epoch, changed=True)
            return None
        await self._give_back(held, taken)
        return await held.obey(ask) if taken else None

    async def _give_back(self, held: Held, taken: Taken | None) -> None:
        held.let_go()
        if taken:
            await self._leases.renew(held.identity, taken.epoch, release=True)

    async def _note(self, leased: Leased, ask: Ask) -> None:
        """Before it is applied: so that it is applied again where this worker is gone after it."""
        held, leased.changed = leased.held, True
        leased.adrift |= self._outage.now
        if leased.adrift:
            return
        after = held.sequence + (ask.verb == "frames")
        with self._outage.survived_by(leased):
            entry = seal(ask, ask.body, self._service.state_keys)
            self._heed(leased, await self._leases.append(held.identity, leased.epoch, entry, after))

    async def _save(self, leased: Leased, release: bool = False) -> None:
        held = leased.held
        with self._outage.survived_by(leased):
            epoch = leased.epoch + leased.adrift  # what was sent before may come to Redis yet
            record = sealed(held, self._service.state_keys)
            terms = held.identity, (leased.epoch, epoch), held.owner, held.sequence
            state = await self._leases.save(*terms, record, release=release)
            self._heed(leased, state)
            if state is not State.LOST:
                leased.kept(epoch)
                self._events["saved"] += 1

    async def _save_over(self, leased: Leased) -> None:
        """For the last time; while Redis is away it stays here."""
        await self._save(leased, release=True)
        if not leased.adrift:
            self._over.pop(leased.held.identity, None)

    def _heed(self, leased: Leased, state: State) -> None:
        if state is State.LOST:
            self._events["lost"] += 1
            self._drop(leased)
        elif state is State.MISSING:
            leased.adrift = True

    def _has(self, leased: Leased) -> bool:
        return self._find(leased.held.identity) is leased

    def _find(self, identity: str) -> Leased | None:
        return self._hot.get(identity) or self._over.get(identity)

    def _drop(self, leased: Leased) -> None:
        for streams in (self._hot, self._over):
            streams.pop(leased.held.identity, None)
        leased.held.let_go()

    async def _keep(self) -> None:
        """Save what has changed, and keep the leases of the rest; after Redis was away, what it lacks at once."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self._client.ping()
                await self._keep_all()
            except (RedisError, OSError) as error:
                self._outage.tell(error)
            except Exception:  # of one stream; the others need their leases
                logging.getLogger(__name__).exception("a shared stream could not be saved")

    async def _keep_all(self) -> None:
        for leased in [*self._over.values(), *self._hot.values()]:
            await (self._save_over(leased) if leased.held.live is None else self._keep_one(leased))
            if leased.adrift:
                return

    async def _keep_one(self, leased: Leased) -> None:
        held, leaving, now = leased.held, self._service.leaving, monotonic()
        to_save = leased.adrift or leaving or (leased.changed and now - leased.saved > self._every)
        if not to_save and now - leased.renewed < RENEW_SECONDS:
            return
        if held.lock.locked():  # by a request that may take long: the others wait for their leases, too
            if not leased.adrift:
                await self._renew(leased)
            return
        async with held.lock:
            if not self._has(leased):
                return
            await (self._save(leased, release=leaving) if to_save else self._renew(leased))
            if leaving and not leased.adrift:
                self._drop(leased)

    async def _renew(self, leased: Leased) -> None:
        with self._outage.survived_by(leased):
            self._heed(leased, await self._leases.renew(leased.held.identity, leased.epoch))
            leased.renewed = monotonic()
