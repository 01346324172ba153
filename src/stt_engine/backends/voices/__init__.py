"""Whose voice it is: embeddings of parts of a recording, and the speakers that they show.

A network (CAM++) turns a second of speech into 192 numbers that are close for one voice; what is
made of them knows no words. Numbers come from numpy and from the runtime that is there: no torch.
"""
