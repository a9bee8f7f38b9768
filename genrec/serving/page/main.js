// The page: two views of one run, and the address that says what is looked at.

import { get, key, onNewVersion } from "./api.js";
import * as codebook from "./codebook.js";
import * as conditions from "./conditions.js";
import * as controls from "./controls.js";
import { byId } from "./elements.js";
import * as historyList from "./history-list.js";
import * as items from "./items.js";
import { counted } from "./numbers.js";
import { problem } from "./problems.js";
import * as recommendations from "./recommendations.js";
import * as search from "./search.js";
import { addressOf, onChange, restore, state } from "./state.js";
import * as theme from "./theme.js";

let model = null;
let shownHistory = "";

theme.offer(byId("theme"));
search.offer(historyList.add);
controls.offer();
conditions.offer();
recommendations.offerCurl();
offerKey();
closePopups();
if (matchMedia("(max-width: 860px)").matches) foldCards();
onChange(show);
onNewVersion(() => {
  items.forget();
  codebook.forget();
  learn();
});
window.addEventListener("popstate", restore);
restore();
learn();

function show(isRestored) {
  const isCodes = state.view === "codes";
  byId("recommend").hidden = isCodes;
  byId("codes").hidden = !isCodes;
  document.title = isCodes ? `Codebook ${state.prefix} – GenRec` : "Recommend – GenRec";
  for (const [view, link] of [["recommend", byId("to-recommend")], ["codes", byId("to-codes")]]) {
    link.href = addressOf({ ...state, view, open: "" });
    if (state.view === view) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (isRestored) {
    controls.show();
    conditions.show();
  }
  const wanted = JSON.stringify(state.history);
  if (wanted !== shownHistory) historyList.show();
  shownHistory = wanted;
  controls.showCounts();
  if (isCodes) codebook.show();
  else recommendations.show({ model });
}

/** Asks what is served. */
async function learn() {
  try {
    model = await get("/v1/model");
    byId("run").textContent = `${model.run} · ${counted(model.items, "item")} · version ${model.version}`;
    controls.explainDefaults(model);
    await conditions.load();
  } catch (error) {
    const place = state.view === "codes" ? byId("codes-problem") : byId("problem");
    place.replaceChildren(problem(error, again));
  }
}

/** Everything from the start, as with another key. */
function again() {
  items.forget();
  codebook.forget();
  shownHistory = "";
  byId("problem").replaceChildren();
  byId("codes-problem").replaceChildren();
  learn();
  if (state.view === "codes") codebook.show({ force: true });
  else recommendations.show({ force: true, model });
  show(true);
}

function offerKey() {
  byId("key").value = key.get();
  byId("key").addEventListener("change", () => {
    key.set(byId("key").value.trim());
    again();
  });
}

/** Popups close by Escape, or when something else is pressed. */
function closePopups() {
  const popups = [...document.querySelectorAll(".popup")];
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const popup of popups.filter((each) => each.open)) {
      popup.open = false;
      popup.querySelector("summary").focus();
    }
  });
  document.addEventListener("pointerdown", (event) => {
    for (const popup of popups) if (!popup.contains(event.target)) popup.open = false;
  });
}

/** Where the list stands below them, cards of which nothing is set leave it the room. */
function foldCards() {
  const fields = location.hash.split("?")[1] ?? "";
  const names = [...new URLSearchParams(fields).keys()];
  byId("conditions-card").open = names.includes("w");
  byId("list-card").open = ["k", "rank", "exclude", "cap", "depth", "exact"].some((name) => names.includes(name));
}
