"""What of the config and the files each stage depends on, as its fingerprint takes it in."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from genrec.config import ExperimentConfig
from genrec.data.sources.files import data_files
from genrec.fingerprints import file_fingerprint, plain
from genrec.training.loop_config import as_it_matters


def data_inputs(config: ExperimentConfig, data_dir: Path) -> Any:
    """The choices, the seed, and the content of every file of the data."""
    files = [name for name in (config.data.interactions, config.data.items) if name is not None]
    parts = [part for name in files for part in data_files(data_dir / name)]
    choices = plain(config.data)
    if config.data.format != "world":
        del choices["world"]
    return choices, config.seed, [file_fingerprint(part) for part in parts]


def embedding_inputs(config: ExperimentConfig, data_dir: Path) -> Any:
    """The encoder with its choices, or the content of the file of vectors."""
    file = config.embeddings.file
    return config.embeddings, config.seed, None if file is None else file_fingerprint(data_dir / file)


def tokenizer_inputs(config: ExperimentConfig, data_dir: Path) -> Any:
    """What is used of the tokenizer's choices, or the content of the file of codes."""
    options = config.tokenizer
    if options.codes is None:
        return options.used(), config.seed
    return options.chosen_collisions, file_fingerprint(data_dir / options.codes)


def training_choices(config: ExperimentConfig, data_dir: Path, *, without_limits: bool = False) -> Any:
    """Model, loop, and the lists that validations judge by; `without_limits`: but not how long it may take."""
    recommendation, training = config.recommendation, as_it_matters(config.training, without_limits=without_limits)
    lists = (recommendation.beam_size, recommendation.candidates, recommendation.score)
    return config.generator, training, lists, recommendation.rank, recommendation.blend_weight, config.seed


def evaluation_choices(config: ExperimentConfig, data_dir: Path) -> Any:
    """The run is measured on its own items, so what is done with added ones does not count."""
    return config.evaluation, replace(config.recommendation, added_items_boost=1.0)


def baseline_choices(name: str, config: ExperimentConfig, data_dir: Path, *, without_limits: bool = False) -> Any:
    """Model and loop of the baseline of that name; `without_limits` as above."""
    choices = plain(config.baselines.named(name))
    training = as_it_matters(config.baselines.named(name).training, without_limits=without_limits)
    return choices | {"training": plain(training)}, config.seed
