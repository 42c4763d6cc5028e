"""A corpus: inputs of any number to outputs, a manifest of what became of each, and the lists that came in anew."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields

from gtcrn.denoiser import Denoiser, load
from gtcrn.errors import needs
from gtcrn.outcome import DenoiseOptions, Outcome, Scoring
from gtcrn.recording import suffix_of

with needs("cluster"):
    from gtcrn.cluster import connection, places, tasks
    from gtcrn.cluster.items import Corpus
    from gtcrn.cluster.record import MEMBER, Record, key
    from gtcrn.cluster.shards import is_shard

MANIFEST = "manifest.parquet"


@dataclass
class Summary:
    """What a run did: recordings that were `written`, `failed` (`refused`, where the data were at fault) or `skipped`,
    `seconds` of audio; the `manifest`'s place; `planned` and `done` count files, a shard as one. `left_out`: for each
    list that came in, rows without an output."""

    manifest: str
    planned: int = 0
    done: int = 0
    written: int = 0
    failed: int = 0
    refused: int = 0
    skipped: int = 0
    seconds: float = 0.0
    left_out: dict[str, int] = field(default_factory=dict)

    def add(self, outcome: Outcome) -> None:
        """Count a recording, and the file that is done with it."""
        self.seconds += outcome.seconds
        self.done += MEMBER not in outcome.name
        if is_shard(outcome.name) and not outcome.error and not outcome.skipped:
            return
        self.written += not outcome.error and not outcome.skipped
        self.failed += bool(outcome.error)
        self.refused += outcome.refused
        self.skipped += outcome.skipped


def denoise_files(
    inputs: Sequence[str | os.PathLike[str]],
    output: str | os.PathLike[str] | None = None,
    denoiser: Denoiser | None = None,
    *,
    address: str | None = None,
    manifest: str | os.PathLike[str] | None = None,
    attenuation_limit: float | None = None,
    container: str | None = None,
    subtype: str | None = None,
    bit_rate: int | None = None,
    overwrite: bool = False,
    skip_existing: bool = False,
    strict: bool = False,
    keep_highs: bool = False,
    cpus: int | None = None,
    scoring: Scoring | None = None,
    told: Callable[[Outcome, Summary], None] | None = None,
) -> Summary:
    """Denoise files, folders, patterns, lists (CSV, Parquet, JSON lines of NeMo, recordings and cuts of Lhotse) and
    shards (WebDataset, Parquet of Hugging Face), paths or addresses that fsspec knows, on Ray.

    Every output is what `gtcrn.denoise_file` makes of its input, below the folder `output` (None: NAME.denoised.EXT
    beside each); of `inputs`, a list or shard comes out as what it was. `manifest` is a folder of Parquet with a row
    for each recording, by default manifest.parquet in `output`; what it says is done is not done again. `address` is
    that of a Ray that runs; None: one is started here with `cpus` cores and ended. `told` is called with what became
    of each recording, and the summary so far. `skip_existing` leaves outputs that are there. `scoring` adds columns to
    the manifest (see `gtcrn_recipes.evaluation.before_after`). `denoiser`, `attenuation_limit`, `container`,
    `subtype`, `bit_rate`, `overwrite`, `strict` and `keep_highs` are those of
    `gtcrn.denoise_file`. A file that is no good is a row in the manifest.
    Raises AudioError for inputs that are not there or outputs that would meet, ConfigError for options that do not fit
    and where Ray or a kind of storage is not installed, GtcrnError where no Ray answers.
    """
    options = DenoiseOptions(None, attenuation_limit, container, subtype, bit_rate, strict, keep_highs, scoring)
    denoiser = denoiser or load()
    where = None if output is None else os.fspath(output)
    corpus = Corpus([os.fspath(text) for text in inputs], where, suffix_of(container), overwrite, skip_existing)
    kept = places.plain(os.fspath(manifest or places.joined(where or ".", MANIFEST)))
    record = Record(kept, _made_with(denoiser, options), scoring.names if scoring else ())
    claims = corpus.claims(record.done)
    summary = Summary(kept, len(claims))
    with record, connection.connected(address, cpus):
        for outcome in tasks.outcomes(tasks.batches(corpus.items(claims)), options, denoiser):
            record.add(outcome)
            summary.add(outcome)
            if told:
                told(outcome, summary)
    summary.left_out = _rewrite_lists(corpus, record)
    return summary


def _made_with(denoiser: Denoiser, options: DenoiseOptions) -> dict[str, object]:
    kept = [getattr(options, option.name) for option in fields(options) if option.name != "scoring"]
    made_with: dict[str, object] = {"weights": denoiser.fingerprint, "options": kept}
    return made_with | ({"scores": options.scoring.names} if options.scoring else {})


def _rewrite_lists(corpus: Corpus, record: Record) -> dict[str, int]:
    """The lists that came in, with the outputs' names: rows without an output, for each."""
    if not corpus.lists:
        return {}
    failed = {key(row["input"]) for row in record.rows(["input", "status"]) if row["status"] == "failed"}
    found = {}
    for one in corpus.lists:
        target, renamed = corpus.rewritten(one, lambda source: key(source) not in failed)
        found[target] = one.rewrite(target, renamed)
    return found
