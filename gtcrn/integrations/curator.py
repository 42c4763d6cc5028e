"""A stage for audio pipelines of NeMo Curator: `stages=[ManifestReader("in.jsonl"), GtcrnStage("clean"), ...]`."""

import contextlib
import os
import time
from dataclasses import dataclass

from loguru import logger
from nemo_curator.backends.base import WorkerMetadata
from nemo_curator.stages.base import ProcessingStage
from nemo_curator.tasks import AudioTask

from gtcrn.denoiser import load
from gtcrn.errors import AudioError, ConfigError, GtcrnError
from gtcrn.recording import denoise_file


@dataclass
class GtcrnStage(ProcessingStage[AudioTask, AudioTask]):
    """Denoises each task's file and passes the task on with the clean file's name; offsets and durations stay true.

    Outputs are those of `gtcrn denoise`, below `output_folder` by the names that inputs have below `input_root`. A file
    that is no good is logged and leaves the pipeline, as a task does that a filter of Curator refuses; a full disk ends
    it. A recording that several tasks are cut from is denoised once, or by each worker that meets it at the same time.
    `skip_existing` also takes an earlier run's outputs that are newer than their inputs, whatever weights and options
    made them. Raises ConfigError for an input outside `input_root`. `weights`, `attenuation_limit` (dB) and
    `keep_highs` are those of `gtcrn.load` and `gtcrn.denoise_file`.
    """

    output_folder: str
    input_root: str = os.sep
    weights: str | None = None
    attenuation_limit: float | None = None
    audio_filepath_key: str = "audio_filepath"
    name: str = "GtcrnStage"
    keep_highs: bool = False
    skip_existing: bool = False

    def __post_init__(self) -> None:
        """Relative paths count from where the pipeline is made, not from where its workers are."""
        self.output_folder, self.input_root = map(os.path.abspath, (self.output_folder, self.input_root))
        self._begun = time.time()

    def inputs(self) -> tuple[list[str], list[str]]:
        return [], [self.audio_filepath_key]

    def outputs(self) -> tuple[list[str], list[str]]:
        return [], [self.audio_filepath_key]

    def setup(self, worker_metadata: WorkerMetadata | None = None) -> None:
        self._denoiser = load(self.weights)

    def process(self, task: AudioTask) -> AudioTask | None:
        source = os.path.abspath(task.data[self.audio_filepath_key])
        relative = os.path.relpath(source, self.input_root)
        if relative.startswith(os.pardir):
            raise ConfigError(f"{source} is not below the stage's input_root, {self.input_root}.")
        target = os.path.join(self.output_folder, relative)
        if not self._made(source, target) and not self._make(source, target):
            return None
        task.data[self.audio_filepath_key] = target
        return task

    def _made(self, source: str, target: str) -> bool:
        """Whether the output is there: of this run, or of an earlier one where those are taken."""
        with contextlib.suppress(OSError):
            oldest = 0 if self.skip_existing else self._begun
            return os.path.getmtime(target) > max(oldest, os.path.getmtime(source))
        return False

    def _make(self, source: str, target: str) -> bool:
        try:
            limit, highs = self.attenuation_limit, self.keep_highs
            denoise_file(source, target, self._denoiser, attenuation_limit=limit, keep_highs=highs)
        except AudioError as error:
            logger.warning(str(error))
            return False
        except GtcrnError:  # another worker, with a task of the same recording, may have been first
            if not self._made(source, target):
                raise
        return True
