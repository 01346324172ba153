"""Decoding with OpenVINO on real weights."""

from __future__ import annotations

BEAM_SIZE = 5


WORDS = "this is a test of the speech recognition service"
