"""The page on which people listen to calls and decide."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from api_server.settings.base import Section


class ReviewSettings(Section):
    """The page at `/review`."""

    heading: ClassVar[str] = "Page for reviewers"

    review_page: bool = False
    """Serve the page at `/review`, for people with accounts (`stt-engine user add`); on loopback,
    without keys and without accounts, anybody may try it."""

    review_keep_days: float = Field(90.0, ge=0)
    """Days that the recordings of cases with a transcript are kept to be listened to. Without
    REVIEW_PAGE they go as soon as their cases have ended. Every server of one database needs the
    same."""

    review_idle_min: float = Field(15.0, gt=0)
    """Minutes without a sign of the reader after which they have to log in again."""

    review_session_hours: float = Field(12.0, gt=0)
    """Hours after which everybody has to log in again."""

    review_lease_min: float = Field(20.0, gt=0)
    """Minutes that a call is one reviewer's alone, from their last decision on."""

    review_agent_key: str = Field("agent", min_length=1)
    """The key of a job's metadata that names the agent, for filters and numbers."""

    review_product_key: str = Field("product", min_length=1)
    """The key of a job's metadata that names the product."""

    review_sample_percent: float = Field(5.0, ge=0, le=100)
    """Percent of the checked calls without findings that a person listens to, so that somebody
    learns what is missed. The case's id decides which; a call that is in the queue stays there."""

    review_cache_bytes: int = Field(4 * 1024**3, ge=0)
    """Disk space in bytes for recordings in the form that browsers play, beside the database; the
    ones that were not listened to for longest go first."""

    def review_keep_sec(self) -> float:
        """Return how long recordings are kept for listeners, in seconds."""
        return self.review_keep_days * 86400.0 if self.review_page else 0.0
