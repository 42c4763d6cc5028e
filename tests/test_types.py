"""What mypy knows of the installed packages, an editable install included: the types that they have, not Any."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
from pathlib import Path

import numpy as np

import gtcrn
from gtcrn_recipes.data.readers import reader
from gtcrn_server.errors import ServiceError

denoiser = gtcrn.load()
stream = denoiser.stream(sample_rate=48_000)
reveal_type(stream.push(np.zeros(480, np.float32)))
reveal_type(stream.push(b"ab"))
reveal_type(denoiser.fingerprint)
reveal_type(reader(Path("a.wav")))
reveal_type(ServiceError)
denoiser.stream(rate=48_000)
"""


def test_a_users_program_is_checked(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(PROGRAM)
    (tmp_path / "mypy.ini").write_text("[mypy]\nstrict = true\n[mypy-torch.*]\nfollow_imports = skip\n")  # takes long
    command = [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path / "cache"), "mine.py"]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    revealed = [line.split('"')[1] for line in said.splitlines() if "Revealed type" in line]
    assert [name.replace("builtins.", "") for name in revealed[1:4]] == ["bytes", "str", "str"], said
    assert "ndarray" in revealed[0], "pip install -e . again, if the packages are hooked into import"
    assert revealed[4].endswith("-> gtcrn_server.errors.ServiceError")
    errors = [line for line in said.splitlines() if ": error:" in line]
    assert len(errors) == 1, said
    assert "call-overload" in errors[0] or "call-arg" in errors[0]
