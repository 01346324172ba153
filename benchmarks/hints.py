"""Keywords on labelled clips: how many more are heard, and how many that nobody said.

Each clip is transcribed without keywords, with the list of all of them, and with lists of
words that nobody says in it. ``--made FOLDER``: instead, only those lists on the clips that
``benchmarks.speed.make_audio`` has made there, of whose words none is a keyword. Prints one line
of JSON; `make bench` does not run it.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from stt_engine import WhisperSTT
from stt_engine.backends.hinted import letters_in

try:
    from benchmarks.labelled_clips import parser_for, rows_of
except ImportError:  # run as a file
    from labelled_clips import parser_for, rows_of  # type: ignore[no-redef]

SAID = (
    *("푸야 라이몬디", "박근혜", "안철수", "국민의당", "테마파크", "누진제", "피부암", "더 선"),
    *("백화점", "영화관", "소비자", "대통령", "아파트", "Bertie", "Americans", "wizard"),
)
"""Names and things in the clips of this project."""

DECOYS = (
    *(
        "한빛증권",
        "미래ELS펀드",
        "골든라이프연금",
        "김서준",
        "이하윤 팀장",
        "박도현",
        "해피콜",
        "파생결합증권",
    ),
    *(
        "브라질국채",
        "코스닥벤처",
        "최소라",
        "정유미 상담원",
        "한울저축은행",
        "무배당 종신보험",
        "청약철회",
    ),
    *(
        "신탁보수",
        "원금보장",
        "녹취동의",
        "불완전판매",
        "적합성 진단",
        "변액유니버설",
        "달러RP",
        "이지은",
    ),
    *(
        "오세훈",
        "강남지점",
        "테헤란로",
        "마이데이터",
        "주가연계",
        "레버리지",
        "인버스",
        "공모주",
        "Kensington",
    ),
    *("Amundi", "BlackRock", "Pfizer"),
)
"""Products and persons that none of them names."""

ENGLISH_DECOYS = (
    *("Amundi", "BlackRock", "Pfizer", "Kensington", "Meridian Trust", "Oakridge", "Hartwell"),
    *("Delacroix", "Prudentia", "TrueNorth", "Lumina Fund", "Castellan", "Bramwell", "Sterling"),
    *("Novabank", "Solvency Plus", "Mr Okafor", "Ms Lindqvist", "Ramirez", "Thornbury", "Zurich"),
    *("EquiLink", "Harborview", "GoldenLife", "Sapphire Card", "Voucherly", "Annuity Max"),
    *("Dr Pemberton", "Kovacs", "Whitfield"),
)
"""The same for clips that are in English alone."""

NEAR = (
    "박근애",
    "안철순",
    "국민의장",
    "테마마크",
    "누진세",
    "피부염",
    "백화전",
    "소비재",
    "대통합",
    "Bernie",
)
"""What sounds like something that is said: the hardest to leave out."""

LISTS, MADE_LISTS, OF_A_LIST = 8, 5, 10
TEXTS = Path(__file__).parent / "speed" / "texts" / "clips.txt"


def held(keyword: str, text: str) -> int:
    """Return how often a keyword is in a text, whatever the spaces."""
    return letters_in(text).count(letters_in(keyword))


def invented(found: str, plain: str, reference: str, keywords: Iterable[str]) -> int:
    """Return the keywords that are there because of the hints alone, and that nobody said."""
    return sum(
        max(0, held(one, found) - max(held(one, plain), held(one, reference))) for one in keywords
    )


def made(model: Path, folder: Path) -> dict[str, int]:
    """Return the words of made clips, heard with each list, and the keywords among them."""
    chance = random.Random(2)
    lists = [tuple(chance.sample(ENGLISH_DECOYS, OF_A_LIST)) for _ in range(MADE_LISTS)]
    found = {"clips": 0, "words": 0, "invented": 0, "changed": 0}
    with WhisperSTT(model, backends=["faster-whisper"]) as stt:
        for number, text in enumerate(TEXTS.read_text("utf-8").splitlines()):
            clip = folder / f"clip_{number:02}.wav"
            plain = str(stt.transcribe(clip, "en")["text"])
            found["clips"] += 1
            for decoys in lists:
                heard = str(stt.transcribe(clip, "en", keywords=decoys)["text"])
                found["words"] += len(heard.split())
                found["invented"] += invented(heard, plain, text, decoys)
                found["changed"] += heard != plain
            print(json.dumps(found), file=sys.stderr)
    return found


def main() -> None:
    """Measure, and print what was found."""
    parser = parser_for(__doc__)
    parser.add_argument("--made", type=Path)
    args = parser.parse_args()
    if args.made:
        print(json.dumps(made(args.model, args.made)))
        return
    rows = [row for row in rows_of(args.folder) if row["reference"][0] != "("]
    chance = random.Random(1)
    lists = [tuple(chance.sample(DECOYS, OF_A_LIST)) for _ in range(LISTS)]
    found = {"clips": len(rows), "said": 0, "heard_without": 0, "heard_alone": 0, "heard_among": 0}
    found |= {"words_among": 0, "invented_among": 0, "words_decoys": 0, "invented_decoys": 0}
    found |= {"near": 0, "invented_near": 0, "changed_without_keyword": 0}
    spent = [0.0, 0.0]
    with WhisperSTT(args.model, backends=["faster-whisper"]) as stt:

        def heard(row: dict[str, str], keywords: Sequence[str] = ()) -> str:
            begun = time.perf_counter()
            told = stt.transcribe(
                args.folder / Path(row["file"]), row["language"], keywords=keywords
            )
            spent[bool(keywords)] += time.perf_counter() - begun
            return str(told["text"])

        for row in rows:
            reference, plain = row["reference"], heard(row)
            said = [one for one in SAID if held(one, reference)]
            among = heard(row, (*DECOYS[:30], *SAID))
            alone = heard(row, said) if said else plain
            found["said"] += len(said)
            for name, text in (("without", plain), ("alone", alone), ("among", among)):
                found[f"heard_{name}"] += sum(held(one, text) > 0 for one in said)
            found["words_among"] += len(among.split())
            found["invented_among"] += invented(among, plain, reference, (*DECOYS, *SAID))
            for decoys in lists:
                text = heard(row, decoys)
                found["words_decoys"] += len(text.split())
                found["invented_decoys"] += invented(text, plain, reference, decoys)
                found["changed_without_keyword"] += text != plain
            near = [one for one in NEAR if not held(one, reference)]
            found["near"] += 1
            found["invented_near"] += invented(heard(row, near), plain, reference, near)
    times = len(rows), (LISTS + 2) * len(rows)
    found |= {
        "sec_without": round(spent[0] / times[0], 3),
        "sec_with": round(spent[1] / times[1], 3),
    }
    print(json.dumps(found, ensure_ascii=False))


if __name__ == "__main__":
    main()
