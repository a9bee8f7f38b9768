import pytest


@pytest.fixture
def small_world():
    """Overrides of the demo that a test can afford."""
    return (
        "data.world.num_items=80",
        "data.world.num_users=60",
        "tokenizer.codebook_size=8",
        "generator.width=16",
        "generator.num_heads=2",
        "generator.feed_forward_dim=32",
        "training.epochs=1",
        "evaluation.survival_beam_sizes=[10]",
    )
