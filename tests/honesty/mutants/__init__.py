"""Small deliberate defects, as data: each is a way of lying that the honesty machine must see.

``old`` stands exactly once in ``file`` (below ``src``); where it does not any more, the run fails,
so that no mutant rots unseen. Add one for every new promise.
"""

from __future__ import annotations

from tests.honesty.mutants.agent import AGENT
from tests.honesty.mutants.defect import Mutant
from tests.honesty.mutants.recognition import ANSWER, RECOGNITION
from tests.honesty.mutants.review import FINDINGS, TIERS

__all__ = ["MUTANTS", "Mutant"]


MUTANTS = (*RECOGNITION, *ANSWER, *AGENT, *FINDINGS, *TIERS)
