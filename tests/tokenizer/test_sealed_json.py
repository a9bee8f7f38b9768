import pytest

from tokenizer.sealed_json import read_sealed_json, sealed_json

CONTENT = {"rate": 1e-05, "sizes": [4, 4], "name": "café", "nothing": None}


def test_what_was_sealed_comes_back():
    assert read_sealed_json(sealed_json(CONTENT)) == CONTENT


def test_every_flipped_bit_is_noticed():
    written = sealed_json(CONTENT)
    for place in range(len(written)):
        for bit in range(8):
            with pytest.raises(ValueError, match=r"."):
                read_sealed_json(written[:place] + bytes([written[place] ^ 1 << bit]) + written[place + 1 :])


@pytest.mark.parametrize("written", [b"", b"{", b"[1]", b"{}", b'{"rate": 1}'])
def test_what_was_never_sealed_is_refused(written):
    with pytest.raises(ValueError, match=r"."):
        read_sealed_json(written)


def test_a_line_end_more_is_noticed():
    with pytest.raises(ValueError, match="own SHA-256"):
        read_sealed_json(sealed_json(CONTENT) + b"\n")
