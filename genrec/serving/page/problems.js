// How refusals look.

import { button, byId, el } from "./elements.js";
import { counted } from "./numbers.js";

/** What a refused call says, with a way to try again. */
export function problem(error, again) {
  const box = el("div", { class: "problem", role: "alert" }, el("strong", { text: error.title ?? "The page failed" }));
  box.append(el("p", { text: sentence(error.message), dir: "auto" }));
  if (error.where?.length) {
    box.append(el("ul", {}, ...error.where.map((place) => el("li", { text: place }))));
  }
  if (error.retryAfter) {
    box.append(el("p", { class: "hint", text: `Worth another try in ${counted(Number(error.retryAfter), "second")}.` }));
  }
  if (error.status === 401) box.append(button("Enter the key", askForKey));
  else if (again && error.status !== 422) box.append(button("Try again", again));
  return box;
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

function askForKey() {
  byId("key-box").open = true;
  byId("key").focus();
}
