"""The log lines of the LLM container's own scripts."""

from __future__ import annotations

import logging
import sys

LOG = logging.getLogger("llm")


def to_stdout() -> None:
    """Send this container's lines to stdout, in the project's format."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        logging.Formatter("[%(asctime)s] %(levelname)s - [LLM] %(message)s", "%Y-%m-%d %H:%M:%S")
    )
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
