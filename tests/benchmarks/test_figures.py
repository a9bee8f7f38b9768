from benchmarks.figures import commits_shown, unless_the_same


def test_one_commit_stands_alone_and_several_with_their_counts():
    assert commits_shown(["0123456789abcdef"] * 2) == "012345678"
    assert commits_shown(["b" * 40, "a" * 40, "a" * 40]) == "aaaaaaaaa (2), bbbbbbbbb (1)"


def test_a_run_that_was_not_done_anew_keeps_its_commit():
    earlier, now = {"commit": "old", "ndcg@10": 0.5}, {"commit": "new", "ndcg@10": 0.5}
    assert unless_the_same(earlier, now) == earlier
    assert unless_the_same(None, now) == now
    better = {"commit": "new", "ndcg@10": 0.6}
    assert unless_the_same(earlier, better) == better
