"""Where speech is: Silero's voice detection, as faster-whisper ships it (no torch).

onnxruntime runs the network until another session takes its place
(:mod:`stt_engine.backends.faster_whisper.openvino.vad`). Its probabilities are read once, for the
chunks that a model transcribes and for the voice inside them: a chunk holds pauses, and only a gap
of text over voice is a gap in what was transcribed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from stt_engine.speech import SAMPLE_RATE

MAX_SPAN_SEC = 26.5
"""Whisper's window less the silence that a decoder needs to find the end of a chunk."""

_CUT_WITHIN_SEC = 8.0
"""How far before that limit a longer run of speech may be cut, at its longest pause."""

_WINDOW = 512
_BEGINS = 0.5
_ENDS = 0.35
_PAUSE = 63
"""Windows without speech that end a chunk: two seconds."""

_CUT_PAUSE = 3
"""Windows of a pause that a long run may be cut in: a tenth of a second."""

_MARGIN = 6_400
"""Samples before and after speech that belong to its chunk."""

_QUIET_PAUSE, _AFTERMATH, _QUIET_VOICE = 32, 6, 19
"""Windows of a pause in which quiet voice is looked for, of what is left out beside louder voice
(reverberation, breath), and of the voice that there has to be: 1.0, 0.2 and 0.6 s."""

_USUAL_LEVEL, _MAX_GAIN, _LEAST = 0.05, 1_000.0, 6e-5
"""The level that speech in a pause is brought to (-26 dBFS rms), by 60 dB at most; below two units
of 16 bits (-84 dBFS) there is nothing but rounding."""

_MODULATION, _BLEED = 2.0, 16.0
"""Speech comes and goes by 6 dB at least; 12 dB below another channel it is that one's."""

Samples = npt.NDArray[np.float32]
Run = tuple[int, int]


class SpeechSpan(NamedTuple):
    """One chunk of speech: ``start`` and ``end`` are samples, ``voiced`` the voice inside it."""

    start: int
    end: int
    voiced: tuple[Run, ...]


def speech_spans(samples: Samples, others: Sequence[Samples] = ()) -> list[SpeechSpan]:
    """Return the chunks of speech, each at most :data:`MAX_SPAN_SEC`, with 0.4 s of margin.

    ``others`` are the other channels at that time: their bleed is nobody's quiet speech.

    They are never joined over a pause of two seconds or more, so that a segment cannot reach from
    one turn of a call into the next and the order of two channels stays true. A longer run is cut
    at a pause.
    """
    runs = _runs(_probabilities(samples))
    runs = sorted([*runs, *_quiet_runs(samples, runs, others)])
    chunks = [part for chunk in _joined(runs) for part in _cut(chunk)]
    return _with_margins(chunks, len(samples))


def _probabilities(samples: Samples) -> Samples:
    """Return the probability of speech in each window of 32 ms."""
    from faster_whisper.vad import get_vad_model

    found = get_vad_model()(np.pad(samples, (0, _WINDOW - len(samples) % _WINDOW)))
    return np.asarray(found, np.float32).reshape(-1)


def _runs(probabilities: Samples) -> list[Run]:
    """Return the runs of windows with voice: one begins at 0.5 and ends below 0.35."""
    runs: list[Run] = []
    start: int | None = None
    for at, probability in enumerate(probabilities.tolist()):
        if start is None and probability >= _BEGINS:
            start = at
        elif start is not None and probability < _ENDS:
            runs.append((start, at))
            start = None
    return runs if start is None else [*runs, (start, len(probabilities))]


def _quiet_runs(samples: Samples, runs: Sequence[Run], others: Sequence[Samples]) -> Iterator[Run]:
    """Yield the voice in the pauses that is too quiet beside the rest: it is made louder first."""
    total = len(samples) // _WINDOW
    ends = [0, *(end + _AFTERMATH for _, end in runs)]
    begins = [*(start - _AFTERMATH for start, _ in runs), total]
    for start, end in zip(ends, begins, strict=True):
        if end - start >= _QUIET_PAUSE:
            found = list(_voice_in(samples[start * _WINDOW : end * _WINDOW], start))
            own = [run for run in found if not _is_bleed(samples, run, others)]
            if sum(last - first for first, last in own) >= _QUIET_VOICE:
                yield from own


def _voice_in(pause: Samples, start: int) -> Iterator[Run]:
    """Yield the voice in a pause, made as loud as speech is; none in a steady noise."""
    levels = np.sqrt((pause.reshape(-1, _WINDOW) ** 2).mean(axis=1))
    floor, loud = np.quantile(levels, (0.1, 0.95))
    if loud < _LEAST or loud < _MODULATION * floor:
        return
    gain = np.float32(min(_MAX_GAIN, max(1.0, _USUAL_LEVEL / loud)))
    for first, last in _runs(_probabilities(pause * gain)):
        yield start + first, start + min(last, len(levels))


def _is_bleed(samples: Samples, run: Run, others: Sequence[Samples]) -> bool:
    """Return whether another channel is much louder meanwhile."""
    part = slice(run[0] * _WINDOW, run[1] * _WINDOW)
    own = float((samples[part] ** 2).mean())
    return any(float((one[part] ** 2).mean()) > _BLEED * own for one in others if len(one[part]))


def _joined(runs: Sequence[Run]) -> list[list[Run]]:
    """Join runs over pauses shorter than two seconds."""
    chunks: list[list[Run]] = []
    for run in runs:
        if chunks and run[0] - chunks[-1][-1][1] <= _PAUSE:
            chunks[-1].append(run)
        else:
            chunks.append([run])
    return chunks


def _cut(chunk: list[Run]) -> Iterator[list[Run]]:
    """Cut a chunk that is too long, at its longest pause shortly before the limit."""
    most = int((MAX_SPAN_SEC * SAMPLE_RATE - 2 * _MARGIN) / _WINDOW)
    while chunk[-1][1] - chunk[0][0] > most:
        limit = chunk[0][0] + most
        at = _pause_before(chunk, limit)
        if at is None:  # nobody breathes: through a word, which is better than through Whisper
            yield [(start, min(end, limit)) for start, end in chunk if start < limit]
            chunk = [(max(start, limit), end) for start, end in chunk if end > limit]
        else:
            yield chunk[:at]
            chunk = chunk[at:]
    yield chunk


def _pause_before(chunk: list[Run], limit: int) -> int | None:
    """Return the index of the run to cut before; ``None`` where there is no pause."""
    pauses = [
        (chunk[at][0] - chunk[at - 1][1], chunk[at - 1][1], at)
        for at in range(1, len(chunk))
        if chunk[at - 1][1] <= limit and chunk[at][0] - chunk[at - 1][1] >= _CUT_PAUSE
    ]
    late = limit - int(_CUT_WITHIN_SEC * SAMPLE_RATE / _WINDOW)
    near = [pause for pause in pauses if pause[1] >= late]
    if near:
        return max(near)[2]
    return pauses[-1][2] if pauses else None


def _with_margins(chunks: Sequence[list[Run]], total: int) -> list[SpeechSpan]:
    """Return the chunks in samples; a margin ends halfway to the chunk beside it."""
    spans: list[SpeechSpan] = []
    edges = [(chunk[0][0] * _WINDOW, min(chunk[-1][1] * _WINDOW, total)) for chunk in chunks]
    if edges and total - edges[-1][1] <= _PAUSE * _WINDOW:
        edges[-1] = (edges[-1][0], total)  # too short for a pause: faster-whisper does so too
    for at, (chunk, (start, end)) in enumerate(zip(chunks, edges, strict=True)):
        before = start - edges[at - 1][1] if at else 2 * _MARGIN
        after = edges[at + 1][0] - end if at + 1 < len(edges) else 2 * _MARGIN
        voiced = tuple((first * _WINDOW, min(last * _WINDOW, total)) for first, last in chunk)
        spans.append(
            SpeechSpan(
                max(0, start - min(_MARGIN, before // 2)),
                min(total, end + min(_MARGIN, after // 2)),
                voiced,
            )
        )
    return spans


def facts() -> dict[str, str]:
    """Return which library detects speech in this process, as its session describes it."""
    from faster_whisper.vad import get_vad_model

    describe = getattr(get_vad_model().session, "facts", None)
    return describe() if describe else {"vad": "onnxruntime"}
