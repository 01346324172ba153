"""The sources of the events of health."""

from __future__ import annotations

CANARY = "canary"
"""Source of the events of recognising the built-in clip."""

AGENT_PROBE = "agent"
"""Source of the events of asking the LLM server whether it can answer: of a probe, no call."""
