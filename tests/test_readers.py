"""Whose voice is in a file: readers of the known corpora, on names as they are, and on a sample of the real tree."""

import gzip
from collections import Counter
from pathlib import Path

import pytest

from gtcrn_recipes.data.corpora import Clip, placed
from gtcrn_recipes.data.prepare import assign_splits
from gtcrn_recipes.data.readers import by_reader, reader
from gtcrn_recipes.data.sources import by_source

MAILABS = "german_speech/M-AILABS_Speech_Dataset/de_DE_16k"
SPANISH = "spanish_speech/M-AILABS_Speech_Dataset/es_ES_16k/M-AILabs_Spanish_108hrs_wavs"
NAMES = [
    ("read_speech/book_00084_chp_0006_reader_04891_1.wav", "read_speech/reader_04891"),
    ("book_00084_chp_0006_reader_04891_1.wav", "clean/reader_04891"),
    (f"{MAILABS}/female/eva_k/kleine_lord/wavs/kleine_lord_05_f000042.wav", "german_speech/eva_k"),
    (f"{MAILABS}/by_book/female/eva_k/toten_seelen/wavs/a.wav", "german_speech/eva_k"),
    (f"{MAILABS}/male/karlsson/undine/wavs/undine_01.wav", "german_speech/karlsson"),
    (f"{MAILABS}/mix/auf_zwei_planeten/wavs/a.wav", "german_speech/mix"),
    (f"{MAILABS}/mix/erzaehlungen_poe/wavs/a.wav", "german_speech/mix"),
    ("french_speech/M-AILABS/fr_FR_190hrs_48k/mix/anna/sous_les_mers/wavs/a.wav", "french_speech/anna"),
    (f"{SPANISH}_corte_de_carlos_iv_05_perezgaldos_f000011_16kHz.wav", "spanish_speech/tux"),
    (f"{SPANISH}_eneida_05_virgilio_f000194_16kHz.wav", "spanish_speech/tux"),
    (f"{SPANISH}_quijote_vol1_17a_cervantes_f000529_16kHz.wav", "spanish_speech/mix"),
    ("spanish_speech/SLR61_16kHz/SLR61_es_ar_male_arm_02484_00361154892_16kHz.wav", "spanish_speech/arm_02484"),
    ("spanish_speech/SLR61_16kHz/SLR61_es-ar_arf_04311_02131066077_16kHz.wav", "spanish_speech/arf_04311"),
    ("spanish_speech/SLR75_48kHz/SLR75_es_ve_female_vef_04310_00970871072_48kHz.wav", "spanish_speech/vef_04310"),
    ("spanish_speech/SLR39_16kHz/SLR39_82_354_16kHz.wav", "spanish_speech/82"),
    (
        "spanish_speech/SLR39_16kHz/SLR39_native-m-Argentina-213-66-74-NA-njm6349_s167_16kHz.wav",
        "spanish_speech/native-m-Argentina-213-66-74-NA-njm6349",
    ),
    ("mandarin_speech/slr33_aishell/S0005/BAC009S0005W0490.wav", "mandarin_speech/S0005"),
    ("mandarin_speech/SLR18_THCHS00/A11_192.wav", "mandarin_speech/A11"),
    ("emotional_speech/crema_d/1062_IWW_DIS_XX.wav", "emotional_speech/1062"),
    ("singing_voice/VocalSet11/FULL/female8/scales/fast_piano/f8_scales_a_16k.wav", "singing_voice/female8"),
    ("VocalSet_48kHz_mono/vocalset_male10_scales_belt_m10_scales_belt_e_48kHz.wav", "VocalSet_48kHz_mono/male10"),
    ("vctk_wav48_silence_trimmed/p225/p225_001_mic1.flac", "vctk_wav48_silence_trimmed/p225"),
    ("vctk_wav48_silence_trimmed/s5/s5_021_mic2.flac", "vctk_wav48_silence_trimmed/s5"),
    (
        "german_speech/CC_4.0_International_german-speechdata_148hrs_16k/data/2014-05-13-13-39-17-mic-2__Samson_16k.wav",
        "german_speech/2014-05-13",
    ),
    ("german_speech/CC_Forschergeist_2spk/data/segment_0502_annettevogt-20180320-rec.wav", "german_speech/annettevogt"),
    (
        "german_speech/CC_German_Wikipedia_16k/data/a.wav",
        "german_speech/CC_German_Wikipedia_16k/data",
    ),
    ("1034/121119/1034-121119-0003.flac", "clean/1034"),
    ("LibriTTS/dev-clean/84/121123/84_121123_000007_000001.wav", "LibriTTS/84"),
    ("mls_german/train/audio/1012/4551/1012_4551_000001.flac", "mls_german/1012"),
    ("hi_fi_tts_v0/audio/92_clean/10425/thing_01_0000.flac", "hi_fi_tts_v0/92"),
]


@pytest.mark.parametrize(("name", "group"), NAMES)
def test_readers_of_known_corpora(name: str, group: str) -> None:
    root = Path("/data/clean")
    assert placed(root / name, root, by_reader(root / name, root))[1] == group


@pytest.mark.parametrize("name", ["anna/1.wav", "mine/p_1.wav", "female/x.wav", "a_b_01.wav", "data/2014-05-13.wav"])
def test_own_files_have_no_reader_by_chance(name: str) -> None:
    assert reader(Path("/my/speech") / name) == ""


@pytest.fixture(scope="module")
def tree(shared: Path) -> list[Clip]:
    """The speech of a sample of 60,000 names of the DNS-Challenge, every folder of it, wide and full band."""
    listing = shared / "reference/dns_tree.txt.gz"
    if not listing.is_file():
        pytest.skip(f"no list of names at {listing}")
    found = []
    for line in gzip.decompress(listing.read_bytes()).decode().splitlines():
        for root in (Path("/datasets/clean"), Path("/datasets_fullband/clean_fullband")):
            if (path := Path(f"/{line}")).is_relative_to(root):
                found.append(Clip(path, *placed(path, root, by_reader(path, root))))
    return found


def test_no_language_of_the_real_tree_is_one_group_or_thousands(tree: list[Clip]) -> None:
    groups: dict[str, Counter[str]] = {}
    for clip in tree:
        groups.setdefault(clip.set, Counter())[clip.group] += 1
    counts = {name: len(found) for name, found in groups.items()}
    assert counts == {
        "VocalSet_48kHz_mono": 20,
        "clean": 339,
        "emotional_speech": 62,
        "french_data": 6,
        "german_speech": 41,
        "italian_speech": 3,
        "mandarin_speech": 397,
        "read_speech": 345,
        "russian_speech": 3,
        "singing_voice": 20,
        "spanish_speech": 267,
    }
    assert not {group for found in groups.values() for group in found if group.endswith(("wavs", "data"))} - {
        "german_speech/CC_BY_SA_4.0_249hrs_339spk_German_Wikipedia_16k/data"
    }


def test_a_reader_of_the_real_tree_is_in_one_split_whatever_the_book(tree: list[Clip]) -> None:
    for share in (0.01, 0.1):
        splits = assign_splits(tree, share, [])
        held_out = [clip for clip in tree if splits[clip.group] == "valid"]
        assert len(held_out) / len(tree) == pytest.approx(share, rel=0.1)
        assert len({clip.group for clip in held_out}) > 50
        for name in ("eva_k", "ezwa", "tux"):
            assert len({splits[clip.group] for clip in tree if f"/{name}/" in clip.path.as_posix()}) == 1


NOISES = [
    ("DKITCHEN/ch01.wav", "noise/DKITCHEN"),
    ("DEMAND/DKITCHEN/ch16.wav", "DEMAND/DKITCHEN"),
    ("fold1/101415-3-0-2.wav", "fold1/101415"),
    ("esc50/1-100032-A-0.wav", "esc50/100032"),
    ("esc50/1-100032-B-0.wav", "esc50/100032"),
    ("musan/free-sound/noise-free-sound-0842.wav", "musan/noise-free-sound-0842"),
    ("musan/rfm/music-rfm-0100.wav", "musan/music-rfm-0100"),
    ("mine/drone-free-sound-01.wav", "mine/drone-free-sound"),
    ("mine/2-1.wav", "mine/2"),
    ("mine/ch01 fan.wav", "mine/ch01 fan"),
]


@pytest.mark.parametrize(("name", "group"), NOISES)
def test_recordings_of_known_noise_corpora(name: str, group: str) -> None:
    root = Path("/data/noise")
    assert placed(root / name, root, by_source(root / name, root))[1] == group
