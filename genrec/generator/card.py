"""The model card of a generator's weights alone, which know items by their rows."""

from genrec.generator.config import GeneratorConfig
from genrec.model_card import card, fenced
from genrec.yaml_document import dump_yaml

_SHOWN = (
    *("encoder", "width", "num_heads", "encoder_layers", "decoder_layers", "feed_forward_dim", "activation", "dropout"),
    *("max_items", "item_vectors", "repeat_bias"),
)
_USE = """\
import torch

from genrec.generator.model import Generator

generator = Generator.from_pretrained(".").eval()  # the folder of this card
with torch.inference_mode():
    logits, _ = generator.next_code_logits(generator.read_history(torch.tensor([[0]])), None)
print(logits.shape)  # (histories, beams, codes of the first level)
"""


def generator_card(config: GeneratorConfig, *, parameters: int) -> str:
    """What the weights are, their shape, how to load them, and what they cannot do alone."""
    sizes = " x ".join(str(size) for size in config.level_sizes)
    shape = {name: getattr(config, name) for name in _SHOWN}
    return card(
        "GenRec generator",
        [
            f"A seq2seq transformer that reads a history of items and writes the semantic ID of the next one, code by "
            f"code. {parameters:,} parameters; {config.num_items:,} items; IDs of {len(config.level_sizes)} codes "
            f"({sizes}).\n",
            "## Use\n",
            fenced(_USE, "python"),
            "With the run that it belongs to, `genrec.Recommender.from_pretrained(RUN)` recommends by item ids; that "
            "run's card has figures, data and training.\n",
            f"## Config\n\n{fenced(dump_yaml(shape), 'yaml')}",
            "## Limits\n",
            "- Items are rows of one catalogue: of another, or of other semantic IDs "
            f"(`{config.semantic_ids_fingerprint[:12]}`), the weights say nothing.\n"
            "- Without the trie of that catalogue a search can write IDs that no item has.\n",
        ],
    )
