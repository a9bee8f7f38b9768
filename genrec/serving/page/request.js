// What is asked of the server, from what was put together on the page.

/** A condition that makes no sense beside the others of its column. */
export class Unclear extends Error {
  title = "This cannot be asked";
  status = 422;
}

/** The body of `/v1/recommend`. What the page leaves open is left out: the run's own choice holds. */
export function bodyOf(wanted) {
  const body = { history: wanted.history };
  if (wanted.k) body.k = Number(wanted.k);
  if (wanted.rank) body.rank = wanted.rank;
  if (wanted.exclude) body.exclude_history = wanted.exclude === "out";
  if (wanted.exact) body.exact = true;
  if (wanted.cap) body.max_per_prefix = Number(wanted.cap);
  if (wanted.depth) body.prefix_depth = Number(wanted.depth);
  if (wanted.allow.length) body.allow = wanted.allow;
  if (wanted.deny.length) body.deny = wanted.deny;
  const where = whereOf(wanted.conditions);
  if (Object.keys(where).length) body.where = where;
  return body;
}

/** Conditions as the server reads them; several values of one column are alternatives. */
function whereOf(conditions) {
  const columns = new Map();
  for (const [column, operator, value] of conditions) {
    if (value === "") continue;
    const operators = columns.get(column) ?? new Map();
    operators.set(operator, [...(operators.get(operator) ?? []), value]);
    columns.set(column, operators);
  }
  return Object.fromEntries([...columns].map(([column, operators]) => [column, joined(column, operators)]));
}

function joined(column, operators) {
  const names = [...operators.keys()];
  if (names.every((name) => name === ">=" || name === "<=")) {
    const bounds = {};
    if (operators.has(">=")) bounds.min = Math.max(...operators.get(">=").map(number));
    if (operators.has("<=")) bounds.max = Math.min(...operators.get("<=").map(number));
    return bounds;
  }
  if (names.length > 1) {
    throw new Unclear(`Conditions on ${column} with ${names.join(" and ")} do not go together; remove one of them.`);
  }
  const values = operators.get(names[0]).map((value) => (names[0].startsWith("#") ? number(value) : value));
  return names[0].endsWith("!=") ? { not: values } : values;
}

function number(text) {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new Unclear(`“${text}” is no number.`);
  return value;
}
