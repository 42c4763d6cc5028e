"""Evaluation: files find their partners, what fails is named, the tables say what was measured."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from audio_trees import hiss, pair_folders, save, voice

from gtcrn.errors import ConfigError
from gtcrn_recipes.data.intake import read_mono
from gtcrn_recipes.evaluation import evaluate as scoring
from gtcrn_recipes.evaluation import metrics, plots, scoreboard
from gtcrn_recipes.evaluation.evaluate import Result, Trial

QUICK = ("pesq", "estoi", "si_sdr")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """noisy/, clean/ and enhanced/."""
    return pair_folders(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def results(folders: Path) -> list[Result]:
    trials = scoring.find_trials(folders / "noisy", folders / "clean", folders / "enhanced")
    return scoring.evaluate(trials, QUICK)


def test_scores_are_those_of_the_metrics(folders: Path, results: list[Result]) -> None:
    for result in results:
        name = f"{result.trial.name}.wav"
        clean, noisy, enhanced = (read_mono(folders / kind / name) for kind in ("clean", "noisy", "enhanced"))
        assert result.noisy["pesq"] == metrics.wb_pesq(clean, noisy)
        assert result.enhanced["si_sdr"] == metrics.si_sdr(clean, enhanced)
        assert result.enhanced["si_sdr"] == pytest.approx(result.noisy["si_sdr"] + 20, abs=0.5)
    assert [result.trial.snr_db for result in results] == [0, 0, 10, 10]


def test_processes_change_nothing(folders: Path, results: list[Result]) -> None:
    trials = scoring.find_trials(folders / "noisy", folders / "clean", folders / "enhanced")
    for parallel, alone in zip(scoring.evaluate(trials, QUICK, jobs=2), results, strict=True):
        assert parallel.trial == alone.trial
        assert parallel.noisy == pytest.approx(alone.noisy, abs=1e-6)
        assert parallel.enhanced == pytest.approx(alone.enhanced, abs=1e-6)


def test_the_composite_measures_come_along(folders: Path) -> None:
    trial = scoring.find_trials(folders / "noisy", folders / "clean")[0]
    result = scoring.evaluate([trial], ("pesq", "csig", "covl"))[0]
    assert result.noisy.keys() == {"pesq", "csig", "covl"}
    assert result.enhanced == {}


def test_weights_make_the_enhanced_files(folders: Path, tmp_path: Path) -> None:
    from networks import random_network

    import gtcrn
    from gtcrn import checkpoint

    network = random_network()
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    path = tmp_path / "random.safetensors"
    checkpoint.write(path, checkpoint.Checkpoint(network.config, weights, {}))
    trials = scoring.find_trials(folders / "noisy", folders / "clean", weights=str(path))
    result = scoring.evaluate(trials[:1], QUICK, str(path))[0]
    enhanced = gtcrn.load(path)(read_mono(trials[0].noisy))
    assert result.enhanced["si_sdr"] == metrics.si_sdr(read_mono(folders / "clean" / trials[0].noisy.name), enhanced)
    assert result.seconds == 2
    assert "real-time factor" in scoreboard.report([result])


def test_an_snr_table_serves_names_that_tell_nothing(folders: Path, tmp_path: Path) -> None:
    save(tmp_path / "noisy/p232_001.wav", voice())
    table = tmp_path / "snr.csv"
    table.write_text("name,snr_db\np232_001,17.5\n")
    assert scoring.find_trials(tmp_path / "noisy", table=table)[0].snr_db == 17.5
    assert math.isnan(scoring.find_trials(tmp_path / "noisy")[0].snr_db)
    mistakes = {"a,b\n1,2\n": "columns name and snr_db", "name,snr_db\nx,loud\n": "an SNR that is no number"}
    for text, sentence in mistakes.items():
        table.write_text(text)
        with pytest.raises(ConfigError, match=sentence):
            scoring.find_trials(tmp_path / "noisy", table=table)


def test_files_that_cannot_be_scored_are_named(folders: Path, tmp_path: Path) -> None:
    for i, name in enumerate(("good", "broken", "alone", "silent", "longer", "nearly")):
        save(tmp_path / f"noisy/{name}.wav", voice(2.0) + hiss(2.0))
        if name != "alone":
            length = {"longer": 3.0, "nearly": 2.05}.get(name, 2.0)
            save(tmp_path / f"clean/{name}.wav", voice(length, seed=i) * (name != "silent"))
    (tmp_path / "noisy/broken.wav").write_bytes(b"RIFF")
    found = scoring.evaluate(scoring.find_trials(tmp_path / "noisy", tmp_path / "clean"), ("si_sdr",))
    told = "\n".join(scoreboard.faults(found))
    assert "broken: " in told
    assert "alone: there is no file" in told
    assert "silent: noisy si_sdr: clean is silent." in told
    assert "longer: noisy si_sdr: 32000 samples, but 48000 clean ones" in told
    assert sorted(result.trial.name for result in found if result.noisy) == ["good", "nearly"]
    assert scoreboard.compare(found, "si_sdr").noisy.files == 2


def test_files_of_the_dns_challenge_agree_in_their_ids(tmp_path: Path) -> None:
    noisy = save(tmp_path / "noisy/book_snr15_tl-21_fileid_158.wav", voice() + hiss())
    clean = save(tmp_path / "clean/clean_fileid_158.wav", voice())
    save(tmp_path / "enhanced" / noisy.name, voice())
    (trial,) = scoring.find_trials(tmp_path / "noisy", tmp_path / "clean", tmp_path / "enhanced")
    assert (trial.clean, trial.snr_db) == (clean, 15)
    assert trial.enhanced == tmp_path / "enhanced" / noisy.name


def test_no_common_name_is_a_mistake(folders: Path, tmp_path: Path) -> None:
    save(tmp_path / "other.wav", voice())
    with pytest.raises(ConfigError, match=r"no file in .* has the name of one in .*0_snr"):
        scoring.find_trials(folders / "noisy", tmp_path)


def test_means_and_intervals() -> None:
    mean = scoreboard.mean([1.0, 2.0, 3.0, 4.0])
    assert mean.value == 2.5
    assert mean.half == pytest.approx(1.96 * math.sqrt(5 / 3) / 2)
    assert math.isnan(scoreboard.mean([1.0]).half)


def made_up(snr: float, noisy: float, enhanced: float | None = None) -> Result:
    scores = {} if enhanced is None else {"pesq": enhanced}
    return Result(Trial(f"x{snr}", Path("x.wav"), snr_db=snr), {"pesq": noisy}, scores)


def test_change_is_of_pairs_and_a_failed_file_counts_on_neither_side() -> None:
    results = [made_up(0, 1.0, 1.5), made_up(0, 2.0, 2.5), made_up(0, 4.0)]
    compared = scoreboard.compare(results, "pesq")
    assert (compared.noisy.value, compared.enhanced.value) == (1.5, 2.0)
    assert (compared.change.value, compared.change.half, compared.change.files) == (0.5, 0, 2)


def test_many_snrs_are_gathered_in_steps() -> None:
    groups = scoreboard.by_snr([made_up(snr, 1.0) for snr in range(20)])
    assert {snr: len(members) for snr, members in groups.items()} == {0: 3, 5: 5, 10: 5, 15: 5, 20: 2}
    assert scoreboard.by_snr([made_up(math.nan, 1.0)]) == {}


def test_the_report_shows_both_sides_and_the_groups(results: list[Result]) -> None:
    lines = scoreboard.report(results).splitlines()
    assert lines[0].split() == ["noisy", "enhanced", "change", "files"]
    assert lines[1].split()[0] == "WB-PESQ"
    assert lines[1].split()[-1] == "4"
    assert [line.split()[:3] for line in lines[6::4]] == [["0", "2", "noisy"], ["10", "2", "noisy"]]
    noisy, enhanced, change, half = (line.split()[-len(QUICK) :] for line in lines[6:10])
    assert float(change[0]) == pytest.approx(float(enhanced[0]) - float(noisy[0]), abs=2e-3)
    assert float(half[0]) > 0


def test_kinds_are_told_by_names_or_by_the_table(folders: Path, tmp_path: Path) -> None:
    for name in ("000_music_snr-05", "001_musical_snr-05", "p1"):
        save(tmp_path / f"noisy/{name}.wav", voice())
    (tmp_path / "table.csv").write_text("name,snr_db,kind\np1,5,babble\n")
    trials = scoring.find_trials(tmp_path / "noisy", table=tmp_path / "table.csv")
    assert [trial.kind for trial in trials] == ["music", "", "babble"]
    made = [Result(trial, {"pesq": 1.0}, {"pesq": 2.0}) for trial in trials]
    table = scoreboard.report(made).split("\n\n")[-1].splitlines()
    assert table[0].split() == ["kind", "files", "WB-PESQ"]
    assert [line.split()[0] for line in table[1::4]] == ["babble", "music", "other"]
    assert table[4].split() == ["+-", "-"]  # of one file there is no interval
    drawn = plots.draw_all(tmp_path / "pictures", made, lambda result: scoring.sounds(result.trial, None))
    assert "by_kind" in {path.stem for path in drawn}
    scoreboard.write_csv(tmp_path / "scores.csv", made)
    with (tmp_path / "scores.csv").open() as lines:
        assert [row["kind"] for row in csv.DictReader(lines)] == ["music", "", "babble"]


def test_csv_has_a_row_a_file(results: list[Result], tmp_path: Path) -> None:
    scoreboard.write_csv(tmp_path / "scores/all.csv", results)
    with (tmp_path / "scores/all.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert [row["name"] for row in rows] == [result.trial.name for result in results]
    assert float(rows[0]["enhanced_pesq"]) == pytest.approx(results[0].enhanced["pesq"], abs=1e-6)
    assert rows[0]["noisy_ovrl"] == ""


def test_what_is_scored_on_request_is_shown(tmp_path: Path) -> None:
    trials = [Trial(name, Path("x.wav"), snr_db=0.0, kind="music") for name in "ab"]
    made = [Result(trial, {"distillmos": 2.0}, {"distillmos": 3.0}) for trial in trials]
    tables = scoreboard.report(made).split("\n\n")
    assert [table.split("\n")[0].split()[-1] for table in tables[1:]] == ["DistillMOS", "DistillMOS"]
    assert tables[0].split("\n")[1].split()[:2] == ["DistillMOS", "2.000"]
    scoreboard.write_csv(tmp_path / "scores.csv", made)
    with (tmp_path / "scores.csv").open() as lines:
        assert [row["enhanced_distillmos"] for row in csv.DictReader(lines)] == ["3.000000"] * 2
    drawn = plots.draw_all(tmp_path / "pictures", made, lambda result: {})
    assert {"by_snr", "by_kind"} <= {path.stem for path in drawn}


def test_plots_are_pictures(results: list[Result], tmp_path: Path) -> None:
    drawn = plots.draw_all(tmp_path, results, lambda result: scoring.sounds(result.trial, None))
    names = {"by_snr", "pesq_before_after", "worst_1", "worst_2", "best_1", "best_2"}
    assert {path.stem for path in drawn} == names
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in drawn)


def test_a_failed_file_is_no_extreme() -> None:
    """By its noisy score, which is larger than any gain, it would be the best."""
    made = [made_up(0, 3.0), *(made_up(snr, 1.0, 1.0 + snr / 100) for snr in (5, 10, 15))]
    assert [label for label, _ in plots.extremes(made)] == ["worst_1", "best_1"]
    assert [result.trial.snr_db for _, result in plots.extremes(made)] == [5, 15]


def test_spectrograms_show_a_tone_at_its_frequency() -> None:
    level = plots.levels(np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32))
    assert (level.argmax(axis=0) == 1000 * plots.WINDOW // 16_000).all()
