"""The test of the test: the honesty machine is green, and red with each of the kept defects.

Each run is a process of its own on a copy of the sources with one text replaced.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.honesty.mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 2
_BROKEN = re.compile(
    r"^E +(NameError|TypeError|AttributeError|ImportError|SyntaxError)", re.MULTILINE
)

Run = tuple[int, str]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def _judged(sources: Path) -> Run:
    """Run the machine on ``sources``; gives the exit code and what was printed."""
    command = (
        f"{sys.executable} -m pytest tests/honesty/test_honesty.py -x -p no:cacheprovider"
        f" -p no:schemathesis --show-capture=no --tb=short -o pythonpath={sources}"
    )
    done = subprocess.run(
        command.split(),
        cwd=ROOT,
        env={
            **{name: value for name, value in os.environ.items() if name != "HONESTY_EXAMPLES"},
            "HONESTY_SOURCES": str(sources),
            "PYTHONPATH": f"{sources}{os.pathsep}{ROOT}",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        capture_output=True,
        text=True,
        timeout=850,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def _mutated(mutant: Mutant | None, folder: Path) -> Path:
    sources = folder / "src"
    shutil.copytree(ROOT / "src", sources)  # with what is compiled: a changed file has a new time
    if mutant is not None:
        file = sources / mutant.file
        text = file.read_text(encoding="utf-8")
        found = text.count(mutant.old)
        assert found == 1, f"{mutant.file} holds {found} times: {mutant.old}"
        file.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    return sources


@pytest.fixture(scope="module")
def run_of(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Mutant | None], Run]]:
    """Yield the run of a mutant; the selected ones run side by side, the healthy one first."""
    calls = [getattr(item, "callspec", None) for item in request.session.items]
    chosen = [call.params["mutant"] for call in calls if call and "mutant" in call.params]
    folder = tmp_path_factory.mktemp("mutants")
    with ThreadPoolExecutor(AT_ONCE) as pool:

        def submitted(mutant: Mutant | None) -> Future[Run]:
            return pool.submit(lambda: _judged(_mutated(mutant, folder / str(id(mutant)))))

        runs = {mutant: submitted(mutant) for mutant in (None, *chosen)}
        yield lambda mutant: runs[mutant].result()
        pool.shutdown(cancel_futures=True)


def test_without_a_defect_it_is_green(run_of: Callable[[Mutant | None], Run]) -> None:
    code, printed = run_of(None)
    assert code == 0, printed


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.breaks)
def test_a_defect_is_seen(mutant: Mutant, run_of: Callable[[Mutant | None], Run]) -> None:
    assert run_of(None)[0] == 0, "the machine is not green without a defect"
    code, printed = run_of(mutant)
    assert code == 1, f"it survived ({mutant.breaks}): {printed[-3000:]}"
    assert "AssertionError" in printed, printed
    assert not _BROKEN.search(printed), f"the mutant does not run: {printed}"


def test_there_are_enough_of_them() -> None:
    assert len(MUTANTS) >= 20
    assert len({mutant.breaks for mutant in MUTANTS}) == len(MUTANTS)
