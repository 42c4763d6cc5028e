"""Whose voice a file holds, by the names that the known speech corpora give their folders and files.

A speaker whose files fall into several groups leaks from training into validation. So where a corpus does not name its
readers, the group is the smallest one that should hold a reader whole: a day of recordings, or all of the corpus.
"""

import re
from pathlib import Path

# Each finds the reader in its first bracket that matched; the first pattern that is found in a path decides.
READERS = tuple(
    map(
        re.compile,
        (
            r"(?:^|[/_])(reader_\d+)_",  # LibriVox, as the DNS-Challenge names it
            r"/(\d+)/\d+/\1-\d+-\d{4}\.",  # LibriSpeech: reader, chapter, sentence
            r"/(\d+)/(\d+)/\1_\2_\d+",  # LibriTTS and MLS: the same
            r"/audio/(\d+)_(?:clean|other)/",  # HiFi-TTS: reader, book
            r"/(?:by_book|female|male|mix)/([^/]+)/[^/]+/wavs/",  # M-AILABS: reader, book
            r"/(mix)/[^/]+/wavs/",  # M-AILABS: books read in turn by volunteers who read in several
            r"/BAC009(S\d{4})W\d+",  # AISHELL (SLR33)
            r"THCHS[^/]*/(?:.*/)?([A-D]\d{1,2})_\d+\.",  # THCHS-30 (SLR18)
            r"/(?:SLR\d+_)?es[-_][a-z]{2}_(?:(?:fe)?male_)?([a-z]{3}_\d{5})_\d{11}",  # SLR61, 71 to 75
            r"/SLR39_(\d+|(?:non)?native-[^_]*)_",  # Heroico
            r"/(\d{4})_[A-Z]{3}_[A-Z]{3}_[A-Z]{2}\.",  # CREMA-D
            r"(?:/|vocalset_)((?:fe)?male\d+)[/_]",  # VocalSet
            r"/([ps]\d+)_\d+(?:_mic\d)?\.",  # VCTK
            r"Forschergeist[^/]*/.*segment_\d+_([a-z]+)",
            r"german-speechdata[^/]*/.*/(\d{4}-\d\d-\d\d)-\d\d-\d\d-\d\d",  # several readers a day, each on one
        ),
    )
)

# The Spanish books of M-AILABS in one folder, as in DNS-Challenge 3: names end in the author, who tells the reader.
FLAT_BOOKS = re.compile(r"/M-AILabs_Spanish_.*_(perezgaldos|virgilio|dumas|poe|delgado|cervantes|blasco)_")
READER_OF_AUTHOR = {
    **dict.fromkeys(("perezgaldos", "virgilio"), "tux"),
    **dict.fromkeys(("dumas", "poe"), "victor_villarraza"),
    "delgado": "karen_savage",
}


def reader(path: Path) -> str:
    """The reader that a known corpus names in this path; empty where nothing is known."""
    text = path.as_posix()
    if book := FLAT_BOOKS.search(text):
        return READER_OF_AUTHOR.get(book.group(1), "mix")
    found = (pattern.search(text) for pattern in READERS)
    return next((match.group(1) for match in found if match), "")


def by_reader(path: Path, root: Path) -> str:
    """The reader where the names tell; else the files of one folder belong together."""
    return reader(path) or by_folder(path, root)


def by_folder(path: Path, root: Path) -> str:
    """The folder of the file, below the root; the root's own name for files right in it."""
    inside = path.parent.relative_to(root).as_posix()
    return root.name if inside == "." else inside
