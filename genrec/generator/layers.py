"""Transformer layers of the generator: pre-norm attention and feed-forward blocks.

Decoder layers take all steps of all positions at once (training) or one step of all beams (search): the same code,
because a beam is nothing but one more query position over the same encoded history.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn.functional import dropout, gelu, relu, scaled_dot_product_attention

ACTIVATIONS = {"relu": relu, "gelu": gelu}


class KeyValue(NamedTuple):
    """Keys and values of one attention, ready to be attended to again."""

    keys: Float[Tensor, "*batch heads length head_dim"]
    values: Float[Tensor, "*batch heads length head_dim"]


class LayerShape(NamedTuple):
    """What all layers of a generator have in common."""

    width: int
    num_heads: int
    feed_forward_dim: int
    activation: str
    """One of `ACTIVATIONS`."""
    dropout: float


class Dropout(nn.Module):
    """Dropout whose CPU form draws eight elements from one 64-bit random number.

    There the share that is dropped is a multiple of 1/256. On other devices it is torch's own.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        self.threshold = min(round(share * 256), 255)

    def forward(self, states: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch"]:
        """The states, in training with some of them zeroed and the others scaled up."""
        if not self.training or not self.threshold:
            return states
        if states.device.type != "cpu":
            return dropout(states, self.share)
        words = torch.empty(states.numel() // 8 + 1, dtype=torch.int64).random_(-(2**63), None)
        kept = torch.empty(states.shape)
        torch.ge(words.view(torch.uint8)[: states.numel()].view(states.shape), self.threshold, out=kept)
        return states * kept.mul_(256 / (256 - self.threshold))


class Attention(nn.Module):
    """Multi-head attention; who attends to what is the caller's business."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(width, width, bias=False)
        self.key_value = nn.Linear(width, 2 * width, bias=False)
        self.output = nn.Linear(width, width, bias=False)

    def project(self, states: Float[Tensor, "batch length width"]) -> KeyValue:
        """Keys and values of the states that will be attended to."""
        keys, values = self.key_value(states).chunk(2, dim=-1)
        return KeyValue(self._split(keys), self._split(values))

    def forward(
        self,
        states: Float[Tensor, "batch queries width"],
        context: KeyValue,
        *,
        visible: Bool[Tensor, "#batch 1 #queries length"] | None = None,
        causal: bool = False,
    ) -> Float[Tensor, "batch queries width"]:
        """What the queries read from the context; `visible` says which keys a query may see, None: all."""
        mixed = scaled_dot_product_attention(
            self._split(self.query(states)),
            context.keys,
            context.values,
            attn_mask=visible,
            is_causal=causal,
        )
        return self.output(mixed.transpose(1, 2).flatten(2))

    def _split(self, states: Float[Tensor, "batch length width"]) -> Float[Tensor, "batch heads length head_dim"]:
        return states.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear maps with an activation between them."""

    def __init__(self, shape: LayerShape) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[shape.activation]
        self.expand = nn.Linear(shape.width, shape.feed_forward_dim)
        self.contract = nn.Linear(shape.feed_forward_dim, shape.width)
        self.dropout = Dropout(shape.dropout)

    def forward(self, states: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Each state mapped by itself."""
        return self.contract(self.dropout(self.activation(self.expand(states))))


class EncoderLayer(nn.Module):
    """Self-attention and feed-forward over one sequence."""

    def __init__(self, shape: LayerShape) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(shape.width)
        self.attention = Attention(shape.width, shape.num_heads)
        self.feed_forward_norm = nn.LayerNorm(shape.width)
        self.feed_forward = FeedForward(shape)
        self.dropout = Dropout(shape.dropout)

    def forward(
        self,
        states: Float[Tensor, "batch length width"],
        *,
        visible: Bool[Tensor, "batch 1 1 length"] | None = None,
        causal: bool = False,
    ) -> Float[Tensor, "batch length width"]:
        """The states after one layer."""
        normed = self.attention_norm(states)
        read = self.attention(normed, self.attention.project(normed), visible=visible, causal=causal)
        states = states + self.dropout(read)
        return states + self.dropout(self.feed_forward(self.feed_forward_norm(states)))


class DecoderLayer(nn.Module):
    """Self-attention over the codes written so far, cross-attention over the history, feed-forward."""

    def __init__(self, shape: LayerShape) -> None:
        super().__init__()
        self.self_norm = nn.LayerNorm(shape.width)
        self.self_attention = Attention(shape.width, shape.num_heads)
        self.cross_norm = nn.LayerNorm(shape.width)
        self.cross_attention = Attention(shape.width, shape.num_heads)
        self.feed_forward_norm = nn.LayerNorm(shape.width)
        self.feed_forward = FeedForward(shape)
        self.dropout = Dropout(shape.dropout)

    def forward(
        self,
        states: Float[Tensor, "batch positions steps width"],
        history: KeyValue,
        *,
        visible: Bool[Tensor, "#batch 1 #queries items"] | None,
        past: KeyValue | None = None,
    ) -> tuple[Float[Tensor, "batch positions steps width"], KeyValue]:
        """The states after one layer, and the self-attention's keys and values (batch, positions, heads, steps, dim).

        `history` are the cross-attention's keys and values, one set per user, never repeated per position; `visible`
        is indexed by position * steps + step. `past`: what earlier steps of the same positions returned; those all may
        be read, of these steps only the ones before.
        """
        batch, positions, steps, _ = states.shape
        normed = self.self_norm(states).flatten(0, 1)
        written = self.self_attention.project(normed)
        if past is not None:
            written = KeyValue(
                torch.cat([past.keys.flatten(0, 1), written.keys], dim=2),
                torch.cat([past.values.flatten(0, 1), written.values], dim=2),
            )
        before = None if past is None or steps == 1 else _before(steps, written.keys)
        read = self.self_attention(normed, written, visible=before, causal=past is None and steps > 1)
        states = states + self.dropout(read.unflatten(0, (batch, positions)))
        queries = self.cross_norm(states).flatten(1, 2)
        read = self.cross_attention(queries, history, visible=visible)
        states = states + self.dropout(read.unflatten(1, (positions, steps)))
        states = states + self.dropout(self.feed_forward(self.feed_forward_norm(states)))
        keys, values = (part.unflatten(0, (batch, positions)) for part in written)
        return states, KeyValue(keys, values)


def _before(steps: int, keys: Float[Tensor, "batch heads length head_dim"]) -> Bool[Tensor, "1 1 steps length"]:
    """Which keys each of the last `steps` may read: all up to its own."""
    length = keys.shape[2]
    return torch.ones(1, 1, steps, length, dtype=torch.bool, device=keys.device).tril(length - steps)
