"""The honesty invariant: whatever breaks and whoever lies, no answer says what is not so.

A state machine makes calls of the real application (:mod:`tests.honesty.world` says what is real
and what is faked) while recognisers, recordings and LLM servers fail, lie, and recover; after every
answer an independent judge (:mod:`tests.honesty.judge`) compares it with what really happened.

A later behaviour is one more field of ``Call``, what the edge
then does, and what the judge expects of it.

``HONESTY_EXAMPLES=2000`` looks for new ways, at random; without it the same examples run each time.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import api_server
from tests.honesty.calls import PATIENCE_SEC, UTTERANCES, Call, Heard, Line
from tests.honesty.edges import CONTRADICTIONS, FAULTS, LOSSES, SKIPPED, TAGS
from tests.honesty.llm import CHOICES, KINDS, MOVES, READS, UNUSABLE
from tests.honesty.world import LONGEST_REST_SEC, RECOVERY_SEC, THRESHOLD, WAITING, World

pytestmark = pytest.mark.timeout(900)  # half a minute, but on a machine that is busy elsewhere

EXPLORED = int(os.environ.get("HONESTY_EXAMPLES", "0"))
MUTANT = os.environ.get("HONESTY_SOURCES")
"""Folder of the sources that are to be judged, where they are not this checkout's."""

BREAKING = st.one_of(
    st.sampled_from(sorted(CONTRADICTIONS)),
    st.sampled_from(sorted(SKIPPED)),
    st.sampled_from(FAULTS),
)
MODES = ("off", "agent", "everywhere")
HEARING = st.one_of(st.just("ok"), st.just("silence"), BREAKING)
DECODING = st.one_of(st.just("ok"), st.just("ok"), st.sampled_from(FAULTS))
SAYING = st.just("answers") | st.one_of(*(st.sampled_from(sorted(kind)) for kind in KINDS))

SPOKEN = st.fixed_dictionaries(
    {
        "lines": st.lists(st.sampled_from(sorted(UTTERANCES)), unique=True, max_size=9).map(tuple),
        "stereo": st.booleans(),
    }
)
ASKED = st.fixed_dictionaries(
    {
        "upload": st.booleans(),
        "strict": st.sampled_from([None, True, False]),
        "text_only": st.booleans(),
        "rejected": st.sampled_from([0, 0, 0, 2]),
        "unheard": st.sampled_from([None, None, "agent", "customer"]),
        "lost": st.none() | st.sampled_from(LOSSES),
        "early": st.booleans(),
        "moves": st.lists(st.sampled_from(MOVES), min_size=1, max_size=5).map(tuple)
        | st.sampled_from([(move,) for move in MOVES]),
        "read": st.one_of(st.just("both"), st.sampled_from(READS)),
        "fenced": st.booleans(),
        "pace": st.integers(0, 3),
        "timeout": st.sampled_from([PATIENCE_SEC, PATIENCE_SEC, 1.0]),
    }
)
HEARERS = st.dictionaries(st.sampled_from(sorted(TAGS)), HEARING, max_size=4)


class Honesty(RuleBasedStateMachine):
    """The rules: the edges change, time passes, calls are made."""

    @initialize(strict=st.booleans(), remote=st.booleans(), redaction=st.sampled_from(MODES))
    def start(self, *, strict: bool, remote: bool, redaction: str) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.world = World(
            Path(self._folder.name), strict=strict, remote=remote, redaction=redaction
        )
        self.llm = "answers"
        self.hearing: dict[str, str] = {}

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.world.close()
            self._folder.cleanup()

    def _call(self, spoken: dict[str, Any], asked: dict[str, Any], **more: Any) -> Call:
        edges = {"llm": self.llm, "recognisers": dict(self.hearing)}
        call = Call(len(self.world.calls), **{**spoken, **asked, **edges, **more})
        call.unnamed = call.unnamed and not call.text_only
        self.world.calls.append(call)
        return call

    @rule(llm=SAYING, modes=HEARERS)
    def the_edges_become(self, llm: str, modes: dict[str, str]) -> None:
        self.llm, self.hearing = llm, modes

    @rule(seconds=st.sampled_from([1.0, RECOVERY_SEC, LONGEST_REST_SEC]))
    def time_passes(self, seconds: float) -> None:
        self.world.rest(seconds)

    @rule()
    def the_books_are_compared(self) -> None:
        self.world.loop.run_until_complete(self.world.compare_books())

    @rule(spoken=SPOKEN, asked=ASKED, unnamed=st.booleans())
    def a_call_is_checked(
        self, spoken: dict[str, Any], asked: dict[str, Any], *, unnamed: bool
    ) -> None:
        self.world.send(self._call(spoken, asked, unnamed=unnamed))

    @rule(spoken=SPOKEN, asked=ASKED, llm=SAYING)
    def a_call_meets_another_llm(
        self, spoken: dict[str, Any], asked: dict[str, Any], llm: str
    ) -> None:
        self.world.send(self._call(spoken, asked, llm=llm))

    @rule(spoken=SPOKEN, asked=ASKED, decoder=DECODING, modes=HEARERS, check=st.booleans())
    def a_call_breaks_recognition(
        self,
        spoken: dict[str, Any],
        asked: dict[str, Any],
        decoder: str,
        modes: dict[str, str],
        *,
        check: bool,
    ) -> None:
        self.world.send(self._call(spoken, asked, decoder=decoder, recognisers=modes, check=check))

    @rule(spoken=SPOKEN, asked=ASKED, faults=st.lists(BREAKING, min_size=4, max_size=4), llm=SAYING)
    def a_call_finds_nobody_to_hear_it(
        self, spoken: dict[str, Any], asked: dict[str, Any], faults: list[str], llm: str
    ) -> None:
        broken = dict(zip(TAGS, faults, strict=True))
        self.world.send(self._call(spoken, asked, recognisers=broken, llm=llm))

    @rule(spoken=SPOKEN, asked=ASKED, llm=SAYING, plain=st.booleans())
    def a_transcript_is_analysed(
        self, spoken: dict[str, Any], asked: dict[str, Any], llm: str, *, plain: bool
    ) -> None:
        told = {**asked, "rejected": 0, "strict": None}
        call = self._call(spoken, told, llm=llm, analyze="text" if plain else "segments")
        call.stereo = call.stereo and not plain
        lines = tuple(_untimed(line) if plain else line for line in call.spoken("a"))
        call.heard = Heard(lines, "speech", "caller")
        self.world.send(call)

    @rule(spoken=SPOKEN, asked=ASKED, mode=st.sampled_from(["500", "reset", "not JSON", "hangs"]))
    def an_agent_fails_and_recovers(
        self, spoken: dict[str, Any], asked: dict[str, Any], mode: str
    ) -> None:
        for _ in range(THRESHOLD + 1):
            self.world.send(self._call(spoken, asked, llm=mode, timeout=PATIENCE_SEC))
        self.world.rest(LONGEST_REST_SEC)
        self.world.send(self._call(spoken, asked, llm="answers"))

    @rule(spoken=SPOKEN, asked=ASKED)
    def a_hurried_caller_shuts_nobody_out(
        self, spoken: dict[str, Any], asked: dict[str, Any]
    ) -> None:
        self.world.rest(LONGEST_REST_SEC)
        self.world.send(self._call(spoken, asked, llm="answers"))
        for _ in range(THRESHOLD + 1):
            self.world.send(self._call(spoken, asked, llm="hangs", timeout=1.0))
        self.world.send(self._call(spoken, asked, llm="answers"))

    @rule(spoken=SPOKEN, asked=ASKED, mode=st.sampled_from(sorted({**UNUSABLE, **CHOICES})))
    def an_answer_is_no_answer(
        self, spoken: dict[str, Any], asked: dict[str, Any], mode: str
    ) -> None:
        self.world.rest(LONGEST_REST_SEC)
        self.world.send(self._call(spoken, asked, llm=mode, recognisers={}))

    @rule(many=st.lists(st.tuples(SPOKEN, ASKED, SAYING), min_size=2, max_size=3))
    def calls_come_together(self, many: list[Any]) -> None:
        self.world.send(*(self._call(spoken, asked, llm=llm) for spoken, asked, llm in many))

    @rule(spoken=SPOKEN, asked=ASKED, more=st.integers(1, 2))
    def the_queue_is_full(self, spoken: dict[str, Any], asked: dict[str, Any], more: int) -> None:
        quiet = {"check": False, "recognisers": {}}
        calls = [self._call(spoken, asked, **quiet) for _ in range(2 + WAITING + more)]
        self.world.loop.run_until_complete(self.world.crowd(calls))


def _untimed(line: Line) -> Line:
    return Line(line.what, line.text, None, None, line.channel, line.speaker)


EVERYTHING = tuple(UTTERANCES)
SAYINGS = [{"llm": mode, "text_only": way} for kind in KINDS for mode in kind for way in (0, 1)]
CLAIMS = [
    {"moves": (move,), "stereo": way, "lines": EVERYTHING} for move in MOVES for way in (0, 1)
]
READINGS = [{"read": read, "rejected": lost} for read in READS for lost in (0, 2)]
LOST = [{"lost": one, "moves": ("absent",)} for one in LOSSES]
BREAKS = [*FAULTS, *CONTRADICTIONS, "silence"]
HEARINGS = [
    {"recognisers": {"faster-whisper": mode, **others}}
    for mode in BREAKS
    for others in ({}, {"transformers": "WorkerDied", "openai-whisper": "OutOfMemory"})
]
DECODINGS = [{"decoder": mode, "check": way} for mode in FAULTS for way in (False, True)]
SHAPES = [
    {"strict": strict, "llm": llm, "recognisers": dict.fromkeys(TAGS, hearing)}
    for strict in (None, True, False)
    for llm in ("answers", "500")
    for hearing in ("ok", "silence", "WorkerDied")
]
SILENT = [{**one, "lines": ()} for one in SAYINGS]
SWEEPS = (*CLAIMS, *READINGS, *LOST, *SHAPES, *HEARINGS, *DECODINGS, *SAYINGS, *SILENT)


@pytest.mark.parametrize("strict", [False, True])
def test_every_behaviour_by_itself(strict: bool, tmp_path: Path) -> None:
    """The machine draws; this leaves none of them to chance."""
    world = World(tmp_path, strict=strict, remote=strict, redaction="off")
    _swept(world, SHAPES if strict else SWEEPS)


def _swept(world: World, sweeps: Iterable[dict[str, Any]]) -> None:
    for more in sweeps:
        world.rest(LONGEST_REST_SEC)
        call = Call(len(world.calls), **{"lines": ("greeting", "denial", "goodbye"), **more})
        if call.analyze:
            call.heard = Heard(tuple(call.spoken("a")), "speech", "caller")
        world.calls.append(call)
        world.send(call)
    world.loop.run_until_complete(world.compare_books())
    world.close()


TestHonesty = Honesty.TestCase
TestHonesty.settings = settings(
    max_examples=EXPLORED or (60 if MUTANT else 25),  # the mutants run all on a healthy tree
    stateful_step_count=25,
    deadline=None,
    derandomize=not EXPLORED,
    database=None,
    print_blob=True,
    report_multiple_bugs=False,
    phases=[Phase.generate] if MUTANT else [Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("redaction", [mode for mode in MODES if mode != "off"])
def test_every_claim_about_what_is_masked(redaction: str, tmp_path: Path) -> None:
    sent = [{**one, "analyze": "segments"} for one in CLAIMS]  # its text was not masked before
    _swept(World(tmp_path, strict=False, remote=False, redaction=redaction), (*CLAIMS, *sent))


def test_the_sources_judged_are_the_ones_meant() -> None:
    meant = Path(MUTANT) if MUTANT else Path(__file__).resolve().parents[2] / "src"
    assert Path(api_server.__file__).resolve().is_relative_to(meant)
