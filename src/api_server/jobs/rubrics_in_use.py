"""The rubric that people took into use, applied in this process; without a restart."""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import anyio

from api_server.compliance.live_validator import LiveValidator
from api_server.compliance.rubric import Rubric, RubricInvalid
from api_server.compliance.rubric_files import RubricFiles
from api_server.jobs.desk import JobDesk, NoStoreYet
from api_server.store.errors import StoreUnavailable
from api_server.store.records import OF_SETTINGS

if TYPE_CHECKING:
    from api_server.store.rubric_records import RubricChange, StoredRubric
    from api_server.store.store import Store

LOOK_SEC = 2.0
"""A process looks so often; reading a rubric of hundreds of rules takes a second more."""

_FIRST_LOOK_SEC = 5.0


class RubricsInUse:
    """Has a validator check against what is in force.

    Args:
        validator: the validator; until the first look it begins no check, for a bounded time.
    """

    def __init__(self, validator: LiveValidator) -> None:
        self._validator = validator
        self._lock = threading.Lock()
        self._known: int | None = None

    async def run(self, desk: JobDesk) -> None:
        """Look for ever; where the store cannot be used, what is in force here stays."""
        looked = anyio.Event()
        self._validator.until_known = partial(_await, looked)
        try:
            while True:
                with suppress(StoreUnavailable, NoStoreYet):
                    await desk.run(self.look)
                self._validator.until_known = None
                looked.set()
                await anyio.sleep(LOOK_SEC)
        finally:
            self._validator.until_known = None
            looked.set()

    def look(self, store: Store) -> None:
        """Take what is in force by now into use.

        Raises:
            StoreUnavailable: nobody can know.
        """
        with self._lock:
            found = store.rubrics.in_force(self._known)
            if found is not None:
                self._use(*found)
                self._known = found[0].seq

    def _use(self, change: RubricChange, stored: StoredRubric | None) -> None:
        if change.sha256 == OF_SETTINGS:
            self._validator.use(None)
            return
        try:
            rubric = _load(change, stored)
        except RubricInvalid as exc:
            self._validator.refuse(f"{change.version}: {exc}")
        else:
            self._validator.use(rubric)


def _load(change: RubricChange, stored: StoredRubric | None) -> Rubric:
    """Return the rubric that is in force.

    Raises:
        RubricInvalid: it is not here, or is another one by this program.
    """
    if stored is None:
        raise RubricInvalid("저장소에 그 점검표가 없습니다")
    rubric = RubricFiles.from_json(stored.source).load()
    if rubric.sha256 != change.sha256:
        raise RubricInvalid(
            f"이 프로그램의 내장 규칙이나 모델이 시험할 때와 다릅니다({rubric.sha256[:12]}). "
            "모든 서버와 일꾼을 같은 판으로 올리고 다시 시험하십시오"
        )
    return rubric


async def _await(looked: anyio.Event) -> None:
    with anyio.move_on_after(_FIRST_LOOK_SEC):
        await looked.wait()
