"""The second deterministic tier: a linear model that knows an element by how calls sound.

The pieces that sentences are made of, the weights that `make train` gave them, and how rules and
weights together come to a certainty. Nothing here knows what a rubric asks for, or decides what a
certainty is enough for.
"""
