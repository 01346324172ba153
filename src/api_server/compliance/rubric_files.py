"""A rubric as the texts of its files: to be kept, and loaded anywhere by the one loader."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

from api_server.compliance.rubric import BUILT_IN, Rubric, RubricInvalid, load_rubric
from api_server.text.json_adapter import JsonAdapter

MOST_CHARS = 2_000_000
"""Characters of a file; the rules of the built-in rubric have 250,000."""

_NAME = "rubric.toml"


@dataclass(frozen=True, slots=True)
class RubricFiles:
    """The files of a rubric; without ``rules`` those that it names have to be built in."""

    rubric: str
    rules: str | None = None

    def to_json(self) -> str:
        """Return them as one text."""
        return _FILES.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> RubricFiles:
        """Return what :meth:`to_json` wrote."""
        return _FILES.validate_json(text)

    def load(self) -> Rubric:
        """Return the rubric; the last few are remembered, for hundreds of rules take a second.

        The files that come with the package, its model among them, can be named by it.

        Raises:
            RubricInvalid: it cannot be used; the message says where and what to do.
        """
        return _load(self)

    def load_in(self, folder: Path) -> Rubric:
        """Return the rubric, its files written into an empty folder; see :meth:`load`."""
        built_in = resources.files("api_server") / "rubrics"
        for file in built_in.iterdir():
            if file.name.endswith(".toml"):
                (folder / file.name).write_text(file.read_text("utf-8"), "utf-8")
        named = self._named()
        if self.rules is not None:
            (folder / (named.get("rules") or "rules.toml")).write_text(self.rules, "utf-8")
        model = named.get("model")
        if model is not None:
            # A model stays where it is: the child that weighs with it reads it from there.
            where = str(built_in / model)
            if not Path(where).is_file():
                raise RubricInvalid(
                    f"model: {model}은(는) 함께 오는 모델이 아닙니다. 내장 점검표의 모델 이름을 "
                    "적거나 줄을 지우십시오"
                )
            (folder / model).symlink_to(where)
        (folder / _NAME).write_text(self.rubric, "utf-8")
        try:
            rubric = load_rubric(folder / _NAME)
        except RubricInvalid as exc:
            raise RubricInvalid(str(exc).replace(f"{folder}/", "")) from None
        if rubric.model is None or model is None:
            return rubric
        kept = rubric.model.model_copy(update={"path": str(built_in / model)})
        return rubric.model_copy(update={"model": kept})

    def _named(self) -> dict[str, str]:
        """Return the names of files in the rubric; such as are a path lead nowhere.

        Raises:
            RubricInvalid: one is no plain name.
        """
        try:
            data = tomllib.loads(self.rubric.removeprefix("\ufeff"))
        except (tomllib.TOMLDecodeError, RecursionError):
            return {}  # the loader says where
        found = {}
        for key in ("rules", "model"):
            name = data.get(key)
            if not isinstance(name, str) or not name.strip():
                continue
            if Path(name).name != name or name.startswith(".") or name == _NAME:
                raise RubricInvalid(f"{key}: '{name}'은(는) 경로 없는 파일 이름이어야 합니다")
            found[key] = name
        return found


_FILES: JsonAdapter[RubricFiles] = JsonAdapter(RubricFiles)


@lru_cache(maxsize=4)
def _load(files: RubricFiles) -> Rubric:
    if max(len(files.rubric), len(files.rules or "")) > MOST_CHARS:
        raise RubricInvalid(f"점검표나 규칙 파일이 {MOST_CHARS:,}자보다 깁니다")
    with TemporaryDirectory(prefix="stt-rubric-") as folder:
        return files.load_in(Path(folder))


def source_of(name: str | Path) -> RubricFiles | None:
    """Return the files of a rubric in use, to be changed and sent; ``None``: not readable now."""
    folder = resources.files("api_server") / "rubrics"
    file = folder / f"{name}.toml" if name in BUILT_IN else Path(name)
    try:
        text = file.read_text(encoding="utf-8-sig")
        named = tomllib.loads(text).get("rules")
        rules = None
        if isinstance(named, str):
            rules = (folder / named if name in BUILT_IN else Path(name).parent / named).read_text(
                encoding="utf-8-sig"
            )
    except (OSError, ValueError):
        return None
    return RubricFiles(text, rules)
