import math
import time
from collections import Counter, defaultdict

import numpy as np
import pytest

from tokenizer.code_names import code_names

TITLES = [
    "Argan Shampoo for dry hair 250 ml",
    "Shampoo with argan oil",
    "Shampoo, 2 x 100 ml",
    "Gel pen black",
    "Gel pen, blue, 0.7 mm",
    "Printer ink black",
]
CODES = np.array([[7, 0], [7, 0], [7, 1], [2, 0], [2, 0], [2, 1]])


def plain_names(codes, tokens_of_item, words):
    """Class-based TF-IDF with dicts, each word once per title; ties by the alphabet."""
    in_all, under = Counter(), defaultdict(Counter)
    for code, tokens in zip(codes, tokens_of_item, strict=True):
        in_all.update(set(tokens))
        under[code].update(set(tokens))
    mean_words = sum(in_all.values()) / len(under)
    names = {}
    for code, counts in under.items():
        scores = {token: count * math.log(1 + mean_words / in_all[token]) for token, count in counts.items()}
        names[(code,)] = " ".join(sorted(scores, key=lambda token: (-scores[token], token))[:words])
    return names


def test_names_are_the_words_that_set_the_titles_under_a_code_apart():
    assert code_names(CODES, TITLES, words=2) == {(2,): "black gel", (7,): "shampoo argan"}


def test_names_are_those_of_a_plain_count():
    random = np.random.default_rng(0)
    lexicon = ["lamp", "desk", "chair", "shelf", "table", "carpet", "mirror", "vase"]
    tokens = [[lexicon[word] for word in random.integers(0, 8, size=5)] for _ in range(60)]
    codes = random.integers(0, 6, size=(60, 1))
    names = code_names(codes, [" ".join(words) for words in tokens])
    assert names == plain_names(codes[:, 0].tolist(), tokens, 3)


def test_a_word_that_every_code_has_comes_after_one_of_its_own():
    names = code_names(np.array([[0], [0], [1], [1]]), ["set lamp", "set lamp", "set vase", "set vase"], words=1)
    assert names == {(0,): "lamp", (1,): "vase"}


def test_a_word_repeated_in_one_title_counts_once():
    titles = ["bath tablets tablets tablets", "bath salt", "hair dryer", "hair iron"]
    assert code_names(np.array([[0], [0], [1], [1]]), titles, words=1) == {(0,): "bath", (1,): "hair"}


def test_equally_good_words_come_in_alphabetical_order():
    assert code_names(np.array([[0]]), ["zebra Mango apple"]) == {(0,): "apple mango zebra"}


def test_numbers_single_letters_and_stop_words_name_nothing():
    assert code_names(np.array([[0]]), ["The 250 x 30 mm of a 3d puzzle 42"], words=5) == {(0,): "3d mm puzzle"}


def test_longer_prefixes_get_names_of_their_own_in_ascending_order():
    names = code_names(CODES, TITLES, prefix_length=2, words=1)
    assert list(names) == [(2, 0), (2, 1), (7, 0), (7, 1)]
    assert names[2, 1] == "ink" and names[7, 0] == "argan"


def test_a_code_whose_titles_hold_no_word_is_untitled():
    assert code_names(np.array([[0], [1]]), ["", "lamp"]) == {(0,): "untitled", (1,): "lamp"}


def test_titles_without_any_word_are_refused():
    with pytest.raises(ValueError, match="none of the 2 titles holds a word"):
        code_names(np.array([[0], [1]]), ["12", ""])


@pytest.mark.parametrize(
    ("choice", "message"),
    [({"prefix_length": 3}, r"in 1\.\.2, but is 3"), ({"prefix_length": 0}, "but is 0"), ({"words": 0}, "words must")],
)
def test_impossible_choices_are_refused(choice, message):
    with pytest.raises(ValueError, match=message):
        code_names(CODES, TITLES, **choice)


def test_another_number_of_titles_is_refused():
    with pytest.raises(ValueError, match="each of the 6 items, but got 5"):
        code_names(CODES, TITLES[:5])


def test_names_for_twelve_thousand_titles_take_a_few_seconds_at_most():
    random = np.random.default_rng(0)
    titles = [" ".join(f"word{number}" for number in numbers) for numbers in random.integers(0, 5000, (12_000, 10))]
    started = time.perf_counter()
    names = code_names(random.integers(0, 256, size=(12_000, 3)), np.array(titles))
    assert time.perf_counter() - started < 10  # half a second on one core
    assert len(names) == 256
