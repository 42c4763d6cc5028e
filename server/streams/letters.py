"""Questions from worker to worker, on one host or several, through Redis: each listens on a channel of its own."""

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel, ConfigDict
from redis.asyncio import Redis
from redis.exceptions import RedisError

from gtcrn_server.errors import Kind, ServiceError
from gtcrn_server.streams.held import Ask, Reply
from gtcrn_server.streams.saved import seal, unseal

ANSWER_SECONDS = 1.0  # for a letter's answer
PAUSE_SECONDS = 0.2  # until the channel is listened to again
Answer = Callable[[Ask], Awaitable[Reply]]


class Letter(BaseModel):
    """A question, or the answer to the sender's question of this number."""

    model_config = ConfigDict(frozen=True)

    sender: str
    number: int
    ask: Ask | None = None
    reply: Reply | None = None
    refusal: tuple[str, str] | None = None  # name of its kind, sentence


class Letters:
    """The post of one worker."""

    def __init__(self, client: Redis, post: Redis, keys: tuple[bytes, ...], answer: Answer) -> None:
        """`post` listens; `answer` answers the questions of others; letters are signed with the first of `keys`."""
        self.name = secrets.token_hex(8)
        self._client, self._post, self._keys, self._answer = client, post, keys, answer
        self._numbers = itertools.count()
        self._open: dict[int, asyncio.Future[Reply]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._run(self._listen())

    async def stop(self) -> None:
        await end(*self._tasks)

    async def ask(self, name: str, ask: Ask) -> Reply | None:
        """What worker `name` replies, None where nobody listens by that name.

        Raises ServiceError as that worker does, TimeoutError where it is silent.
        """
        number, future = next(self._numbers), asyncio.get_running_loop().create_future()
        self._open[number] = future
        try:
            if not await self._send(name, Letter(sender=self.name, number=number, ask=ask), ask.body):
                return None
            async with asyncio.timeout(ANSWER_SECONDS):
                reply: Reply = await future
                return reply
        finally:
            del self._open[number]

    async def _listen(self) -> None:
        while True:
            with contextlib.suppress(RedisError, OSError):
                async with self._post.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(_channel(self.name))
                    async for message in channel.listen():
                        self._receive(message["data"])
            await asyncio.sleep(PAUSE_SECONDS)

    def _receive(self, data: bytes) -> None:
        with contextlib.suppress(ServiceError, ValueError, KeyError):  # of others, or of another version
            letter, body = unseal(Letter, data, self._keys)
            if letter.ask:
                self._run(self._reply(letter, letter.ask.model_copy(update={"body": body})))
            elif (future := self._open.get(letter.number)) and not future.done():
                _settle(future, letter, body)

    async def _reply(self, letter: Letter, ask: Ask) -> None:
        answer: dict[str, Any] = {"sender": self.name, "number": letter.number}
        body = b""
        try:
            reply = await self._answer(ask)
            answer["reply"], body = reply, reply.body
        except ServiceError as error:
            answer["refusal"] = error.kind.name, str(error)
        with contextlib.suppress(RedisError, OSError):
            await self._send(letter.sender, Letter(**answer), body)

    async def _send(self, name: str, letter: Letter, body: bytes) -> int:
        """How many listen."""
        heard: int = await self._client.publish(_channel(name), seal(letter, body, self._keys))
        return heard

    def _run(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def end(*tasks: "asyncio.Task[None]") -> None:
    """Cancel them; who does not heed that in time is left behind."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=ANSWER_SECONDS)


def _channel(name: str) -> str:
    return f"gtcrn:to:{name}"


def _settle(future: "asyncio.Future[Reply]", letter: Letter, body: bytes) -> None:
    if letter.refusal:
        future.set_exception(ServiceError(Kind[letter.refusal[0]], letter.refusal[1]))
    elif letter.reply:
        future.set_result(letter.reply.model_copy(update={"body": body}))
