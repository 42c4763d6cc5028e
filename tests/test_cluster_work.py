"""What a worker makes of an item, and what is noted of it: shards, addresses, the manifest. No Ray in it."""

import contextlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from audio_trees import hiss, save, voice
from streams import random_denoiser

import gtcrn
from gtcrn.cluster import places
from gtcrn.cluster.items import Corpus, Item
from gtcrn.cluster.record import Record, key
from gtcrn.cluster.tasks import BYTES, FILES, batches
from gtcrn.cluster.work import denoise_item
from gtcrn.errors import ConfigError
from gtcrn.outcome import DenoiseOptions, Outcome

PLAIN = DenoiseOptions()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "a.wav", voice(0.5, rate=44_100), 44_100)
    save(tmp_path / "b.flac", hiss(0.3, 1), subtype="PCM_24")
    return tmp_path


def denoise(source: str, target: str, options: DenoiseOptions = PLAIN) -> list[Outcome]:
    return denoise_item(random_denoiser(), options, Item(source, target))


def expected(path: str, **options: Any) -> bytes:
    """The file that `gtcrn denoise` makes of this one."""
    suffix = Path(path).suffix if not options else f".{options['container']}"
    return gtcrn.denoise_file(path, f"expected{suffix}", random_denoiser(), **options).path.read_bytes()


def tar(path: str, members: dict[str, bytes]) -> str:
    with tarfile.open(path, "w") as out:
        for name, data in members.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime = len(data), 7
            out.addfile(entry, io.BytesIO(data))
    return path


def untar(path: str) -> dict[str, bytes]:
    with tarfile.open(path) as file:
        return {entry.name: found.read() for entry in file if (found := file.extractfile(entry))}


def test_an_address_to_an_address(folder: Path) -> None:
    remote, _ = places.filesystem("memory://corpus")
    remote.pipe_file("/corpus/deep/a.wav", (folder / "a.wav").read_bytes())
    (outcome,) = denoise("memory://corpus/deep/a.wav", "memory://worked/deep/a.wav")
    assert (outcome.name, outcome.target) == ("memory://corpus/deep/a.wav", "memory://worked/deep/a.wav")
    assert (outcome.error, outcome.seconds, outcome.sample_rate, outcome.channels) == (None, 0.5, 44_100, 1)
    assert remote.cat_file("/worked/deep/a.wav") == expected("a.wav")
    assert remote.find("/worked") == ["/worked/deep/a.wav"]


def test_a_file_that_cannot_be_read_is_an_outcome(folder: Path) -> None:
    (folder / "loop.wav").symlink_to("loop.wav")
    [outcome] = denoise("loop.wav", "out/loop.wav")
    assert outcome.error
    assert outcome.error.startswith("loop.wav cannot be read: ")
    assert not outcome.refused


def test_addresses_of_a_local_file_system(folder: Path) -> None:
    [outcome] = denoise(f"local://{folder}/a.wav", f"local://{folder}/out/a.wav")
    assert outcome.error is None
    assert Path("out/a.wav").read_bytes() == expected("a.wav")
    assert [path.name for path in Path("out").iterdir()] == ["a.wav"]


def test_what_is_wrong_at_an_address_is_said_by_its_name(folder: Path) -> None:
    remote, _ = places.filesystem("memory://corpus")
    remote.pipe_file("/corpus/bad.wav", b"no audio")
    (bad,) = denoise("memory://corpus/bad.wav", "memory://worked/bad.wav")
    (gone,) = denoise("memory://corpus/gone.wav", "memory://worked/gone.wav")
    assert bad.error == "memory://corpus/bad.wav is not audio that can be read: format not recognised."
    assert (bad.refused, gone.error) == (True, "there is no file memory://corpus/gone.wav.")
    assert not remote.exists("/worked/bad.wav")


def test_storage_that_shows_halves_gets_a_hidden_name_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    remote, _ = places.filesystem("memory://corpus")
    monkeypatch.setattr(places, "WHOLE", set())
    seen: list[str] = []
    put = type(remote).put_file

    def noted(self: object, local: str, path: str) -> None:
        seen.append(path)
        put(self, local, path)

    monkeypatch.setattr(type(remote), "put_file", noted)
    denoise("a.wav", "memory://hidden/a.wav")
    assert remote.find("/hidden") == ["/hidden/a.wav"]
    assert Path(seen[0]).name.startswith(".")


def test_a_tar_comes_out_as_the_tar_that_came_in(folder: Path) -> None:
    sound, other = (folder / "a.wav").read_bytes(), (folder / "b.flac").read_bytes()
    members = {"x/1.wav": sound, "x/1.json": b"{}", "x/2.json": b"[]", "x/2.flac": b"no audio", "x/3.flac": other}
    *rows, last = denoise(tar("s.tar", members), "out/s.tar")
    assert untar("out/s.tar") == {"x/1.wav": expected("a.wav"), "x/1.json": b"{}", "x/3.flac": expected("b.flac")}
    assert [row.name for row in rows] == ["s.tar::x/1.wav", "s.tar::x/2.flac", "s.tar::x/3.flac"]
    assert rows[0].target == "out/s.tar::x/1.wav"
    assert rows[1].error == "s.tar::x/2.flac is not audio that can be read: format not recognised."
    assert (last.name, last.target, last.error) == ("s.tar", "out/s.tar", None)


def test_members_of_another_format_get_its_extension(folder: Path) -> None:
    tar("s.tar", {"1.wav": (folder / "a.wav").read_bytes(), "1.txt": b"a"})
    denoise("s.tar", "out.tar", DenoiseOptions(container="flac"))
    assert untar("out.tar") == {"1.flac": expected("a.wav", container="flac"), "1.txt": b"a"}


def test_members_with_names_that_headers_do_not_hold_get_the_new_extension_too(folder: Path) -> None:
    sound, wanted = (folder / "a.wav").read_bytes(), expected("a.wav", container="flac")
    tar("s.tar", {f"{name}.wav": sound for name in ("größe", "n" * 120)})
    denoise("s.tar", "out.tar", DenoiseOptions(container="flac"))
    assert untar("out.tar") == {f"{name}.flac": wanted for name in ("größe", "n" * 120)}


def test_a_tar_that_breaks_off_leaves_no_output(folder: Path) -> None:
    data = Path(tar("s.tar", {"1.wav": (folder / "a.wav").read_bytes()})).read_bytes()
    Path("s.tar").write_bytes(data[: len(data) // 3])
    *_, last = denoise("s.tar", "out.tar")
    assert last.error
    assert last.error.startswith("s.tar is not a tar that can be read: ")
    assert not Path("out.tar").exists()


def test_parquet_of_datasets_keeps_its_schema_and_rows(folder: Path) -> None:
    sound = (folder / "a.wav").read_bytes()
    cells = [{"bytes": sound, "path": "a.wav"}, {"bytes": b"no", "path": None}, {"bytes": None, "path": "b.flac"}, None]
    about = {"info": {"features": {"audio": {"_type": "Audio"}, "image": {"_type": "Image"}}}}
    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    schema = pa.schema({"id": pa.int8(), "audio": kind, "image": kind}).with_metadata(
        {"huggingface": json.dumps(about)}
    )
    table = pa.Table.from_pydict({"id": [0, 1, 2, 3], "audio": cells, "image": cells[1:] + cells[:1]}, schema)
    pq.write_table(table, "s.parquet", row_group_size=3)
    *rows, last = denoise("s.parquet", "out/s.parquet")
    found = pq.read_table("out/s.parquet")
    assert found.schema.equals(schema, check_metadata=True)
    assert found.drop_columns("audio").equals(table.drop_columns("audio"))
    clean = [{"bytes": expected("a.wav"), "path": "a.wav"}, None, {"bytes": expected("b.flac"), "path": "b.flac"}, None]
    assert found.column("audio").to_pylist() == clean
    assert [row.name for row in rows] == ["s.parquet::0/a.wav", "s.parquet::1", "s.parquet::2/b.flac"]
    assert rows[1].error == "s.parquet::1 is not audio that can be read: format not recognised."
    assert last.error is None


def test_a_folder_without_audio_is_searched_for_shards(folder: Path) -> None:
    (folder / "shards/deep").mkdir(parents=True)
    tar("shards/deep/0.tar", {})
    pq.write_table(pa.table({"input": ["a.wav"]}), "shards/list.parquet")
    corpus = Corpus(["shards"], "out")
    assert [(item.source, item.target) for item in corpus.items(corpus.claims(set()))] == [
        ("shards/deep/0.tar", "out/deep/0.tar")
    ]


def test_large_items_come_first_and_alone_small_ones_together() -> None:
    sizes = [BYTES * 2, 10, BYTES - 20, *[1] * (FILES + 1)]
    found = [[item.size for item in batch] for batch in batches(Item(str(n), "", n) for n in sizes[::-1])]
    assert found == [[BYTES * 2], [BYTES - 20, 10, *[1] * 10], [1] * (FILES - 9)]


def rows(record: Record) -> dict[str, str]:
    return {row["input"]: row["status"] for row in record.rows()}


def test_a_manifest_goes_on_with_what_failed_or_was_cut_short(folder: Path) -> None:
    with Record("m", {}) as record:
        for outcome in (Outcome("a", "b"), Outcome("c", error="no."), Outcome("s.tar::x", error="no.")):
            record.add(outcome)
        record.add(Outcome("t.tar::x", error="no."))
        record.add(Outcome("s.tar"))
    assert rows(record) == {
        "a": "written",
        "c": "failed",
        "s.tar::x": "failed",
        "t.tar::x": "failed",
        "s.tar": "written",
    }
    with contextlib.suppress(KeyboardInterrupt), Record("m", {}) as record:
        assert record.done == {key("a"), key("s.tar")}
        record.add(Outcome("c", "d", 1.0))
        raise KeyboardInterrupt
    assert rows(record) == {"a": "written", "s.tar::x": "failed", "s.tar": "written", "c": "written"}
    assert pq.read_table("m").num_rows == 4
    assert Record("m", {}).done == {key("a"), key("s.tar"), key("c")}


def test_a_run_that_is_killed_between_merging_and_removing_counts_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Record("m", {}) as record:
        record.add(Outcome("a", "b"))
    with monkeypatch.context() as patch, contextlib.suppress(KeyboardInterrupt):
        patch.setattr(Record, "_remove", lambda self, names: None)
        with Record("m", {}):
            raise KeyboardInterrupt
    assert pq.read_table("m").num_rows == 2
    Record("m", {})
    assert pq.read_table("m").num_rows == 1


def test_other_weights_or_options_need_another_manifest(folder: Path) -> None:
    with Record("m", {"weights": "1"}) as record:
        record.add(Outcome("a", "b"))
    with pytest.raises(ConfigError, match="m is the manifest of a run with other weights or options"):
        Record("m", {"weights": "2"})


def test_a_manifest_at_an_address_with_names_that_are_no_text() -> None:
    with Record("memory://manifests/m", {}) as record:
        record.add(Outcome("a\udcff", "b"))
    assert rows(record) == {"a\\xff": "written"}
    assert Record("memory://manifests/m", {}).done == {key("a\udcff")}


def test_the_sound_of_a_member_is_what_it_says(folder: Path) -> None:
    denoise(tar("s.tar", {"1.wav": (folder / "a.wav").read_bytes()}), "out.tar")
    assert soundfile.info(io.BytesIO(untar("out.tar")["1.wav"])).duration == 0.5
