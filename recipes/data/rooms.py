"""Room responses that nobody had to measure: shoe boxes of many sizes and surfaces, simulated by pyroomacoustics.

Image sources for the early reflections and ray tracing for the tail, six octave bands, absorption by the air. A room is
drawn from its seed and its number alone, so a run can be interrupted, repeated, enlarged, and shared among processes.
"""

from functools import partial
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from gtcrn.config import SAMPLE_RATE
from gtcrn.errors import needs
from gtcrn_recipes.data.intake import Taken, shape_response, to_int16
from gtcrn_recipes.data.prepare import Summary, keep
from gtcrn_recipes.data.shards import CLIP_FIELDS, ShardWriter
from gtcrn_recipes.parallel import Jobs, shown

Float = npt.NDArray[np.float64]

SET = "simulated"
SIZES_M = ((2.5, 12.0), (2.2, 8.0), (2.2, 4.0))  # length, width, height
REVERBERATION_S = (0.15, 1.0)  # RT60; a room too large for what was drawn takes the shortest that it can have
ABSORPTION = (0.02, 0.95)  # of a wall, at any frequency
TILT = (-0.1, 0.35)  # natural logarithm of absorption per octave: most surfaces take more of the highs
WALL_SPREAD = 0.5  # standard deviation of the logarithm of a wall's absorption
SCATTERING = (0.05, 0.4)
DISTANCE_M = (0.3, 3.5)  # from mouth to microphone
HEIGHT_M = (0.7, 1.8)  # of both
MARGIN_M = 0.3  # to the walls
BANDS_HZ = (125, 250, 500, 1000, 2000, 4000)
IMAGE_ORDER = 10  # reflections that are exact; the rays do the rest
RAYS = 3000


class Room(NamedTuple):
    """A shoe box: metres, absorption (6 walls, bands) and scattering of the walls."""

    size: Float  # (3,)
    mouth: Float  # (3,)
    microphone: Float  # (3,)
    absorption: Float
    scattering: float


def simulate(out: Path, count: int, seed: int = 1, jobs: Jobs = 1) -> Summary:
    """Bring the simulated rooms of `out` to `count`, one response each. Raises ConfigError without pyroomacoustics."""
    library()
    with ShardWriter(out / "rir", CLIP_FIELDS) as writer:
        names = {number: f"{SET}/{seed}-{number:05d}" for number in range(count)}
        todo = [number for number, name in names.items() if name not in writer.known]
        summary = Summary(f"rir/{SET}", present=count - len(todo))
        for number, taken in shown(partial(response, seed), todo, jobs, "rooms"):
            row: dict[str, object] = {"set": SET, "speaker": names[number], "split": "train", "path": names[number]}
            keep(writer, taken, row, len(taken.samples), summary)
    return summary


def library() -> ModuleType:
    with needs("rooms", "--simulate-rooms"):
        import pyroomacoustics
    module: ModuleType = pyroomacoustics
    return module


def response(seed: int, number: int) -> Taken:
    """The response of one room, as one taken from a file: from 1 ms before its onset on, peak 0.9."""
    pra, random = library(), np.random.default_rng((seed, number))
    room = draw_room(random)
    pra.random.seed(int(random.integers(2**31)))
    walls = ("west", "east", "south", "north", "floor", "ceiling")
    materials = {wall: material(pra, room, absorption) for wall, absorption in zip(walls, room.absorption, strict=True)}
    box = pra.ShoeBox(
        room.size, SAMPLE_RATE, materials=materials, max_order=IMAGE_ORDER, ray_tracing=True, air_absorption=True
    )
    box.set_ray_tracing(n_rays=RAYS, receiver_radius=0.5)
    box.add_source(room.mouth)
    box.add_microphone(room.microphone)
    box.compute_rir()
    return Taken(to_int16(shape_response(np.asarray(box.rir[0][0], np.float32))))


def material(pra: ModuleType, room: Room, absorption: Float) -> object:
    bands = list(BANDS_HZ)
    return pra.Material(
        energy_absorption={"coeffs": absorption.tolist(), "center_freqs": bands},
        scattering={"coeffs": [room.scattering] * len(bands), "center_freqs": bands},
    )


def draw_room(random: np.random.Generator) -> Room:
    size = np.array([random.uniform(*span) for span in SIZES_M])
    mean = absorption_for(random.uniform(*REVERBERATION_S), size)
    octaves = np.log2(np.array(BANDS_HZ) / 1000)
    logarithm = np.log(mean) + random.normal(0, WALL_SPREAD, (6, 1)) + random.uniform(*TILT, (6, 1)) * octaves
    mouth, microphone = places(size, random)
    return Room(size, mouth, microphone, np.exp(logarithm).clip(*ABSORPTION), random.uniform(*SCATTERING))


def absorption_for(seconds: float, size: Float) -> float:
    """Mean absorption of the walls for a reverberation time, by Sabine; within what walls can have."""
    length, width, height = map(float, size)
    surface = 2 * (length * width + width * height + length * height)
    return float(np.clip(0.161 * length * width * height / (surface * seconds), *ABSORPTION))


def places(size: Float, random: np.random.Generator) -> tuple[Float, Float]:
    """Mouth and microphone, DISTANCE_M apart on the floor plan where the room is large enough; away from the walls."""
    low = np.array([MARGIN_M, MARGIN_M, HEIGHT_M[0]])
    high = np.array([*(size[:2] - MARGIN_M), min(HEIGHT_M[1], float(size[2]) - MARGIN_M)])
    mouth = random.uniform(low, high)
    angle, distance = random.uniform(0, 2 * np.pi), random.uniform(*DISTANCE_M)
    step = distance * np.array([np.cos(angle), np.sin(angle), 0])
    inward = np.where((mouth + step < low) | (mouth + step > high), -step, step)  # a wall turns the step round
    microphone = (mouth + inward).clip(low, high)
    microphone[2] = random.uniform(low[2], high[2])
    return mouth, microphone
