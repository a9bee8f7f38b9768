// The recommended items of the history, and each one's path when it is opened.

import { asCurl, post } from "./api.js";
import { semanticId } from "./codes.js";
import { bar, byId, el, say, title } from "./elements.js";
import { details } from "./item-details.js";
import { item } from "./items.js";
import { counted, logProb, percent } from "./numbers.js";
import { problem } from "./problems.js";
import { bodyOf } from "./request.js";
import { change, state } from "./state.js";

const PATH = "/v1/recommend";
const place = byId("answer");
const list = byId("results");
let asked = "";
let asking = new AbortController();

/** Asks for the list of the state, unless it is the one that is shown. `force`: ask again all the same. */
export async function show({ force = false, model = null } = {}) {
  if (!state.history.length) return empty();
  let body;
  try {
    body = bodyOf(state);
  } catch (error) {
    return refused(error);
  }
  const wanted = JSON.stringify(body);
  if (wanted === asked && !force) return openOne();
  asked = wanted;
  asking.abort();
  asking = new AbortController();
  place.setAttribute("aria-busy", "true");
  showCurl(body);
  try {
    const answer = await post(PATH, body, asking.signal);
    fill(answer, body, model);
  } catch (error) {
    if (error.name === "AbortError") return undefined;
    refused(error);
  }
  place.setAttribute("aria-busy", "false");
  return undefined;
}

/** Lets the call be copied. */
export function offerCurl() {
  byId("curl-copy").addEventListener("click", async () => {
    const text = byId("curl-text");
    try {
      await navigator.clipboard.writeText(text.textContent);
      say("Copied");
      byId("curl-copy").textContent = "Copied";
      setTimeout(() => (byId("curl-copy").textContent = "Copy"), 1500);
    } catch {
      getSelection().selectAllChildren(text); // pages from afar over plain HTTP have no clipboard
      say("Selected; copy it with your keyboard");
    }
  });
}

function empty() {
  asked = "";
  asking.abort();
  place.setAttribute("aria-busy", "false");
  byId("curl").hidden = true;
  byId("problem").replaceChildren();
  byId("answer-facts").replaceChildren();
  list.replaceChildren(
    el(
      "li",
      { class: "empty" },
      el("p", { text: "No history yet." }),
      el("p", { class: "hint", text: "Search an item and press Enter; recommendations come with the first one." }),
    ),
  );
}

function refused(error) {
  asked = "";
  place.setAttribute("aria-busy", "false");
  list.replaceChildren();
  byId("answer-facts").replaceChildren();
  byId("problem").replaceChildren(problem(error, () => show({ force: true })));
}

function showCurl(body) {
  byId("curl").hidden = false;
  byId("curl-text").textContent = asCurl(PATH, body);
}

function fill(answer, body, model) {
  byId("problem").replaceChildren();
  const rank = body.rank ?? model?.rank ?? (answer.certified === null ? "blend" : "codes");
  byId("answer-facts").replaceChildren(...facts(answer, rank).map(([kind, text]) => el("li", { class: kind, text, dir: "auto" })));
  const likeliest = answer.items.length ? Math.exp(answer.items[0].score) : 1;
  list.replaceChildren(...answer.items.map((entry, at) => row(entry, at, at < (answer.certified ?? 0), likeliest)));
  if (!answer.items.length) {
    list.append(el("li", { class: "empty" }, el("p", { text: "No item is left that may be recommended." })));
  }
  say(`${counted(answer.items.length, "recommendation")}, ranked by ${rank}`);
  openOne();
}

function facts(answer, rank) {
  const found = [["", `${counted(answer.items.length, "item")} by ${rank}`]];
  if (answer.certified === null) found.push(["", "a blend proves nothing; a ranking by codes can"]);
  else if (answer.exact) found.push(["good", "✓ proven exact"]);
  else found.push([answer.certified ? "good" : "", answer.certified ? `✓ proven top ${answer.certified}` : "none proven"]);
  found.push(["", `catalogue version ${answer.version}`]);
  if (answer.ignored.length) {
    const named = answer.ignored.slice(0, 5).join(", ") + (answer.ignored.length > 5 ? " and others" : "");
    found.push(["bad", `ignored, not in the catalogue: ${named}`]);
  }
  return found;
}

function row(entry, at, isProven, likeliest) {
  const codes = el("div", { class: "codes" });
  item(entry.item_id).then((found) => codes.replaceChildren(semanticId(found.codes)), () => {});
  const share = Math.exp(entry.score);
  const toggle = el(
    "button",
    {
      type: "button",
      class: "row",
      "aria-expanded": "false",
      "aria-controls": `details-${at}`,
      on: { click: () => change({ open: state.open === entry.item_id ? "" : entry.item_id }) },
    },
    el("span", { class: "rank", text: at + 1 }),
    el("span", { class: "what" }, title(entry.title), el("span", { class: "id", text: entry.item_id })),
    el("span", { class: "proof" }, isProven ? el("span", { class: "mark good", text: "✓ proven" }) : null),
    el(
      "span",
      { class: "score" },
      el("span", { class: "number", text: percent(share) }),
      bar(share / likeliest),
      el("span", { class: "log", text: logProb(entry.score), title: "natural log-probability" }),
    ),
  );
  return el("li", { "data-item": entry.item_id }, toggle, codes, el("div", { id: `details-${at}`, hidden: true }));
}

/** Opens the item of the state, and closes the others. */
function openOne() {
  for (const each of list.children) {
    if (!each.dataset.item) continue;
    const isOpen = each.dataset.item === state.open;
    const inside = each.lastElementChild;
    const key = JSON.stringify(state.history);
    each.firstElementChild.setAttribute("aria-expanded", String(isOpen));
    if (isOpen && inside.dataset.history !== key) {
      inside.dataset.history = key;
      inside.replaceChildren(details(state.open, { history: state.history }));
    }
    inside.hidden = !isOpen;
  }
}
