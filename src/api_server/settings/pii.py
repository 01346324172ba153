"""Who may see personal data."""

from __future__ import annotations

from typing import ClassVar, Literal

from api_server.settings.base import Section


class PersonalDataSettings(Section):
    """Masking of personal data."""

    heading: ClassVar[str] = "Personal data"

    redaction: Literal["off", "agent", "everywhere"] = "agent"
    """Mask personal data (resident numbers, phones, accounts, cards, e-mail addresses...; written
    and spoken). `agent`: in what the LLM is given; `everywhere`: in the answer too; `off`: not.
    Where masking fails the text is withheld."""
