from genrec.serving.latest import Latest


def test_it_is_made_once_for_a_source_and_again_with_what_was_made_before():
    told = []

    def make(source, before):
        told.append((source, before))
        return [*(before or []), *source]

    latest, one, other = Latest(make), ["a"], ["a"]
    assert latest.of(one) is latest.of(one)
    assert latest.of(other) == ["a", "a"]  # equal, but not the same
    assert told == [(["a"], None), (["a"], ["a"])]
