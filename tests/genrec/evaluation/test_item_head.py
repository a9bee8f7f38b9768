import numpy as np
import torch

from genrec.evaluation.item_head import ItemHead
from genrec.generator.search_model import SearchModel


def test_every_item_is_scored_as_in_training(small_generator):
    generator = small_generator()
    torch.nn.init.constant_(generator.repeat_bias.every_age, -0.1)
    scores = ItemHead(SearchModel(generator)).scores([np.array([3, 9, 12]), np.array([5])])
    history, targets = torch.tensor([[3, 9, 12], [5, -1, -1]]), torch.tensor([[-1, -1, 20], [31, -1, -1]])
    with torch.no_grad():
        trained = generator(history, targets, with_items=True).items.logits()
    torch.testing.assert_close(torch.from_numpy(scores), trained, atol=1e-5, rtol=1e-4)
    assert scores[0, 3] < scores[0].mean()  # what was read is less likely by three nats
