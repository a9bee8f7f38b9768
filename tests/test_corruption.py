"""Everything that is loaded, damaged in two hundred ways each: refused with one line that names the file."""

import json
import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

from genrec.errors import ArtifactError
from genrec.fingerprints import file_fingerprint
from genrec.manifests import MANIFEST_FILE, write_manifest
from genrec.training.checkpoint import CheckpointFolder, TrainingState
from tokenizer import FSQ, OPQ, RQVAE, HierarchicalKMeans, HybridCodes, ResidualKMeans, SemanticIDs
from tokenizer.checkpoint import read_checkpoint, write_checkpoint
from tokenizer.fsq import FSQConfig
from tokenizer.kinds import load_tokenizer
from tokenizer.opq import OPQConfig
from tokenizer.rqvae import RQVAEConfig
from tokenizer.sealed_npz import read_sealed_npz, write_sealed_npz
from trie import PrefixTrie

CASES = 200
DRAWS = np.random.default_rng(0)
EMBEDDINGS = DRAWS.normal(size=(120, 12)).astype(np.float32)
CODES = DRAWS.integers(0, 6, size=(300, 3))
QUICK = {RQVAE: RQVAEConfig(epochs=1), FSQ: FSQConfig(epochs=1), OPQ: OPQConfig(iterations=2, rotation_iterations=2)}


class Stored(NamedTuple):
    """Something that is kept in a folder."""

    save: Callable[[Path], None]
    load: Callable[[Path], object]
    reshape: Callable[[Path, random.Random], None]
    """Save one array of another shape, with every sum made anew, so that the shape alone is wrong."""


def reshaped(array: np.ndarray, draws: random.Random) -> np.ndarray:
    """The first or the last entry of an axis is missing or comes twice, or there is an axis more."""
    axis = draws.randrange(array.ndim)
    rows = list(range(array.shape[axis]))
    taken = draws.choice([rows[1:], rows[:-1], [0, *rows], [*rows, rows[-1]], None])
    return array[None] if taken is None else np.ascontiguousarray(array.take(taken, axis))


def one_reshaped(arrays: dict[str, np.ndarray], draws: random.Random) -> dict[str, np.ndarray]:
    name = draws.choice(sorted(name for name, array in arrays.items() if array.ndim))
    return arrays | {name: reshaped(arrays[name], draws)}


def of_tokenizer(kind: type) -> Stored:
    def save(folder: Path) -> None:
        kind.fit(EMBEDDINGS, num_levels=2, codebook_size=4, config=QUICK.get(kind)).save_pretrained(folder)

    def reshape(folder: Path, draws: random.Random) -> None:
        config, arrays = read_checkpoint(folder, kind.__name__)
        kept = {key: value for key, value in config.items() if key not in ("format", "tokenizer", "sha256")}
        write_checkpoint(folder, kind.__name__, kept, one_reshaped(arrays, draws))

    return Stored(save, load_tokenizer, reshape)


def of_semantic_ids() -> Stored:
    def save(folder: Path) -> None:
        item_ids = [f"item {row}" for row in range(len(CODES))]
        SemanticIDs.from_codes(CODES, item_ids=item_ids).save(folder / "ids.npz")

    def reshape(folder: Path, draws: random.Random) -> None:
        write_sealed_npz(folder / "ids.npz", one_reshaped(read_sealed_npz(folder / "ids.npz"), draws))

    return Stored(save, lambda folder: SemanticIDs.load(folder / "ids.npz"), reshape)


def of_trie(codes: np.ndarray) -> Stored:
    def save(folder: Path) -> None:
        PrefixTrie.from_codes(codes).save(folder)

    def reshape(folder: Path, draws: random.Random) -> None:
        header = json.loads((folder / "header.json").read_bytes())
        name = draws.choice(sorted(header["arrays"]))
        about = header["arrays"][name]
        array = reshaped(np.fromfile(folder / f"{name}.bin", about["dtype"]), draws)
        array.tofile(folder / f"{name}.bin")
        about["shape"] = list(array.shape)
        (folder / "header.json").write_text(json.dumps(header))
        sums = {path.name: file_fingerprint(path) for path in folder.iterdir() if path.name != "manifest.json"}
        (folder / "manifest.json").write_text(json.dumps(sums, indent=1, sort_keys=True))

    return Stored(save, PrefixTrie.load, reshape)


def model_and_optimizer() -> tuple[nn.Module, torch.optim.Optimizer]:
    model = nn.Sequential(nn.Linear(5, 3), nn.Linear(3, 2))
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(2, 5)).sum().backward()
    optimizer.step()
    return model, optimizer


def of_checkpoint() -> Stored:
    def save(folder: Path) -> None:
        CheckpointFolder(folder, fingerprint="a").save_last(*model_and_optimizer(), TrainingState(step=7))

    def load(folder: Path) -> None:
        """A checkpoint is refused by a warning, since the one before it is used; here there is none."""
        warnings: list[str] = []
        handler = logging.Handler()
        handler.emit = lambda record: warnings.append(record.getMessage())
        logging.getLogger("genrec.training.checkpoint").addHandler(handler)
        try:
            found = CheckpointFolder(folder, fingerprint="a").load_last(*model_and_optimizer())
        finally:
            logging.getLogger("genrec.training.checkpoint").removeHandler(handler)
        if found is None:
            raise ArtifactError(*warnings)

    def reshape(folder: Path, draws: random.Random) -> None:
        (checkpoint,) = folder.iterdir()
        path = checkpoint / draws.choice(["model.safetensors", "optimizer.safetensors"])
        save_file(one_reshaped(load_file(path), draws), path)
        (checkpoint / MANIFEST_FILE).unlink()
        write_manifest(checkpoint, fingerprint="a")

    return Stored(save, load, reshape)


TOKENIZERS = (RQVAE, ResidualKMeans, FSQ, OPQ, HierarchicalKMeans, HybridCodes)
KINDS = {
    **{kind.__name__: of_tokenizer(kind) for kind in TOKENIZERS},
    "semantic IDs": of_semantic_ids(),
    "trie with shared leaves": of_trie(CODES),
    "trie with long chains": of_trie(DRAWS.integers(0, 300, size=(300, 4))),
    "checkpoint": of_checkpoint(),
}


def damage(kind: Stored, folder: Path, case: int) -> str:
    """One of four kinds of damage to one file; what the message must name."""
    draws = random.Random(case)
    path = draws.choice(sorted(file for file in folder.rglob("*") if file.is_file() and file.stat().st_size))
    content = path.read_bytes()
    match case % 4:
        case 0:
            place = draws.randrange(len(content))
            path.write_bytes(content[:place] + bytes([content[place] ^ 1 << draws.randrange(8)]) + content[place + 1 :])
        case 1:
            path.write_bytes(content[: draws.randrange(len(content))])
        case 2:
            path.unlink()
        case 3:
            kind.reshape(folder, draws)
            return str(folder)
    return path.name


@pytest.mark.parametrize("name", KINDS)
def test_what_is_damaged_is_refused_with_one_line_that_names_it(name, tmp_path):
    kind, whole, folder = KINDS[name], tmp_path / "whole", tmp_path / "damaged"
    kind.save(whole)
    kind.load(whole)
    for case in range(CASES):
        shutil.copytree(whole, folder)
        named = damage(kind, folder, case)
        with pytest.raises((ValueError, ArtifactError)) as raised:
            pytest.fail(f"case {case} ({named}) was loaded: {kind.load(folder)}")
        assert named in str(raised.value) and "\n" not in str(raised.value), f"case {case}"
        shutil.rmtree(folder)
