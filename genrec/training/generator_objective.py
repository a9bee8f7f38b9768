"""The generator's objective: codes level by level, the item head beside them, and the prefixes of the target."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from genrec.data.batches import Batch
from genrec.generator.child_shares import child_shares, child_shares_of_sample
from genrec.generator.item_sample import ItemSample, draw_items
from genrec.generator.item_softmax import ItemScores, item_softmax_cross_entropy
from genrec.generator.losses import LossConfig, code_log_probs, generator_losses, of_codes
from genrec.generator.model import Prediction
from genrec.generator.negatives import Negatives, draw_negatives
from genrec.generator.prefix_losses import (
    distinct_prefixes,
    pairwise_losses,
    pointwise_losses,
    uniform_weights,
    update_weights,
)
from genrec.generator.prefixes import Prefixes
from genrec.generator.vocabulary import Vocabulary
from genrec.training.objective import Losses, Whole


@dataclass(frozen=True, eq=False)
class GeneratorObjective:
    """The losses that the config adds up, over one catalogue; an `AdaptiveObjective`."""

    config: LossConfig
    vocabulary: Vocabulary
    prefixes: Prefixes
    """Of the same catalogue as the vocabulary, on the device of the batches."""
    target_shares: Float[Tensor, " items"] | None
    """Of all targets of the training, the share that each item is; on the device of the batches. None where the config
    asks for no sample of the items."""
    weights: tuple[float, ...] = ()
    """Of the prefix losses, per level; (): uniform."""

    def __post_init__(self) -> None:
        if self.target_shares is None and self.config.item_negatives is not None:
            raise ValueError("item_negatives draws a sample of the items: expected target_shares, got None")
        expected = (len(self.vocabulary.item_codes), self.vocabulary.level_sizes)
        found = (self.prefixes.num_items, self.prefixes.level_sizes)
        if found != expected:
            raise ValueError(
                f"expected the prefixes of {expected[0]} items with level sizes {expected[1]}, got those of {found[0]} "
                f"with {found[1]}; build the trie from the codes that the vocabulary has"
            )

    def losses(self, model: nn.Module, batch: Batch, whole: Whole | None = None) -> Losses:
        """The losses of the batch, with the negatives that the prefix loss may ask for."""
        rows = batch.targets[batch.targets >= 0]
        whole = whole or Whole.of(rows)
        compared = self._compared(whole)
        negatives = compared.part(whole.places) if compared else None
        sample = self._sample(whole)
        prediction = model(*batch, with_items=self.config.item_weight > 0, sample=sample, negatives=negatives)
        item_nll, wanted = self._item_loss(prediction.items, rows, sample)
        found = generator_losses(
            prediction.code_logits,
            item_nll,
            codes=self.vocabulary.codes_of(rows),
            config=self.config,
            valid=self.prefixes.all_valid_children(rows) if self._is_masked else None,
            wanted=wanted,
        )
        parts = {f"nll_level_{level}": nll for level, nll in enumerate(found.code_nll, start=1)}
        parts["nll_item"] = found.item_nll
        if self.config.prefix.kind == "none":
            return Losses(found.total, parts)
        if compared is None or negatives is None:
            by_level = pointwise_losses(found.log_probs, per_code=self.config.prefix.per_code)
        else:
            scale = len(whole.targets) / len(compared.places)
            by_level = self._pairwise(found.log_probs, prediction, rows, negatives) * scale
        weights = self._weights.to(by_level)
        for level in range(len(weights)):
            parts[f"prefix_loss_{level + 1}"] = by_level[level].detach()
            parts[f"prefix_weight_{level + 1}"] = weights[level] * len(rows)
        return Losses(found.total + self.config.weight_of_prefixes(len(weights)) * (weights @ by_level), parts)

    @property
    def adapts(self) -> bool:
        """As `AdaptiveObjective.adapts`: where a prefix loss is asked for."""
        return self.config.prefix.kind != "none"

    def weighed(self, weights: tuple[float, ...]) -> "GeneratorObjective":
        """As `AdaptiveObjective.weighed`: the weights of the prefix losses."""
        return replace(self, weights=weights)

    def next_weights(self, weights: tuple[float, ...], means: Mapping[str, float]) -> tuple[float, ...]:
        """As `AdaptiveObjective.next_weights`; () where no prefix loss is asked for."""
        config = self.config.prefix
        if not self.adapts:
            return ()
        losses = [means[f"prefix_loss_{level}"] for level in range(1, len(self.prefixes.level_sizes) + 1)]
        before = torch.tensor(weights, dtype=torch.float64) if weights else None
        after = update_weights(
            before, torch.tensor(losses, dtype=torch.float64), config.eta, weighting=config.weighting
        )
        return tuple(after.tolist())

    @property
    def _is_masked(self) -> bool:
        return self.config.softmax == "children"

    @property
    def _weights(self) -> Tensor:
        if self.weights:
            return torch.tensor(self.weights, dtype=torch.float64)
        return uniform_weights(len(self.prefixes.level_sizes))

    def _sample(self, whole: Whole) -> ItemSample | None:
        num_negatives = self.config.item_negatives
        if num_negatives is None or self.target_shares is None or self.config.item_weight == 0:
            return None
        return draw_items(whole.targets, self.target_shares, num_negatives=num_negatives, chance=whole.chance)

    def _item_loss(
        self, items: ItemScores | None, rows: Int[Tensor, " targets"], sample: ItemSample | None
    ) -> tuple[Float[Tensor, ""] | None, Sequence[Float[Tensor, "targets _"]] | None]:
        """The item head's cross-entropy, and what is distilled of its softmax, per level."""
        if items is None:
            return None, None
        chunks: list[tuple[Tensor, ...]] = []
        codes = self.vocabulary.item_codes

        def observe(part: slice, shares: Tensor) -> None:
            if sample is None:
                chunks.append(child_shares(shares, rows[part], codes, self.prefixes))
            else:
                chunks.append(child_shares_of_sample(shares, rows[part], sample.rows, codes, self.prefixes))

        observer = observe if self.config.distillation else None
        places = rows if sample is None else sample.places_of(rows)
        nll = item_softmax_cross_entropy(
            items.states,
            items.vectors,
            places,
            label_smoothing=self.config.item_label_smoothing,
            shifts=items.shifts,
            observer=observer,
        )
        return nll, [torch.cat(level) for level in zip(*chunks, strict=True)] if chunks else None

    def _compared(self, whole: Whole) -> Negatives | None:
        """Of all parts of the batch."""
        config = self.config.prefix
        if config.kind != "pairwise":
            return None
        drawn = draw_negatives(
            len(whole.targets),
            num_items=self.prefixes.num_items,
            num_negatives=config.num_negatives,
            share=config.target_share,
            chance=whole.chance,
        )
        return Negatives(*(part.to(whole.targets.device) for part in drawn))

    def _pairwise(
        self,
        log_probs: Float[Tensor, "targets levels"],
        prediction: Prediction,
        rows: Int[Tensor, " targets"],
        negatives: Negatives,
    ) -> Float[Tensor, " levels"]:
        """The losses of the compared targets, summed over them."""
        config, places = self.config.prefix, negatives.places
        counts = torch.tensor(self.prefixes.counts, device=rows.device) if config.sampling_correction else None
        return pairwise_losses(
            log_probs[places],
            self._log_probs_of(negatives, prediction),
            distinct_prefixes(self.prefixes.of(rows[places]), self.prefixes.of(negatives.rows)),
            num_prefixes=counts,
            tau=config.tau,
            per_code=config.per_code,
        )

    def _log_probs_of(self, negatives: Negatives, prediction: Prediction) -> Float[Tensor, "compared negatives levels"]:
        """Of every code of each negative, given its true codes before."""
        assert prediction.negative_logits is not None
        first = prediction.code_logits[0][negatives.places].unsqueeze(1)
        codes = self.vocabulary.codes_of(negatives.rows)
        found = []
        for level, logits in enumerate((first, *prediction.negative_logits)):
            # the first level's codes follow the same empty prefix for all
            asked = negatives.rows if level else negatives.rows[:, :1]
            valid = self.prefixes.valid_children(level, asked) if self._is_masked else None
            log_probs = code_log_probs(logits, valid, temperature=self.config.temperature)
            found.append(of_codes(log_probs.expand(*codes.shape[:2], -1), codes[..., level]))
        return torch.stack(found, dim=-1)
