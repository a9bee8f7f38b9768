// The history: items in their order, the oldest first.

import { get } from "./api.js";
import { button, byId, el, say, title } from "./elements.js";
import { item } from "./items.js";
import { counted } from "./numbers.js";
import { change, state } from "./state.js";

const list = byId("history");
const foot = byId("history-foot");

/** Puts an item at the end of the history. */
export function add({ item_id, title: name }) {
  change({ history: [...state.history, item_id] });
  say(`${name} is now the newest of ${counted(state.history.length, "item")} in the history`);
}

/** Shows the history of the state. */
export function show() {
  list.replaceChildren(...state.history.map(entry));
  foot.replaceChildren(...(state.history.length ? filledFoot() : emptyFoot()));
}

function entry(id, place) {
  const name = el("span", { class: "title pending", dir: "auto", text: id });
  const known = el("span", { class: "id", text: id });
  item(id).then(
    (found) => {
      name.textContent = found.title;
      name.classList.remove("pending");
    },
    (error) => {
      name.classList.remove("pending");
      if (error.status === 404) known.replaceWith(el("span", { class: "tag", text: "not in the catalogue" }));
    },
  );
  return el(
    "li",
    {},
    el("div", { class: "what" }, name, known),
    el(
      "div",
      { class: "moves" },
      button("↑", () => move(place, -1, "earlier"), moves("earlier", id, place === 0)),
      button("↓", () => move(place, 1, "later"), moves("later", id, place === state.history.length - 1)),
      button("×", () => remove(place), { class: "icon remove", "aria-label": `Remove ${id}`, title: "Remove" }),
    ),
  );
}

const moves = (where, id, disabled) => ({
  class: `icon ${where}`,
  "aria-label": `Move ${id} ${where}`,
  title: `Move ${where}`,
  disabled,
});

function move(place, step, where) {
  const history = [...state.history];
  [history[place], history[place + step]] = [history[place + step], history[place]];
  change({ history });
  const moved = list.children[place + step];
  (moved.querySelector(`.${where}:enabled`) ?? moved.querySelector(".remove")).focus();
}

function remove(place) {
  change({ history: state.history.filter((_, other) => other !== place) });
  const next = list.children[Math.min(place, state.history.length - 1)];
  (next?.querySelector(".remove") ?? byId("search")).focus();
}

function filledFoot() {
  return [
    el("span", { class: "hint", text: `Oldest first: ${counted(state.history.length, "item")}` }),
    button("Clear", () => {
      change({ history: [] });
      byId("search").focus();
    }),
  ];
}

function emptyFoot() {
  return [
    el("span", { class: "hint", text: "What somebody has had, oldest first." }),
    button("Take an example", example),
  ];
}

async function example() {
  try {
    const { items } = await get("/v1/items", { limit: 3 });
    change({ history: items.map((found) => found.item_id) }, { push: true });
  } catch (error) {
    say(`${error.title}: ${error.message}`);
    change({ history: state.history });
  }
}
