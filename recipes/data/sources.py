"""Which recording a noise file is a piece of, by the names that the known noise corpora give their files."""

import re
from pathlib import Path

# Each finds the recording in its bracket, in a path without its extension; the first pattern that is found decides.
SOURCES = tuple(
    map(
        re.compile,
        (
            r"/([^/]+)/ch\d\d$",  # DEMAND: sixteen microphones hear one place at once
            r"/(\d+)-\d+-\d+-\d+$",  # UrbanSound8K: recording on Freesound, class, occurrence, slice
            r"/\d-(\d+)-[A-Z]-\d+$",  # ESC-50: fold, clip on Freesound, take, class
            r"/(noise-(?:free-sound|sound-bible)-\d{4})$",  # MUSAN: each file is a recording of its own
            r"/((?:music-(?:fma|fma-wa|hd|jamendo|rfm)|speech-(?:librivox|us-gov))-\d{4})$",
        ),
    )
)


def by_source(path: Path, _: Path) -> str:
    """The recording where the names tell; else pieces of one share the name up to a last `-NN`."""
    name = path.with_suffix("").as_posix()
    found = (pattern.search(name) for pattern in SOURCES)
    return next((match.group(1) for match in found if match), re.sub(r"-\d+$", "", path.stem))
