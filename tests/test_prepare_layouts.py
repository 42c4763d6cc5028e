"""Corpora as they are published, ready pairs and patterns: how `gtcrn prepare` is told of them, and what it says."""

import os
from pathlib import Path

import numpy as np
import pytest
from audio_trees import RATE, dns_tree, hiss, plain_tree, save, vctk_tree, voice

from gtcrn.cli.app import run
from gtcrn.errors import ConfigError
from gtcrn_recipes.data.corpora import Corpus, plain
from gtcrn_recipes.data.dataset import ClipStore, PairSet
from gtcrn_recipes.data.intake import read_mono
from gtcrn_recipes.data.layouts import preset
from gtcrn_recipes.data.overview import table
from gtcrn_recipes.data.prepare import gather, prepare
from gtcrn_recipes.data.shards import CLIP_FIELDS, ShardWriter


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


def test_the_test_speakers_of_vctk_demand_are_not_in_the_vctk_of_the_challenge(tmp_path: Path) -> None:
    tree = dns_tree(tmp_path, "datasets_fullband/clean_fullband", "datasets_fullband/noise_fullband")
    for name in ("vctk_wav48/p232/p232_001_mic1", "vctk_wav48/p257/p257_001_mic2", "mine/p232/p232_001"):
        save(tree / f"datasets_fullband/clean_fullband/{name}.wav", voice())
    groups = {clip.group for clip in preset("dns5", tree).speech}
    assert {"vctk_wav48/p225", "mine/p232"} < groups
    assert not groups & {"vctk_wav48/p232", "vctk_wav48/p257"}


def test_pairs_of_the_challenge_agree_in_their_file_ids(tmp_path: Path) -> None:
    for n, name in enumerate(("book_1_snr15_tl-21_fileid_158", "clnsp_snr2_fileid_15")):
        save(tmp_path / f"valid/noisy/{name}.wav", voice(seed=n) + hiss())
        save(tmp_path / f"valid/clean/clean_{name[name.index('fileid') :]}.wav", voice(seed=n))
    ((_, found),) = gather("", None, [], [], [], [tmp_path / "valid"]).pairs
    assert [(pair.clean.stem, pair.snr_db) for pair in found] == [("clean_fileid_158", 15), ("clean_fileid_15", 2)]


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


def test_speech_can_come_before_noise(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree, options = plain_tree(tmp_path / "in", 10), ["--valid-share", "0.2", "--valid-pairs", "3", "--jobs", "1"]
    pattern = ["--speaker-pattern", r"/(s\d\d)-"]
    assert run(["prepare", str(tmp_path / "out"), "--speech", str(tree / "speech"), *pattern, *options]) == 0
    assert capsys.readouterr().err == "pairs/valid: none mixed, as nothing of noise is held out yet\n"
    assert run(["prepare", str(tmp_path / "out"), "--noise", str(tree / "noise"), *options]) == 0
    assert "pairs/valid: 3 mixed from held-out clips" in capsys.readouterr().out


def test_a_single_voice_or_noise_to_validate_on_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told = prepared(tmp_path, 5, capsys)
    assert "warning: validation has one speaker only, setA/s0" in told
    assert "warning: validation has one noise recording only, noise/drone" in told
    assert prepared(tmp_path / "more", 10, capsys) == ""


def test_skipped_files_are_mentioned_where_there_are_some(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "in/noise/silent.wav", np.zeros(RATE))
    assert prepared(tmp_path, 10, capsys) == f"Skipped files and reasons: {tmp_path}/out/noise/skipped.csv.\n"


def test_formats_that_are_passed_over_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.m4a", "b.M4A", "c.sph", "notes.txt"):
        path = tmp_path / "in/noise/mixed" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    told = prepared(tmp_path, 10, capsys)
    assert told == "note: passed over 2 .m4a, 1 .sph; convert what is to be taken to WAV or FLAC first.\n"


def test_a_name_that_is_not_utf_8_is_spelt_out(tmp_path: Path) -> None:
    save(tmp_path / "in/cafe/anna/a.wav", voice())
    (tmp_path / "in/cafe").rename(tmp_path / "in" / os.fsdecode(b"caf\xe9"))
    prepare(tmp_path / "out", plain([tmp_path / "in"]))
    assert table(tmp_path / "out").splitlines()[1].split()[1] == r"caf\xe9"


def test_a_thousand_sets_are_one_line(tmp_path: Path) -> None:
    with ShardWriter(tmp_path / "speech", CLIP_FIELDS) as writer:
        for n in range(40):
            row = {"samples": 1000, "set": f"s{n}", "speaker": f"s{n}/a", "split": "train", "path": n}
            writer.add(np.ones(1000, np.int16), row)
    assert [line.split() for line in table(tmp_path).splitlines()[1:]] == [
        ["speech", "(all)", "train", "0.00", "40", "40"]
    ]
