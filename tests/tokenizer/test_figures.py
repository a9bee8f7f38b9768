import builtins
import struct

import numpy as np
import pytest

from tokenizer.figures import code_map_figure, codebook_figure, labels_apart, largest_codes


def world(num_items=300, dim=6):
    random = np.random.default_rng(0)
    codes = random.integers(0, 16, size=(num_items, 3)) // np.array([1, 2, 1])
    return (random.normal(size=(num_items, dim)) + codes[:, :1]).astype(np.float32), codes


def png_size(path):
    """Width and height in pixels, from the header."""
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n" and content[-8:-4] == b"IEND"
    return struct.unpack(">II", content[16:24])


def test_the_codebook_figure_is_a_wide_png_and_leaves_no_other_file(tmp_path):
    codebook_figure(world()[1], tmp_path / "new" / "codebook.png", level_sizes=(16, 16, 32))
    assert png_size(tmp_path / "new" / "codebook.png") == (2025, 660)  # 13.5 x 4.4 inches, 150 dots each
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["codebook.png"]


def test_the_same_codes_give_the_same_picture(tmp_path):
    for name in ("one.png", "two.png"):
        codebook_figure(world()[1], tmp_path / name, level_sizes=(16, 16, 16))
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


@pytest.mark.parametrize("codes", [np.zeros((1, 1), dtype=np.int64), np.zeros((5, 9), dtype=np.int64)])
def test_collapsed_codes_of_one_or_many_levels_can_be_drawn(tmp_path, codes):
    codebook_figure(codes, tmp_path / "codebook.png", level_sizes=(4,) * codes.shape[1])
    assert png_size(tmp_path / "codebook.png") == (2025, 660)


def test_the_map_is_a_png(tmp_path):
    embeddings, codes = world()
    names = {(code,): f"shelf number {code}" for code in range(10)}
    code_map_figure(embeddings, codes, names, tmp_path / "map.png")
    assert png_size(tmp_path / "map.png") == (1650, 975)


def test_a_large_catalogue_is_sampled_the_same_way_each_time(tmp_path):
    embeddings, codes = world()
    for name in ("one.png", "two.png"):
        code_map_figure(embeddings, codes, {}, tmp_path / name, max_items=20)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_items_that_are_all_alike_can_be_drawn(tmp_path):
    code_map_figure(np.ones((9, 4)), np.zeros((9, 2), dtype=np.int64), {(0,): "lamp"}, tmp_path / "map.png")
    assert png_size(tmp_path / "map.png") == (1650, 975)


def test_the_largest_codes_come_first_and_ties_go_to_the_lowest():
    assert largest_codes(np.array([4, 4, 2, 2, 9, 9, 9, 1]), 3) == [(9, 3), (2, 2), (4, 2)]


def test_a_label_that_would_hide_another_moves_up():
    middles = np.array([[0.0, 0.0], [0.01, 0.0], [5.0, 0.0]])
    placed = labels_apart(middles, np.array([1.0, 1.0]))
    assert placed.tolist() == [[0, 0], [0.01, 0.03], [5, 0]]


def test_a_failed_drawing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "codebook.png"
    path.write_bytes(b"old")

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        codebook_figure(world()[1], path, level_sizes=(16, 16, 16))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    real = builtins.__import__

    def without_matplotlib(name, *rest):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(ImportError, match=r'pip install "genrec\[plots\]"'):
        codebook_figure(world()[1], tmp_path / "codebook.png", level_sizes=(16, 16, 16))


def test_another_ending_or_other_items_are_refused(tmp_path):
    embeddings, codes = world()
    with pytest.raises(ValueError, match=r"the ending \.png"):
        codebook_figure(codes, tmp_path / "codebook.pdf", level_sizes=(16, 16, 16))
    with pytest.raises(ValueError, match=r"\(300, 6\) and codes of \(20, 3\)"):
        code_map_figure(embeddings, codes[:20], {}, tmp_path / "map.png")
    with pytest.raises(ValueError, match="at least one item"):
        codebook_figure(codes[:0], tmp_path / "codebook.png", level_sizes=(16, 16, 16))
