"""What is in the images, and what is not."""

from __future__ import annotations

import pytest

from tests.support.containers import IMAGES, docker

OWN = [IMAGES["api-server"], IMAGES["stt-model"]]


def test_sizes(images: dict[str, float], capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("\nimage sizes:")  # noqa: T201
        for name, size in images.items():
            print(f"  {name:14} {size:7.0f} MB")  # noqa: T201
    assert images["api-server"] < 1000
    assert images["stt-model"] < 1000


@pytest.mark.parametrize("image", IMAGES.values())
def test_nobody_is_root(image: str) -> None:
    assert docker("run", "--rm", "--entrypoint", "id", image, "-u") == "1000"


@pytest.mark.parametrize("image", IMAGES.values())
def test_the_package_index_is_not_shipped(image: str) -> None:
    """Its address may hold a password."""
    assert "PIP_INDEX_URL" not in docker("history", "--no-trunc", image)
    environment = docker("image", "inspect", "-f", "{{json .Config.Env}}", image)
    assert "PIP_INDEX_URL" not in environment


@pytest.mark.parametrize("image", OWN)
def test_any_user_and_a_read_only_root_will_do(image: str) -> None:
    found = docker(
        "run", "--rm", "--read-only", "--tmpfs", "/tmp", "-v", "/app/tmp",
        "--user", "12345:12345", "--network", "none", image, "stt-engine", "--version",
    )  # fmt: skip
    assert found[0].isdigit()


@pytest.mark.parametrize("image", OWN)
def test_no_torch_and_no_test_tools(image: str) -> None:
    listed = docker("run", "--rm", image, "python", "-m", "pip", "list", "--format", "freeze")
    names = {line.partition("==")[0].lower() for line in listed.splitlines()}
    assert {"stt-engine", "faster-whisper", "fastapi"} <= names
    assert not names & {"torch", "pytest", "mypy", "ruff"}
