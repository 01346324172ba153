"""What is known of a model beside its weights: what it was fitted to, how sure it is when.

A model's file is a zip archive: the card as JSON, and the weights as numpy writes them.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import exp, log
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stt_engine.errors import EngineError

CARD = "card.json"
SUSPECTED = 0.2
"""Confidence from which a person should look: of five such findings one is right."""
MORE_LIKELY_THAN_NOT = 0.5
"""No status is given to what is less sure, however good those above it are."""


@dataclass(frozen=True, slots=True)
class Weighing:
    """What findings without an LLM were weighed by.

    ``needed``: the confidence that each element takes; ``None``: none is enough.
    """

    model_version: str
    model_sha256: str
    min_precision: float
    needed: Mapping[str, float | None]


class RubricModelInvalid(EngineError):
    """A model's file cannot be used; the message says why."""


class ModelRef(BaseModel):
    """A model's file, and the hash of what it has to hold."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    sha256: str


class Point(BaseModel):
    """How good what is at or above a confidence was, on words that the model had not seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    confidence: float
    precision: float
    recall: float


class Calibration(BaseModel):
    """How the score of an element and a rule's hit come to a confidence."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    constant: float
    score: float = Field(ge=0)
    part: float = Field(ge=0)
    rule: float = Field(ge=0)
    length: float = Field(le=0)
    points: tuple[Point, ...]
    """By rising confidence."""

    def confidence(self, score: float, part: float, windows: int, *, rule: bool) -> float:
        """Return the share of what looks like this that is one.

        Args:
            score: that of the best window of the call.
            part: that of its best part.
            windows: how many it has: in more of them something looks like it by chance.
            rule: a rule of the element matches in the call.
        """
        length = self.length * log(max(1, windows))
        heard = self.score * score + self.part * part
        logit = self.constant + heard + self.rule * rule + length
        return 1 / (1 + exp(-max(-40.0, min(40.0, logit))))

    def needed(self, precision: float) -> float | None:
        """Return the least confidence that is enough for a status; ``None`` where none is.

        What is at or above it has had the precision, and is more likely than not itself.
        """
        good = [point.confidence for point in self.points if point.precision >= precision]
        return max(good[0], MORE_LIKELY_THAN_NOT) if good else None


class ModelCard(BaseModel):
    """What a model is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    data_sha256: str
    """Of the files that it was fitted to."""
    dialogues: int
    elements: dict[str, Calibration]
    """By id, in the order of the weights' columns."""


def describe_weighing(ref: ModelRef, min_precision: float, asked: Mapping[str, float]) -> Weighing:
    """Return what an answer says of the model that its findings were weighed by.

    ``asked``: the precision that each element takes.

    Raises:
        RubricModelInvalid: the file is no model.
    """
    card = load_card(ref)
    needed = {
        name: one.needed(asked.get(name, min_precision)) for name, one in card.elements.items()
    }
    return Weighing(card.version, ref.sha256, min_precision, needed)


def find_model(file: Path) -> ModelRef:
    """Return a reference to a model's file as it is now.

    Raises:
        RubricModelInvalid: it cannot be read.
    """
    try:
        ref = ModelRef(path=str(file), sha256=hashlib.sha256(file.read_bytes()).hexdigest())
    except OSError as exc:
        raise RubricModelInvalid(f"{file}을(를) 읽을 수 없습니다 ({exc})") from exc
    load_card(ref)
    return ref


@lru_cache(maxsize=8)
def load_card(ref: ModelRef) -> ModelCard:
    """Return the card of a model.

    Raises:
        RubricModelInvalid: the file is no model.
    """
    try:
        with zipfile.ZipFile(ref.path) as archive:
            return ModelCard.model_validate_json(archive.read(CARD))
    except (OSError, KeyError, zipfile.BadZipFile, ValidationError) as exc:
        raise RubricModelInvalid(f"{ref.path}: 모델 파일이 아닙니다 ({exc})") from exc
