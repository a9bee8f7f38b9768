"""The page of `genrec serve` as somebody uses it, in Chromium."""

import json
import re

import pytest

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

from playwright.sync_api import expect

HISTORY = "#/recommend?h=I00003&h=I00007"
LEVELS = 4  # three, and the one that tells colliding items apart


def rows(page):
    return page.locator("#results > li[data-item]")


def options(page):
    return page.locator("#search-hits [role=option]")


def listed(page):
    """Ids of the shown list, once it has come."""
    expect(page.locator("#answer")).to_have_attribute("aria-busy", "false")
    expect(rows(page).first).to_be_visible()
    return rows(page).evaluate_all("items => items.map(item => item.dataset.item)")


def history_of(page):
    return page.locator("#history .id").all_inner_texts()


def test_a_history_is_built_and_recommended_from_by_keyboard_alone(browsing, address):
    page = browsing.open(address)
    expect(page.locator("#results")).to_contain_text("No history yet")
    page.locator("#search").focus()
    for item_id in ("I00003", "I00007", "I00012"):
        page.keyboard.type(item_id.lower())
        page.keyboard.press("Enter")  # at once: it is meant for what is found then
        expect(page.locator("#history .id").last).to_have_text(item_id)
    assert len(listed(page)) == 10
    page.keyboard.press("Tab")  # to the first of the history, which can only go later
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Move I00003 later"
    page.keyboard.press("Enter")
    assert history_of(page) == ["I00007", "I00003", "I00012"]
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Move I00003 later"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert history_of(page) == ["I00007", "I00012"]


def test_the_search_box_follows_the_arrows_and_tells_which_option_is_meant(browsing, address):
    page = browsing.open(address)
    box = page.get_by_role("combobox", name="Search items")
    box.fill("line")
    expect(options(page)).to_have_count(20)
    assert box.get_attribute("aria-expanded") == "true"
    box.press("ArrowDown")
    chosen = page.locator(f"#{box.get_attribute('aria-activedescendant')}")
    expect(chosen).to_have_attribute("aria-selected", "true")
    expect(page.locator("[aria-selected=true]")).to_have_count(1)
    wanted = chosen.locator(".id").inner_text()
    box.press("Enter")
    expect(page.locator("#history .id")).to_have_text([wanted])
    assert box.get_attribute("aria-expanded") == "false"
    box.fill("no item has this")
    expect(page.locator("#search-hits")).to_contain_text("No item has these words")
    box.press("Escape")
    expect(page.locator("#search-hits")).to_be_hidden()


def test_the_list_is_what_the_interface_answers(browsing, address):
    page = browsing.open(f"{address}{HISTORY}&k=5&rank=codes")
    shown = listed(page)
    asked = {"history": ["I00003", "I00007"], "k": 5, "rank": "codes"}
    answer = page.request.post(f"{address}v1/recommend", data=asked).json()
    assert shown == [entry["item_id"] for entry in answer["items"]]
    for entry, log in zip(answer["items"], page.locator(".log").all_inner_texts(), strict=True):
        assert float(log.replace("−", "-")) == pytest.approx(entry["score"], abs=6e-4)
    proven = page.locator("#results .mark.good")
    expect(proven).to_have_count(answer["certified"])
    expect(page.locator("#answer-facts")).to_contain_text("catalogue version 0")
    codes = [each["code"] for each in page.request.get(f"{address}v1/items/{shown[0]}").json()["codes"]]
    expect(rows(page).first.locator(".semantic-id b")).to_have_text([str(code) for code in codes])


def test_an_exact_list_is_proven_and_a_blend_says_that_it_is_not(browsing, address):
    page = browsing.open(f"{address}{HISTORY}&k=4")
    listed(page)
    expect(page.locator("#answer-facts")).to_contain_text("a blend proves nothing")
    page.get_by_label("Ranked by").select_option("codes")
    expect(page.locator("#answer-facts")).to_contain_text("4 items by codes")
    page.get_by_label("Proven").check()
    expect(page.locator("#answer-facts")).to_contain_text("proven exact")
    expect(page.locator("#results .mark.good")).to_have_count(4)


def test_an_item_opens_on_its_path_through_the_tree(browsing, address):
    page = browsing.open(f"{address}{HISTORY}&rank=codes")
    second = listed(page)[1]
    row = rows(page).nth(1)
    row.get_by_role("button").first.press("Enter")
    expect(row.get_by_role("button").first).to_have_attribute("aria-expanded", "true")
    expect(row.locator(".path-levels > li")).to_have_count(LEVELS)
    asked = {"history": ["I00003", "I00007"], "item_id": second}
    told = page.request.post(f"{address}v1/explain", data=asked).json()
    expect(row.locator(".choices .own b")).to_have_text([str(choice["code"]) for choice in told["codes"]])
    expect(row.locator(".level-head .mark.good")).to_have_count(sum(choice["survives"] for choice in told["codes"]))
    expect(row.locator(".sum")).to_contain_text(f"{told['score']:.3f}".replace("-", "−"))
    expect(row.locator(".neighbours > li")).to_have_count(6)
    assert f"open={second}" in page.url


def test_conditions_and_lists_of_items_filter(browsing, address):
    page = browsing.open(f"{address}{HISTORY}")
    listed(page)
    page.get_by_role("button", name="Add a condition").click()
    page.get_by_label("Column").select_option("price")
    page.get_by_label("Operator").select_option("<=")
    page.get_by_label("Value of price").fill("100")
    with page.expect_response("**/v1/recommend") as answer:
        page.get_by_label("Value of price").press("Tab")
    assert json.loads(answer.value.request.post_data)["where"] == {"price": {"max": 100}}
    for item_id in listed(page):
        assert float(page.request.get(f"{address}v1/items/{item_id}").json()["fields"]["price"]) <= 100
    page.get_by_role("button", name="Remove the condition on price").click()
    page.get_by_text("Allow and deny").click()
    page.get_by_label("Only these items").fill("I00020, I00021\nI00022")
    expect(rows(page)).to_have_count(3)
    page.get_by_label("Never these items").fill("I00021")
    expect(rows(page)).to_have_count(2)
    assert set(listed(page)) == {"I00020", "I00022"}


def test_values_that_are_often_there_are_offered(browsing, address):
    page = browsing.open(address + "#/recommend?h=I00003&w=" + '%5B"brand","=",""%5D')
    listed(page)
    offered = page.locator("datalist option").evaluate_all("options => options.map(option => option.value)")
    fields = page.request.get(f"{address}v1/fields").json()["fields"]
    assert offered == [each["value"] for each in next(f for f in fields if f["name"] == "brand")["values"]] != []


def test_a_refused_call_is_told_in_words_and_mended(browsing, address):
    browsing.refused = {422, 404}
    page = browsing.open(f"{address}{HISTORY}&exact=1&h=unheard-of")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text("This cannot be answered")
    expect(alert).to_contain_text("Only a ranking by codes can be exact")
    expect(page.locator("#history")).to_contain_text("not in the catalogue")
    page.get_by_label("Ranked by").select_option("codes")
    expect(alert).to_have_count(0)
    assert len(listed(page)) == 10
    expect(page.locator("#answer-facts")).to_contain_text("ignored, not in the catalogue: unheard-of")
    page.get_by_label("Items", exact=True).fill("100000")
    expect(alert).to_contain_text("k: Input should be less than or equal to 200")


@pytest.mark.parametrize(
    ("status", "words"), [(429, "The server is busy"), (503, "Not answered in time"), (0, "cannot be reached")]
)
def test_what_failed_for_a_while_can_be_tried_again(browsing, address, status, words):
    browsing.refused = {status} - {0}
    page = browsing.open(address)
    problem = {"error": "queue_full", "message": "try again in 2 s", "where": []}

    def answer(route):
        if status:
            route.fulfill(status=status, json=problem, headers={"Retry-After": "2"})
        else:
            route.abort()

    page.route("**/v1/recommend", answer)
    page.evaluate(f"location.hash = '{HISTORY}'")
    expect(page.get_by_role("alert")).to_contain_text(words)
    if status:
        expect(page.get_by_role("alert")).to_contain_text("Worth another try in 2 seconds")
    page.unroute("**/v1/recommend")
    page.get_by_role("button", name="Try again").click()
    assert len(listed(page)) == 10
    browsing.problems = [each for each in browsing.problems if "ERR_FAILED" not in each]


def test_a_prefix_is_followed_from_the_root_to_an_item_and_into_a_history(browsing, address):
    page = browsing.open(address)
    page.get_by_role("link", name="Codebook").click()
    expect(page.locator(".level")).to_have_count(LEVELS)
    expect(page.locator(".level svg").first).to_have_attribute("aria-label", re.compile(r"Level 1: 8 of 8 codes used"))
    root = page.request.get(f"{address}v1/codes").json()
    first = root["children"][0]
    expect(page.locator(".column").first.locator(".child")).to_have_count(root["num_children"])
    page.locator(f"[data-prefix='{first['code']}']").press("Enter")
    expect(page.locator("#below-title")).to_have_text(f"Items below {first['code']}")
    expect(page.locator(f"[data-prefix='{first['code']}']")).to_have_attribute("aria-current", "true")
    expect(page.locator("#pager")).to_contain_text(f"of {first['items']}")
    page.get_by_role("button", name="Items after").click()
    expect(page.locator("#pager")).to_contain_text("21–")
    page.locator(".column").nth(1).locator(".child").first.press("Enter")
    expect(page.locator("#trail a")).to_have_count(3)
    row = page.locator("#below > li").first
    row.get_by_role("button").first.click()
    expect(row.locator(".neighbours > li")).to_have_count(6)
    item_id = row.get_attribute("data-item")
    row.get_by_role("button", name="Add to the history", exact=True).click()
    expect(page.locator("#history .id")).to_have_text([item_id])
    assert len(listed(page)) == 10
    page.go_back()
    expect(page.locator("#codes")).to_be_visible()


def test_a_prefix_that_is_not_there_is_told_in_words(browsing, address):
    browsing.refused = {422}
    page = browsing.open(f"{address}#/codes?prefix=99")
    expect(page.get_by_role("alert")).to_contain_text("Level 1 has the codes 0..7")
    page.get_by_role("link", name="all items").click()
    expect(page.locator("#below-title")).to_have_text("All items")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_an_address_restores_the_view(browsing, address):
    first = browsing.open(f"{address}{HISTORY}")
    listed(first)
    first.get_by_label("Items", exact=True).fill("7")
    first.get_by_label("Ranked by").select_option("codes")
    first.get_by_label("Items of the history").select_option("in")
    expect(rows(first)).to_have_count(7)
    shown = listed(first)
    rows(first).nth(2).get_by_role("button").first.click()
    expect(rows(first).nth(2).locator(".path-levels > li")).to_have_count(LEVELS)
    second = browsing.open(first.url)
    assert listed(second) == shown
    assert history_of(second) == ["I00003", "I00007"]
    assert second.get_by_label("Items", exact=True).input_value() == "7"
    assert second.get_by_label("Items of the history").input_value() == "in"
    expect(rows(second).nth(2).locator(".path-levels > li")).to_have_count(LEVELS)


def test_the_call_can_be_copied_as_curl(browsing, address):
    page = browsing.open(f"{address}{HISTORY}&k=3")
    listed(page)
    page.get_by_text("As curl").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert f"{address}v1/recommend" in copied
    assert json.loads(copied[copied.index("-d '") + 4 : -1]) == {"history": ["I00003", "I00007"], "k": 3}


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("view", ["#/recommend", HISTORY + "&rank=codes&open=", "#/codes", "#/codes?prefix=0"])
def test_nothing_is_wider_than_the_window_and_text_stands_out(browsing, address, view, width, theme):
    page = browsing.open(address + view, width=width, theme=theme)
    if view.endswith("open="):
        rows(page).first.get_by_role("button").first.click()
        expect(page.locator(".neighbours > li")).to_have_count(6)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(CONTRASTS) == []


def test_the_theme_can_be_switched_and_stays(browsing, address):
    page = browsing.open(address, theme="light")
    paper = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(paper)
    page.get_by_label("Theme").select_option("dark")
    dark = page.evaluate(paper)
    assert dark != light
    page.reload()
    assert page.evaluate(paper) == dark
    assert browsing.open(address, theme="dark").evaluate(paper) == dark


def test_the_focus_goes_from_the_top_to_the_list_in_the_order_of_the_page(browsing, address):
    page = browsing.open(f"{address}{HISTORY}&k=2")
    listed(page)
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        name, is_seen = page.evaluate(FOCUS)
        if name == "BODY":
            break
        assert is_seen, f"{name} has the focus, which nobody sees"
        seen.append(name)
    order = ["skip", "to-recommend", "to-codes", "theme", "search", "k", "rank", "exclude", "cap", "depth", "exact"]
    assert [each for each in seen if each in order] == order
    assert seen.index("exact") < seen.index("add-condition") < seen.index("row")
    assert seen.count("row") == 2


def test_the_key_is_asked_for_and_kept_in_the_tab_alone(browsing, serve, monkeypatch):
    monkeypatch.setenv("GENREC_API_KEY", "open sesame")
    address = serve()
    browsing.refused = {401}
    page = browsing.open(address + HISTORY)
    expect(page.get_by_role("alert").first).to_contain_text("This server asks for an API key")
    page.get_by_role("button", name="Enter the key").first.click()
    page.keyboard.type("open sesame")
    page.keyboard.press("Enter")
    assert len(listed(page)) == 10
    expect(page.locator("#history")).not_to_contain_text("I00003I00003")
    assert page.evaluate("[sessionStorage.length, JSON.stringify(localStorage).includes('sesame')]") == [1, False]
    assert "sesame" not in page.url + page.locator("#curl-text").text_content()


def test_a_new_version_of_the_catalogue_is_noticed(browsing, address):
    page = browsing.open(f"{address}{HISTORY}")
    listed(page)

    def with_new_version(route):
        answer = route.fetch()
        route.fulfill(json=answer.json() | {"version": 7, "run": "renewed"})

    page.route("**/v1/*", with_new_version)
    with page.expect_response("**/v1/model"):
        page.get_by_label("Items", exact=True).fill("3")
    expect(page.locator("#run")).to_contain_text("version 7")
    expect(page.locator("#answer-facts")).to_contain_text("catalogue version 7")
    assert len(listed(page)) == 3


def test_titles_are_text_whatever_is_in_them(browsing, address):
    page = browsing.open(address)
    nasty = "<img src=x onerror=alert(1)> עברית " + "long" * 200
    page.route(
        "**/v1/items?**",
        lambda route: route.fulfill(
            json={"items": [{"item_id": "I00003", "title": nasty, "in_stock": False}], "has_more": False, "version": 0}
        ),
    )
    page.locator("#search").fill("x")
    expect(options(page)).to_contain_text(nasty)
    expect(options(page)).to_contain_text("taken out")
    assert page.locator("#search-hits img").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


FOCUS = """
(() => {
  const at = document.activeElement;
  const box = at.getBoundingClientRect();
  const isSeen = box.width > 0 && box.height > 0 && getComputedStyle(at).outlineStyle !== "none";
  return [at.id || at.className || at.tagName, isSeen];
})()
"""

# every text of the page against what is behind it; WCAG 2.1, 1.4.3
CONTRASTS = """
(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const channels = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (rgb) => {
    const linear = (c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    const [red, green, blue] = rgb.slice(0, 3).map((c) => linear(c / 255));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = channels(getComputedStyle(at).backgroundColor);
      if (found[3] === 255) return found;
    }
    return [255, 255, 255, 255];
  };
  const weak = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || !element.checkVisibility() || element.disabled) continue;
    const [one, other] = [luminance(channels(getComputedStyle(element).color)), luminance(behind(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) weak.push(`${element.className} ${element.textContent.slice(0, 30)}: ${ratio.toFixed(2)}`);
  }
  return weak;
})()
"""
