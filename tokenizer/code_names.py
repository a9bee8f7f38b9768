"""Readable names for codes: the words that set the titles under a code apart from all others."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int
from numpy import ndarray
from scipy.sparse import csr_matrix

UNNAMED = "untitled"
"""Name of a prefix none of whose titles holds a word."""

WORD = r"(?u)\b(?=\w*[^\W\d_])\w\w+\b"
"""Two or more letters, digits and underscores, at least one of them a letter."""


def code_names(
    codes: Int[ndarray, "items levels"],
    titles: Sequence[str] | ndarray,
    *,
    prefix_length: int = 1,
    words: int = 3,
) -> dict[tuple[int, ...], str]:
    """The most distinctive words of the titles under each prefix of that length, such as {(7,): "shampoo hair argan"}.

    Class-based TF-IDF (Grootendorst 2022, BERTopic, section 3.3): a word weighs its count under the prefix times
    log(1 + A / its count in all titles), A being the mean number of words under a prefix. A word counts once for each
    title, since one that repeats it would else name the code. English stop words, numbers and single letters are left
    out; ties go by the alphabet; prefixes come in ascending order.

    Raises:
        ValueError: another number of titles than of items, a length that the codes do not have, or no word anywhere.
    """
    if len(titles) != len(codes):
        raise ValueError(f"expected a title for each of the {len(codes)} items, but got {len(titles)}")
    if not 1 <= prefix_length <= codes.shape[1]:
        raise ValueError(f"prefix_length must be in 1..{codes.shape[1]}, but is {prefix_length}")
    if words < 1:
        raise ValueError(f"words must be at least 1, but is {words}")
    prefixes, prefix_of_item = np.unique(codes[:, :prefix_length], axis=0, return_inverse=True)
    counts, vocabulary = _word_counts(titles)
    groups = csr_matrix((np.ones(len(codes)), (prefix_of_item.reshape(-1), np.arange(len(codes)))))
    scores = _class_tf_idf(csr_matrix(groups @ counts), len(prefixes))
    names = (_best_words(scores, row, vocabulary, words) for row in range(len(prefixes)))
    return dict(zip(map(tuple, prefixes.tolist()), names, strict=True))


def _word_counts(titles: Sequence[str] | ndarray) -> tuple[csr_matrix, ndarray]:
    """1 where a title (row) has a word (column), and the words in alphabetical order."""
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(binary=True, lowercase=True, stop_words="english", token_pattern=WORD)
    try:
        counts = vectorizer.fit_transform(titles)
    except ValueError as error:
        raise ValueError(
            f"none of the {len(titles)} titles holds a word to name a code by ({error}); give the items' own titles"
        ) from error
    return csr_matrix(counts), vectorizer.get_feature_names_out()


def _class_tf_idf(counts: csr_matrix, num_prefixes: int) -> csr_matrix:
    """Scores of each prefix's words, in ascending columns."""
    in_all = np.asarray(counts.sum(axis=0)).ravel()
    scores = csr_matrix(counts.multiply(np.log1p(in_all.sum() / num_prefixes / in_all)))
    scores.sort_indices()
    return scores


def _best_words(scores: csr_matrix, row: int, vocabulary: ndarray, words: int) -> str:
    part = slice(scores.indptr[row], scores.indptr[row + 1])
    weights: ndarray = scores.data[part]
    best = np.argsort(-weights, kind="stable")[:words]  # stable: equal scores stay in alphabetical order
    return " ".join(vocabulary[scores.indices[part][best]]) or UNNAMED
