"""Whisper's decoder as two OpenVINO graphs, out of CTranslate2's variables.

One makes, once for each chunk, the keys and values that are looked up in the sound. The other is
one step: tokens for every row (a hypothesis), whose own keys and values the graph keeps.
Weights are int8 with a scale for each row, which is what CTranslate2 computes with too; OpenVINO
packs them once, CTranslate2 (through oneDNN) at every step. All else is float32, which is one form
for every CPU: bfloat16 makes as many errors (216 Korean renderings: 11.0 % of the characters,
float32 11.1), and a clip in a server no faster.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stt_engine.backends.faster_whisper.ct2_weights import Variables
from stt_engine.backends.faster_whisper.openvino.graph import Graph, Rows


class Vocabulary:
    """The embeddings of all tokens, in int8, in the order in which the step scores them.

    Args:
        embeddings: a row for each token.
        text: the tokens of which only the best are scored.
        others: all the rest, each of which is scored.
    """

    def __init__(
        self, embeddings: NDArray[np.float32], text: NDArray[np.int64], others: NDArray[np.int64]
    ) -> None:
        self.text = text
        order = np.concatenate([text, others])
        self._places = np.empty(len(order), np.int64)
        self._places[order] = np.arange(len(order))
        self._rows = Rows.rounded(embeddings, order)

    @property
    def parts(self) -> tuple[Rows, Rows]:
        """The rows of the text, and of the others; they share this object's memory."""
        count = len(self.text)
        return self._rows[:count], self._rows[count:]

    def embedded(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the embeddings (N, width) of tokens."""
        places = self._places[tokens]
        return self._rows.values[places] * self._rows.scales[places]


class DecoderGraphs(Graph):
    """Both graphs of one decoder.

    Args:
        variables: those under ``decoder/``.

    Raises:
        WeightsUnreadable: a variable is missing, or stored in an unknown form.
    """

    def __init__(self, variables: Variables) -> None:
        super().__init__(variables, "decoder", "int8")
        self.layers = 0
        while self.has(f"layer_{self.layers}/ffn/linear_0/weight"):
            self.layers += 1
        self.width = self.plain("layer_norm/gamma").size
        self.head_width = self.width // self.heads

    def sound(self) -> Any:
        """States (B, S, width) to keys and values of each layer, by turns.

        Keys are (B, heads, head width, S) and scaled already, values (B, heads, S, head width): as
        the step multiplies by them.
        """
        op = self.op
        states = op.parameter([-1, -1, self.width], np.float32, "states")
        found = []
        for number in range(self.layers):
            fused = self.linear(states, f"layer_{number}/attention/linear_1")
            keys, values = self.apart(fused, 2)
            scaled = op.multiply(keys, op.constant(np.float32(self.head_width**-0.5)))
            found += [op.transpose(scaled, self.integers(0, 1, 3, 2)), values]
        return self.ov.Model(found, [states], "whisper_sound")

    def step(self, vocabulary: Vocabulary, best: int) -> Any:
        """Embedded tokens (N x T, width) to what may come after each.

        Inputs: ``tokens``, T for each of N rows, the tokens of a row together; ``rows`` (N: which
        row that each one continues); ``mask``, which is added to how much they attend to the row's
        tokens; and the keys and values of the sound; N is a multiple of their B, and rows of one
        chunk stand together.
        Outputs: the ``best`` tokens of the text (N x T, best) as logits and places in the
        vocabulary, the log of the sum over all the text (N x T, 1), and the logits of the others.
        """
        op = self.op
        tokens = op.parameter([-1, self.width], np.float32, "tokens")
        rows = op.parameter([-1], np.int32, "rows")
        mask = op.parameter([1, 1, -1, -1], np.float32, "mask")
        shapes = [self.heads, self.head_width, -1], [self.heads, -1, self.head_width]
        sound = [
            op.parameter([-1, *shapes[at % 2]], np.float32, f"sound_{at}")
            for at in range(2 * self.layers)
        ]
        states, kept = tokens, []
        for number in range(self.layers):
            name = f"layer_{number}"
            heard, memory = self.remembered(states, rows, mask, f"{name}/self_attention")
            kept += memory
            states = op.add(states, heard)
            keys, values = sound[2 * number : 2 * number + 2]
            states = op.add(states, self.looked_up(states, keys, values, f"{name}/attention"))
            states = self.feed_forward(states, f"{name}/ffn")
        states = self.norm(states, "layer_norm")
        words, rest = (self.integer_matrix(rows, shared=True) for rows in vocabulary.parts)
        text = self.product(states, words)
        top = op.topk(text, self.integer(best), 1, "max", "value", index_element_type="i32")
        highest = op.slice(top.output(0), *(self.integers(one) for one in (0, 1, 1, 1)))
        summed = op.reduce_sum(op.exp(op.subtract(text, highest)), self.integers(1), True)  # noqa: FBT003
        outputs = [
            top.output(0),
            top.output(1),
            op.add(op.log(summed), highest),
            self.product(states, rest),
        ]
        results = [op.result(output) for output in outputs]
        return self.ov.Model(results, kept, [tokens, rows, mask, *sound], "whisper_step")

    def remembered(self, states: Any, rows: Any, mask: Any, name: str) -> tuple[Any, list[Any]]:
        """Attend to the row's tokens so far; also what keeps these."""
        op = self.op
        count = op.shape_of(rows)
        fused = self.linear(self.norm(states, f"{name}/layer_norm"), f"{name}/linear_0")
        fused = op.reshape(fused, op.concat([count, self.integers(-1, 3 * self.width)], 0), False)  # noqa: FBT003
        query, *new = self.apart(fused, 3)
        empty = op.concat([count, self.integers(self.heads, 0, self.head_width)], 0)
        nothing = op.broadcast(op.constant(np.float32(0)), empty)
        whole, memory = [], []
        for what, states_of in zip(("keys", "values"), new, strict=True):
            kept_as = f"{name}/{what}"
            shape = self.ov.PartialShape([-1, self.heads, -1, self.head_width])
            past = op.read_value(nothing, kept_as, self.ov.Type.f32, shape)
            past = op.gather(past, rows, self.integer(0))
            whole.append(op.concat([past, states_of], 2))
            memory.append(op.assign(whole[-1], kept_as))
        heard = op.scaled_dot_product_attention(query, *whole, mask)
        return self.joined(heard, name, "linear_1"), memory

    def looked_up(self, states: Any, keys: Any, values: Any, name: str) -> Any:
        """Attend to the sound: all rows of a chunk as queries of one batch item.

        Not as one operation: OpenVINO would take it apart, and turn the keys at every step.
        """
        op = self.op
        query = self.linear(self.norm(states, f"{name}/layer_norm"), f"{name}/linear_0")
        items = op.gather(op.shape_of(keys), self.integers(0), self.integer(0))
        shape = op.concat([items, self.integers(-1, self.heads, self.head_width)], 0)
        query = op.transpose(op.reshape(query, shape, False), self.integers(0, 2, 1, 3))  # noqa: FBT003
        scores = op.matmul(query, keys, False, False)  # noqa: FBT003
        heard = op.matmul(op.softmax(scores, 3), values, False, False)  # noqa: FBT003
        return self.joined(heard, name, "linear_2")

    def joined(self, heard: Any, name: str, last: str) -> Any:
        """(B, heads, K, head width) to (B K, width), through the last matrix."""
        op = self.op
        heard = op.transpose(heard, self.integers(0, 2, 1, 3))
        return self.linear(
            op.reshape(heard, self.integers(-1, self.width), False),  # noqa: FBT003
            f"{name}/{last}",
        )

    def apart(self, fused: Any, count: int) -> list[Any]:
        """(B, T, count x width) to that many of (B, heads, T, head width)."""
        op = self.op
        found = op.split(fused, self.integer(2), count)
        shape = self.integers(0, 0, self.heads, self.head_width)
        return [
            op.transpose(op.reshape(one, shape, special_zero=True), self.integers(0, 2, 1, 3))
            for one in found.outputs()
        ]
