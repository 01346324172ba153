"""What of OpenVINO and of the CPU's units a test needs."""

from __future__ import annotations

import pytest

from stt_engine.backends.faster_whisper.openvino import cpu_features

needs_library = pytest.mark.skipif(
    not cpu_features.has_library(), reason="openvino is not installed (it is on x86-64 Linux)"
)
needs_units = pytest.mark.skipif(
    cpu_features.cpu_units() is None or not cpu_features.has_library(),
    reason="this CPU has no units for it, or openvino is not installed",
)
