"""Fit the model that weighs what the rules find, and measure it on words that it has not seen.

``make train`` writes ``financial_consumer_protection.model`` beside the rubric: the same bytes from
the same data. A linear model for each element over the pieces of a dialogue
(:mod:`api_server.compliance.model.ngrams`), fitted to everything in ``evaluation/`` but what is
held back. How its score and a rule's hit come to a confidence, and how good findings are from which
confidence on, is fitted to scores that other writers' models gave: nobody's words are judged by a
model that knows that writer.
"""

from __future__ import annotations

import random
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import normalize

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from api_server.compliance.findings import MIN_PRECISION, precision_asked
from api_server.compliance.model.linear import PART, Weights, spans
from api_server.compliance.model.ngrams import split_into_pieces
from api_server.compliance.model_card import CARD, Calibration, ModelCard, Point
from api_server.compliance.rubric import load_rubric
from api_server.compliance.rules.engine import PatternRules
from api_server.compliance.rules.sentences import split_sentences
from evaluation import dialogues, passages
from evaluation.fitted import data_sha256
from evaluation.passages import Passage
from evaluation.tiers import anonymous
from stt_engine.speech import Segment

MODEL = "financial_consumer_protection.model"
VERSION = "2026.11.2"

_STRENGTH = 100.0
_OFTEN = 10  # examples that have a piece which is looked at: what few have says little of others
_TURNS = 2
_UNKNOWN = 0.3  # what an example of nobody knows whom counts beside the same one of two speakers
_FOLDS = 6
_SEED = 20261130
_LONGER = (4, 16, 64)
_WINDOWS_EACH = 1.25  # windows that a dialogue adds to a longer call
_NEVER = 0.25  # a whole call may have what a dialogue seldom has
_TAIL = 99.98  # per cent of the weights that fit into the steps; the rest are cut to them
_STEPS = 127  # sizes of a weight; 16 halve the file, and took 0.03 of precision (docs/rubric.md)
_LEAST = 3  # of them: smaller weights are left out
_LEVELS = np.arange(0.02, 0.995, 0.01)

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Example:
    """A passage with its writer; nothing is known of the elements that are ``unknown``.

    ``counts``: confidence is fitted to it, since it is what is asked about: a whole dialogue.
    """

    passage: Passage
    writer: str = ""
    unknown: frozenset[str] = frozenset()
    counts: bool = False


def examples() -> list[Example]:
    """Return everything that may be fitted to."""
    talks = [one for one in dialogues.load_dialogues() if not one.held]
    clean = [one.passage for one in talks if one.kind == "clean"]
    lines = [*passages.phrases(), *passages.contrasts(held=False)]
    others = [*passages.load(), *lines, *passages.compliant()]
    return [
        *(Example(one.passage, one.passage.id[0], counts=True) for one in talks),
        *map(Example, others),
        *_single_turns(clean),
        *_in_talk(lines, clean),
    ]


def _single_turns(clean: Sequence[Passage]) -> Iterator[Example]:
    """Yield some turns of clean dialogues by themselves: a short word is nothing by itself."""
    chance = random.Random(_SEED)
    for one in clean:
        for segment in chance.sample(one.segments, _TURNS):
            alone = replace(one, segments=(segment,), said=frozenset(), near=frozenset())
            yield Example(alone, one.id[0], one.said | one.near)


def _in_talk(lines: Sequence[Passage], clean: Sequence[Passage]) -> Iterator[Example]:
    """Yield lines among turns of clean dialogues: what is said around a word does not undo it."""
    chance = random.Random(_SEED)
    for line in lines:
        talk = chance.choice(clean)
        at = chance.randrange(len(talk.segments))
        before, behind = talk.segments[max(0, at - 2) : at], talk.segments[at : at + 1]
        around = replace(line, segments=_in_order((*before, *line.segments, *behind)))
        yield Example(around, talk.id[0])


def _in_order(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    return tuple(
        replace(one, id=at, start=3.0 * at, end=3.0 * at + 2) for at, one in enumerate(segments)
    )


class Features:
    """The pieces that many examples have as rows, weighed by how rare they are.

    Args:
        calls: the examples.
        unknown: the same ones of nobody knows whom, whose rows stand behind theirs.
    """

    def __init__(
        self, calls: Sequence[Sequence[Segment]], unknown: Sequence[Sequence[Segment]]
    ) -> None:
        pieces = [_pieces(one) for one in calls]
        found, often = np.unique(np.concatenate(pieces), return_counts=True)
        self.known = found[often >= _OFTEN]
        rarity = np.log(len(pieces) / (1 + often[often >= _OFTEN])) + 1
        self.rarity = np.round(rarity * 16) / 16
        self.rows = self.rows_of([*pieces, *map(_pieces, unknown)])

    def rows_of(self, pieces: Sequence[npt.NDArray[np.int64]]) -> csr_matrix:
        """Return a row for each set of pieces."""
        rows = [self._columns(one) for one in pieces]
        ends = np.cumsum([0, *map(len, rows)])
        shape = (len(rows), len(self.known))
        said = csr_matrix((np.ones(int(ends[-1])), np.concatenate(rows), ends), shape=shape)
        return normalize(said.multiply(self.rarity).tocsr())

    def _columns(self, pieces: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        at = np.searchsorted(self.known, pieces)
        at[at == len(self.known)] = 0
        return at[self.known[at] == pieces]


def _pieces(call: Sequence[Segment]) -> npt.NDArray[np.int64]:
    return np.unique(split_into_pieces(split_sentences(call)).number)


class Parts:
    """The parts of examples as rows, and of which example each is."""

    def __init__(self, calls: Sequence[Sequence[Segment]], features: Features) -> None:
        owners: list[int] = []
        pieces = []
        for number, call in enumerate(calls):
            sentences = split_sentences(call)
            found = split_into_pieces(sentences)
            for first, last in spans([len(one.said) for one in sentences], PART):
                inside = (found.sentence >= first) & (found.sentence < last)
                pieces.append(np.unique(found.number[inside]))
                owners.append(number)
        self.example = np.array(owners)
        self.rows = features.rows_of(pieces)


@dataclass(frozen=True)
class Labels:
    """What is said in each example: ``known`` where the labels say so."""

    said: Flags
    known: Flags


def labels(found: Sequence[Example], element: str) -> Labels:
    """Return the labels of one element."""
    said = np.array([element in one.passage.said for one in found])
    known = np.array(
        [one.passage.about in {None, element} and element not in one.unknown for one in found]
    )
    return Labels(said, known)


def fit(rows: csr_matrix, label: Labels, taken: Flags) -> LogisticRegression:
    """Fit one element to those of its examples whose label is known and that may be ``taken``.

    Behind the rows of the examples stand those of nobody knows whom.
    """
    taken = np.tile(label.known & taken, 2)
    counts = np.repeat([1.0, _UNKNOWN], len(label.said))
    model = LogisticRegression(
        C=_STRENGTH,
        class_weight="balanced",
        solver="liblinear",
        dual=True,
        tol=1e-3,
        random_state=_SEED,
    )
    return model.fit(rows[taken], np.tile(label.said, 2)[taken], sample_weight=counts[taken])


@dataclass(frozen=True)
class Coarse:
    """A fitted model as it is kept: ``sizes`` from -_STEPS to _STEPS, in units of ``scale``."""

    sizes: npt.NDArray[np.int8]
    scale: float
    bias: float
    factors: Floats
    """What the rows of :class:`Features` are multiplied by."""


def coarse(model: LogisticRegression, features: Features) -> Coarse:
    """Return a model without its smallest weights, the others in steps."""
    table = model.coef_[0] * features.rarity
    scale = float(np.percentile(np.abs(table[table != 0]), _TAIL)) / _STEPS
    sizes = np.clip(np.round(table / scale), -_STEPS, _STEPS)
    sizes[np.abs(sizes) < _LEAST] = 0
    factors = sizes * scale / features.rarity
    return Coarse(sizes.astype(np.int8), scale, float(model.intercept_[0]), factors)


@dataclass(frozen=True)
class Scores:
    """What models that had not seen its writer make of each example, and of its best part."""

    whole: Floats
    part: Floats


def unseen(features: Features, parts: Parts, label: Labels, folds: npt.NDArray[np.int64]) -> Scores:
    """Return the scores of the examples; ``folds`` is -1 for what is always fitted to."""
    whole, part = np.zeros(len(folds)), np.full(len(folds), -np.inf)
    for fold in range(_FOLDS):
        out = folds == fold
        model = coarse(fit(features.rows, label, ~out), features)
        whole[out] = features.rows[: len(folds)][out] @ model.factors + model.bias
        inside = out[parts.example]
        scores = parts.rows[inside] @ model.factors + model.bias
        np.maximum.at(part, parts.example[inside], scores)
    return Scores(whole, part)


def certainty(scores: Scores, rule: Flags, said: Flags) -> Calibration:
    """Fit how scores, a hit and a call's length come to a confidence."""
    chance = np.random.default_rng(_SEED)
    many = len(said)
    table = [(scores.whole, scores.part, rule, np.zeros(many), said)]
    innocent = np.flatnonzero(~said)
    for calls in _LONGER:
        beside = chance.choice(innocent, (many, calls - 1))
        table.append(
            (
                np.maximum(scores.whole, scores.whole[beside].max(axis=1)),
                np.maximum(scores.part, scores.part[beside].max(axis=1)),
                rule | rule[beside].any(axis=1),
                np.full(many, np.log(calls * _WINDOWS_EACH)),
                said,
            )
        )
    columns = [np.concatenate(one) for one in zip(*table, strict=True)]
    weights = np.repeat([1.0, *[_NEVER] * len(_LONGER)], many)
    constant, whole, part, hit, longer = _logistic(columns[:4], columns[4], weights)
    known = Calibration(
        constant=constant, score=whole, part=part, rule=hit, length=longer, points=()
    )
    rows = zip(scores.whole, scores.part, rule, strict=True)
    sure = np.array([known.confidence(s, p, 1, rule=bool(r)) for s, p, r in rows])
    return known.model_copy(update={"points": tuple(_points(sure, said))})


def _logistic(columns: Sequence[Floats], said: Flags, weights: Floats) -> list[float]:
    """Return constant and factors; only a longer call speaks against an element."""
    table = np.stack(columns, axis=1)
    signs = np.array([1.0, 1.0, 1.0, -1.0])
    kept = list(range(len(signs)))
    while True:
        model = LogisticRegression(C=1e4).fit(table[:, kept], said, sample_weight=weights)
        wrong = [at for at, one in zip(kept, model.coef_[0], strict=True) if one * signs[at] < 0]
        if not wrong:
            found = dict(zip(kept, model.coef_[0], strict=True))
            factors = (model.intercept_[0], *(found.get(at, 0.0) for at in range(len(signs))))
            return [round(float(one), 4) for one in factors]
        kept.remove(wrong[0])


def _points(sure: Floats, said: Flags) -> Iterator[Point]:
    """Yield how good what is at or above each confidence is.

    One wrong finding is added, since few of them say little; a point is no better than those
    above it that still have twenty findings.
    """
    worst = 1.0
    found: list[Point] = []
    for level in _LEVELS[::-1]:
        taken = sure >= level
        true, many = int((taken & said).sum()), int(taken.sum())
        precision = true / (many + 1)
        if many >= 20:
            worst = min(worst, precision) if found and found[-1].recall else precision
        recall = true / max(1, int(said.sum()))
        found.append(
            Point(
                confidence=round(float(level), 2),
                precision=round(precision, 3),
                recall=round(recall, 3),
            )
        )
    yield from reversed(found)


def weights_of(models: Sequence[Coarse], features: Features) -> Weights:
    """Return fitted models as the check reads them."""
    return Weights(
        features.known.astype(np.uint32),
        np.stack([model.sizes for model in models], axis=1),
        np.round(features.rarity * 16).astype(np.uint8),
        np.array([model.scale for model in models], np.float32),
        np.array([model.bias for model in models], np.float32),
    )


def write(file: Path, card: ModelCard, weights: Weights) -> None:
    """Write a model's file; its bytes depend on nothing else."""
    members = {CARD: card.model_dump_json().encode(), **weights.save()}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED, 9)


def main() -> int:
    """Fit every element, and write the model."""
    rubric, found = load_rubric(with_model=False), examples()
    rules = PatternRules(rubric)
    calls = [one.passage.segments for one in found]
    hits = [rules.examine(one) for one in calls]
    unknown = anonymous([one.passage for one in found])
    features = Features(calls, [one.segments for one in unknown])
    parts = Parts(calls, features)
    writers = sorted({one.writer for one in found} - {""})
    fold_of = {name: at % _FOLDS for at, name in enumerate(writers)} | {"": -1}
    folds = np.array([fold_of[one.writer] for one in found])
    counted = np.array([one.counts for one in found])
    models, elements = [], {}
    for element in rubric.asked:
        label = labels(found, element.id)
        scores = unseen(features, parts, label, folds)
        hit = np.array([bool(one[element.id].evidence) for one in hits])
        own = Scores(scores.whole[counted], scores.part[counted])
        elements[element.id] = certainty(own, hit[counted], label.said[counted])
        models.append(coarse(fit(features.rows, label, np.ones(len(found), bool)), features))
        needed = elements[element.id].needed(precision_asked(element.kind, MIN_PRECISION))
        reached = [p for p in elements[element.id].points if p.confidence == needed]
        print(f"{element.id:32} {reached}", flush=True)
    card = ModelCard(
        version=VERSION,
        data_sha256=data_sha256(),
        dialogues=int(counted.sum()),
        elements=elements,
    )
    folder = Path(__file__).resolve().parents[1] / "src" / "api_server" / "rubrics"
    write(folder / MODEL, card, weights_of(models, features))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
