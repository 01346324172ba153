"""A signal that comes after models have gone is handled, and does not end the process."""

from __future__ import annotations

import subprocess
import sys

from tests.support.units import needs_library

pytestmark = needs_library

_PROGRAM = """
import faulthandler, gc, signal
import numpy as np
from stt_engine.backends.faster_whisper.openvino.graph import compiled, import_openvino

faulthandler.enable()
ov = import_openvino()
op = ov.opset13

def request():
    asked = op.parameter([4, 8], np.float32)
    return compiled(ov.Model([op.relu(asked)], [asked]), 1, "f32")

first, second = request(), request()
del first
gc.collect()
del second
gc.collect()
came = []
signal.signal(signal.SIGUSR1, lambda *_: came.append(1))
signal.raise_signal(signal.SIGUSR1)
print(len(came))
"""


def test_a_signal_behind_models_that_have_gone_is_handled() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
