"""The tables of rubrics that are tried and taken into use on the page. Times: seconds, UTC."""

from __future__ import annotations

from sqlalchemy import Column, Double, ForeignKey, Index, Integer, String, Table, Text

from api_server.store.schema import METADATA, ROW_ID

RUBRICS = Table(
    "rubrics",
    METADATA,
    Column("sha256", String(64), primary_key=True),
    Column("version", String(120), nullable=False),
    Column("source", Text, nullable=False),
    Column("added_by", String(100), nullable=False),
    Column("added_at", Double, nullable=False),
)
"""Rubrics that somebody sent; ``source`` is JSON: the files, as they were."""

RUBRIC_TRIALS = Table(
    "rubric_trials",
    METADATA,
    Column("seq", ROW_ID, primary_key=True, autoincrement=True),
    Column("sha256", String(64), ForeignKey("rubrics.sha256"), nullable=False),
    Column("before_sha256", String(64), nullable=False),
    Column("asked_by", String(100), nullable=False),
    Column("asked_at", Double, nullable=False),
    Column("state", String(16), nullable=False),
    Column("seen_at", Double, nullable=False),
    Column("total", Integer, nullable=False),
    Column("done", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("next_seq", ROW_ID),
    Column("error", Text),
)
"""Trials of a rubric beside the one in force (``before_sha256``) on the newest calls.

``seen_at``: when whoever works on it was last heard of; ``next_seq``: calls before this one are
still to be tried."""

RUBRIC_TRIAL_CHANGES = Table(
    "rubric_trial_changes",
    METADATA,
    Column("trial", ROW_ID, ForeignKey("rubric_trials.seq"), primary_key=True),
    Column("case_seq", ROW_ID, ForeignKey("cases.seq"), primary_key=True),
    Column("element", String(60), primary_key=True),
    Column("before", String(16)),
    Column("after", String(16)),
    Index("rubric_trial_changes_case", "case_seq"),
)
"""Where the two rubrics differ; ``None``: that rubric does not have the element."""

RUBRIC_CHANGES = Table(
    "rubric_changes",
    METADATA,
    Column("seq", ROW_ID, primary_key=True, autoincrement=True),
    Column("sha256", String(64), nullable=False),
    Column("version", String(120), nullable=False),
    Column("before_sha256", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("proposed_by", String(100), nullable=False),
    Column("proposed_at", Double, nullable=False),
    Column("decided_by", String(100)),
    Column("decided_at", Double),
)
"""Proposals to take a rubric into use; the last one that is ``used`` is in force.

An empty ``sha256`` is the rubric of the settings. ``state``: ``open``, ``used``, ``refused`` or
``withdrawn``."""
