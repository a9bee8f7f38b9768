// Semantic IDs as people read them.

import { el } from "./elements.js";
import { addressOf, state } from "./state.js";

/** A semantic ID as links into the codebook, each code with its name. */
export function semanticId(codes) {
  const links = codes.map(({ code, name }, level) => {
    const prefix = codes.slice(0, level + 1).map((each) => each.code).join(".");
    return el("li", {}, codeLink(prefix, code, name));
  });
  return el("ol", { class: "semantic-id", "aria-label": "Semantic ID" }, ...links);
}

/** A link to a prefix in the codebook. */
export function codeLink(prefix, code, name) {
  const href = addressOf({ ...state, view: "codes", prefix, offset: 0, open: "" });
  return el("a", { class: "code", href, title: `Look at ${prefix}` }, number(code), name ? el("span", { text: name, dir: "auto" }) : null);
}

/** A code with its name. */
export function codeText(code, name) {
  return el("span", { class: "code" }, number(code), name ? el("span", { text: name, dir: "auto" }) : null);
}

const number = (code) => el("b", { text: code });
