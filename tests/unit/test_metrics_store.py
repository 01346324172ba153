"""Whether the store of jobs can be used is a metric."""

from __future__ import annotations

from api_server.jobs.events import StoreAnswers, StoreFailing
from api_server.observability.metrics import FailureMetrics
from stt_engine.events import emit
from tests.support.server import metric


def test_a_store_that_fails_is_seen_until_it_answers() -> None:
    metrics = FailureMetrics()
    for event, value in ((StoreFailing(reason="gone"), 1.0), (StoreAnswers(), 0.0)):
        emit([metrics], event)
        text = "\n".join(
            f"{sample.name} {sample.value}"
            for family in metrics.registry.collect()
            for sample in family.samples
            if not sample.labels
        )
        assert metric(text, "stt_engine_store_failing") == value
