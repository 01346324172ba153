"""What the OpenAPI document says of these endpoints: fields that are honoured, answers, errors."""

from __future__ import annotations

from typing import Any

from api_server.http.openai.fields import STREAM_FORMATS, TRANSLATION_FORMATS
from api_server.http.openai.references import MOST, NAMES, SOUNDS
from api_server.pipeline.render.formats import DIARIZED_JSON, FORMATS, SEGMENT, WORD
from stt_engine.hints import LONGEST_KEYWORD, LONGEST_PROMPT, MOST_KEYWORDS, SHORTEST_KEYWORD
from stt_engine.languages import AUTO, LANGUAGES

JsonObject = dict[str, Any]

_FORM = "multipart/form-data"
_LANGUAGE: JsonObject = {"type": "string", "enum": [AUTO, *sorted(LANGUAGES)], "default": AUTO}
_GRANULARITIES: JsonObject = {
    "type": "array",
    "items": {"type": "string", "enum": [SEGMENT, WORD]},
    "description": "Needs response_format=verbose_json",
}
_COMMON: JsonObject = {
    "file": {"type": "string", "format": "binary"},
    "model": {"type": "string", "description": "A name of GET /v1/models"},
    "language": _LANGUAGE,
    "temperature": {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
}
_KEYWORDS: JsonObject = {
    "type": "array",
    "items": {"type": "string", "minLength": SHORTEST_KEYWORD, "maxLength": LONGEST_KEYWORD},
    "maxItems": MOST_KEYWORDS,
    "description": "Names and products to look out for",
}
_KNOWN = {
    NAMES: "names of voices that may speak",
    SOUNDS: "a data URL of 2 to 10 s of each named voice",
}


def _body(formats: tuple[str, ...], **fields: JsonObject) -> JsonObject:
    schema = {
        "type": "object",
        "required": ["file", "model"],
        "additionalProperties": False,
        "properties": {
            **_COMMON,
            "response_format": {"type": "string", "enum": list(formats), "default": formats[0]},
            **fields,
        },
    }
    return {"required": True, "content": {_FORM: {"schema": schema}}}


AUDIO_BODIES: JsonObject = {
    "/v1/audio/transcriptions": _body(
        FORMATS,
        **{
            "timestamp_granularities[]": _GRANULARITIES,
            "timestamp_granularities": _GRANULARITIES,
            "keywords[]": _KEYWORDS,
            "keywords": _KEYWORDS,
            "hotwords": {"type": "string", "description": "Keywords, separated by commas"},
            "prompt": {"type": "string", "maxLength": LONGEST_PROMPT},
            "chunking_strategy": {"type": "string", "enum": ["auto"]},
            **{
                f"{one}{brackets}": {
                    "type": "array",
                    "maxItems": MOST,
                    "items": {"type": "string"},
                    "description": f"With response_format {DIARIZED_JSON}, {told}",
                }
                for one, told in _KNOWN.items()
                for brackets in ("[]", "")
            },
            "stream": {
                "type": "boolean",
                "description": f"Needs response_format {' or '.join(STREAM_FORMATS)}",
            },
        },
    ),
    "/v1/audio/translations": _body(TRANSLATION_FORMATS),
}
"""The bodies of the endpoints that take a recording, by path."""

ERROR: JsonObject = {
    "application/json": {
        "schema": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": {
                    "type": "object",
                    "required": ["message", "type", "param", "code"],
                    "properties": {
                        "message": {"type": "string"},
                        "type": {"type": "string"},
                        "param": {"type": ["string", "null"]},
                        "code": {"type": "string"},
                    },
                }
            },
        }
    }
}
"""The content of an error."""
