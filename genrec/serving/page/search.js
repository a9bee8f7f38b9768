// The search box: items as one types, chosen by keyboard or pointer.

import { get } from "./api.js";
import { byId, el, say, title } from "./elements.js";
import { counted } from "./numbers.js";

const PAUSE_MS = 120;
const input = byId("search");
const list = byId("search-hits");
let hits = [];
let active = -1;
let timer = 0;
let isLate = false; // Enter came before what it is meant for
let asking = new AbortController();

/** Calls `choose(item)` with every item that is chosen. */
export function offer(choose) {
  input.addEventListener("input", () => {
    clearTimeout(timer);
    isLate = false;
    hits = [];
    timer = setTimeout(() => look(choose), PAUSE_MS);
  });
  input.addEventListener("keydown", (event) => pressed(event, choose));
  input.addEventListener("focus", () => input.value && look(choose));
  input.addEventListener("blur", close);
  list.addEventListener("mousedown", (event) => {
    event.preventDefault(); // the box keeps the focus
    const option = event.target.closest("[role=option]");
    if (option && hits.length) take(Number(option.dataset.place), choose);
  });
}

async function look(choose) {
  asking.abort();
  if (!input.value.trim()) return close();
  asking = new AbortController();
  try {
    const answer = await get("/v1/items", { query: input.value.slice(0, 200), limit: 20 }, asking.signal);
    if (document.activeElement === input) show(answer.items, answer.has_more);
    if (isLate && hits.length) take(0, choose);
  } catch (error) {
    if (error.name !== "AbortError") tell(`${error.title}: ${error.message}`);
  }
  return undefined;
}

function show(found, hasMore) {
  hits = found;
  active = found.length ? 0 : -1;
  if (!found.length) return tell("No item has these words in its title or id.");
  list.replaceChildren(...found.map(option));
  if (hasMore) list.append(el("li", { class: "hint", role: "presentation", text: "There are more: type on." }));
  open();
  mark();
  say(`${counted(found.length, "item")}${hasMore ? " and more" : ""} found`);
  return undefined;
}

function option(found, place) {
  return el(
    "li",
    { role: "option", id: `hit-${place}`, "aria-selected": "false", "data-place": place },
    title(found.title),
    el("span", { class: "id", text: found.item_id }),
    found.in_stock ? null : el("span", { class: "tag", text: "taken out" }),
  );
}

function tell(text) {
  hits = [];
  active = -1;
  list.replaceChildren(el("li", { class: "hint", role: "presentation", text }));
  open();
  mark();
  say(text);
}

function pressed(event, choose) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && hits.length) {
    event.preventDefault();
    active = (active + step + hits.length) % hits.length;
    open();
    mark();
  } else if (event.key === "Enter") {
    event.preventDefault();
    if (hits.length && !list.hidden) take(active, choose);
    else isLate = true;
  } else if (event.key === "Escape" && !list.hidden) {
    event.preventDefault();
    close();
  }
}

function take(place, choose) {
  const chosen = hits[place];
  input.value = "";
  hits = [];
  list.replaceChildren();
  close();
  choose(chosen);
}

function mark() {
  for (const one of list.querySelectorAll("[role=option]")) {
    const isActive = Number(one.dataset.place) === active;
    one.setAttribute("aria-selected", String(isActive));
    if (isActive) one.scrollIntoView({ block: "nearest" });
  }
  if (active >= 0) input.setAttribute("aria-activedescendant", `hit-${active}`);
  else input.removeAttribute("aria-activedescendant");
}

function open() {
  list.hidden = false;
  input.setAttribute("aria-expanded", "true");
}

function close() {
  asking.abort();
  clearTimeout(timer);
  isLate = false;
  list.hidden = true;
  input.setAttribute("aria-expanded", "false");
  input.removeAttribute("aria-activedescendant");
}
