"""How many transcripts are checked at once."""

import pytest

from api_server.pipeline.admission import QueueFull
from api_server.pipeline.check_admission import CheckAdmission
from tests.support.clock import Clock


def test_one_too_many_is_refused_until_one_leaves() -> None:
    clock = Clock()
    checks = CheckAdmission(1, clock)
    with checks.place():
        clock.now += 40
        with pytest.raises(QueueFull) as refused, checks.place():
            raise AssertionError
        assert refused.value.retry_after == 10
    with checks.place():
        with pytest.raises(QueueFull) as refused, checks.place():
            raise AssertionError
        assert refused.value.retry_after == 16  # what a check has lately taken
    assert checks.inside == 0
