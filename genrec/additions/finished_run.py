"""What adding items needs to know of the run that they are added to."""

from dataclasses import dataclass
from typing import Any, TypeVar

import yaml

from genrec.artifacts import RunFolder
from genrec.atomic_files import read_json
from genrec.data.catalogue import Catalogue
from genrec.data.embeddings import EmbeddingConfig, item_texts
from genrec.data.prepared import read_catalogue
from genrec.errors import ArtifactError
from genrec.stored_ids import load_semantic_ids
from genrec.strict_loading import load_dataclass
from tokenizer import SemanticIDs

Section = TypeVar("Section")


@dataclass(frozen=True, eq=False)
class FinishedRun:
    """A run with its own items, as it was trained and evaluated."""

    folder: RunFolder
    catalogue: Catalogue
    semantic_ids: SemanticIDs
    made_by: dict[str, Any]
    """`TokenizerConfig.used` of what made the codes."""
    num_levels: int
    """Of the codes, before any extra one."""
    config: dict[str, Any]

    @classmethod
    def read(cls, folder: RunFolder) -> "FinishedRun":
        """The run in this folder. `ArtifactError` if it is not finished up to the trie, or damaged."""
        for stage in ("prepare", "tokenize", "index"):
            folder.require(stage, "coding items")
        about = read_json(folder.path / "semantic_ids.json")
        if "made_by" not in about:
            raise ArtifactError(
                f"{folder.path / 'semantic_ids.json'} does not say what made the codes: an older version wrote it; "
                f"make it again with `genrec tokenize {folder.path}`"
            )
        return cls(
            folder,
            read_catalogue(folder.path),
            load_semantic_ids(folder),
            about["made_by"],
            len(about["level_sizes"]),
            yaml.safe_load(folder.config.read_text(encoding="utf-8")),
        )

    def section(self, name: str, cls: type[Section]) -> Section:
        """One section of the run's config. `ConfigError` if it is not as documented."""
        return load_dataclass(cls, self.config.get(name, {}), source=f"{self.folder.config}, section {name}")

    def texts_of_fit(self, options: EmbeddingConfig) -> list[str]:
        """The item texts that an encoder such as TF-IDF learned from: the run's own, or those of an earlier run."""
        fit = self.folder.encoder_fit
        return item_texts(read_catalogue(fit) if fit.exists() else self.catalogue, options)

    @property
    def path(self) -> str:
        """The run folder, for messages."""
        return str(self.folder.path)

    @property
    def codes_came_from_a_file(self) -> bool:
        """Whether there is no tokenizer that could code further items."""
        return "codes" in self.made_by
