"""How well the check finds what is there: precision, recall and false alarms, element by element.

``python evaluation/score.py [SET ...] [--set FILE ...] [--all] [--llm URL [--limit N]]
[--noise 5 10 20] [--misses] [--json]``

The patterns alone and the check without an LLM, always; the LLM only, and everything together,
where a server is named (or VLLM_API_URL is set). A hard negative is a passage that resembles an
element and does not say it. Dialogues are those of ``dialogues/`` that nothing was fitted to;
``--all`` takes the others too, ``--set`` files of one's own (:mod:`evaluation.dialogues`).
"Stated" is what the check calls ``violated`` or ``satisfied``, "shown" what it suspects, too.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import anyio

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from api_server.clients.agent.backend import AgentBackend
from api_server.compliance.deterministic import DeterministicTier
from api_server.compliance.rubric import Rubric, load_rubric
from api_server.compliance.validator import get_incomplete_elements_validator
from evaluation.dialogues import Dialogue, DialogueInvalid, accused, interval, load_dialogues
from evaluation.passages import Passage, compliant, contrasts, load, noisy, phrases
from evaluation.tiers import anonymous, by_rules, check, reliability

ALL = "all"
Found = Callable[[Passage], frozenset[str]]
"""Returns the elements that a tier reports as present."""


@dataclass
class Score:
    """Counts of one element. ``alarms`` of ``near`` hard negatives were taken for the real one."""

    true: int = 0
    false: int = 0
    missed: int = 0
    near: int = 0
    alarms: int = 0

    @property
    def precision(self) -> float | None:
        """Share of what was found that is really there; ``None`` where nothing was found."""
        return _share(self.true, self.true + self.false)

    @property
    def recall(self) -> float | None:
        """Share of what is there that was found; ``None`` where nothing is there."""
        return _share(self.true, self.true + self.missed)

    @property
    def alarm_rate(self) -> float | None:
        """Share of hard negatives that were taken for the real one."""
        return _share(self.alarms, self.near)

    def add(self, other: Score) -> None:
        """Add another element's counts."""
        self.true += other.true
        self.false += other.false
        self.missed += other.missed
        self.near += other.near
        self.alarms += other.alarms

    def figures(self) -> dict[str, float | int | None]:
        """Return counts and rates."""
        rates = ("precision", "recall", "alarm_rate")
        return asdict(self) | {name: getattr(self, name) for name in rates}


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None


@dataclass
class Result:
    """What one tier made of a set: scores by element, and every mistake."""

    scores: dict[str, Score]
    misses: list[dict[str, object]] = field(default_factory=list)

    def total(self, rubric: Rubric, kind: str) -> Score:
        """Sum up the elements of one kind."""
        total = Score()
        for element in rubric.asked:
            if element.kind == kind:
                total.add(self.scores[element.id])
        return total


def judge(
    passages: Sequence[Passage], rubric: Rubric, found: Mapping[str, frozenset[str]]
) -> Result:
    """Compare what was found (by passage id) with the labels."""
    result = Result({element.id: Score() for element in rubric.asked})
    for passage in passages:
        for name, score in result.scores.items():
            if passage.about not in {None, name}:
                continue
            said, told, near = name in passage.said, name in found[passage.id], name in passage.near
            score.true += said and told
            score.false += told and not said
            score.missed += said and not told
            score.near += near
            score.alarms += near and told
            if said != told:
                kind = "missed" if said else "false"
                words = [f"{s.speaker}: {s.text}" for s in passage.segments]
                result.misses.append({"id": passage.id, "element": name, kind: words})
    return result


def alarms(passages: Sequence[Passage], rubric: Rubric) -> dict[str, list[str]]:
    """Return the compliant passages in which the rules find something prohibited, with what."""
    kinds = {one.id: one.kind for one in rubric.elements}
    found = by_rules(passages, rubric)
    taken = {
        " | ".join(segment.text for segment in one.segments): [
            name for name in sorted(found[one.id]) if kinds[name] == "prohibited"
        ]
        for one in passages
    }
    return {words: names for words, names in taken.items() if names}


async def by_llm(
    passages: Sequence[Passage], rubric: Rubric, url: str, timeout_sec: float
) -> dict[str, dict[str, frozenset[str]]]:
    """Run the LLM tier beside the rules; return the verdicts of ``llm`` and of ``both``."""
    alone: dict[str, frozenset[str]] = {}
    both: dict[str, frozenset[str]] = {}
    backend = AgentBackend(model=os.environ.get("AGENT_MODEL") or None)
    validator = get_incomplete_elements_validator(backend, rubric, rules=DeterministicTier(rubric))
    config = {"url": f"{url.rstrip('/')}/chat/completions"}
    try:
        for one in passages:
            result = await validator.validate(one.segments, config, timeout_sec)
            said = {"violated", "satisfied"}
            alone[one.id] = frozenset(
                e["id"] for e in result["elements"] if e["tiers"]["llm"] in said
            )
            both[one.id] = frozenset(e["id"] for e in result["elements"] if e["status"] in said)
    finally:
        await backend.aclose()
    return {"llm": alone, "both": both}


def without_llm(
    passages: Sequence[Passage], rubric: Rubric, percents: Sequence[int]
) -> dict[str, Result]:
    """Return what the check finds without an LLM: as it is, of nobody knows whom, misheard."""
    found = check(passages, rubric)
    results = {
        "stated, dialogues": judge(passages, rubric, found.stated),
        "shown, dialogues": judge(passages, rubric, found.shown),
    }
    lines = contrasts(held=True)
    results["stated, contrasts"] = judge(lines, rubric, check(lines, rubric).stated)
    unknown = anonymous(passages)
    results["stated, speakers unknown"] = judge(unknown, rubric, check(unknown, rubric).stated)
    for percent in percents:
        heard = noisy(passages, percent / 100)
        stated = check(heard, rubric).stated
        results[f"stated, {percent} % noise"] = judge(heard, rubric, stated)
    return results


def evaluate(options: argparse.Namespace) -> dict[str, Result]:
    """Run every requested evaluation; keys name the tier and the noise."""
    rubric = load_rubric()
    passages = load(*options.sets)
    results = {"rules": judge(passages, rubric, by_rules(passages, rubric))}
    for percent in options.noise:
        heard = noisy(passages, percent / 100)
        results[f"rules, {percent} % noise"] = judge(heard, rubric, by_rules(heard, rubric))
    many = phrases()
    results["rules, phrases"] = judge(many, rubric, by_rules(many, rubric))
    talks = [one.passage for one in _dialogues(options)]
    results["rules, dialogues"] = judge(talks, rubric, by_rules(talks, rubric))
    results |= without_llm(talks, rubric, options.noise)
    if options.llm:
        asked = passages[: options.limit]
        told = anyio.run(by_llm, asked, rubric, options.llm, options.timeout)
        results |= {name: judge(asked, rubric, found) for name, found in told.items()}
    return results


def _dialogues(options: argparse.Namespace) -> list[Dialogue]:
    every = options.all or options.set
    return [one for one in load_dialogues(options.set) if one.held or every]


def accusations(talks: Sequence[Dialogue], rubric: Rubric) -> dict[str, dict[str, Any]]:
    """Return of the dialogues without a violation, by kind, how many are accused of one."""
    prohibited = _of_kind(rubric, "prohibited")
    found = check([one.passage for one in talks], rubric).stated
    return {
        name: {"accused": part, "of": whole, "interval": interval(part, whole)}
        for name, part, whole in accused(talks, found, prohibited)
    }


def certainties(
    talks: Sequence[Dialogue], rubric: Rubric
) -> dict[str, list[tuple[float, float, int]]]:
    """Return how often findings of a confidence are right, for each kind of element."""
    passages = [one.passage for one in talks]
    found = check(passages, rubric)
    return {
        kind: reliability(passages, found, _of_kind(rubric, kind))
        for kind in ("prohibited", "required")
    }


def _of_kind(rubric: Rubric, kind: str) -> frozenset[str]:
    return frozenset(one.id for one in rubric.asked if one.kind == kind)


def _table(results: Mapping[str, Result], rubric: Rubric, write: Callable[[str], Any]) -> None:
    for name, result in results.items():
        write(
            f"\n{name}\n{'element':<30}{'said':>6}{'prec.':>8}{'recall':>8}{'near':>6}{'alarm':>8}\n"
        )
        rows = {**result.scores}
        for kind in ("prohibited", "required"):
            rows[f"all {kind}"] = result.total(rubric, kind)
        for label, score in rows.items():
            rates = (score.precision, score.recall, score.alarm_rate)
            first, second, third = ("-" if rate is None else f"{rate:.3f}" for rate in rates)
            said = score.true + score.missed
            write(f"{label:<30}{said:>6}{first:>8}{second:>8}{score.near:>6}{third:>8}\n")


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("sets", nargs="*", help="names of sets; default: all")
    parser.add_argument("--set", type=Path, nargs="+", default=[], metavar="FILE")
    parser.add_argument("--all", action="store_true", help="dialogues that were fitted to, too")
    parser.add_argument("--llm", default=os.environ.get("VLLM_API_URL"), help="base URL, .../v1")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one passage")
    parser.add_argument("--limit", type=int, help="ask the LLM about the first so many passages")
    parser.add_argument("--noise", type=int, nargs="*", default=[5, 10, 20], help="percent")
    parser.add_argument("--misses", action="store_true", help="print every mistake of the rules")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        rubric, results = load_rubric(), evaluate(options)
        talks = _dialogues(options)
        innocent, sure = accusations(talks, rubric), certainties(talks, rubric)
    except (DialogueInvalid, OSError) as exc:
        parser.error(str(exc))
    should = compliant()
    taken = alarms(should, rubric)
    write = sys.stdout.write
    if options.json:
        figures: dict[str, Any] = {
            name: {e: s.figures() for e, s in one.scores.items()}
            | {f"all {k}": one.total(rubric, k).figures() for k in ("prohibited", "required")}
            for name, one in results.items()
        }
        figures["accused"] = innocent
        figures["reliability"] = sure
        figures["compliant"] = {"said": len(should), "alarms": taken}
        write(json.dumps(figures, indent=1, ensure_ascii=False) + "\n")
        return 0
    _table(results, rubric, write)
    write(f"\ncompliant: {len(taken)} of {len(should)} taken for something prohibited\n")
    write("\ndialogues without a violation that are accused of one (95 % interval)\n")
    for name, one in innocent.items():
        low, high = one["interval"]
        write(f"{name:<30}{one['accused']:>6} of {one['of']:<6}{low:.3f} to {high:.3f}\n")
    for kind, rows in sure.items():
        write(f"\nconfidence and share right, {kind}\n")
        for mean, share, many in rows:
            write(f"{mean:>6.2f} {share:>6.2f} {many:>7}  {'#' * round(share * 40)}\n")
    if not options.llm:
        write("\nLLM alone and both: not run (no server: --llm URL, or VLLM_API_URL)\n")
    if options.misses:
        named = ("rules", "rules, phrases", "stated, dialogues")
        for miss in (miss for name in named for miss in results[name].misses):
            write(json.dumps(miss, indent=1, ensure_ascii=False) + "\n")
        for words, names in taken.items():
            write(json.dumps({"compliant": words, "false": names}, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
