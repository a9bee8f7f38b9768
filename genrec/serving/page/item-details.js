// What is shown of an item when it is opened: its fields, its neighbours, and its path where there is a history.

import { post } from "./api.js";
import { button, bar, el, title } from "./elements.js";
import { codeLink } from "./codes.js";
import { path } from "./explanation.js";
import { item } from "./items.js";
import { problem } from "./problems.js";
import { add } from "./history-list.js";
import { change, state } from "./state.js";

const NEIGHBOURS = 6;
const ALTERNATIVES = 3;

/** Everything about an item; parts that come later have their place from the start. */
export function details(id, { history = [] } = {}) {
  const parts = [part("about", "Item", () => item(id), about), part("similar", "Similar items", () => similarTo(id), similar)];
  if (history.length) parts.unshift(part("path", "Path through the tree of codes", () => explain(history, id), path));
  return el("div", { class: history.length ? "details with-path" : "details" }, ...parts);
}

function part(name, heading, ask, shown) {
  const place = el("div", { class: `part ${name}`, "aria-busy": "true" }, el("h4", { text: heading }), el("p", { class: "loading", text: "Loading" }));
  const fill = () =>
    ask().then(
      (answer) => replace(place, shown(answer)),
      (error) => replace(place, el("div", {}, el("h4", { text: heading }), problem(error, fill))),
    );
  fill();
  return place;
}

function replace(place, content) {
  place.setAttribute("aria-busy", "false");
  place.replaceChildren(content);
}

const explain = (history, id) => post("/v1/explain", { history, item_id: id, alternatives: ALTERNATIVES });
const similarTo = (id) => post("/v1/similar", { item_id: id, k: NEIGHBOURS });

function about(found) {
  const fields = Object.entries(found.fields).filter(([name, text]) => text && name !== "title");
  const prefixes = found.codes.map((_, level) => found.codes.slice(0, level + 1).map((each) => each.code).join("."));
  return el(
    "div",
    {},
    el("h4", { text: "Item" }),
    el(
      "dl",
      { class: "fields" },
      el("dt", { text: "item_id" }),
      el("dd", { class: "id", text: found.item_id }),
      el("dt", { text: "semantic ID" }),
      el("dd", { class: "codes-in-a-column" }, ...found.codes.map(({ code, name }, level) => codeLink(prefixes[level], code, name))),
      ...fields.flatMap(([name, text]) => [el("dt", { text: name }), el("dd", { dir: "auto", text })]),
    ),
    found.in_stock ? null : el("p", { class: "hint", text: "Taken out: it is never recommended." }),
    el(
      "div",
      { class: "foot" },
      button("Add to the history", () => take(found)),
    ),
  );
}

function similar({ items }) {
  if (!items.length) return el("div", {}, el("h4", { text: "Similar items" }), el("p", { class: "hint", text: "There is no other item." }));
  return el(
    "div",
    {},
    el("h4", { text: "Similar items" }),
    el("ul", { class: "neighbours" }, ...items.map(neighbour)),
  );
}

function neighbour(found) {
  const { item_id, title: name, similarity } = found;
  return el(
    "li",
    {},
    el("div", { class: "what" }, title(name), el("span", { class: "id", text: item_id })),
    bar(similarity),
    el("span", { class: "number", text: similarity.toFixed(3).replace("-", "−") }),
    button("+", () => take(found), { class: "icon", "aria-label": `Add ${item_id} to the history`, title: "Add to the history" }),
  );
}

function take(found) {
  if (state.view === "codes") change({ view: "recommend", open: "" }, { push: true });
  add(found);
}
