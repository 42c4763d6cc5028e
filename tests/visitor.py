"""What visitors of the pages have: recordings of their own, and programs, some of which stand in for the real ones.

What a test machine lacks has a stand-in: microphone, speakers (`gtcrn live` too), pip, several devices, and time.
`gtcrn train` takes four steps, `gtcrn evaluate` computes one measure, the service listens on a free port and is there
when the next line runs.
"""

import shutil
import sys
from pathlib import Path

import numpy as np
import soundfile
from audio_trees import dns_tree, hiss, save, vctk_tree, voice
from serving import pcm, speech

ROOT = Path(__file__).resolve().parent.parent

STAND_INS = {
    "pip": "exit 0",
    "pytest": "exit 0",
    "uv": 'shift && "$@"',
    "torchrun": 'shift 3 && "$@"',
    "arecord": 'case "$*" in *"-t raw"*) head -c 96000 /dev/zero ;; *) cat samples/noisy.wav ;; esac',
    "aplay": "cat > /dev/null",
    "curl": '{curl} --retry 60 --retry-delay 1 --retry-connrefused -s "$@"',
    "gtcrn": """case "$1" in
        prepare) set -- "${{@/#2000/2}}" && {gtcrn} "${{@/#0.01/0.5}}" --jobs 1 ;;
        serve) timeout 900 {gtcrn} "$@" --port {port} >> serve.log 2>&1 & echo $! >> serve.pid ;;
        train) {gtcrn} "$@" --set=train.{{steps=4,warmup=1,batch=2,validate_every=2,log_every=1}} \\
            --set=train.{{select=si_sdr,score_every=0}} --set=data.segment_seconds=1 --device cpu ;;
        evaluate) {gtcrn} "$@" $(case "$*" in *--clean*) echo --metrics pesq ;; esac) --jobs 1 ;;
        live) exit 0 ;;
        *) {gtcrn} "$@" ;;
        esac""",
}


def programs(folder: Path, port: int) -> Path:
    """A folder of them, for the path; the service is on `port`."""
    places = {"curl": shutil.which("curl"), "gtcrn": Path(sys.executable).parent / "gtcrn", "port": port}
    folder.mkdir()
    for name, script in STAND_INS.items():
        (folder / name).write_text("#!/usr/bin/env bash\n" + script.format(**places) + "\n")
        (folder / name).chmod(0o755)
    return folder


def visit_project(folder: Path) -> None:
    """The samples, a film, a memo, and 60 speakers and noises, so that a fiftieth of them can be held out."""
    from films import KINDS, make  # skips where PyAV is not installed

    shutil.copytree(ROOT / "samples", folder / "samples")
    for name in ("talk.mp4", "memo.m4a"):
        make(folder / name, *KINDS[name])
    _corpus(folder / "my/speech", folder / "my/noise")
    _pairs(folder / "my/test")


def visit_recipes(folder: Path) -> None:
    """Small trees of the corpora that the page names."""
    dns_tree(folder / "DNS-Challenge", "datasets/clean", "datasets/noise")
    dns_tree(folder / "DNS-Challenge", "datasets_fullband/clean_fullband", "datasets_fullband/noise_fullband")
    for i in range(3):  # what is not held out is longer than an item
        save(folder / f"DNS-Challenge/datasets/noise/fan{i}_Freesound_validated_{i}_0.wav", hiss(3.0, seed=i))
    vctk_tree(folder / "VCTK-DEMAND")
    _corpus(folder / "LibriSpeech/train-clean-360", folder / "noises")
    save(folder / "rooms/hall.wav", np.r_[np.zeros(400), 0.5, np.zeros(300), 0.2])
    for name in ("recordings/valid", "data/test"):
        _pairs(folder / name)
    save(folder / "outputs/of/another/program/a.wav", voice())


def visit_service(folder: Path) -> None:
    """A recording as WAV and as PCM."""
    (folder / "noisy.s16").write_bytes(pcm(speech(1)))
    soundfile.write(folder / "noisy.wav", speech(1).T, 16_000)


def visit_kernel(folder: Path) -> None:
    """The sources of the library and of its examples, and PCM; what is installed goes below this folder."""
    for room in ("gtcrn/kernel", "gtcrn/ports/examples"):
        shutil.copytree(ROOT / room, folder / room, ignore=shutil.ignore_patterns("build", "*.so", "__pycache__"))
    (folder / "noisy.s16").write_bytes(pcm(speech(1, sample_rate=48_000, channels=2)))


def _corpus(speech: Path, noise: Path, groups: int = 60) -> None:
    for index in range(groups):
        save(speech / f"{index}/{index}/a.wav", voice(seed=index))
        save(noise / f"{chr(97 + index // 26)}{chr(97 + index % 26)}.wav", hiss())


def _pairs(folder: Path) -> None:
    for kind, loudness in (("clean", 0.0), ("noisy", 1.0)):
        save(folder / kind / "a.wav", voice() + loudness * hiss())
