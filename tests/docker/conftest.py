"""The images, built as an air-gapped site builds them: from the wheelhouse, without a network."""

from __future__ import annotations

import sys

import pytest

from tests.support.containers import IMAGES, LOCAL, ROOT, compose_command, docker, run

_BUILD_SEC = 1800
_TEST_SEC = 2700  # the first one builds the images


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "docker" in item.path.parts:
            item.add_marker(pytest.mark.timeout(_TEST_SEC))


@pytest.fixture(scope="session", autouse=True)
def images() -> dict[str, float]:
    """Build every image; give the sizes in MB."""
    wheelhouse = (sys.executable, ROOT / "docker" / "make_wheelhouse.py")
    run(*wheelhouse, "server", "llama", "wheel", timeout=_BUILD_SEC)
    build = (*compose_command(), "-f", str(LOCAL), "build")
    offline = {"BUILD_NETWORK": "none"}
    run(*build, "stt-model", "api-server", timeout=_BUILD_SEC, **offline)
    for target in ("llama", "wheel"):
        run(*build, "vllm", timeout=_BUILD_SEC, VLLM_TARGET=target, **offline)
    return {name: _megabytes(image) for name, image in IMAGES.items()}


def _megabytes(image: str) -> float:
    return int(docker("image", "inspect", "-f", "{{.Size}}", image)) / 1e6
