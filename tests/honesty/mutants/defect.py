"""What a mutant is, and the files that several themes change."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """One defect; ``breaks`` says which promise."""

    file: str
    old: str
    new: str
    breaks: str


RENDER, ANALYSIS = "api_server/pipeline/render/answers.py", "api_server/pipeline/analysis.py"


BACKEND, FORMATS = "api_server/clients/agent/backend.py", "api_server/clients/agent/formats.py"


COMPLIANCE = "api_server/compliance"


PROMPTS, VALIDATOR = f"{COMPLIANCE}/prompt.py", f"{COMPLIANCE}/validator.py"


REVIEW, COVERAGE = f"{COMPLIANCE}/llm_review.py", f"{COMPLIANCE}/coverage.py"
