"""Preparation: what goes in comes out, runs can be repeated and interrupted, layouts are known, mistakes are told."""

import csv
import errno
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from audio_trees import RATE, dns_tree, folder_contents, hiss, plain_tree, save, vctk_tree, voice

from gtcrn.cli.app import run
from gtcrn.errors import ConfigError, GtcrnError
from gtcrn_recipes.data.corpora import Clip, Corpus, by_pattern, plain, snr_in_name
from gtcrn_recipes.data.dataset import ClipStore, PairSet
from gtcrn_recipes.data.fixed_pairs import active_level, make_pairs
from gtcrn_recipes.data.intake import read_mono
from gtcrn_recipes.data.layouts import preset
from gtcrn_recipes.data.overview import table
from gtcrn_recipes.data.prepare import assign_splits, gather, prepare
from gtcrn_recipes.data.shards import CLIP_FIELDS, ShardWriter, telling_disk_errors
from gtcrn_recipes.parallel import ordered_map


def take_in(out: Path, tree: Path, **options: object) -> dict[str, object]:
    found = plain([tree / "speech"], [tree / "noise"], [tree / "rir"], by_pattern(r"s\d\d"))
    return {summary.role: summary for summary in prepare(out, found, **options)}  # type: ignore[arg-type]


def test_samples_come_back_as_they_were(tmp_path: Path) -> None:
    tree = plain_tree(tmp_path / "in", speakers=2)
    take_in(tmp_path / "out", tree)
    store = ClipStore.open(tmp_path / "out", "speech")
    paths = sorted((tree / "speech/setA").iterdir())
    assert len(store) == len(paths)
    for clip, path in enumerate(paths):
        np.testing.assert_array_equal(store.read(clip), np.round(read_mono(path) * 32768))
    assert store.speakers == ["setA/s00", "setA/s01"]


@pytest.mark.parametrize(("rate", "name"), [(48_000, "a.wav"), (8_000, "a.flac"), (44_100, "a.ogg"), (16_000, "a.wav")])
def test_any_rate_and_format_becomes_16_khz(tmp_path: Path, rate: int, name: str) -> None:
    t = np.arange(2 * rate) / rate
    save(tmp_path / "in" / name, np.stack([0.4 * np.sin(2 * np.pi * 440 * t)] * 2, axis=1), rate)
    prepare(tmp_path / "out", plain([tmp_path / "in"]))
    store = ClipStore.open(tmp_path / "out", "speech")
    samples = store.read(0)[1000:-1000] / 32768
    expected = 0.4 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)[1000 : 1000 + len(samples)]
    assert store.seconds == pytest.approx(2, abs=1e-3)
    assert np.abs(samples - expected).max() < (0.05 if name.endswith("ogg") else 2e-3)


def test_room_responses_start_at_their_onset_with_one_level(tmp_path: Path) -> None:
    take_in(tmp_path / "out", plain_tree(tmp_path / "in", speakers=1))
    response = ClipStore.open(tmp_path / "out", "rir").read(0)
    assert np.argmax(np.abs(response)) == 16
    assert np.abs(response).max() == round(0.9 * 32768)
    assert response[316] == pytest.approx(0.9 * 32768 * 0.4, abs=2)


def test_a_second_run_writes_nothing_and_a_third_only_what_is_new(tmp_path: Path) -> None:
    tree, out = plain_tree(tmp_path / "in"), tmp_path / "out"
    take_in(out, tree)
    before = folder_contents(out)
    assert {role: s.added for role, s in take_in(out, tree).items()} == {"speech": 0, "noise": 0, "rir": 0}  # type: ignore[attr-defined]
    assert folder_contents(out) == before
    save(tree / "speech/setA/s09-0.wav", voice(0.8, seed=99))
    assert take_in(out, tree)["speech"].added == 1  # type: ignore[attr-defined]
    assert (out / "speech/0000.pcm").read_bytes().startswith(before["speech/0000.pcm"])


def test_processes_change_nothing(tmp_path: Path) -> None:
    tree = plain_tree(tmp_path / "in", speakers=2)
    for jobs in (1, 2):
        take_in(tmp_path / f"out{jobs}", tree, jobs=jobs)
    assert folder_contents(tmp_path / "out1") == folder_contents(tmp_path / "out2")


def test_a_killed_run_continues_to_the_same_data_set(tmp_path: Path) -> None:
    """Killed after samples were written and in the middle of their row."""
    tree = plain_tree(tmp_path / "in")
    take_in(tmp_path / "whole", tree, valid_share=0.3)
    take_in(tmp_path / "killed", tree, valid_share=0.3)
    index = tmp_path / "killed/speech/index.csv"
    index.write_bytes(b"".join(index.read_bytes().splitlines(keepends=True)[:6]) + b"0,64000,12")
    take_in(tmp_path / "killed", tree, valid_share=0.3)
    assert folder_contents(tmp_path / "killed") == folder_contents(tmp_path / "whole")


LIMITED = """
import resource, sys
from gtcrn.cli.app import run
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))  # bytes of a file
sys.exit(run(sys.argv[1:]))
"""


def test_a_disk_that_fills_up_is_told_and_the_run_can_go_on(tmp_path: Path) -> None:
    tree, arguments = plain_tree(tmp_path / "in"), ["--jobs", "1", "--speaker-pattern", r"s\d\d"]
    roles = [x for role in ("speech", "noise", "rir") for x in (f"--{role}", str(tree / role))]
    command = [sys.executable, "-c", LIMITED, "prepare", str(tmp_path / "out"), *roles, *arguments]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (told.returncode, told.stderr.count("\n")) == (1, 1)
    assert "holds what was written so far; make room and run again." in told.stderr
    assert 0 < len(ClipStore.open(tmp_path / "out", "speech")) < 12
    for out in ("out", "whole"):
        take_in(tmp_path / out, tree)
    assert folder_contents(tmp_path / "out") == folder_contents(tmp_path / "whole")


def test_the_sentence_for_a_full_disk(tmp_path: Path) -> None:
    with pytest.raises(GtcrnError, match="the disk is full: "), telling_disk_errors(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_data_set_that_lost_samples_is_refused(tmp_path: Path) -> None:
    tree = plain_tree(tmp_path / "in")
    take_in(tmp_path / "out", tree)
    (tmp_path / "out/noise/0000.pcm").write_bytes(b"")
    with pytest.raises(ConfigError, match="shorter than its index says"):
        take_in(tmp_path / "out", tree)


def test_two_runs_cannot_write_at_once(tmp_path: Path) -> None:
    tree = plain_tree(tmp_path / "in", speakers=1)
    with ShardWriter(tmp_path / "out/speech", CLIP_FIELDS), pytest.raises(ConfigError, match="another run is writing"):
        take_in(tmp_path / "out", tree)
    assert take_in(tmp_path / "out", tree)["speech"].added == 3  # type: ignore[attr-defined]


def dies(_: int) -> int:
    os._exit(9)


def test_a_worker_that_dies_is_told() -> None:
    with pytest.raises(GtcrnError, match="a worker process died"):
        list(ordered_map(dies, range(8), jobs=2))


def test_shards_are_bounded_and_a_longer_clip_has_one_of_its_own(tmp_path: Path) -> None:
    with ShardWriter(tmp_path, CLIP_FIELDS, limit=1000) as writer:
        for samples in (600, 600, 300, 2500, 100):
            row = {"samples": samples, "set": "a", "speaker": "b", "split": "train", "path": samples}
            writer.add(np.full(samples, samples, np.int16), row)
    assert [p.stat().st_size // 2 for p in sorted(tmp_path.glob("*.pcm"))] == [600, 900, 2500, 100]


def test_what_is_skipped_is_counted_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "in/setA"
    (folder / "broken.wav").parent.mkdir(parents=True)
    (folder / "broken.wav").write_text("no audio")
    save(folder / "short.wav", voice(0.1))
    save(folder / "silent.wav", np.zeros(RATE))
    save(folder / "clipped.wav", np.clip(20 * voice(), -1, 1))
    save(folder / "nan.wav", np.r_[voice(), np.nan], subtype="FLOAT")
    save(folder / "good.wav", voice())
    summary = prepare(tmp_path / "out", plain([folder.parent]))[0]
    assert (summary.added, summary.skipped) == (
        1,
        Counter({"unreadable": 1, "too short": 1, "silent": 1, "clipped": 1, "not finite": 1}),
    )
    with (tmp_path / "out/speech/skipped.csv").open() as lines:
        named = {Path(row["path"]).stem: row["reason"] for row in csv.DictReader(lines)}
    assert named.keys() == {"broken", "short", "silent", "clipped", "nan"}
    assert named["short"] == "too short: 0.10 s"


def test_speakers_and_noise_sources_are_held_out_as_a_whole(tmp_path: Path) -> None:
    take_in(tmp_path, plain_tree(tmp_path / "in", speakers=10), valid_share=0.2)
    for role in ("speech", "noise"):
        train, valid = (ClipStore.open(tmp_path, role, split) for split in ("train", "valid"))
        assert not set(train.speakers) & set(valid.speakers)
        assert len(valid) == round(0.2 * (len(train) + len(valid)))


def test_a_group_never_moves_when_files_are_added(tmp_path: Path) -> None:
    few = plain([plain_tree(tmp_path / "a", speakers=8) / "speech"], speaker=by_pattern(r"s\d\d")).speech
    many = plain([plain_tree(tmp_path / "a", speakers=16) / "speech"], speaker=by_pattern(r"s\d\d")).speech
    before = assign_splits(few, 0.2, [])
    after = assign_splits(many, 0.2, [{"speaker": group, "split": split} for group, split in before.items()])
    assert before.items() <= after.items()
    assert assign_splits(few[::-1], 0.2, []) == before


def test_the_files_of_a_folder_are_one_speaker(tmp_path: Path) -> None:
    """`my/speech/SPEAKER/*.wav`, and a level deeper below the name of a data set."""
    for s in range(10):
        for k in range(3):
            save(tmp_path / f"my/speech/anna{s}/{k}.wav", voice(0.8, seed=s))
            save(tmp_path / f"my/speech/setB/ben{s}/wav/{k}.wav", voice(0.8, seed=s))
    found = plain([tmp_path / "my/speech"]).speech
    assert {clip.set for clip in found} == {"speech", "setB"}
    assert Counter(clip.group for clip in found) == {
        **{f"speech/anna{s}": 3 for s in range(10)},
        **{f"setB/ben{s}/wav": 3 for s in range(10)},
    }
    assert sorted(Counter(assign_splits(found, 0.2, []).values()).items()) == [("train", 16), ("valid", 4)]


def test_a_glob_and_a_link_are_grouped_as_the_folder_is(tmp_path: Path) -> None:
    save(tmp_path / "elsewhere/x.wav", voice())
    (tmp_path / "my/speech/anna").mkdir(parents=True)
    (tmp_path / "my/speech/anna/1.wav").symlink_to(tmp_path / "elsewhere/x.wav")
    for where in ("my/speech", "my/speech/*/*.wav", "my/**/*.wav"):
        (clip,) = plain([tmp_path / where]).speech
        assert clip.group in {"speech/anna"}


def test_long_readers_do_not_take_all_the_room_of_the_short_ones() -> None:
    sizes = {"long": 90, **{f"r{n}": 5 for n in range(200)}}
    clips = [Clip(Path(f"{g}/{k}"), "a", g) for g, files in sizes.items() for k in range(files)]
    assert Counter(assign_splits(clips, 0.1, []).values())["valid"] >= 19


def test_one_speaker_alone_cannot_be_held_out(tmp_path: Path) -> None:
    tree = plain_tree(tmp_path / "in", speakers=1)
    with pytest.raises(ConfigError, match="--speaker-pattern"):
        take_in(tmp_path / "out", tree, valid_share=0.1)


def test_held_out_pairs_have_the_snr_in_their_names(tmp_path: Path) -> None:
    take_in(tmp_path, plain_tree(tmp_path / "in", speakers=10), valid_share=0.2)
    assert make_pairs(tmp_path, 10) == 10
    for pair in PairSet.open(tmp_path, "valid"):
        noise = pair.noisy - pair.clean
        measured = 20 * np.log10(active_level(pair.clean) / np.sqrt(np.mean(noise**2)))
        assert measured == pytest.approx(pair.snr_db, abs=0.1)
        assert snr_in_name(pair.name) == pair.snr_db
    before = folder_contents(tmp_path)
    assert make_pairs(tmp_path, 10) == 0
    assert folder_contents(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "snr"),
    [("003_snr-05", -5), ("a_snr+10_b", 10), ("clnsp1_snr5_tl-20", 5), ("x_SNR_12.5", 12.5), ("p232_001", np.nan)],
)
def test_snr_in_names(name: str, snr: float) -> None:
    np.testing.assert_equal(snr_in_name(name), snr)


def test_vctk_demand_keeps_its_validation_speakers_and_unmixes_the_noise(tmp_path: Path) -> None:
    tree = vctk_tree(tmp_path / "in")
    prepare(tmp_path / "out", preset("vctk-demand", tree))
    speech, noise = (ClipStore.open(tmp_path / "out", role) for role in ("speech", "noise"))
    assert speech.speakers == ["vctk-demand/p226", "vctk-demand/p227"]
    valid, test = (list(PairSet.open(tmp_path / "out", name)) for name in ("valid", "test"))
    assert [(pair.name, pair.snr_db) for pair in valid] == [("p286_001", 12.5), ("p287_001", 17.5)]
    assert [(pair.name, pair.snr_db) for pair in test] == [("p232_001", 2.5)]
    noisy = read_mono(tree / "noisy_trainset_28spk_wav/p226_001.wav")
    np.testing.assert_allclose((speech.read(0) + noise.read(0)) / 32768, noisy, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "clean", "noise"),
    [
        ("dns3", "datasets/clean", "datasets/noise"),
        ("dns5", "datasets_fullband/clean_fullband", "datasets_fullband/noise_fullband"),
    ],
)
def test_dns_challenge_tells_speakers_sources_and_responses(tmp_path: Path, name: str, clean: str, noise: str) -> None:
    found = preset(name, dns_tree(tmp_path, clean, noise))
    groups = {clip.path.stem: clip.group for clip in found.speech}
    assert groups["book_1_chp_2_reader_06709_0"] == groups["book_1_chp_2_reader_06709_1"] == "read_speech/reader_06709"
    assert groups["first"] == groups["second"] == "german_speech/karl"
    assert groups["1001_DFA_ANG_XX"] == "emotional_speech/1001"
    assert groups["p225_001_mic1"] == "vctk_wav48/p225"
    assert len({clip.group for clip in found.noise}) == 2
    assert [clip.path.stem for clip in found.rir] == ["Room001-00001"]


def test_the_presets_of_the_challenge_take_the_inner_folder_too(tmp_path: Path) -> None:
    dns_tree(tmp_path, "datasets/clean", "datasets/noise")
    assert preset("dns3", tmp_path / "datasets") == preset("dns3", tmp_path)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("dns3", "datasets/clean"),
        ("dns4", "datasets_fullband/clean_fullband"),
        ("vctk-demand", "noisy_trainset_28spk_wav"),
        ("corpus", "train"),
    ],
)
def test_a_wrong_layout_names_the_folder_looked_for(tmp_path: Path, name: str, missing: str) -> None:
    with pytest.raises(ConfigError, match=f"no folder .*{missing}"):
        preset(name, tmp_path)


def test_ready_pairs_need_partners_and_equal_lengths(tmp_path: Path) -> None:
    folder = tmp_path / "valid"
    for name, samples in (("a_snr5", RATE), ("b_snr5", RATE - 1)):
        save(folder / f"noisy/{name}.wav", voice() + hiss())
        save(folder / f"clean/{name}.wav", voice()[:samples])
    summary = prepare(tmp_path / "out", gather("", None, [], [], [], [folder]))[0]
    assert (summary.role, summary.added, summary.skipped.total()) == ("pairs/valid", 1, 1)
    (folder / "clean/a_snr5.wav").unlink()
    with pytest.raises(ConfigError, match=r"a_snr5\.wav has no clean file"):
        gather("", None, [], [], [], [folder])


def test_globs_choose_files(tmp_path: Path) -> None:
    tree = plain_tree(tmp_path)
    assert len(plain([tree / "speech/*/s00-*.wav"]).speech) == 3
    assert plain() == Corpus()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--speech", "{0}/none"], "there is no folder {0}/none."),
        (["--speech", "{0}/empty"], "there are no audio files in {0}/empty"),
        (["--preset", "dns9", "--root", "{0}"], "there is no preset 'dns9'; there are corpus, dns3"),
        (["--preset", "dns3"], "a preset and its root folder go together"),
        (["--speech", "{0}/in/speech", "--speaker-pattern", "("], "'(' is not a regular expression"),
        ([], "nothing to prepare"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    plain_tree(tmp_path / "in", speakers=1)
    assert run(["prepare", str(tmp_path / "out"), "--jobs", "1", *(a.format(tmp_path) for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert sentence.format(tmp_path) in error
    assert error.count("\n") == 1


def test_the_command_reports_what_it_did(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = plain_tree(tmp_path / "in", speakers=10)
    roles = [x for role in ("speech", "noise", "rir") for x in (f"--{role}", str(tree / role))]
    options = ["--speaker-pattern", r"/(s\d\d)-", "--valid-share", "0.2", "--valid-pairs", "3", "--jobs", "1"]
    assert run(["prepare", str(tmp_path / "out"), *roles, *options]) == 0
    printed = capsys.readouterr().out
    assert "speech: 30 files added (0.01 h), 0 dealt with before" in printed
    assert "pairs/valid: 3 mixed from held-out clips" in printed
    assert [line.split() for line in printed.splitlines()[-7:]] == [
        ["role", "set", "split", "hours", "files", "groups"],
        ["speech", "setA", "train", "0.01", "24", "8"],
        ["speech", "setA", "valid", "0.00", "6", "2"],
        ["noise", "noise", "train", "0.00", "16", "8"],
        ["noise", "noise", "valid", "0.00", "4", "2"],
        ["rir", "rir", "train", "0.00", "1", "1"],
        ["pairs", "-", "valid", "0.00", "3", "-"],
    ]


def prepared(tmp_path: Path, speakers: int, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says on stderr about the tree of `plain_tree`."""
    tree = plain_tree(tmp_path / "in", speakers)
    options = ["--speaker-pattern", r"/(s\d\d)-", "--valid-share", "0.2", "--valid-pairs", "3", "--jobs", "1"]
    folders = ["--speech", str(tree / "speech"), "--noise", str(tree / "noise")]
    assert run(["prepare", str(tmp_path / "out"), *folders, *options]) == 0
    return capsys.readouterr().err


def test_a_single_voice_or_noise_to_validate_on_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = prepared(tmp_path, 5, capsys)
    assert "warning: validation has one speaker only, setA/s0" in told
    assert "warning: validation has one noise recording only, noise/drone" in told
    assert prepared(tmp_path / "more", 10, capsys) == ""


def test_skipped_files_are_mentioned_where_there_are_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "in/noise/silent.wav", np.zeros(RATE))
    assert prepared(tmp_path, 10, capsys) == f"Skipped files and reasons: {tmp_path}/out/noise/skipped.csv.\n"


def test_a_thousand_sets_are_one_line(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "speech", CLIP_FIELDS) as writer:
        for n in range(40):
            row = {"samples": 1000, "set": f"s{n}", "speaker": f"s{n}/a", "split": "train", "path": n}
            writer.add(np.ones(1000, np.int16), row)
    assert [line.split() for line in table(tmp_path).splitlines()[1:]] == [
        ["speech", "(all)", "train", "0.00", "40", "40"]
    ]
