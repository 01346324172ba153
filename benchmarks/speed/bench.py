"""What every part of a run shares: options, audio, what did not run, and running engines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.speed import engines
from benchmarks.speed.audio import Audio
from benchmarks.speed.engines import Engine
from benchmarks.speed.places import AUDIO, TEXTS, Failed, progress
from benchmarks.speed.processes import Runner

LANGUAGE = "en"
DEFAULT_BEAM = 5
BESIDE_ROUNDS = 3


@dataclass
class Options:
    """The options of the command line."""

    model: Path
    rounds: int = 5
    even: bool = False
    quick: bool = False
    long: bool = False
    peers: tuple[str, ...] = ()
    product_env: dict[str, str] = field(default_factory=dict)
    product_arguments: dict[str, Any] = field(default_factory=dict)
    other: Path | None = None


@dataclass
class Bench:
    """One run."""

    options: Options
    audio: Audio = field(default_factory=Audio)
    not_run: list[dict[str, str]] = field(default_factory=list)

    def skip(self, what: str, why: object) -> None:
        """Note what was not run, so that the table says it."""
        progress(f"NOT RUN: {what}: {why}")
        self.not_run.append({"what": what, "why": str(why)})

    def wanted(self, name: str) -> bool:
        """Return whether a peer was requested."""
        asked = self.options.peers
        return not asked or any(name == one or name.startswith(f"{one}-") for one in asked)

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the product reports about itself with a clip: its beam, its encoder."""
        with self.running([self.variant("product")]) as runners:
            try:
                clip = AUDIO / self.audio.clips()[0]["file"]
                heard = runners["product"].transcribe([clip], language=LANGUAGE)
            except (KeyError, Failed) as error:
                self.skip("the product's own beam", f"{error}; {DEFAULT_BEAM} is taken")
                return {}
        found: dict[str, Any] = heard["facts"]
        return found

    @property
    def beam(self) -> int:
        """The product's beam: peers are compared with that one."""
        return int(self.facts.get("parameters", {}).get("beam_size", DEFAULT_BEAM))

    def rounds_of(self, engine: Engine) -> int:
        """Return in how many rounds an engine takes part."""
        rounds = self.options.rounds
        return min(rounds, BESIDE_ROUNDS) if engine.beside and not self.options.even else rounds

    def variant(self, name: str) -> Engine:
        """Return the product, or one of its variants."""
        options = self.options
        return engines.product(name, options.product_env, options.product_arguments)

    @cached_property
    def product(self) -> list[Engine]:
        """The product, itself without OpenVINO where that took part, and the other version."""
        if self.facts.get("encoder") == "ctranslate2" and "alone" not in self.facts:
            reason = self.facts.get("encoder_reason", "asked for")
            self.skip("product without OpenVINO", f"it is off by itself here: {reason}")
            return [self.variant("product"), *self._others]
        return [self.variant("product"), self.variant("product-ct2"), *self._others]

    @property
    def _others(self) -> list[Engine]:
        options = self.options
        if options.other is None:
            return []
        env, arguments = options.product_env, options.product_arguments
        return [engines.other_version(options.other, env, arguments)]

    @property
    def all_peers(self) -> list[Engine]:
        """The requested peers."""
        return [one for one in engines.peers(self.beam) if self.wanted(one.name)]

    @contextmanager
    def running(self, chosen: Sequence[Engine]) -> Iterator[dict[str, Runner]]:
        """Have engines run for the length of a block; one that cannot is noted and left out."""
        runners: dict[str, Runner] = {}
        started: list[Runner] = []
        try:
            for engine in chosen:
                progress(f"loading {engine.name}")
                try:
                    settings = engine.settings | {"model": str(engine.model(self.options.model))}
                    runners[engine.name] = runner = Runner(
                        engine.name, engine.environment, engine.module, engine.env
                    )
                    started.append(runner)
                    runner.load(settings)
                except Failed as error:
                    runners.pop(engine.name, None)
                    self.skip(engine.title, error)
            yield runners
        finally:
            for runner in started:
                runner.close()


def keep_text(name: str, text: str) -> None:
    """Write an engine's transcripts into the cache, for inspection."""
    TEXTS.mkdir(parents=True, exist_ok=True)
    (TEXTS / f"{name}.txt").write_text(text + "\n", "utf-8")
