// How the codes of a level are used, as a picture.

import { el, svg } from "./elements.js";
import { count, percent } from "./numbers.js";

const WIDTH = 240;
const HEIGHT = 48;

/** A level: its items by code, the most used first, beside what an even use would give. */
export function levelPlot(level, number, numItems) {
  const text = `${count(level.used)} of ${count(level.size)} codes used, perplexity ${level.perplexity.toFixed(1)}`;
  const top = Math.max(...level.most_used, 1);
  const width = WIDTH / Math.max(level.most_used.length, 1);
  const gap = width > 4 ? 1 : 0;
  const bars = level.most_used.map((items, at) =>
    svg("rect", {
      x: at * width,
      y: HEIGHT - Math.max((items / top) * HEIGHT, 1),
      width: Math.max(width - gap, 0.5),
      height: Math.max((items / top) * HEIGHT, 1),
    }),
  );
  const even = HEIGHT - (numItems / level.used / top) * HEIGHT;
  const line = svg("line", { x1: 0, x2: WIDTH, y1: even, y2: even });
  const about = `Level ${number}: ${text}. The most used code has ${percent(level.most_used[0] / numItems)} of the items.`;
  return el(
    "div",
    { class: "card level", role: "listitem" },
    el("h3", { text: `Level ${number}` }, el("span", { class: "hint", text: "even use" })),
    svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": about }, ...bars, line),
    el("p", { class: "hint", text }),
  );
}
