// Elements of the page. Whatever comes from a server is set as text, never as markup.

/** An element; `about` has `text`, `on` (listeners by event) and attributes, of which null and false are left out. */
export function el(tag, about = {}, ...children) {
  return filled(document.createElement(tag), about, children);
}

/** The same for the parts of a picture. */
export function svg(tag, about = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), about, children);
}

/** The element of the page with that id. */
export const byId = (id) => document.getElementById(id);

/** A text that somebody wrote: in any script, so it tells its own direction. */
export const title = (text, tag = "span") => el(tag, { class: "title", dir: "auto", text });

/** A button that does something. */
export const button = (text, click, about = {}) => el("button", { type: "button", text, on: { click }, ...about });

/** A bar as long as that share of its place, 0..1. */
export function bar(share, about = {}) {
  const filling = el("span", {});
  filling.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return el("span", { class: "bar", "aria-hidden": "true", ...about }, filling);
}

/** Tells those who hear the page what has changed. */
export function say(text) {
  byId("said").textContent = text;
}

function filled(element, about, children) {
  for (const [name, value] of Object.entries(about)) {
    if (name === "text") element.textContent = value;
    else if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}
