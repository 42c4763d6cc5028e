"""Load generator: many paced streams against a service on this machine, and what came back.

    python -m gtcrn_server.load --streams 100 --seconds 60 --pid $(pgrep -of 'gtcrn serve')
    python -m gtcrn_server.load --calls --bot-port 9000 --streams 50    # GTCRN_CALL_BOT=ws://127.0.0.1:9000 gtcrn serve

Bounded: at most 1000 streams, 10 minutes, loopback addresses only. Give it another core than the service's (taskset).
"""

import asyncio
import contextlib
import gc
import math
import multiprocessing
import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray

from gtcrn_server.load.calls import Call, taking_calls
from gtcrn_server.load.client import Client, Plan, Tally
from gtcrn_server.load.hostile import ATTACKS, attack
from gtcrn_server.transports.call import PHONE_RATE

MAX_STREAMS = 1000
MAX_SECONDS = 600
DISTINCT = 97  # different messages that are sent in turn
TICK_SECONDS = 0.001  # between two looks at what is due to be sent
LATE_MS = 20.0  # an answer later than this is counted as late


def speech_like(plan: Plan, wrap: Callable[[bytes], bytes]) -> list[bytes]:
    """Messages of PCM16 noise whose level rises and falls at the rate of syllables."""
    n = DISTINCT * plan.chunk
    envelope = np.abs(np.sin(2 * np.pi * 4 * np.arange(n) / plan.sample_rate))
    samples = (np.random.default_rng(0).standard_normal(n) * envelope * 3000).astype("<i2")
    return [wrap(part.tobytes()) for part in np.split(samples, DISTINCT)]


async def run(plan: Plan, pid: int = 0) -> Tally:
    """Open all streams, pace them over `plan.seconds`, end them; their phases are spread over one period.

    `pid` is the service's process, whose processor time and memory are measured; 0: neither.
    """
    check(plan)
    tally, kind = Tally(), Call if plan.bot_port else Client
    messages, before = speech_like(plan, kind.wrap), resident_bytes(pid)
    clients = [kind(plan, tally, messages) for _ in range(plan.streams)]
    async with taking_calls(plan, clients):
        await _converse(plan, tally, clients, pid, before)
    return tally


async def _converse(plan: Plan, tally: Tally, clients: Sequence[Client], pid: int, before: int) -> None:
    loop = asyncio.get_running_loop()
    for client in clients:
        await loop.create_connection(lambda: client, plan.host, plan.port)  # noqa: B023 (called here)
    opened = [client for client in clients if await asyncio.wait_for(client.ready, 30)]
    start = time.monotonic() + 0.5
    for i, client in enumerate(opened):
        client.begin = start + plan.period * i / len(opened)
    pacing = asyncio.ensure_future(_pace(opened))
    await asyncio.gather(_measure(plan, tally, pid, before), pacing)
    await asyncio.wait([client.closed for client in clients], timeout=30)


async def _pace(clients: list[Client]) -> None:
    """Let each send what is due, looking once a millisecond: all have one period, so their order never changes."""
    queue = deque(clients)
    while queue:
        now = time.monotonic()
        while queue and queue[0].due <= now:
            client = queue.popleft()
            if client.step():
                queue.append(client)
        await asyncio.sleep(TICK_SECONDS)


async def _measure(plan: Plan, tally: Tally, pid: int, before: int) -> None:
    """Processor time while all streams run, which is all but the first second."""
    await asyncio.sleep(min(1.0, plan.seconds / 2))
    used, answered, clock = cpu_seconds(pid), tally.answered, time.monotonic()
    await asyncio.sleep(max(0.1, plan.seconds - 1.5))
    used, answered = cpu_seconds(pid) - used, tally.answered - answered
    tally.share = used / (time.monotonic() - clock)
    tally.cost = used / answered if pid and answered else math.nan
    tally.resident = (before, resident_bytes(pid))


def check(plan: Plan) -> None:
    """Refuse what this tool is not for: other machines, endless or boundless runs."""
    if plan.host not in ("127.0.0.1", "::1", "localhost"):
        raise ValueError(f"host must be a loopback address, not {plan.host}.")
    if not 1 <= plan.streams <= MAX_STREAMS or not 0 < plan.seconds <= MAX_SECONDS:
        raise ValueError(f"streams must be 1 to {MAX_STREAMS} and seconds at most {MAX_SECONDS}.")
    if plan.chunk < 1:
        raise ValueError("a message must have at least one sample: raise --chunk-ms or --sample-rate.")


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used so far (Linux); 0 for no process."""
    if not pid:
        return 0.0
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Memory a process holds (Linux); 0 for no process."""
    if not pid:
        return 0
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def percentiles(seconds: list[float]) -> NDArray[np.float64]:
    """p50, p99 and maximum in ms."""
    values: NDArray[np.float64] = np.percentile(seconds or [float("nan")], [50, 99, 100])
    return values * 1000


def report(plan: Plan, tally: Tally) -> str:
    """One line a figure."""
    p50, p99, worst = percentiles(tally.delays)
    _, own, own_worst = percentiles(tally.lateness)
    grown = tally.resident[1] - tally.resident[0]
    late = sum(delay * 1000 > LATE_MS for delay in tally.delays)
    cost = "unknown" if math.isnan(tally.cost) else f"{1e6 * tally.cost:.0f} us"
    return (
        f"streams   {plan.streams} asked, {tally.finished} finished, {tally.refused} refused, "
        f"{len(tally.failed)} failed\n"
        f"answers   {len(tally.delays)}, later than {LATE_MS:g} ms: {late}, samples missing: {tally.missing}\n"
        f"delay     p50 {p50:.2f} ms, p99 {p99:.2f} ms, max {worst:.2f} ms "
        f"(of these the generator: p99 {own:.2f} ms, max {own_worst:.2f} ms)\n"
        f"service   {tally.share:.1%} of a core, {cost} a message, "
        f"{tally.resident[1] / 2**20:.1f} MiB, {grown / plan.streams / 1024:.0f} KiB a stream"
    )


def main(
    streams: Annotated[int, typer.Option(help="Concurrent streams.")] = 100,
    seconds: Annotated[float, typer.Option(help="Length of the run.")] = 20.0,
    port: Annotated[int, typer.Option(help="Port of the service on this machine.")] = 8000,
    sample_rate: Annotated[int, typer.Option(help="Hz.")] = 16_000,
    chunk_ms: Annotated[float, typer.Option(help="Audio in one message.")] = 20.0,
    pid: Annotated[int, typer.Option(help="Process of the service: its processor time and memory are shown.")] = 0,
    calls: Annotated[bool, typer.Option("--calls", help="Twilio's calls, in place of streams.")] = False,
    bot_port: Annotated[int, typer.Option(help="Their bot's: GTCRN_CALL_BOT=ws://127.0.0.1:PORT.")] = 9000,
    hostile: Annotated[str, typer.Option(help=f"A hostile client beside them: {', '.join(ATTACKS)}.")] = "",
) -> None:
    """Load the service on this machine with paced PCM16 streams, or with calls of 8 kHz mu-law."""
    if calls:
        sample_rate = PHONE_RATE
    plan = Plan(port=port, streams=streams, seconds=seconds, sample_rate=sample_rate)
    plan = replace(plan, chunk=round(sample_rate * chunk_ms / 1000))
    plan = replace(plan, path="/v1/twilio", bot_port=bot_port) if calls else plan
    if hostile and hostile not in ATTACKS:
        raise typer.BadParameter(f"there is no hostile client {hostile}, but {', '.join(ATTACKS)}.")
    try:
        check(plan)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    gc.freeze()
    with beside(hostile, port), asyncio.Runner(loop_factory=_loop) as runner:
        typer.echo(report(plan, runner.run(run(plan, pid))))


@contextlib.contextmanager
def beside(hostile: str, port: int) -> Iterator[None]:
    """A hostile client, if it has a name, while the block lasts."""
    process = multiprocessing.get_context("spawn").Process(target=attack, args=(hostile, port), daemon=True)
    if hostile:
        process.start()
        time.sleep(1.0)
    try:
        yield
    finally:
        if hostile:
            process.kill()


def _loop() -> asyncio.AbstractEventLoop:
    """uvloop where it is installed: the load must cost less than what it measures."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
