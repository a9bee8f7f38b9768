"""Items that a target is compared with, and what the decoder says of their codes.

They share all that their target has been given: the encoder's states, the cross-attention's keys and values, and the
decoder's first step, which reads no code yet. So each costs id_length - 1 steps of the decoder and nothing else.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from genrec.generator.layers import DecoderLayer, KeyValue

if TYPE_CHECKING:
    from genrec.generator.model import Generator


class Negatives(NamedTuple):
    """Items to compare some of the targets of a batch with."""

    places: Int[Tensor, " compared"]
    """Which targets, counted as in `targets[targets >= 0]`; ascending."""
    rows: Int[Tensor, "compared negatives"]

    def part(self, places: Int[Tensor, " targets"]) -> "Negatives":
        """Those of the targets at these places, which are then counted in the order given here."""
        number = torch.searchsorted(self.places, places).clamp(max=len(self.places) - 1)
        is_compared = self.places[number] == places
        return Negatives(is_compared.nonzero()[:, 0], self.rows[number[is_compared]])


class DecodedTargets(NamedTuple):
    """What is left of decoding the targets of a batch, per layer of the decoder."""

    cross: Sequence[KeyValue]
    """The cross-attention's, (batch, heads, length, head_dim)."""
    own: Sequence[KeyValue]
    """The self-attention's, (batch, positions, heads, id_length, head_dim)."""
    visible: Bool[Tensor, "#batch positions length"]


def draw_negatives(
    num_targets: int,
    *,
    num_items: int,
    num_negatives: int,
    share: float,
    chance: torch.Generator = torch.default_generator,
) -> Negatives:
    """Uniform draws with replacement, anew for each target, for this share of the targets; on the CPU, as `chance` is.

    The share is rounded up, so that at least one target is compared.
    """
    num_compared = math.ceil(num_targets * share)
    places = torch.arange(num_targets)
    if num_compared < num_targets:
        places = torch.randperm(num_targets, generator=chance)[:num_compared].sort().values
    return Negatives(places, torch.randint(num_items, (num_compared, num_negatives), generator=chance))


def negative_logits(
    generator: "Generator", decoded: DecodedTargets, negatives: Negatives, has_target: Bool[Tensor, "batch positions"]
) -> tuple[Float[Tensor, "compared negatives _"], ...]:
    """Logits of levels 1..id_length - 1, given each negative's true codes before; level 0's are the target's own."""
    if generator.id_length == 1:
        return ()
    user, position = has_target.nonzero()[negatives.places].unbind(1)
    codes = generator.vocabulary.codes_of(negatives.rows)[..., :-1]
    vectors = generator.embedding.code_vectors(codes + generator.vocabulary.offsets[:-1])
    states = generator.dropout(vectors + generator.start.weight[1:])
    visible = decoded.visible.expand(len(has_target), -1, -1)[user, position][:, None, None]
    layers = [layer for layer in generator.layers if isinstance(layer, DecoderLayer)]
    for layer, cross, own in zip(layers, decoded.cross, decoded.own, strict=True):
        history = KeyValue(cross.keys[user], cross.values[user])
        first = KeyValue(*(_first_step(part, user, position, negatives.rows.shape[1]) for part in own))
        states, _ = layer(states, history, visible=visible, past=first)
    states = generator.dropout(generator.norm(states))
    return tuple(head(states[:, :, level]) for level, head in enumerate(list(generator.heads)[1:]))


def _first_step(
    own: Float[Tensor, "batch positions heads id_length head_dim"],
    user: Int[Tensor, " compared"],
    position: Int[Tensor, " compared"],
    num_negatives: int,
) -> Float[Tensor, "compared negatives heads 1 head_dim"]:
    """Keys or values of the step before any code, for all negatives of a target alike."""
    return own[user, position, :, :1].unsqueeze(1).expand(-1, num_negatives, -1, -1, -1)
