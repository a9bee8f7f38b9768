// Conditions on fields: a column, an operator, a value. Columns and frequent values come from the server.

import { get } from "./api.js";
import { button, byId, el } from "./elements.js";
import { counted } from "./numbers.js";
import { change, state } from "./state.js";

// "#" marks values that are compared as numbers
const TEXT = [["=", "is"], ["!=", "is not"]];
const NUMBER = [["<=", "at most"], [">=", "at least"], ["#=", "is"], ["#!=", "is not"]];
const list = byId("conditions");
let columns = [];

/** Asks for the columns; until they are there, none can be chosen. */
export async function load() {
  columns = (await get("/v1/fields")).fields.filter((column) => column.num_values > 0);
  show();
}

/** Lets conditions be added. */
export function offer() {
  byId("add-condition").addEventListener("click", () => {
    const column = columns.find((each) => each.values.length > 0) ?? columns[0];
    if (!column) return;
    change({ conditions: [...state.conditions, [column.name, operators(column)[0][0], ""]] });
    show();
    list.lastElementChild.querySelector("select").focus();
  });
}

/** Shows the conditions of the state. */
export function show() {
  byId("add-condition").disabled = columns.length === 0;
  list.replaceChildren(...state.conditions.map(row));
  if (!state.conditions.length) list.append(el("li", { class: "hint", text: "Every item may be recommended." }));
}

const columnOf = (name) => columns.find((each) => each.name === name);
const operators = (column) => (column?.kind === "number" ? NUMBER : TEXT);

function row([name, operator, value], place) {
  const column = columnOf(name);
  const names = column ? columns.map((each) => each.name) : [name, ...columns.map((each) => each.name)];
  const offered = [...operators(column)];
  if (!offered.some(([sign]) => sign === operator)) offered.push([operator, operator]);
  const datalist = el("datalist", { id: `values-${place}` }, ...(column?.values ?? []).map(choice));
  const input = el("input", {
    "aria-label": `Value of ${name}`,
    list: datalist.id,
    autocomplete: "off",
    dir: "auto",
    inputmode: column?.kind === "number" ? "decimal" : "text",
    placeholder: placeholder(column),
    on: { change: () => put(place, [state.conditions[place][0], state.conditions[place][1], input.value.trim()]) },
  });
  input.value = value;
  return el(
    "li",
    {},
    choices("Column", names.map((each) => [each, each]), name, (chosen) => {
      put(place, [chosen, operators(columnOf(chosen))[0][0], ""]);
      show();
      list.children[place].querySelector("input").focus();
    }),
    choices("Operator", offered, operator, (chosen) => put(place, [name, chosen, input.value.trim()])),
    input,
    datalist,
    button("×", () => remove(place), { class: "icon", "aria-label": `Remove the condition on ${name}`, title: "Remove" }),
  );
}

function placeholder(column) {
  if (column?.kind === "number") return `${column.min} to ${column.max}`;
  return column ? counted(column.num_values, "value") : "";
}

function choice({ value, items }) {
  return el("option", { value, text: counted(items, "item") });
}

function choices(label, options, chosen, choose) {
  const select = el(
    "select",
    { "aria-label": label, on: { change: () => choose(select.value) } },
    ...options.map(([value, text]) => el("option", { value, text, selected: value === chosen })),
  );
  return select;
}

function put(place, condition) {
  change({ conditions: state.conditions.map((each, other) => (other === place ? condition : each)) });
}

function remove(place) {
  change({ conditions: state.conditions.filter((_, other) => other !== place) });
  show();
  (list.children[Math.min(place, state.conditions.length - 1)]?.querySelector("button") ?? byId("add-condition")).focus();
}
