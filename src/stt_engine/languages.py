"""The languages of Whisper's multilingual tokenizer: their codes, and what people call them."""

from __future__ import annotations

import re

from stt_engine.shown import nearest, shorten

AUTO = "auto"
"""The language code that asks for detection."""

_TABLE = """
af afr Afrikaans 아프리칸스어
am amh Amharic 암하라어 አማርኛ
ar ara Arabic 아랍어 العربية
as asm Assamese 아삼어
az aze Azerbaijani 아제르바이잔어
ba bak Bashkir 바시키르어
be bel Belarusian 벨라루스어
bg bul Bulgarian 불가리아어 български
bn ben Bengali Bangla 벵골어 বাংলা
bo bod tib Tibetan 티베트어
br bre Breton 브르타뉴어
bs bos Bosnian 보스니아어
ca cat Catalan Valencian 카탈루냐어
cs ces cze Czech 체코어 čeština
cy cym wel Welsh 웨일스어
da dan Danish 덴마크어 dansk
de deu ger German 독일어 Deutsch
el ell gre Greek 그리스어 ελληνικά
en eng English 영어
es spa Spanish Castilian 스페인어 español
et est Estonian 에스토니아어
eu eus baq Basque 바스크어
fa fas per Persian Farsi 페르시아어 فارسی
fi fin Finnish 핀란드어 suomi
fo fao Faroese 페로어
fr fra fre French 프랑스어 불어 français
gl glg Galician 갈리시아어
gu guj Gujarati 구자라트어
ha hau Hausa 하우사어
haw Hawaiian 하와이어
he heb iw Hebrew 히브리어 עברית
hi hin Hindi 힌디어 हिन्दी
hr hrv Croatian 크로아티아어
ht hat Haitian Haitian_Creole 아이티어
hu hun Hungarian 헝가리어 magyar
hy hye arm Armenian 아르메니아어
id ind Indonesian 인도네시아어
is isl ice Icelandic 아이슬란드어
it ita Italian 이탈리아어 italiano
ja jpn Japanese 일본어 日本語
jw jv jav Javanese 자바어
ka kat geo Georgian 조지아어
kk kaz Kazakh 카자흐어
km khm Khmer Cambodian 크메르어 캄보디아어
kn kan Kannada 칸나다어
ko kor Korean 한국어 한국말 조선말
la lat Latin 라틴어
lb ltz Luxembourgish Letzeburgesch 룩셈부르크어
ln lin Lingala 링갈라어
lo lao 라오어 라오스어
lt lit Lithuanian 리투아니아어
lv lav Latvian 라트비아어
mg mlg Malagasy 말라가시어
mi mri mao Maori 마오리어
mk mkd mac Macedonian 마케도니아어
ml mal Malayalam 말라얄람어
mn mon Mongolian 몽골어 монгол
mr mar Marathi 마라티어
ms msa may Malay 말레이어
mt mlt Maltese 몰타어
my mya bur Burmese Myanmar 버마어 미얀마어
ne nep Nepali 네팔어
nl nld dut Dutch Flemish 네덜란드어 Nederlands
nn nno Nynorsk 뉘노르스크
no nor nb nob Norwegian Bokmål 노르웨이어 norsk
oc oci Occitan 오크어
pa pan Punjabi Panjabi 펀자브어
pl pol Polish 폴란드어 polski
ps pus Pashto Pushto 파슈토어
pt por Portuguese 포르투갈어 português
ro ron rum Romanian Moldavian Moldovan 루마니아어
ru rus Russian 러시아어 русский
sa san Sanskrit 산스크리트어
sd snd Sindhi 신디어
si sin Sinhala Sinhalese 싱할라어
sk slk slo Slovak 슬로바키아어
sl slv Slovenian Slovene 슬로베니아어
sn sna Shona 쇼나어
so som Somali 소말리아어
sq sqi alb Albanian 알바니아어
sr srp Serbian 세르비아어
su sun Sundanese 순다어
sv swe Swedish 스웨덴어 svenska
sw swa Swahili 스와힐리어
ta tam Tamil 타밀어
te tel Telugu 텔루구어
tg tgk Tajik 타지크어
th tha Thai 태국어 타이어 ไทย
tk tuk Turkmen 투르크멘어
tl tgl fil Tagalog Filipino 타갈로그어 필리핀어
tr tur Turkish 튀르키예어 터키어 Türkçe
tt tat Tatar 타타르어
uk ukr Ukrainian 우크라이나어 українська
ur urd Urdu 우르두어
uz uzb Uzbek 우즈베크어
vi vie Vietnamese 베트남어 월남어
yi yid Yiddish 이디시어
yo yor Yoruba 요루바어
yue Cantonese 광둥어 粵語
zh zho chi cmn Chinese Mandarin 중국어 中文
"""
"""A language a line: Whisper's code, those of ISO 639, then names in English, Korean, its own."""

_BY_NAME = {
    name.replace("_", " ").casefold(): line.split()[0]
    for line in _TABLE.split("\n")
    for name in line.split()
}

LANGUAGES = frozenset(_BY_NAME.values())
"""The codes that Whisper's multilingual tokenizer knows (openai-whisper ``tokenizer.py``)."""

_ENGLISH = {
    code: next((name for name in rest if name[0].isupper()), rest[0])  # lao is code and name
    for code, *rest in map(str.split, _TABLE.strip().split("\n"))
    if rest
}

_OF_COUNTRIES = {
    **dict.fromkeys(("kr", "kp"), "ko"),
    **dict.fromkeys(("gb", "us", "ca", "au"), "en"),
    **dict.fromkeys(("cn", "tw", "hk", "sg"), "zh"),
    "jp": "ja",
    "vn": "vi",
    "cz": "cs",
    "dk": "da",
    "se": "sv",
    "gr": "el",
    "ua": "uk",
    "at": "de",
    "mx": "es",
    "il": "he",
    "ir": "fa",
    "my": "ms",
    "ph": "tl",
    "kh": "km",
}
"""Codes of countries that are taken for those of their languages; only ever suggested."""

_TAG = re.compile(r"([a-z]{2,3})(?:[-_][a-z0-9]+)*(?:\.[a-z0-9-]+)?")
"""A language tag or a locale: ``ko-KR``, ``zh-Hant-TW``, ``en_US.UTF-8``."""


def language_code(name: str) -> str | None:
    """Return the code of what a person calls a language; ``None`` where there is none so called.

    ``EN``, ``ko-KR``, ``English``, ``한국어``.
    """
    folded = " ".join(name.casefold().replace("_", " ").split())
    if folded == AUTO or folded in _BY_NAME:
        return _BY_NAME.get(folded, AUTO)
    tag = _TAG.fullmatch(name.strip().casefold())
    return _BY_NAME.get(tag[1]) if tag else None


def english_name(code: str) -> str:
    """Return what English calls a language, in small letters; a code that is none as it is."""
    return _ENGLISH.get(code, code).replace("_", " ").lower()


def unknown_language(name: str) -> str:
    """Return one sentence about a name that is no code: the one that was meant, or what to give."""
    said = f"unknown language '{shorten(name, 64)}'"
    folded = name.strip().casefold()
    near = language_code(name[:64]) or _OF_COUNTRIES.get(folded) or _nearest(folded)
    if near:
        return f"{said}; did you mean '{near}'?"
    return f"{said}; give a Whisper code such as 'ko', or 'auto'"


def _nearest(folded: str) -> str | None:
    """Return the code of the name that is written most like it; or begins so."""
    begun = {code for name, code in _BY_NAME.items() if folded[1:] and name.startswith(folded)}
    long_names = [name for name in (*_BY_NAME, AUTO) if len(name) > len("kor")]
    if len(begun) == 1:
        return begun.pop()
    found = nearest(folded, long_names)
    return _BY_NAME.get(found, AUTO) if found else None
