"""The air-gapped road: one command makes the bundle, one loads it, and no network is there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.containers import IMAGES, ROOT, WHISPER, docker, run


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one with llama.cpp, and unpack it as if it had been carried over."""
    commit = run("git", "rev-parse", "--short=12", "HEAD").strip()
    run("docker/make-bundle", timeout=1200, VLLM_TARGET="llama")
    (made,) = (ROOT / "dist").glob(f"stt-engine-*-{commit}-*-llama.tar")
    folder = tmp_path_factory.mktemp("air-gapped")
    run("tar", "-C", folder, "-xf", made)
    made.unlink()
    (unpacked,) = folder.iterdir()
    return unpacked


def test_what_was_changed_on_the_way_is_refused(bundle: Path, tmp_path: Path) -> None:
    victim = next(bundle.rglob("*.whl"))
    good = victim.read_bytes()
    victim.unlink()  # it may be a link to the wheelhouse's own
    victim.write_bytes(good[:-1] + b"x")
    command = [bundle / "load-bundle", tmp_path / "installed"]
    ran = subprocess.run(command, check=False, capture_output=True, text=True)
    victim.write_bytes(good)
    assert ran.returncode != 0
    assert victim.name in ran.stdout + ran.stderr
    assert not (tmp_path / "installed").exists()


def test_it_is_installed_without_a_network(bundle: Path, tmp_path: Path) -> None:
    folder = tmp_path / "installed"
    shown = run(bundle / "load-bundle", folder, timeout=1200)
    assert "docker-compose" in shown, "it says what comes next"
    assert (folder / "models" / WHISPER / "model.bin").stat().st_size > 1e8
    program = "from stt_engine import WhisperSTT; print(WhisperSTT('/app/models/x').ready)"
    image = IMAGES["api-server"]
    printed = docker("run", "--rm", "--network", "none", image, "python", "-c", program)
    assert printed.splitlines()[-1] == "False"
