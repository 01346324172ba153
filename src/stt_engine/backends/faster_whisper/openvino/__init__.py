"""Whisper's encoder, decoder and the speech detector as OpenVINO graphs.

Each is compared with what it replaces before it is used; what differs or fails is not used, and the
answer says why.
"""
