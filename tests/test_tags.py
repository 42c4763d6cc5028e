"""Titles, covers and a recorder's chunks stay with the sound, across formats; what is damaged or huge is left out."""

import contextlib
import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
from streams import noise, random_denoiser

import gtcrn
from gtcrn.audio.files import Reader
from gtcrn.audio.formats import AudioFormat, target_format
from gtcrn.audio.tags.values import MOST, Chunks, Picture, Tags
from gtcrn.audio.writer import Writer

TEXTS = {"title": "Tón 音", "artist": "Ada", "album": "Radio", "date": "2024", "comment": "loud", "genre": "Speech"}
COVER = Picture(b"\xff\xd8\xff\xe0" + np.random.default_rng(0).bytes(200_000), "image/jpeg")
TITLED = (".wav", ".flac", ".ogg", ".opus", ".mp3", ".caf", ".rf64")
PICTURED = (".flac", ".ogg", ".opus", ".mp3")
SAMPLES = noise(24_000, 1)

BEXT = (b"bext", b"Scene 7".ljust(338, b"\0") + struct.pack("<QH", 123_456_789, 1) + bytes(254))
IXML = (b"iXML", b"<BWFXML><SCENE>7</SCENE></BWFXML>")  # of odd length
CUE = (b"cue ", struct.pack("<III4sIII", 1, 1, 4_800, b"data", 0, 0, 4_800))
INFO = (b"LIST", b"INFOINAM" + struct.pack("<I", 4) + b"Hum\0")


def titled(path: Path, tags: Tags) -> Path:
    """A file of the kind that the name says."""
    form = target_format(AudioFormat(48_000, 1, "WAV", "PCM_16"), path.suffix)
    with Writer(path, form, tags) as writer:
        writer.write(SAMPLES)
    return path


def tags_of(path: Path) -> Tags:
    with Reader(path) as reader:
        return reader.tags()


def denoise(source: Path, target: Path) -> Tags:
    gtcrn.denoise_file(source, target, random_denoiser(), attenuation_limit=0)
    return tags_of(target)


def recorder(path: Path, before: Chunks = (), after: Chunks = ()) -> Path:
    """A WAV of 16 kHz with chunks before its samples and behind them."""
    plain = io.BytesIO()
    soundfile.write(plain, SAMPLES[0], 16_000, format="WAV", subtype="PCM_16")
    data = plain.getvalue()

    def packed(chunks: Chunks) -> bytes:
        return b"".join(n + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2) for n, body in chunks)

    rest = packed(before) + data[12:] + packed(after)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(rest) + 4) + b"WAVE" + rest)
    return path


@pytest.mark.parametrize("target", TITLED)
@pytest.mark.parametrize("source", [".wav", ".flac", ".opus", ".mp3"])
def test_titles_stay_across_formats(tmp_path: Path, source: str, target: str) -> None:
    titled(tmp_path / f"a{source}", Tags(TEXTS))
    assert denoise(tmp_path / f"a{source}", tmp_path / f"b{target}").texts == TEXTS


@pytest.mark.parametrize("target", PICTURED)
@pytest.mark.parametrize("source", PICTURED)
def test_covers_stay_across_formats_and_the_sound_is_read_as_without(tmp_path: Path, source: str, target: str) -> None:
    titled(tmp_path / f"a{source}", Tags(TEXTS, (COVER,)))
    assert tags_of(tmp_path / f"a{source}").pictures == (COVER,)
    found = denoise(tmp_path / f"a{source}", tmp_path / f"b{target}")
    assert (found.texts, found.pictures) == (TEXTS, (COVER,))
    titled(tmp_path / f"plain{target}", Tags())
    titled(tmp_path / f"with{target}", Tags(TEXTS, (COVER, COVER)))
    sounds = [soundfile.read(tmp_path / f"{name}{target}")[0] for name in ("plain", "with")]
    np.testing.assert_array_equal(*sounds)


def test_other_programs_read_titles_and_covers(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    for suffix in PICTURED:
        with av.open(str(titled(tmp_path / f"a{suffix}", Tags(TEXTS, (COVER,))))) as container:
            picture = next(stream for stream in container.streams.video)
            assert bytes(next(container.demux(picture))) == COVER.data
            told = {**container.streams.audio[0].metadata, **container.metadata}
            assert {name.lower(): text for name, text in told.items()}.items() >= TEXTS.items()
            container.seek(0)
            heard = sum(frame.samples for frame in container.decode(audio=0))
        assert heard >= SAMPLES.shape[1] - 1_200  # what MP3 and Opus begin with


@pytest.mark.parametrize("suffix", [".m4a", ".flac", ".mp3", ".ogg"])
def test_covers_of_phones_memos_come_and_go(tmp_path: Path, suffix: str) -> None:
    av = pytest.importorskip("av")
    encoder = av.CodecContext.create("mjpeg", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 32, 32, "yuvj420p", av.time_base
    frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8), "rgb24").reformat(format="yuvj420p")
    cover = Picture(b"".join(map(bytes, encoder.encode(frame) + encoder.encode(None))), "image/jpeg")
    titled(tmp_path / "a.flac", Tags(TEXTS, (cover,)))
    gtcrn.denoise_file(tmp_path / "a.flac", tmp_path / "memo.m4a", random_denoiser())
    gtcrn.denoise_file(tmp_path / "memo.m4a", tmp_path / f"b{suffix}", random_denoiser())
    with av.open(str(tmp_path / f"b{suffix}")) as container:
        assert bytes(next(container.demux(container.streams.video[0]))) == cover.data
        told = {**container.streams.audio[0].metadata, **container.metadata}
        assert {name.lower(): text for name, text in told.items()}.items() >= TEXTS.items()


def test_a_damaged_cover_costs_a_memo_no_sound(tmp_path: Path) -> None:
    pytest.importorskip("av")
    for data in (COVER.data, COVER.data[:4], b"\x89PNG\r\n\x1a\n"):
        titled(tmp_path / "a.flac", Tags(TEXTS, (Picture(data, "image/jpeg" if data[0] == 0xFF else "image/png"),)))
        done = gtcrn.denoise_file(tmp_path / "a.flac", tmp_path / "b.m4a", random_denoiser())
        assert done.seconds == 0.5


@pytest.mark.parametrize("target", ["b.wav", "b.rf64"])
def test_a_recorders_chunks_stay_to_the_bit(tmp_path: Path, target: str) -> None:
    source = recorder(tmp_path / "a.wav", (BEXT, IXML), (CUE, INFO))
    found = denoise(source, tmp_path / target)
    assert found.chunks + found.behind == (BEXT, IXML, CUE, INFO)
    assert found.chunks == ((BEXT, IXML) if target == "b.wav" else ())
    assert soundfile.info(tmp_path / target).format == target[2:].upper()
    np.testing.assert_array_equal(soundfile.read(tmp_path / target)[0], soundfile.read(source)[0])
    data = (tmp_path / target).read_bytes()
    at, size = (20, 8) if target == "b.rf64" else (4, 4)
    assert int.from_bytes(data[at : at + size], "little") == len(data) - 8
    assert denoise(tmp_path / target, tmp_path / f"c{target}") == found


def test_what_is_true_of_the_old_sound_alone_is_left_out(tmp_path: Path) -> None:
    source = recorder(
        tmp_path / "a.wav", ((b"JUNK", bytes(28)), BEXT), ((b"levl", bytes(8)), CUE, (b"MD5 ", bytes(16)))
    )
    found = denoise(source, tmp_path / "b.wav")
    assert (found.chunks, found.behind) == ((BEXT,), (CUE,))


def test_a_wav_tells_other_formats_its_title(tmp_path: Path) -> None:
    source = recorder(tmp_path / "a.wav", (BEXT,), (INFO,))
    assert denoise(source, tmp_path / "b.flac").texts["title"] == "Hum"


def test_what_is_huge_is_left_out(tmp_path: Path) -> None:
    source = recorder(tmp_path / "a.wav", (BEXT,), ((b"huge", bytes(MOST + 1)), IXML))
    assert denoise(source, tmp_path / "b.wav").behind == (IXML,)
    large = Picture(COVER.data + bytes(MOST // 2), COVER.mime)
    assert tags_of(titled(tmp_path / "a.mp3", Tags(TEXTS, (large,)))).texts == TEXTS


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
def test_damaged_tags_cost_no_sound(tmp_path: Path, suffix: str) -> None:
    """Whatever a byte of the first 400 becomes: tags or none, or a file that is refused, never another error."""
    tags = Tags(TEXTS, (COVER,), (BEXT, IXML, CUE) if suffix == ".wav" else ())
    whole = titled(tmp_path / f"a{suffix}", tags).read_bytes()[:300_000]
    for at in range(0, 400, 3):
        (tmp_path / f"b{suffix}").write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        with contextlib.suppress(gtcrn.errors.AudioError):
            found = tags_of(tmp_path / f"b{suffix}")
            assert sum(len(picture.data) for picture in found.pictures) + sum(len(c[1]) for c in found.chunks) <= MOST


@pytest.mark.parametrize("suffix", [".flac", ".ogg", ".mp3"])
def test_a_full_disk_is_told_where_covers_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    def full(file: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(gtcrn.errors.GtcrnError, match="cannot be written"):
        titled(tmp_path / f"a{suffix}", Tags(TEXTS, (COVER,)))
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []
