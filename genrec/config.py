"""One experiment as one frozen tree of the owners' configs, read from YAML: the only place that knows them all."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from genrec.baselines.config import BaselinesConfig
from genrec.data.embeddings import EmbeddingConfig
from genrec.data.sources import DataConfig
from genrec.errors import ConfigError
from genrec.evaluation.evaluate import EvaluationConfig
from genrec.fingerprints import plain
from genrec.generator.config import GeneratorOptions
from genrec.recommendation.recommender import RecommendationConfig
from genrec.serving.config import ServingConfig
from genrec.strict_loading import build, load_dataclass, type_adapter
from genrec.tokenization import TokenizerConfig
from genrec.training.loop_config import TrainingConfig
from genrec.yaml_document import apply_override, dump_yaml, parse_document

__all__ = [
    "ExperimentConfig",
    "TokenizerConfig",
    "builtin_config",
    "builtin_names",
    "config_from_mapping",
    "load_config",
    "load_dataclass",
    "schema",
    "to_yaml",
]


@dataclass(frozen=True)
class ExperimentConfig:
    """Everything that a run depends on, besides the data files and the code."""

    seed: int = 0
    earlier_run: str | None = None
    """Folder of a trained run to go on from: known items keep their IDs, new ones are coded, its weights go on."""
    data: DataConfig = field(default_factory=DataConfig)
    embeddings: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    generator: GeneratorOptions = field(default_factory=GeneratorOptions)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    recommendation: RecommendationConfig = field(default_factory=RecommendationConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    baselines: BaselinesConfig = field(default_factory=BaselinesConfig)
    serving: ServingConfig = field(default_factory=ServingConfig)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:  # numpy's legacy seeds and faiss take no others
            raise ValueError(f"seed must lie in 0..{2**32 - 1}, got {self.seed}")


def load_config(path: str | os.PathLike[str], overrides: Sequence[str] = ()) -> ExperimentConfig:
    """The experiment in a YAML file, after overrides such as `tokenizer.num_levels=4`, of which the last one wins.

    A built-in config is found by its name (`demo`) or as `configs/demo.yaml`, unless there is such a file.
    `ConfigError` lists everything that is wrong, with file and line.
    """
    file = _config_file(Path(path))
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}; expected a YAML file in UTF-8") from error
    document = parse_document(text, source=str(file))
    for override in overrides:
        apply_override(document, override)
    return build(ExperimentConfig, document)


def config_from_mapping(mapping: Mapping[str, Any], *, source: str = "config") -> ExperimentConfig:
    """The experiment that nested mappings describe, as strictly checked as a file."""
    return load_dataclass(ExperimentConfig, mapping, source=source)


def to_yaml(config: Any) -> str:
    """The config with all its defaults as YAML; reading it back gives an equal config."""
    return dump_yaml(plain(config))


def schema(cls: type = ExperimentConfig) -> dict[str, Any]:
    """The JSON schema of a config class, for editors that complete and check YAML."""
    document = type_adapter(cls).json_schema()
    for part in (document, *document.get("$defs", {}).values()):
        if "properties" in part:
            part["additionalProperties"] = False
    return document


def builtin_config(name: str) -> Path:
    """The file of a config that comes with genrec: `demo` or `demo.yaml`."""
    known = _builtin_files()
    stem = name.removesuffix(".yaml")
    if stem not in known:
        close = get_close_matches(stem, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"built in are: {', '.join(known) or 'none'}"
        raise ConfigError(f"there is no config file {name!r}, and none of this name is built in; {hint}")
    return known[stem]


def builtin_names() -> list[str]:
    """The names that `load_config` knows without a file."""
    return list(_builtin_files())


def _builtin_files() -> dict[str, Path]:
    """Name -> file, sorted: those of the installed package or, in a checkout, of its folder `configs/`."""
    package = Path(str(files("genrec")))
    for folder in (package / "configs", package.parent / "configs"):
        found = {file.stem: file for file in sorted(folder.glob("*.yaml"))}
        if found:
            return found
    return {}


def _config_file(path: Path) -> Path:
    if path.is_file():
        return path
    if path.is_dir() and len(path.parts) > 1:
        raise ConfigError(f"{path} is a folder; expected a YAML file such as {path / 'config.yaml'}")
    if path.parent in (Path(), Path("configs")):
        return builtin_config(path.name)
    raise ConfigError(f"{path} does not exist; expected a YAML file or one of: {', '.join(builtin_names())}")
