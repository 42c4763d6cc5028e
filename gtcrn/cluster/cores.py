"""The cores of the Ray that is connected: how much they can be given, and what comes back."""

import time
from typing import TYPE_CHECKING, Any

from gtcrn.errors import GtcrnError

if TYPE_CHECKING:
    import ray

RETRIES = 3  # of a task whose worker or machine died, by Ray
AHEAD = 2  # tasks for each core, at work and waiting
CPUS_SECONDS = 1.0  # for which the number of the cluster's cores is taken to hold


class Cores:
    """How many there are, which may change."""

    def __init__(self, ahead: int = AHEAD) -> None:
        self._ahead, self._cpus, self._asked = ahead, 0, 0.0

    def room(self, running: int) -> int:
        """Tasks that may be handed out beside those that run."""
        if not self._asked or time.monotonic() - self._asked > CPUS_SECONDS:
            self._cpus, self._asked = count(), time.monotonic()
        return max(self._ahead * max(self._cpus, 1) - running, 0)


def count() -> int:
    """Cores of all machines together."""
    import ray

    return int(ray.cluster_resources().get("CPU", 0))  # type: ignore[no-untyped-call]


def result(done: "ray.ObjectRef[Any]") -> Any:
    """Of a task; None where its process or machine died each time. Raises the GtcrnError that the task raised, one
    that says so for anything else."""
    import ray

    try:
        return ray.get(done)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.NodeDiedError, ray.exceptions.OutOfMemoryError):
        return None
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None)
        if isinstance(cause, GtcrnError):
            raise cause from error
        words = str(error).strip().splitlines()[-1].rstrip(".")
        raise GtcrnError(f"the cluster cannot do this: {words} (every machine needs this version of gtcrn).") from error
