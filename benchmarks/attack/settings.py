"""Settings that can never work: the start ends with one sentence."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator

import anyio

from benchmarks.attack.trial import Target, Trial, fell
from tests.support.server import CLI, environment

_WRONG = {
    "API_KEY": "secret",
    "REDACTON": "everywhere",
    "VLLM_API_URL": "vllm:8000/v1",
    "AGENT_ALLOWED_HOSTS": "[::1]:8000",
    "STT_COMPUTE_TYPE": "int7",
    "STT_BACKENDS": "magic",
    "AGENT_TIMEOUT_SEC": "-1",
    "AGENT_ALLOWED_URLS": "http://user:secret@vllm",
    "RUBRIC_PATH": "/there/is/none.toml",
}
_WRONG_USAGE = 2


async def settings(target: Target) -> AsyncIterator[Trial]:
    """Check each by ``serve --check``."""
    for name, value in _WRONG.items():
        env = environment(target.server.folder) | {name: value}
        done = await anyio.run_process(
            [*CLI, "serve", "--check"], env=env, check=False, stderr=subprocess.STDOUT
        )
        text = done.stdout.decode()
        if (
            done.returncode != _WRONG_USAGE
            or not any(one in text for one in (name, value))
            or "Traceback" in text
        ):
            yield fell(f"{name}={value}", f"exit code {done.returncode}: {text[-300:]}")
        else:
            yield Trial(f"{name}={value}", "refused")
