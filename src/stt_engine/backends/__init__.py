"""The real recognisers, and what they share: pieces, speech detection, batching, repetition.

Everything here runs in a child process. torch, ctranslate2, whisper and openvino are imported
inside ``load()`` and what it calls, never at the top of a module.
"""
