"""The RQ-VAE on two processes (gloo, CPU), which train as one does."""

import numpy as np
import pytest
from forked import forked_together
from safetensors.numpy import load_file

SCRIPT = """
from pathlib import Path

import numpy as np
import torch

from tokenizer import RQVAE, RQVAEConfig

torch.set_num_threads(1)
random = np.random.default_rng(0)
embeddings = (random.normal(size=(8, 24))[np.arange(500) % 8] * 3 + random.normal(size=(500, 24))).astype(np.float32)
# 10 epochs of 5 batches together: 50 steps, the first 5 without quantisation; then 3 epochs of the decoder alone
for choices in CHOICES:
    gradient, codebook_update = choices.split("-")
    config = RQVAEConfig(
        epochs=13, batch_size=100, warmup_share=0.1, dropout=0.0, gradient=gradient, codebook_update=codebook_update
    )
    fitted = RQVAE.fit(embeddings, num_levels=3, codebook_size=16, seed=4, config=config)
    processes = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    assert processes == NUM_PROCESSES, f"{processes} processes trained together"
    if processes == 1 or torch.distributed.get_rank() == 0:
        fitted.save_pretrained(Path(FOLDER) / choices)
"""
CHOICES = ("straight_through-gradient", "rotation-ema")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with what one process has learned by each of the choices, and what two have."""
    folder = tmp_path_factory.mktemp("trained")
    for name, num_processes in (("one", 1), ("two", 2)):
        given = f"FOLDER, NUM_PROCESSES, CHOICES = {str(folder / name)!r}, {num_processes}, {CHOICES}"
        forked_together(f"{given}\n{SCRIPT}", folder=folder, num_processes=num_processes)
    return folder


@pytest.mark.parametrize("choices", CHOICES)
def test_fifty_steps_on_two_processes_give_the_weights_of_one(trained, choices):
    one, two = (load_file(trained / name / choices / "model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    assert max(float(np.abs(one[name] - two[name]).max()) for name in one) < 1e-5
