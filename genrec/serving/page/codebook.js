// The codebook: the tree of codes column by column, and the items below a prefix.

import { get } from "./api.js";
import { bar, button, byId, el, say, title } from "./elements.js";
import { details } from "./item-details.js";
import { count, counted, percent } from "./numbers.js";
import { levelPlot } from "./plot.js";
import { problem } from "./problems.js";
import { addressOf, change, state } from "./state.js";

const PAGE = 20;
const LAST = 10_000;
const known = new Map();
const list = byId("below");
let asked = "";

/** Shows the prefix of the state. `force`: ask again though it is the one that is shown. */
export async function show({ force = false } = {}) {
  const wanted = `${state.prefix}@${state.offset}`;
  if (wanted === asked && !force) return openOne();
  asked = wanted;
  const codes = state.prefix ? state.prefix.split(".") : [];
  const prefixes = codes.map((_, level) => codes.slice(0, level + 1).join("."));
  const focused = document.activeElement?.closest("[data-prefix]")?.dataset.prefix;
  list.setAttribute("aria-busy", "true");
  try {
    const nodes = await Promise.all(["", ...prefixes].map((prefix) => nodeOf(prefix, prefix === state.prefix ? state.offset : 0)));
    if (wanted !== asked) return undefined;
    byId("codes-problem").replaceChildren();
    showLevels(nodes[0]);
    showTree(nodes);
    showTrail(nodes);
    showItems(nodes.at(-1));
    if (focused !== undefined) byId("tree").querySelector(`[data-prefix="${CSS.escape(focused)}"]`)?.focus();
  } catch (error) {
    if (wanted !== asked) return undefined;
    asked = "";
    list.replaceChildren();
    byId("tree").replaceChildren();
    byId("pager").replaceChildren();
    byId("trail").replaceChildren(prefixLink("", "all items"));
    byId("codes-problem").replaceChildren(problem(error, () => show({ force: true })));
  }
  list.setAttribute("aria-busy", "false");
  return undefined;
}

/** Forgets the tree: the catalogue or the key has changed. */
export function forget() {
  known.clear();
}

async function nodeOf(prefix, offset) {
  const name = `${prefix}@${offset}`;
  if (!known.has(name)) known.set(name, await get("/v1/codes", { prefix, limit: PAGE, offset }));
  return known.get(name);
}

function showLevels(root) {
  byId("levels").replaceChildren(...root.levels.map((level, at) => levelPlot(level, at + 1, root.items)));
}

function showTree(nodes) {
  const columns = nodes.filter((node) => node.children.length);
  byId("tree").replaceChildren(...columns.map((node, at) => column(node, nodes[at + 1])));
  byId("tree").lastElementChild?.scrollIntoView({ block: "nearest", inline: "end" });
}

function column(node, chosen) {
  const most = node.children[0].items;
  const rest = node.num_children - node.children.length;
  const links = node.children.map((child) => {
    const prefix = [...node.prefix, child.code].join(".");
    return el(
      "li",
      {},
      el(
        "a",
        {
          class: "child",
          href: addressOf({ ...state, prefix, offset: 0, open: "" }),
          "data-prefix": prefix,
          "aria-current": chosen && chosen.prefix.at(-1) === child.code ? "true" : null,
        },
        el("b", { text: child.code }),
        el("span", { class: "name", dir: "auto", text: child.name ?? "" }),
        el("span", { class: "number", text: count(child.items), title: `${percent(child.share)} of all items` }),
        bar(child.items / most),
      ),
    );
  });
  const level = node.prefix.length + 1;
  return el(
    "div",
    { class: "column" },
    el("h3", { text: `Level ${level}` }, el("span", { class: "hint", text: counted(node.num_children, "code") })),
    el("ul", { "aria-label": `Codes of level ${level}` }, ...links),
    rest ? el("p", { class: "hint", text: `and ${counted(rest, "rarer code")}` }) : null,
  );
}

function showTrail(nodes) {
  const links = nodes.map((node, at) => {
    const link = prefixLink(node.prefix.join("."), at ? `${node.prefix.at(-1)}${node.name ? ` ${node.name}` : ""}` : "all items");
    if (at === nodes.length - 1) link.setAttribute("aria-current", "page");
    return link;
  });
  byId("trail").replaceChildren(...links);
}

const prefixLink = (prefix, text) => el("a", { href: addressOf({ ...state, prefix, offset: 0, open: "" }), text, dir: "auto" });

function showItems(node) {
  const first = state.offset + 1;
  const last = state.offset + node.entries.length;
  byId("below-title").textContent = node.prefix.length ? `Items below ${node.prefix.join(".")}` : "All items";
  byId("pager").replaceChildren(
    el("span", { class: "hint", text: node.entries.length ? `${count(first)}–${count(last)} of ${count(node.items)}` : `of ${count(node.items)}` }),
    button("‹", () => turn(-PAGE), { class: "icon", "aria-label": "Items before", disabled: state.offset === 0 }),
    button("›", () => turn(PAGE), { class: "icon", "aria-label": "Items after", disabled: last >= node.items || last > LAST }),
  );
  list.replaceChildren(...node.entries.map(row));
  if (!node.entries.length) list.append(el("li", { class: "empty" }, el("p", { text: "There are not so many items." })));
  say(`${counted(node.items, "item")}, ${percent(node.share)} of all`);
  openOne();
}

function turn(by) {
  const label = by > 0 ? "Items after" : "Items before";
  change({ offset: Math.max(0, state.offset + by), open: "" });
  byId("pager").querySelector(`[aria-label="${label}"]`)?.focus();
}

function row(entry, at) {
  return el(
    "li",
    { "data-item": entry.item_id },
    el(
      "button",
      {
        type: "button",
        class: "row",
        "aria-expanded": "false",
        "aria-controls": `item-${at}`,
        on: { click: () => change({ open: state.open === entry.item_id ? "" : entry.item_id }) },
      },
      el("span", { class: "what" }, title(entry.title), el("span", { class: "id", text: entry.item_id })),
      el("span", { class: "id", text: entry.codes.join(".") }),
    ),
    el("div", { id: `item-${at}`, hidden: true }),
  );
}

function openOne() {
  for (const each of list.children) {
    if (!each.dataset.item) continue;
    const isOpen = each.dataset.item === state.open;
    const inside = each.lastElementChild;
    each.firstElementChild.setAttribute("aria-expanded", String(isOpen));
    if (isOpen && !inside.hasChildNodes()) inside.replaceChildren(details(state.open));
    inside.hidden = !isOpen;
  }
}
