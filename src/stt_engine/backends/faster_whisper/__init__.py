"""faster-whisper: the batched and the sequential pipeline over CTranslate2's decoder.

``openvino`` below replaces parts of it on CPUs where that is faster.
"""
