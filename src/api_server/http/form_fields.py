"""Form fields that several endpoints have: how a recording is to be recognised, and answered."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Form

from api_server.models import Text

Prompt = Annotated[
    Text | None, Form(description="Text in the style that the transcript should have")
]
Keywords = Annotated[
    list[Text] | None, Form(description="Names and products to look out for; one in each field")
]
Temperature = Annotated[
    float, Form(ge=0, le=1, allow_inf_nan=False, description="Above 0, words are drawn")
]
Translate = Annotated[bool, Form(description="English in text_en too")]
TextFormat = Literal["text", "srt", "vtt", "tsv", "lrc", "verbose_json", "diarized_json"]
"""What a transcript may be had as beside the JSON of the endpoint."""

Format = Annotated[
    TextFormat | None,
    Form(alias="format", description="The text alone, as a file; with 'translate' the English"),
]
