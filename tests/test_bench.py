"""`gtcrn bench` prints every figure it promises, as a table and as JSON."""

import json
from pathlib import Path

import pytest
from streams import write_weights

from gtcrn.cli import bench
from gtcrn.cli.app import run


@pytest.mark.slow
def test_the_quick_bench_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder like a checkout that is not built, too: the installed package is what it measures."""
    (tmp_path / "gtcrn").mkdir()
    (tmp_path / "gtcrn" / "__init__.py").write_text("raise ImportError")
    monkeypatch.chdir(tmp_path)
    assert run(["bench", "--quick", "--json", "--weights", write_weights(tmp_path)]) == 0
    report = json.loads(capsys.readouterr().out)
    names = [row["name"] for row in report["rows"]]
    for figure in (
        "kernel, a 16 ms frame",
        "kernel, silence to speech",
        "torch, whole file",
        "whole process",
        "state of",
    ):
        assert any(figure in name for name in names)
    assert all(row["value"] > 0 for row in report["rows"])
    assert "CPUs" in report["machine"]


def test_the_table_shows_machine_values_and_what_they_stand_beside(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"name": "kernel, a 16 ms frame", "value": 31.94, "unit": "us", "beside": "goal 60"}
    bench.print_table({"machine": "a machine", "rows": [row]})
    found = capsys.readouterr().out
    for text in ("a machine", "kernel, a 16 ms frame", "31.94", "us", "goal 60"):
        assert text in found
