"""What is text stays text, wherever it stands."""

from hypothesis import given
from hypothesis import strategies as st

from genrec.report.markup import code, data_uri, element, joined, paragraph, table


@given(st.text())
def test_text_and_attributes_never_become_markup(text):
    made = element("p", text, title=text)
    inside = made.removeprefix("<p title=").removesuffix("</p>")
    assert "<" not in inside and inside.count(">") == 1 and inside.count('"') == 2


def test_markup_inside_stays_markup_and_lists_are_joined():
    assert paragraph("a & b ", code("x<y"), ["!", "?"]) == "<p>a &amp; b <code>x&lt;y</code>!?</p>"
    assert joined() == ""


def test_names_of_attributes_may_be_words_of_python():
    assert element("th", "x", class_="text", aria_label="y") == '<th class="text" aria-label="y">x</th>'
    assert element("img", src="data:,") == '<img src="data:,">'


def test_a_table_names_its_rows_and_marks_some():
    made = table(("method", "n", "word"), [["<a>", "1", "x"], ["b", "2", "y"]], caption="c", marked=(1,), texts=(2,))
    assert '<th scope="row">&lt;a&gt;</th><td>1</td><td class="text">x</td>' in made
    assert made.count('<tr class="marked">') == 1 and '<tr class="marked"><th scope="row">b</th>' in made


def test_a_picture_is_its_own_address():
    assert data_uri(b"\x89PNG") == "data:image/png;base64,iVBORw=="
