// How the list is made: its length, its ranking, its cap, and lists of items.

import { byId } from "./elements.js";
import { counted } from "./numbers.js";
import { change, state } from "./state.js";

const TEXTS = ["k", "rank", "exclude", "cap", "depth"];
const LISTS = ["allow", "deny"];
const PAUSE_MS = 250;
let timer = 0;

/** Lets everything be changed. */
export function offer() {
  for (const name of [...TEXTS, ...LISTS]) byId(name).addEventListener("input", later);
  byId("exact").addEventListener("change", later);
}

/** Shows the controls of the state. */
export function show() {
  for (const name of TEXTS) byId(name).value = state[name];
  byId("exact").checked = state.exact;
  for (const name of LISTS) byId(name).value = state[name].join("\n");
  if (LISTS.some((name) => state[name].length)) byId("lists").open = true;
  showCounts();
}

/** Says how long the lists are. */
export function showCounts() {
  const parts = LISTS.filter((name) => state[name].length).map((name) => `${name}: ${counted(state[name].length, "item")}`);
  byId("lists-said").textContent = parts.join(", ");
}

/** Says what the server does where a choice is left open. */
export function explainDefaults(model) {
  byId("rank").options[0].textContent = `${model.rank} (the run’s default)`;
  byId("k").max = model.limits.max_k;
  byId("depth").max = model.level_sizes.length;
  byId("cap").max = model.limits.max_k;
  byId("exact").disabled = !model.limits.exact;
}

function later() {
  clearTimeout(timer);
  timer = setTimeout(take, PAUSE_MS);
}

/** Takes over all controls at once, for several may have been changed in the pause. */
function take() {
  change({
    ...Object.fromEntries(TEXTS.map((name) => [name, byId(name).value])),
    ...Object.fromEntries(LISTS.map((name) => [name, idsIn(byId(name).value)])),
    exact: byId("exact").checked,
  });
}

function idsIn(text) {
  return text.split(/[\n,]+/).map((id) => id.trim()).filter(Boolean);
}
