"""Words in and around dictated numbers: digits, separators, fillers, endings, units, context.

All patterns are for folded text (NFKC, lower case).
"""

from __future__ import annotations

import re
from collections.abc import Iterable

DIGIT_VALUES = {
    **dict.fromkeys(("공", "영", "빵", "제로", "동그라미"), "0"),
    **dict.fromkeys(("일", "하나"), "1"),
    **dict.fromkeys(("이", "둘"), "2"),
    **dict.fromkeys(("삼", "셋"), "3"),
    **dict.fromkeys(("사", "넷"), "4"),
    **dict.fromkeys(("오", "다섯"), "5"),
    **dict.fromkeys(("육", "륙", "여섯"), "6"),
    **dict.fromkeys(("칠", "일곱"), "7"),
    **dict.fromkeys(("팔", "여덟"), "8"),
    **dict.fromkeys(("구", "아홉"), "9"),
}
"""Spoken digits and their values."""


def _any_of(words: Iterable[str]) -> str:
    """Return a regular expression of alternatives, the longest first."""
    return "|".join(sorted(words, key=len, reverse=True))


DIGIT = _any_of(DIGIT_VALUES)
"""Pattern of a spoken digit; 일곱 has to be tried before 일."""

_ONES = r"(?:[일이삼사오육륙칠팔구]|(?<!\d)[1-9](?!\d))"
_TEN, _HUNDRED, _THOUSAND = (f"{_ONES}?{unit}" for unit in "십백천")
_BELOW_10_000 = (
    rf"(?:{_THOUSAND}(?:\s?{_HUNDRED})?(?:\s?{_TEN})?|{_HUNDRED}(?:{_TEN})?|{_TEN})"
    rf"(?:{_ONES}|[1-9]\d{{1,2}})?(?![십백천\d])"
)
NUMERAL = rf"(?:{_BELOW_10_000}만\s?{_BELOW_10_000}|{_BELOW_10_000})"
"""Pattern of a numeral: 신한 백십 다시, 공일공에 천이백삼십사, 사십오만육천칠백팔십구."""

TENS = {"십": 10, "백": 100, "천": 1000}
"""Syllables of a numeral that multiply the digit before them."""

WITH_COMMAS = r"(?<![\d,.-])[1-9]\d{0,2}(?:,\d{3}){1,6}(?![\d-]|,\d)"
"""Pattern of a number with thousands separators: an amount, or what a recogniser made of digits."""

LOOKALIKES = {"o": "0", "i": "1", "l": "1", "z": "2", "s": "5", "b": "8"}
"""Letters that a recogniser writes for digits, among digits: 01O, 9OO1O1."""

WRITTEN = r"(?:(?<![a-z])(?:\d[\doilbsz]*|[oil]+\d[\doilbsz]*|o[il1]o)(?![a-z\d])|\d+)"
"""Pattern of written digits."""

REPEATS = {
    **dict.fromkeys(("더블", "따블", "떠블", "더불", "쌍"), 2),
    **dict.fromkeys(("쿼드러플", "쿼드"), 4),
    **dict.fromkeys(("트리플", "트리블", "트리뿔"), 3),
}
"""Words before a digit that is meant several times: 더블 칠."""

COUNTS = {
    **dict.fromkeys(("두", "둘", "2"), 2),
    **dict.fromkeys(("세", "셋", "3"), 3),
    **dict.fromkeys(("네", "넷", "4"), 4),
    **dict.fromkeys(("다섯", "5"), 5),
    **dict.fromkeys(("여섯", "6"), 6),
    **dict.fromkeys(("일곱", "7"), 7),
    **dict.fromkeys(("여덟", "8"), 8),
}
"""How often a digit is meant that is counted: 오 네 개."""

REPEATED = rf"(?P<repeat>{_any_of(REPEATS)})\s?(?P<repeated>{DIGIT}|\d(?!\d))"
"""Pattern of a digit after a word that repeats it."""

COUNTED = (
    rf"(?:(?<![가-힣])|(?<=[공영일이삼사오육칠팔구]))(?P<counted>{DIGIT}|(?<!\d)\d)"
    rf"[이가]?\s?(?P<count>{_any_of(COUNTS)})(?<!\d\d)\s?(?:개(?!월)|번(?![호째])|자리|차례)"
)
"""Pattern of a digit that is counted."""

SYMBOL = r"(?:[^\w*]|[_\u1100-\u11ff\u3130-\u318f\u30fc\u4e00\u4e28])"
"""Pattern of what separates digits and is no word: any symbol, and letters that look like one."""

SEPARATORS = frozenset(
    """
    에 다시 대시 데시 대쉬 하이픈 하이푼 슬래시 슬래쉬 슬러시 작대기 짝대기 빼기 바 땡 땡땡 콜론
    물결 쉬고 띄고 언더바
    """.split()
)
"""Words for a hyphen."""

_PARTS = """
    앞 뒤 앞자리 뒷자리 앞번호 뒷번호 앞부분 뒷부분 앞쪽 뒤쪽 가운데 중간 중간자리 마지막 끝 끝자리
    국번 지역번호 그다음 그담 다음 나머지 처음 번
    """.split()
_PARTICLES = ["", *"은 는 이 가 에 에는 요 이요 은요 는요 도 로".split()]
_PARTICLES += "으로 이고 이고요 고 고요 입니다".split()
_BACKCHANNELS = """
    네 넵 넹 네네 예 예예 응 음 으음 어 어어 아 그 저 저기 그게 그냥 또 자 뭐 그리고 그리고요
    그러고 그러니까 이어서 이어 하고 이고 이고요 고요 이요 요 번호 번호는 숫자 숫자는 숫자로
    아니 아니요 아니다 그래서 잠시만요 잠깐만요 잠시만 잠깐만 맞습니다 맞아요 맞고요
    확인했습니다 적었습니다 적었어요 받았습니다 말씀하세요 말씀해 주세요 주시고요 계속
    계속하세요 불러 부르세요 고객님 선생님 사장님 감사합니다 여기까지 됐고요 되셨고요
    """.split()
FILLERS = frozenset([*_BACKCHANNELS, *(part + end for part in _PARTS for end in _PARTICLES)])
"""Words between two groups of one number: backchannels (네) and names of its parts (뒷자리는)."""

FILLER = (
    rf"(?:{_any_of(_PARTS)})(?:{_any_of(_PARTICLES[1:])})?|그 다음에?"
    rf"|{_any_of([*_BACKCHANNELS, *SEPARATORS])}"
)
"""Pattern of a filler or separator."""

ENDING = re.compile(
    r"번?(?:에다가?|에서?|이?고요?|이?구요|이?요|이?에요|이?예요|이?에여|이?여|입니다|이?랑|하고|으?로요?"
    r"|으?로는|은|는|이|가|을|를|의|도|만|이?라고요?|이?라는|이?라|이?네요?|이?지요?|이?죠|이?시죠"
    r"|이?시고요?|이?시구요|이세요|이?신가요|인가요|인데요?|이?며|이?거든요|이?잖아요|이?었어요|였어요"
    r"|이?었습니다|였습니다|이?야|일까요|일걸요|맞아요|맞죠|맞습니다|번)"
)
"""Particles and copula forms that attach to a number."""

ENDING_START = re.compile(
    r"이?(?:[래랍니던더었였군지시세신네야거잖며면]|라[고니던서는])|까지|부터|밖에|[만도께인임입]|한테"
)
"""Pattern of how an ending begins, for those that :data:`ENDING` does not list."""

_AFTER_UNIT = (
    r"(?![가-힣])|(?=[이은는가을를에의로까부정쯤미간씩짜만동후전입인요예당째넘생분중초말반안])"
)
UNIT = re.compile(
    rf"(?:원|만|천|백|십|억|조|퍼센트|퍼|프로|달러|불|엔|유로|위안|개월|년|월|시|분|초|세|살|개|명|건|회|호"
    rf"|차|주|좌|배|평|층|대|급|등|점|항|장|위|자리|가지|번째|포인트|페이지|시간|주년|등급)(?:{_AFTER_UNIT})"
    r"|[십백천만억조]+\s?[원불]"
)
"""Units that, attached to a number, make it a quantity."""

UNIT_OF_NAMES = re.compile(rf"(?:년|호|회|원|퍼센트|프로|달러|층|조|항)(?:{_AFTER_UNIT})")
"""Units that follow numbers spoken digit by digit: 이공이육년, 일이삼사오호."""

MONEY = re.compile(r"[십백천만억조]+\s?(?:원|불|엔|유로|달러|위안)|만\s?\d")
"""Pattern of what follows a number that is certainly an amount of money."""

SPACED_UNIT = re.compile(
    rf"\s(?:원|만|천만|백만|십만|억|천|퍼센트|프로|달러|불|엔|유로|위안|개월|년|월|시|분|초|세|살|자리|가지)"
    rf"(?:{_AFTER_UNIT})|\s[십백천만억조]+\s?[원불]"
)
"""Units after a space: only words that are always units."""

SYMBOL_UNIT = re.compile(r"[a-z*]|\s?[%‰℃°$€¥₩](?!\s?\d)")
"""Letters and symbols that never follow a personal number."""

QUANTITIES = (
    re.compile(r"(?<![\d.-])(?:0|[1-9]\d{0,3})\.\d+(?![\d-]|\.\d)"),
    re.compile(
        r"(?<![\d.-])[1-9]\d{0,2}\.\d{1,2}(?:\s?[-~/→]\s?[1-9]\d{0,2}\.\d{1,2}){2,}(?![\d.-])"
    ),
    re.compile(
        r"(?<![\d-])(?:19|20)\d\d(?:([-./])(?:0?[1-9]|1[0-2])\1|\.\s(?:0?[1-9]|1[0-2])\.\s)"
        r"(?:0?[1-9]|[12]\d|3[01])(?![\d-])"
    ),
    re.compile(r"(?<![\d:])\d{1,2}:\d{2}(?::\d{2})?(?![\d:])"),
    re.compile(r"(?<!\d)(?<!\d\s)[$€¥₩]\s?\d+"),
)
"""Decimals, dates, times, amounts with a currency symbol."""

CONTEXT_WORDS = {
    "resident_number": r"주민\s?(?:등록)?\s?(?:번호)?|민증",
    "foreigner_number": r"외국인\s?(?:등록|번호|등록증)|등록증",
    "passport": r"여권",
    "driver_licence": r"면허",
    "card": r"카드|아멕스|비자|마스터",
    "phone": r"전화|휴대폰|휴대\s폰|핸드폰|연락처|폰\s?번호|문자|팩스|안심번호|자택",
    "account": (
        r"계좌|통장|은행|뱅크|카뱅|농협|수협|신협|새마을|우체국|예금주|입금|이체|출금|송금|증권"
    ),
    "company": r"사업자|법인",
    "other": (
        r"접수|상품\s?(?:번호|코드)|펀드\s?코드|종목|심사필|문서|승인|주문|관리\s?번호|인증\s?번호"
        r"|생년월일|코드"
    ),
}
"""Context words by the entity type they announce; ``company`` and ``other`` are not personal."""

CONTEXT_WORD = re.compile("|".join(f"(?P<{name}>{words})" for name, words in CONTEXT_WORDS.items()))
