"""``docker/pin-images`` writes what the registry says, or nothing; a stand-in is the registry."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.documents import ROOT

DIGEST = "sha256:" + "ab" * 32


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "docker").mkdir()
    for name in ("pin-images", "images.env"):
        shutil.copy2(ROOT / "docker" / name, tmp_path / "docker" / name)
    return tmp_path


def pin(folder: Path, registry: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Run it with a ``docker`` that does what ``registry`` says."""
    stand_in = folder / "docker-client" / "docker"
    stand_in.parent.mkdir(exist_ok=True)
    stand_in.write_text(f"#!/bin/sh\n{registry}\n", encoding="utf-8")
    stand_in.chmod(0o755)
    return subprocess.run(
        [str(folder / "docker" / "pin-images"), *options],
        env=os.environ | {"PATH": f"{stand_in.parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


def pins(folder: Path) -> dict[str, str]:
    text = (folder / "docker" / "images.env").read_text("utf-8")
    return dict(re.findall(r"^([A-Z_]+)=(.+)$", text, re.MULTILINE))


def test_the_digests_are_written_and_renewed(folder: Path) -> None:
    images = {name: image.partition("@")[0] for name, image in pins(folder).items()}
    for digest in (DIGEST, DIGEST.replace("ab", "cd")):
        assert pin(folder, f"echo {digest}", "--check").returncode == 1
        assert pin(folder, f"echo {digest}").returncode == 0
        assert pins(folder) == {name: f"{image}@{digest}" for name, image in images.items()}
        assert pin(folder, f"echo {digest}", "--check").returncode == 0


@pytest.mark.parametrize("registry", ["exit 1", "echo", "echo not-a-digest"])
def test_without_an_answer_the_file_stays_as_it_was(registry: str, folder: Path) -> None:
    before = pins(folder)
    found = pin(folder, registry)
    assert (found.returncode, pins(folder)) == (1, before)
    assert "digest of python:" in found.stderr


def test_the_images_are_those_of_the_dockerfiles(folder: Path) -> None:
    for name, image in pins(folder).items():
        defaults = {
            found
            for path in (ROOT / "docker").glob("Dockerfile*")
            for found in re.findall(rf"^ARG {name}=(.+)$", path.read_text("utf-8"), re.MULTILINE)
        }
        assert defaults == {image.partition("@")[0]}
