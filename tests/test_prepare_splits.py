"""What is held out: speakers and sources as a whole, the same ones whenever files are added; pairs and their SNRs."""

from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from audio_trees import RATE, folder_contents, plain_tree, save, take_in, voice

from gtcrn.errors import ConfigError
from gtcrn_recipes.data.corpora import Clip, by_pattern, plain, snr_in_name
from gtcrn_recipes.data.dataset import ClipStore, PairSet
from gtcrn_recipes.data.fixed_pairs import active_level, excerpt, level, make_pairs
from gtcrn_recipes.data.prepare import assign_splits, prepare
from gtcrn_recipes.data.shards import CLIP_FIELDS, PAIR_FIELDS, ShardWriter


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
    after = assign_splits(
        many, 0.2, [{"path": "", "speaker": group, "split": split} for group, split in before.items()]
    )
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


def test_pairs_of_an_interrupted_run_are_completed_to_the_same_bytes(tmp_path: Path) -> None:
    """Killed before the first pair, in the middle of a row, and by a full disk."""
    tree = plain_tree(tmp_path / "in", speakers=10)
    for out in ("whole", "killed"):
        take_in(tmp_path / out, tree, valid_share=0.2)
    make_pairs(tmp_path / "whole", 6)
    with ShardWriter(tmp_path / "killed/pairs/valid", PAIR_FIELDS):
        pass
    assert make_pairs(tmp_path / "killed", 6) == 6
    index = tmp_path / "killed/pairs/valid/index.csv"
    index.write_bytes(b"".join(index.read_bytes().splitlines(keepends=True)[:3]) + b"0,64000,12")
    assert make_pairs(tmp_path / "killed", 6) == 4
    assert folder_contents(tmp_path / "killed") == folder_contents(tmp_path / "whole")


def test_pairs_that_came_from_elsewhere_get_no_company(tmp_path: Path) -> None:
    take_in(tmp_path, plain_tree(tmp_path / "in", speakers=10), valid_share=0.2)
    with ShardWriter(tmp_path / "pairs/valid", PAIR_FIELDS) as writer:
        writer.add(np.ones(8, np.int16), {"name": "a", "snr_db": 5, "samples": 4, "path": "/my/noisy/a.wav"})
    assert make_pairs(tmp_path, 6) == 0
    assert len(PairSet.open(tmp_path, "valid")) == 1


def noise_held_out(root: Path, samples: npt.NDArray[np.int16]) -> ClipStore:
    with ShardWriter(root / "noise", CLIP_FIELDS) as writer:
        for n, clip in enumerate((np.zeros(RATE, np.int16), samples)):
            row = {"samples": len(clip), "set": "a", "speaker": f"{n}", "split": "valid", "path": n}
            writer.add(clip, row)
    return ClipStore.open(root, "noise", "valid")


def test_the_noise_of_a_pair_is_never_silence(tmp_path: Path) -> None:
    random, store = np.random.default_rng(0), noise_held_out(tmp_path / "a", np.full(RATE, 99, np.int16))
    for _ in range(20):
        assert level(excerpt(store, RATE, random)) == pytest.approx(99 / 32768)
    with pytest.raises(ConfigError, match="next to no noise"):
        excerpt(noise_held_out(tmp_path / "b", np.zeros(RATE, np.int16)), RATE, random)


def test_all_that_was_decided_before_is_told_as_such(tmp_path: Path) -> None:
    tree = plain_tree(tmp_path / "in")
    take_in(tmp_path / "out", tree)
    with pytest.raises(ConfigError, match="all speech is for training, as the layout or an earlier run decided"):
        take_in(tmp_path / "out", tree, valid_share=0.2)
    laid_out = [Clip(Path("a"), "a", "a/b", "train")]
    with pytest.raises(ConfigError, match="leave out --valid-share"):
        assign_splits(laid_out, 0.2, [])


def test_a_noise_that_is_too_large_to_hold_out_is_told_of_as_a_recording() -> None:
    clips = [Clip(Path(f"{n}"), "a", "a/b") for n in range(9)]
    with pytest.raises(ConfigError, match=r"no noise recording fits into 0\.1 of 9 files of noise, .* larger share\.$"):
        assign_splits(clips, 0.1, [], "noise")


def test_what_was_taken_by_another_name_of_its_group_stays_in_its_split() -> None:
    before = [{"path": "1-7-A-0.wav", "speaker": "esc/1-7-A", "split": "valid"}]
    clips = [Clip(Path(f"1-7-{take}-0.wav"), "esc", "esc/7") for take in "AB"]
    assert assign_splits(clips, 0.0, before)["esc/7"] == "valid"


def test_a_file_that_two_options_name_is_taken_once(tmp_path: Path) -> None:
    for s in range(6):
        save(tmp_path / f"in/s{s}/a.wav", voice(0.8, seed=s))
    found = plain([tmp_path / "in", tmp_path / "in/s1", tmp_path / "in/s2"])
    assert prepare(tmp_path / "out", found, valid_share=0.2)[0].added == 6
