"""What the tables of the Korean document say for the English words of a run."""

from __future__ import annotations

KOREAN_WORDS = {
    "cores": "코어",
    "engine": "엔진",
    "server": "서버",
    "settings": "설정",
    "seconds": "걸린 초",
    "real-time factor": "실시간 배율 (RTF)",
    "peak MiB": "최대 메모리 MiB",
    "product is faster ×": "이 제품이 몇 배 빠른가",
    "product, beam 1, is faster ×": "빔 1인 이 제품이 몇 배 빠른가",
    "mixed to mono: seconds; WER %": "모노로 섞어 한 번: 걸린 초; WER %",
    "clients": "클라이언트",
    "seconds a clip": "클립당 초",
    "CER %, with renderings": "CER %, 변형 포함",
    "sound": "소리",
    "words": "단어",
    "no text": "글자 없음",
    "loop": "반복 루프",
    "claim": "주장",
    "wanted": "기준",
    "measured": "측정값",
    "kept": "지킴",
    "**not kept**": "**못 지킴**",
    "not run": "측정 안 함",
    "none": "없음",
    "some": "있음",
    "defaults": "기본값",
    "Long call": "긴 통화",
    "Short clips": "짧은 클립",
    "Trap set": "함정 소리",
    "Korean clips": "한국어 클립",
    "What the product is held to": "이 제품이 지켜야 할 기준",
    "Not run": "측정하지 않은 것",
    "throughput, p50, p95 of the product against each server:": (
        "각 서버에 견준 이 제품의 처리량, p50, p95 (1보다 크면 이 제품이 낫습니다):"
    ),
    "product": "이 제품",
    "product without OpenVINO": "이 제품, OpenVINO 없음",
    "product, beam 1": "이 제품, 빔 1",
    "product, the other version": "이 제품, 다른 버전",
    "faster-whisper batched": "faster-whisper 배치",
    "faster-whisper batched, no timestamps": "faster-whisper 배치, 타임스탬프 없음",
    "faster-whisper batched, the product's beam": "faster-whisper 배치, 이 제품과 같은 빔",
    "faster-whisper sequential": "faster-whisper 순차",
    "faster-whisper, minimal server, thread pool": "faster-whisper 최소 서버, 스레드 풀",
    "faster-whisper, minimal server, batched pipeline": "faster-whisper 최소 서버, 배치 파이프라인",
    "openvino-genai, minimal server, one at a time": "openvino-genai 최소 서버, 한 번에 하나씩",
    "What the server adds": "서버가 더하는 시간",
    "what": "무엇",
    "upload MiB": "올린 크기 MiB",
    "answer KiB": "답 KiB",
    "engine's seconds": "엔진이 걸린 초",
    "seconds more at the client": "클라이언트에서 더 걸린 초",
    "server process grown by MiB": "서버 프로세스 증가 MiB",
    "one clip": "클립 하나",
    "long call": "긴 통화",
    "two silent hours": "무음 두 시간",
    "silence": "무음",
    "white noise": "백색 잡음",
    "line noise": "회선 잡음",
    "ringing": "통화 연결음",
    "music": "음악",
    "reversed speech": "거꾸로 재생한 말",
    "shuffled speech": "잘게 잘라 뒤섞은 말",
    "babble": "여럿이 동시에 하는 말",
    "muffled speech": "벽 너머처럼 뭉개진 말",
    "long call: faster-whisper batched, b8, both with timestamps, both beam 1": (
        "긴 통화: faster-whisper 배치(b8) 대비, 양쪽 모두 빔 1에 타임스탬프 켬"
    ),
    "long call: faster-whisper's defaults (sequential, beam 5); the product as it is": (
        "긴 통화: faster-whisper 기본값(순차, 빔 5) 대비, 이 제품은 기본값"
    ),
    "long call: faster-whisper's defaults (sequential, beam 5); the product with beam 1": (
        "긴 통화: faster-whisper 기본값(순차, 빔 5) 대비, 이 제품은 빔 1"
    ),
    "long call: openvino-genai, both beam 1": "긴 통화: openvino-genai 대비, 양쪽 모두 빔 1",
    "long call: faster-whisper batched, b8, beam 1; the product without OpenVINO, as it is": (
        "긴 통화: faster-whisper 배치(b8, 빔 1) 대비, OpenVINO 없는 이 제품의 기본값"
    ),
    "long call: WER above the best peer's, as it is": (
        "긴 통화: 가장 정확한 비교 대상보다 높은 WER, 기본값"
    ),
    "long call: WER above the best peer's, beam 1": (
        "긴 통화: 가장 정확한 비교 대상보다 높은 WER, 빔 1"
    ),
    "long call: loops in the product's text": "긴 통화: 이 제품의 글에 있는 반복 루프",
    "16 clients: throughput": "클라이언트 16개: 처리량",
    "16 clients: p95 shorter": "클라이언트 16개: p95가 짧은 배수",
    "1 client: p50 shorter": "클라이언트 1개: p50이 짧은 배수",
    "1 client: p50 shorter; the product without bfloat16": (
        "클라이언트 1개: p50이 짧은 배수, bfloat16을 쓰지 않는 이 제품"
    ),
    "1 client: p50 shorter; the product without OpenVINO": (
        "클라이언트 1개: p50이 짧은 배수, OpenVINO 없는 이 제품"
    ),
    "16 clients: /health p99": "클라이언트 16개: /health p99",
    "16 clients: peak memory": "클라이언트 16개: 최대 메모리",
    "clips with wrong or no text": "글이 틀렸거나 없는 클립",
    "a folder as one job: throughput beside that of 16 clients": (
        "폴더를 한 작업으로: 클라이언트 16개에 견준 처리량"
    ),
    "traps: the slowest": "함정 소리: 가장 느린 것",
    "no text on noise, music, silence, ringing": "잡음, 음악, 무음, 연결음에서 글자 없음",
    "traps: loops": "함정 소리: 반복 루프",
    "Korean clips as they are: CER above faster-whisper's, beam 5": (
        "한국어 클립 그대로: faster-whisper(빔 5)보다 높은 CER"
    ),
    "Korean clips and renderings: CER above faster-whisper's, beam 5": (
        "한국어 클립과 그 변형들: faster-whisper(빔 5)보다 높은 CER"
    ),
    "≤ 0 ± standard error": "≤ 0 ± 표준오차",
    "ready with the model loaded, warm": "모델을 읽은 채 준비될 때까지 (캐시가 데워진 상태)",
    "two-hour call: peak memory": "두 시간 통화: 최대 메모리",
    "stream: CPU time above that of an answer at once": "스트림: 한 번에 답할 때보다 더 든 CPU",
    "stream: first words of an hour": "스트림: 한 시간 통화의 첫 낱말",
    "1,000 calls: growth after the first hundred": "1,000통: 처음 100통 뒤의 증가",
    "speaches": "speaches",
}
