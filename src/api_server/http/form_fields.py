"""Form fields that several endpoints have: how a recording is to be recognised, and answered."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Form
from pydantic import Field

from api_server.models import Text
from stt_engine.hints import LONGEST_KEYWORD, LONGEST_PROMPT, MOST_KEYWORDS, SHORTEST_KEYWORD

Prompt = Annotated[
    Annotated[Text, Field(json_schema_extra={"maxLength": LONGEST_PROMPT})] | None,
    Form(description="Text in the style that the transcript should have"),
]
Keyword = Annotated[
    Text, Field(json_schema_extra={"minLength": SHORTEST_KEYWORD, "maxLength": LONGEST_KEYWORD})
]
Keywords = Annotated[
    list[Keyword] | None,
    Form(
        description="Names and products to look out for; one in each field",
        json_schema_extra={"maxItems": MOST_KEYWORDS},
    ),
]
Temperature = Annotated[
    float, Form(ge=0, le=1, allow_inf_nan=False, description="Above 0, words are drawn")
]
Translate = Annotated[bool, Form(description="English in text_en too")]
Model = Annotated[Text | None, Form(description="A name of GET /v1/models; by default the first")]
TextFormat = Literal["text", "srt", "vtt", "tsv", "lrc", "verbose_json", "diarized_json"]
"""What a transcript may be had as beside the JSON of the endpoint."""

Format = Annotated[
    TextFormat | None,
    Form(alias="format", description="The text alone, as a file; with 'translate' the English"),
]
