// What is known of single items: asked for once, a few at a time.

import { get } from "./api.js";

const AT_ONCE = 6;
const known = new Map();
const waiting = [];
let running = 0;

/** The item with its fields and codes. */
export function item(id) {
  if (!known.has(id)) {
    const asked = new Promise((resolve, reject) => waiting.push({ id, resolve, reject }));
    asked.catch(() => known.delete(id));
    known.set(id, asked);
    next();
  }
  return known.get(id);
}

/** Forgets everything: the catalogue or the key has changed. */
export function forget() {
  known.clear();
}

function next() {
  while (running < AT_ONCE && waiting.length) {
    const { id, resolve, reject } = waiting.shift();
    running += 1;
    get(`/v1/items/${encodeURIComponent(id)}`)
      .then(resolve, reject)
      .finally(() => {
        running -= 1;
        next();
      });
  }
}
