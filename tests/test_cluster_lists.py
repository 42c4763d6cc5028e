"""Lists of recordings in, the same lists with the outputs' names out; what is refused before any work."""

import csv
import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from audio_trees import save, voice

from gtcrn.cluster import places
from gtcrn.cluster.items import Corpus, Item
from gtcrn.cluster.lists import List
from gtcrn.errors import AudioError, ConfigError

Rows = list[dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with two recordings below data/."""
    monkeypatch.chdir(tmp_path)
    for name in ("data/a.wav", "data/deep/b.flac"):
        save(tmp_path / name, voice(0.2))
    return tmp_path


def lines(path: Path, rows: Rows) -> Path:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def read_lines(path: Path | str) -> Rows:
    data = Path(path).read_bytes()
    return [json.loads(line) for line in (gzip.decompress(data) if str(path).endswith(".gz") else data).splitlines()]


def pairs(inputs: Sequence[str], output: str | None = "out", **kept: Any) -> list[tuple[str, str]]:
    """What would be read and written."""
    corpus = Corpus(inputs, output, **kept)
    return [(item.source, item.target) for item in corpus.items(corpus.claims(set()))]


def rewritten(where: str, output: str | None = "out", failed: Sequence[str] = (), **kept: Any) -> tuple[str, int]:
    """Where the list of the outputs is, and how many rows it lacks."""
    corpus = Corpus([where], output, **kept)
    target, renamed = corpus.rewritten(corpus.lists[0], lambda source: source not in failed)
    return target, corpus.lists[0].rewrite(target, renamed)


def test_cuts_of_a_recording_denoise_it_once_and_stay_cuts(folder: Path) -> None:
    rows: Rows = [
        {"audio_filepath": "a.wav", "offset": 0.0, "duration": 0.1, "text": "größe"},
        {"audio_filepath": "a.wav", "offset": 0.1, "duration": 0.1},
        {"audio_filepath": str(folder / "data/deep/b.flac"), "duration": 0.2},
    ]
    lines(folder / "data/nemo.jsonl", rows)
    assert pairs(["data/nemo.jsonl"]) == [
        ("data/a.wav", "out/a.wav"),
        (str(folder / "data/deep/b.flac"), "out/deep/b.flac"),
    ]
    assert rewritten("data/nemo.jsonl") == ("out/nemo.jsonl", 0)
    rows[2]["audio_filepath"] = str(folder / "out/deep/b.flac")
    assert read_lines("out/nemo.jsonl") == rows


def test_rows_without_an_output_are_left_out(folder: Path) -> None:
    lines(folder / "nemo.json", [{"audio_filepath": f"data/{name}", "duration": 1} for name in ("a.wav", "c.wav")])
    assert rewritten("nemo.json", failed=["data/c.wav"]) == ("out/nemo.json", 1)
    assert [row["audio_filepath"] for row in read_lines("out/nemo.json")] == ["data/a.wav"]


def test_what_lies_elsewhere_keeps_its_path_below_the_output(folder: Path) -> None:
    (folder / "lists").mkdir()
    lines(folder / "lists/m.jsonl", [{"audio_filepath": str(folder / "data/a.wav")}, {"audio_filepath": "../x.wav"}])
    (_, first), (_, second) = pairs(["lists/m.jsonl"])
    assert first == f"out{folder}/data/a.wav"
    assert second == f"out{folder}/x.wav"


def test_csv_and_parquet_keep_their_other_columns(folder: Path) -> None:
    (folder / "m.csv").write_text('path,text\ndata/a.wav,"yes, please"\n')
    assert rewritten("m.csv", suffix=".flac") == ("out/m.csv", 0)
    with open("out/m.csv") as file:
        assert list(csv.DictReader(file)) == [{"path": "data/a.flac", "text": "yes, please"}]
    table = pa.table({"id": pa.array([7], pa.int16()), "audio": ["data/a.wav"], "tags": [["x", "y"]]})
    pq.write_table(table, "m.parquet")
    rewritten("m.parquet")
    found = pq.read_table("out/m.parquet")
    assert found.schema == table.schema
    assert found.to_pylist() == [{"id": 7, "audio": "data/a.wav", "tags": ["x", "y"]}]


def test_a_list_that_excel_saved_begins_with_its_first_column(folder: Path) -> None:
    (folder / "m.csv").write_text("path,text\ndata/a.wav,a\n", "utf-8-sig")
    assert rewritten("m.csv") == ("out/m.csv", 0)
    assert Path("out/m.csv").read_text() == "path,text\ndata/a.wav,a\n"


def test_beside_their_inputs_outputs_and_list_are_marked(folder: Path) -> None:
    lines(folder / "data/m.jsonl.gz", [{"audio_filepath": "a.wav"}])
    assert pairs(["data/m.jsonl.gz"], None) == [("data/a.wav", "data/a.denoised.wav")]
    assert rewritten("data/m.jsonl.gz", None) == ("data/m.denoised.jsonl.gz", 0)
    assert read_lines("data/m.denoised.jsonl.gz") == [{"audio_filepath": "a.denoised.wav"}]


def test_recordings_and_cuts_of_lhotse(folder: Path) -> None:
    source = {"type": "file", "channels": [0], "source": "data/a.wav"}
    recording = {"id": "a", "sources": [source], "sampling_rate": 16_000, "num_samples": 3_200, "duration": 0.2}
    cut = {"id": "a-0", "start": 0.05, "duration": 0.1, "channel": 0, "recording": recording, "type": "MonoCut"}
    mixed = {"id": "m", "tracks": [{"cut": cut}, {"cut": {"type": "PaddingCut", "id": "p"}}], "type": "MixedCut"}
    padding = {"id": "p", "type": "PaddingCut", "recording": None}
    lists: dict[str, Rows] = {"recordings": [recording], "cuts": [cut, mixed, padding]}
    for name, rows in lists.items():
        lines(folder / f"{name}.jsonl.gz", rows)
        assert pairs([f"{name}.jsonl.gz"]) == [("data/a.wav", "out/data/a.wav")]
        assert rewritten(f"{name}.jsonl.gz") == (f"out/{name}.jsonl.gz", 0)
        expected = json.dumps(rows).replace("data/a.wav", str(folder / "out/data/a.wav"))
        assert read_lines(f"out/{name}.jsonl.gz") == json.loads(expected)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        (
            "m.jsonl",
            '{"wav": "a.wav", "text": "a"}',
            "m.jsonl has no column audio_filepath (or audio, path, input, file)",
        ),
        ("m.csv", "wav,text\na.wav,a\n", "it has wav, text."),
        ("m.jsonl", '{"audio_filepath": 5}', "m.jsonl: audio_filepath holds 5, not the path of a recording."),
        ("m.jsonl", '{"audio_filepath": "a.wav"}\n{"audio', "m.jsonl, line 2, is not JSON"),
        ("m.json", "[]", "m.json, line 1, is not an object"),
        ("m.csv", "audio_filepath\n", "m.csv names no recordings."),
        ("m.csv", "path,text\na.wav,a\na.wav,a,b\n", "m.csv, line 3, has more fields than the first line names."),
        ("m.parquet", "no", "m.parquet cannot be read"),
        ("m.jsonl.gz", "no", "m.jsonl.gz cannot be read"),
    ],
)
def test_a_list_that_is_no_good_is_one_sentence(folder: Path, name: str, text: str, said: str) -> None:
    (folder / name).write_text(text)
    with pytest.raises(Exception, match=r"^[^\n]+$") as raised:
        pairs([name])
    assert said in str(raised.value)
    assert type(raised.value).__module__ == "gtcrn.errors"


def test_a_list_that_is_not_there(folder: Path) -> None:
    with pytest.raises(AudioError, match=r"there is no file gone\.jsonl\."):
        pairs(["gone.jsonl"])


def test_outputs_that_would_meet_are_refused(folder: Path) -> None:
    save(folder / "data/a.flac", voice(0.2))
    lines(folder / "m.jsonl", [{"audio_filepath": "data/a.wav"}, {"audio_filepath": "data/a.flac"}])
    with pytest.raises(AudioError, match=r"data/a\.flac and another input would both be written to out/data/a\.wav\."):
        pairs(["m.jsonl"], suffix=".wav")
    lines(folder / "m.jsonl", [{"audio_filepath": "data/a.wav"}, {"audio_filepath": "data/a.denoised.wav"}])
    with pytest.raises(AudioError, match="an output would replace an"):
        pairs(["m.jsonl"], None)


def test_an_output_that_is_its_input_is_refused_unless_that_is_meant(folder: Path) -> None:
    (folder / "lists").mkdir()
    lines(folder / "lists/m.jsonl", [{"audio_filepath": "data/a.wav"}])
    with pytest.raises(AudioError, match=r"the output data/a\.wav is an input; use --overwrite"):
        pairs(["lists/m.jsonl"], ".")
    assert pairs(["lists/m.jsonl"], ".", overwrite=True) == [("data/a.wav", "data/a.wav")]


def test_a_list_is_replaced_only_where_that_is_meant(folder: Path) -> None:
    lines(folder / "data/m.jsonl", [{"audio_filepath": str(folder / "a.wav")}])
    with pytest.raises(AudioError, match=r"the list of the outputs would replace data/m\.jsonl; use --overwrite"):
        pairs(["data/m.jsonl"], "data")


def test_files_folders_and_patterns_are_those_of_the_command(folder: Path) -> None:
    expected = [("data/a.wav", "out/a.wav"), ("data/deep/b.flac", "out/deep/b.flac")]
    assert pairs(["data"]) == expected
    assert pairs(["data/**/*.flac", "data/a.wav"]) == expected[::-1]
    assert pairs([f"file://{folder}/data/a.wav"], "file:///out/") == [(f"{folder}/data/a.wav", "/out/a.wav")]


def test_addresses_of_files_folders_and_patterns(folder: Path) -> None:
    remote, _ = places.filesystem("memory://corpus")
    for name in ("x/a.wav", "x/deep/b.flac", "x/notes.txt", "x/.hidden/c.wav", "x/a.denoised.wav"):
        remote.pipe_file(f"/corpus/{name}", b"1234")
    deep = ("memory:///corpus/x/deep/b.flac", "memory://out/deep/b.flac")
    assert pairs(["memory://corpus/x"], "memory://out") == [("memory:///corpus/x/a.wav", "memory://out/a.wav"), deep]
    assert pairs(["memory://corpus/x/*/*.flac"], "memory://out") == [deep]
    assert pairs(["memory://corpus/x/a.wav"], "out") == [("memory://corpus/x/a.wav", "out/a.wav")]
    assert pairs(["data"], "memory://out")[1] == ("data/deep/b.flac", "memory://out/deep/b.flac")
    with pytest.raises(AudioError, match="there is no audio at memory://corpus/none"):
        pairs(["memory://corpus/none/*.wav"])
    with pytest.raises(AudioError, match=r"there is no file memory://corpus/y\.wav"):
        pairs(["memory://corpus/y.wav"])


def test_an_unknown_kind_of_address(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere://a\.wav cannot be reached: Protocol not known"):
        pairs(["nowhere://a.wav"])


def test_what_is_done_is_no_item_unless_its_output_is_gone(folder: Path) -> None:
    from gtcrn.cluster.record import key

    corpus = Corpus(["data"], "out")
    (folder / "out").mkdir()
    (folder / "out/a.wav").touch()
    done = {key("data/a.wav"), key("data/deep/b.flac")}
    assert list(corpus.items(corpus.claims(done))) == [
        Item("data/deep/b.flac", "out/deep/b.flac", os.path.getsize("data/deep/b.flac"))
    ]
    assert done == {key("data/a.wav")}


def test_a_list_at_an_address_names_recordings_beside_it() -> None:
    remote, _ = places.filesystem("memory://lists")
    remote.pipe_file("/lists/m.jsonl", b'{"audio_filepath": "a.wav"}\n')
    assert List("memory://lists/m.jsonl").located("a.wav") == "memory://lists/a.wav"
    assert rewritten("memory://lists/m.jsonl", "memory://clean") == ("memory://clean/m.jsonl", 0)
    assert remote.cat_file("/clean/m.jsonl") == b'{"audio_filepath": "a.wav"}\n'
