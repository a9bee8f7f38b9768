"""The generator's other reading taken alone: its item head over the whole catalogue, without a beam or codes."""

from collections.abc import Sequence

import torch
from jaxtyping import Float32, Int
from numpy import ndarray

from genrec.data.batches import history_batch
from genrec.generator.search_model import SearchModel


class ItemHead:
    """Scores every item by the encoder's state. What the beam's candidates cost a blend is its lead over them."""

    def __init__(self, model: SearchModel) -> None:
        self.model = model

    @torch.inference_mode()
    def scores(self, histories: Sequence[Int[ndarray, " _"]]) -> Float32[ndarray, "cases items"]:
        """The item head's logits after the newest item of each history (rows, oldest first, at least one each)."""
        generator = self.model.generator
        history = history_batch(histories, max_items=generator.config.max_items).to(generator.device)
        summary = self.model.read_history(history).start[:, 0]
        return self.model.item_logits(summary, history).float().cpu().numpy()
