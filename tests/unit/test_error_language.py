"""The language of error messages, as the docstring of :mod:`api_server.clients.errors` defines it.

What a person at a desk in Korea reads is Korean, what an engineer reads is English.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from api_server.clients.agent.errors import AgentConnectionError, AgentTimeout
from api_server.clients.errors import CircuitOpen, TargetError

SOURCE = Path(__file__).parents[2] / "src"
TREES = {path: ast.parse(path.read_text("utf-8")) for path in sorted(SOURCE.rglob("*.py"))}
HANGUL = re.compile("[가-힣]")

ADD_KOREAN: dict[str, TargetError] = {
    "AgentConnectionError": AgentConnectionError("refused"),
    "AgentTimeout": AgentTimeout(30.0),
    "CircuitOpen": CircuitOpen("http://a", 1.0),
}
"""Classes that put Korean text around what they are given."""

ALSO_KOREAN = {
    # Compliance officers edit the rubric file, and read what is wrong with it.
    ("RubricInvalid", "compliance"),
    ("PatternInvalid", "compliance"),
    ("RubricModelInvalid", "compliance"),
    # They read on the page why a rubric cannot be tried or taken into use.
    ("RubricInvalid", "rubrics_in_use.py"),
    ("RubricInvalid", "background.py"),
    # Shown to reviewers as agent_dummy_reason where it ends a call to an agent.
    ("ServerStopping", "agent"),
}
"""Errors that are Korean though no :class:`TargetError`, and the package where they are."""


def subclasses(root: str) -> set[str]:
    """Return the names of all subclasses in the source, ``root`` included."""
    bases = {
        node.name: {base.id for base in node.bases if isinstance(base, ast.Name)}
        for tree in TREES.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    found: set[str] = set()
    new = {root}
    while new:
        found |= new
        new = {name for name, parents in bases.items() if parents & new} - found
    return found


ERRORS, TARGET_ERRORS = subclasses("EngineError"), subclasses("TargetError")


def literal_text(node: ast.AST) -> str:
    """Return the string constants in an expression, f-strings included."""
    values = (part.value for part in ast.walk(node) if isinstance(part, ast.Constant))
    return " ".join(value for value in values if isinstance(value, str))


def messages() -> Iterator[tuple[str, Path, int, str]]:
    """Yield the class, file, line and text of every error that is made with a literal message."""
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                text = " ".join(map(literal_text, node.args)).strip()
                if node.func.id in ERRORS and any(map(str.isalpha, text)):
                    yield node.func.id, path.relative_to(SOURCE), node.lineno, text


MESSAGES = list(messages())


@pytest.mark.parametrize(
    ("name", "path", "text"),
    [pytest.param(name, path, text, id=f"{path}:{line}") for name, path, line, text in MESSAGES],
)
def test_language(name: str, path: Path, text: str) -> None:
    korean = name in TARGET_ERRORS or any((name, room) in ALSO_KOREAN for room in path.parts)
    assert korean == bool(HANGUL.search(text)) or name in ADD_KOREAN


def test_added_text_is_korean() -> None:
    assert all(HANGUL.search(str(error)) for error in ADD_KOREAN.values())


def test_messages_of_both_languages_are_found() -> None:
    found = [name in TARGET_ERRORS for name, *_ in MESSAGES]
    assert found.count(True) > 15
    assert found.count(False) > 50
