// The path of an item through the tree of codes: how likely each code was, and what else there was.

import { bar, el } from "./elements.js";
import { codeText } from "./codes.js";
import { count, counted, logProb, percent } from "./numbers.js";

/** The path, level by level, and what it adds up to. */
export function path(explained) {
  return el(
    "div",
    { class: "path" },
    el("h4", { text: "Path through the tree of codes" }),
    el("ol", { class: "path-levels" }, ...explained.codes.map((choice, level) => levelOf(choice, level, explained.beam_size))),
    sumOf(explained),
  );
}

function levelOf(choice, level, beamSize) {
  const own = { ...choice, isOwn: true };
  const shown = [own, ...choice.alternatives].sort((one, other) => other.log_prob - one.log_prob || (one.isOwn ? -1 : 1));
  const rest = 1 - shown.reduce((sum, each) => sum + Math.exp(each.log_prob), 0);
  const others = choice.num_children - shown.length;
  return el(
    "li",
    {},
    el(
      "div",
      { class: "level-head" },
      el("span", { class: "level-name", text: `Level ${level + 1}` }),
      el("span", { text: choice.num_children === 1 ? "the only code here" : `${ordinal(choice.rank)} of ${count(choice.num_children)} codes` }),
      survival(choice.survives, beamSize),
    ),
    el("ul", { class: "choices" }, ...shown.map(choiceOf)),
    others > 0
      ? el("p", { class: "hint", text: `${counted(others, "other code")}${rest > 0.0005 ? `: ${percent(rest)}` : ""}` })
      : null,
  );
}

function choiceOf(each) {
  const share = Math.exp(each.log_prob);
  return el(
    "li",
    { class: each.isOwn ? "own" : null, "aria-current": each.isOwn ? "true" : null },
    codeText(each.code, each.name),
    bar(share),
    el("span", { class: "number", text: percent(share) }),
  );
}

function survival(survives, beamSize) {
  const about = survives ? `in the beam of ${beamSize}` : `lost in a beam of ${beamSize}`;
  return el("span", { class: survives ? "mark good" : "mark bad", text: `${survives ? "✓" : "✗"} ${about}` });
}

function sumOf(explained) {
  const parts = explained.codes.map((choice) => logProb(choice.log_prob));
  if (explained.num_sharers > 1) parts.push(logProb(-Math.log(explained.num_sharers)));
  if (explained.share_log_prob) parts.push(logProb(explained.share_log_prob));
  const facts = [
    ["By its codes", `${percent(Math.exp(explained.score))} (${parts.join(" + ").replaceAll("+ −", "− ")} = ${logProb(explained.score)})`],
    ["By the item head", `${percent(Math.exp(explained.item_log_prob))} (${logProb(explained.item_log_prob)})`],
    ["In the run’s own list", explained.place ? `${ordinal(explained.place)} of ${explained.k}` : `not among its ${explained.k}`],
  ];
  if (explained.num_sharers > 1) facts.push(["Shares its ID with", counted(explained.num_sharers - 1, "other item")]);
  if (explained.is_added) facts.push(["Came", "after the training"]);
  return el("dl", { class: "sum" }, ...facts.flatMap(([name, text]) => [el("dt", { text: name }), el("dd", { text })]));
}

function ordinal(number) {
  const last = number % 100 > 10 && number % 100 < 14 ? 0 : number % 10;
  return `${count(number)}${["th", "st", "nd", "rd"][last] ?? "th"}`;
}
