"""OpenVINO's encoder: the same graph as CTranslate2's, proved on real weights before use."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import ctranslate2
import numpy as np
import pytest
from ctranslate2.specs.model_spec import index_spec
from ctranslate2.specs.whisper_spec import WhisperSpec

from stt_engine.backends.faster_whisper.ct2_weights import (
    Variables,
    WeightsUnreadable,
    plain,
    read_variables,
)
from stt_engine.backends.faster_whisper.openvino import cpu_features
from stt_engine.backends.faster_whisper.openvino import encoder as module
from stt_engine.backends.faster_whisper.openvino.encoder import (
    FORMS,
    MAX_FRAMES,
    MAX_RELATIVE_RMS,
    MIN_COSINE,
    MIN_FRAMES,
    Agreement,
    Features,
    Form,
    OpenVinoEncoder,
    OpenVinoUnavailable,
    States,
    known_features,
    open_encoder,
    possible_form,
)
from stt_tools import doctor
from tests.support.units import needs_library, needs_units

THREADS = 2
EXACT = Form("f32", "f32")
LAYERS = HEADS = 2
POSITIONS = [f"{side}/position_encodings/encodings" for side in ("encoder", "decoder")]


@cache
def peer(folder: Path, compute_type: str) -> Callable[[Features], States]:
    """CTranslate2's own encoder."""
    model = ctranslate2.models.Whisper(
        str(folder), compute_type=compute_type, intra_threads=THREADS
    )

    def encode(features: Features) -> States:
        return np.array(model.encode(ctranslate2.StorageView.from_array(features)))

    return encode


def clip(frames: int) -> Features:
    """The built-in clip's features, cut or with silence after them."""
    known = known_features(80)[..., :frames]
    missing = frames - known.shape[-1]
    silence = float(known.min())
    return np.pad(known, ((0, 0), (0, 0), (0, missing)), constant_values=silence)


@pytest.fixture(scope="session")
def exact(whisper_base: Path) -> OpenVinoEncoder:
    return OpenVinoEncoder(whisper_base, THREADS, EXACT)


# --- the graph -----------------------------------------------------------------------------------


@needs_library
@pytest.mark.parametrize("frames", [MIN_FRAMES, 317, 500, 1_000, MAX_FRAMES])
def test_graph_in_float32_equals_ctranslate2(
    whisper_base: Path, exact: OpenVinoEncoder, frames: int
) -> None:
    features = clip(frames)
    states = exact.encode(features)
    assert states.dtype == np.float32
    assert np.abs(states - peer(whisper_base, "float32")(features)).max() < 3e-3


@needs_library
def test_items_of_a_batch_do_not_touch_each_other(exact: OpenVinoEncoder) -> None:
    features = np.concatenate([clip(400), clip(400)[..., ::-1]])
    states = exact.encode(features)
    assert states.shape == (2, 200, 512)
    for item, state in zip(features, states, strict=True):
        np.testing.assert_array_equal(exact.encode(item[None])[0], state)


@needs_library
@pytest.mark.parametrize("shape", [(1, 128, 500), (1, 80, MIN_FRAMES - 1), (1, 80, MAX_FRAMES + 2)])
def test_features_that_do_not_fit(exact: OpenVinoEncoder, shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=f"{shape[1]} mels and {shape[2]} frames"):
        exact.encode(np.zeros(shape, np.float32))


# --- its forms, on real weights -----------------------------------------------------------------


@needs_units
@pytest.mark.parametrize("compute_type", ["float32", "int8"])
@pytest.mark.parametrize("form", sorted({*map(str, FORMS.values())}))
def test_real_weights_pass_the_check(
    whisper_base: Path, compute_type: str, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    units = next(name for name, known in FORMS.items() if str(known) == form)
    monkeypatch.setattr(module, "cpu_units", lambda: units)
    reference = peer(whisper_base, compute_type)
    encoder = open_encoder(whisper_base, THREADS, reference, possible_form("cpu"))
    told = encoder.facts["encoder_check"]
    # Half of what is allowed at most, so that another CPU's rounding is no alarm.
    assert told["mean_cosine"] > 1 - (1 - MIN_COSINE) / 2
    assert told["relative_rms"] < MAX_RELATIVE_RMS / 2
    assert encoder.facts["encoder"] == f"openvino-{FORMS[encoder.facts['units']]}"
    assert encoder.facts["openvino"].startswith("20")


@needs_units
@pytest.mark.parametrize("frames", [150, 1_000, MAX_FRAMES])
@pytest.mark.parametrize("form", sorted({*FORMS.values()}, key=str), ids=str)
def test_other_lengths_than_the_checked_one_agree(
    whisper_base: Path, frames: int, form: Form
) -> None:
    features = clip(frames)
    encoder = OpenVinoEncoder(whisper_base, THREADS, form)
    reference = peer(whisper_base, "float32")(features)
    assert Agreement.of(encoder.encode(features), reference).good


def flipped(variables: Variables) -> Variables:
    name = "encoder/layer_3/ffn/linear_1/weight"
    return {**variables, name: -variables[name]}


def without_a_bias(variables: Variables) -> Variables:
    name = "encoder/layer_2/self_attention/linear_0/bias"
    return {**variables, name: np.zeros_like(variables[name])}


def other_heads(variables: Variables) -> Variables:
    return {**variables, "encoder/num_heads": np.int16(4)}


def not_a_number(variables: Variables) -> Variables:
    name = "encoder/layer_norm/beta"
    return {**variables, name: np.full_like(variables[name], np.nan)}


@needs_units
@pytest.mark.parametrize("change", [flipped, without_a_bias, other_heads, not_a_number])
def test_changed_weights_fail_the_check(
    whisper_base: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Variables], Variables],
) -> None:
    monkeypatch.setattr(module, "read_variables", lambda *args: change(read_variables(*args)))
    with pytest.raises(OpenVinoUnavailable, match=r"does not agree .* mean cosine [\d.a-z-]+ "):
        open_encoder(whisper_base, THREADS, peer(whisper_base, "int8"), possible_form("cpu"))


# --- where it cannot be had ----------------------------------------------------------------------


def never(features: Features) -> States:
    raise AssertionError("nothing to compare with")


def test_on_another_device() -> None:
    with pytest.raises(OpenVinoUnavailable, match="runs on cuda"):
        possible_form("cuda")


@needs_library
@pytest.mark.parametrize("units", FORMS)
def test_a_compute_type_that_was_asked_for_is_kept_to(
    units: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "cpu_units", lambda: units)
    assert possible_form("cpu", "auto") == FORMS[units]
    for integers in ("int8", "int8_float32"):
        assert possible_form("cpu", integers) == Form("int8", "f32")
    with pytest.raises(OpenVinoUnavailable, match="the compute type is float32"):
        possible_form("cpu", "float32")


def test_without_the_library(whisper_base: Path) -> None:
    """In a process of its own, where no ``openvino`` can be found."""
    program = (
        "import sys; sys.modules['openvino'] = None\n"
        "import importlib.util; importlib.util.find_spec = lambda name: None\n"
        "from stt_engine.backends.faster_whisper.openvino import encoder as tried\n"
        "tried.cpu_units = lambda: 'amx_bf16'\n"
        "try: tried.possible_form('cpu')\n"
        "except tried.OpenVinoUnavailable as exc: print(exc)\n"
    )
    assert run(program, whisper_base) == "openvino is not installed"


def test_without_units(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\nflags\t\t: fpu avx2 avx512f\nflags\t\t: amx_bf16\n")
    flags = cpu_features.cpu_flags(info)
    assert flags == {"fpu", "avx2", "avx512f"}
    assert cpu_features.cpu_flags(tmp_path / "missing") == set()
    monkeypatch.setattr(cpu_features, "cpu_flags", lambda: flags)
    with pytest.raises(OpenVinoUnavailable, match=r"the CPU has none of amx_bf16, .*avx_vnni"):
        possible_form("cpu")


def test_best_units_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = {"avx_vnni", "avx512_vnni", "amx_bf16"}
    monkeypatch.setattr(cpu_features, "cpu_flags", lambda: flags)
    assert cpu_features.cpu_units() == "amx_bf16"


@needs_units
@pytest.mark.parametrize("cut", [3, 1_000, 5_000_000])
def test_damaged_weights(whisper_base: Path, tmp_path: Path, cut: int) -> None:
    """The folder was whole when it was checked; whatever happened since is only no bf16."""
    with (whisper_base / "model.bin").open("rb") as whole:
        (tmp_path / "model.bin").write_bytes(whole.read(cut))
    with pytest.raises(OpenVinoUnavailable, match=r"WeightsUnreadable: .*model\.bin is cut short"):
        open_encoder(tmp_path, THREADS, never, possible_form("cpu"))
    (tmp_path / "model.bin").unlink()
    with pytest.raises(OpenVinoUnavailable, match="FileNotFoundError"):
        open_encoder(tmp_path, THREADS, never, possible_form("cpu"))


@needs_library
def test_telemetry_is_not_even_imported(whisper_base: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from stt_engine.backends.faster_whisper.openvino.encoder import (\n"
        "    OpenVinoEncoder, Form, known_features)\n"
        "OpenVinoEncoder(Path(sys.argv[1]), 1, Form('f32', 'f32')).encode(known_features(80))\n"
        "assert 'openvino' in sys.modules\n"
        "print([name for name in sys.modules if 'telemetry' in name])\n"
    )
    assert run(program, whisper_base) == "[]"


def run(program: str, folder: Path) -> str:
    command = [sys.executable, "-W", "error", "-c", program, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return done.stdout.strip()


# --- forms of weights ----------------------------------------------------------------------------


def small_model(folder: Path, quantization: str) -> Path:
    """A small Whisper with random weights, stored by CTranslate2's own code; gives ``folder``."""
    random = np.random.default_rng(1)
    spec = WhisperSpec(LAYERS, HEADS, LAYERS, HEADS)
    shapes = {"conv1/weight": (32, 80, 3), "conv2/weight": (32, 32, 3)}
    missing = [name for name, value in spec.variables().items() if value is None]
    linear = [name for name in missing if re.search(r"(conv\d|linear_\d)/weight", name)]
    biases = [name.replace("weight", "bias") for name in linear]
    for name in (*missing, *biases, *POSITIONS):
        side, _, inner = name.partition("/")
        shape = shapes.get(inner) or _shape(side, inner)
        values = random.standard_normal(shape, np.float32) * 0.3
        layer, _, end = name.rpartition("/")
        # Ones, as they come out of training's start: CTranslate2 stores them once for all.
        setattr(index_spec(spec, layer), end, np.ones_like(values) if end == "gamma" else values)
    spec.register_vocabulary([f"<{number}>" for number in range(64)])
    spec.validate()
    spec.optimize(quantization)
    folder.mkdir()
    spec.save(str(folder))
    return folder


def _shape(side: str, inner: str) -> tuple[int, ...]:
    if inner == "position_encodings/encodings":
        return (1_500 if side == "encoder" else 448, 32)
    if inner == "embeddings/weight":
        return (64, 32)
    layer, end = inner.rsplit("/", 1)
    rows = {"ffn/linear_0": 128, "self_attention/linear_0": 96, "/attention/linear_1": 64}
    size = next((rows[name] for name in rows if layer.endswith(name)), 32)
    if end in {"bias", "gamma", "beta"}:
        return (size,)
    return (size, 128 if layer.endswith("ffn/linear_1") else 32)


@needs_library
@pytest.mark.parametrize("form", ["float32", "float16", "int8", "int8_float16", "int16"])
def test_every_form_that_ctranslate2_stores(tmp_path: Path, form: str) -> None:
    folder = small_model(tmp_path / "model", form)
    stored = read_variables(folder / "model.bin", "encoder/")
    assert stored["encoder/layer_1/ffn/linear_0/weight"].dtype == form.split("_", maxsplit=1)[0]
    features = clip(500)
    states = OpenVinoEncoder(folder, THREADS, EXACT).encode(features)
    reference = peer(folder, "float32")(features)
    np.testing.assert_allclose(states, reference, atol=1e-3)


def test_bfloat16_is_read_from_its_bits() -> None:
    numbers = np.array([[1.0, -2.5], [0.15625, 3e38]], np.float32)
    bits = (numbers.view(np.uint32) >> 16).astype(np.uint16)
    np.testing.assert_allclose(plain({"w": bits}, "w"), numbers, rtol=2**-7)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"w": np.ones((2, 2), np.int8)},
        {"w": np.ones((2, 2), np.int32), "w_scale": np.ones(2, np.float32)},
        {
            "w": np.ones((2, 2), np.int8),
            "w_scale": np.ones(2, np.float32),
            "w_zero": np.ones(2, np.float32),
        },
    ],
    ids=["missing", "no scale", "packed", "zero point"],
)
def test_unknown_forms_are_refused(variables: Variables) -> None:
    with pytest.raises(WeightsUnreadable, match="w"):
        plain(variables, "w")


@needs_units
def test_a_folder_with_packed_weights_is_refused(
    whisper_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = {"encoder/conv1/weight": np.ones((512, 80, 3), np.int32)}
    monkeypatch.setattr(module, "read_variables", lambda *args: {**read_variables(*args), **packed})
    with pytest.raises(OpenVinoUnavailable, match="stored as int32 in an unknown form"):
        open_encoder(whisper_base, THREADS, never, possible_form("cpu"))


# --- what the doctor says ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("units", "library", "verdict", "words"),
    [
        (None, True, "ok", "no units for"),
        ("avx_vnni", True, "ok", "on avx_vnni"),
        ("avx_vnni", False, "warn", "not installed"),
    ],
)
def test_doctor_tells(
    monkeypatch: pytest.MonkeyPatch, units: str | None, library: bool, verdict: str, words: str
) -> None:
    monkeypatch.setattr(doctor, "cpu_units", lambda: units)
    monkeypatch.setattr(doctor, "has_library", lambda: library)
    check = doctor._openvino()
    assert (check.name, check.verdict) == ("openvino", verdict)
    assert words in check.found
    assert bool(check.advice) == (verdict != "ok")
