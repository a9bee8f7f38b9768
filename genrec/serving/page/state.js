// What is being looked at, all of it in the address, so that a view can be shared.

export const EMPTY = {
  view: "recommend",
  history: [],
  k: "",
  rank: "",
  exclude: "",
  cap: "",
  depth: "",
  exact: false,
  conditions: [],
  allow: [],
  deny: [],
  open: "",
  prefix: "",
  offset: 0,
};

const listeners = [];

export const state = { ...EMPTY };

/** Calls `listener(isRestored)` whenever the state is another; `isRestored`: the address was changed. */
export const onChange = (listener) => listeners.push(listener);

/** Changes the state and the address; `push`: as a step that "back" returns from. */
export function change(parts, { push = false } = {}) {
  Object.assign(state, parts);
  history[push ? "pushState" : "replaceState"](null, "", addressOf(state));
  listeners.forEach((listener) => listener(false));
}

/** Takes the state from the address. */
export function restore() {
  Object.assign(state, stateOf(location.hash));
  listeners.forEach((listener) => listener(true));
}

/** The address of a state, as short as can be. */
export function addressOf(wanted) {
  const fields = new URLSearchParams();
  if (wanted.view === "codes") {
    if (wanted.prefix) fields.set("prefix", wanted.prefix);
    if (wanted.offset) fields.set("offset", wanted.offset);
  } else {
    for (const item of wanted.history) fields.append("h", item);
    for (const name of ["k", "rank", "exclude", "cap", "depth"]) if (wanted[name]) fields.set(name, wanted[name]);
    if (wanted.exact) fields.set("exact", "1");
    for (const condition of wanted.conditions) fields.append("w", JSON.stringify(condition));
    for (const name of ["allow", "deny"]) for (const item of wanted[name]) fields.append(name, item);
  }
  if (wanted.open) fields.set("open", wanted.open);
  const query = fields.toString();
  return `#/${wanted.view}${query ? `?${query}` : ""}`;
}

function stateOf(hash) {
  const [view, query] = hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  const fields = new URLSearchParams(query ?? "");
  const found = { ...EMPTY, view: view === "codes" ? "codes" : "recommend", open: fields.get("open") ?? "" };
  if (found.view === "codes") {
    // what was put together stays, so that one can go back to it
    const { view: _, open: __, prefix: ___, offset: ____, ...kept } = state;
    const offset = Number.parseInt(fields.get("offset") ?? "0", 10);
    return { ...kept, ...{ view: "codes", open: found.open }, prefix: fields.get("prefix") ?? "", offset: offset > 0 ? offset : 0 };
  }
  for (const name of ["k", "rank", "exclude", "cap", "depth"]) found[name] = fields.get(name) ?? "";
  return {
    ...found,
    history: fields.getAll("h"),
    exact: fields.get("exact") === "1",
    conditions: fields.getAll("w").flatMap(condition),
    allow: fields.getAll("allow"),
    deny: fields.getAll("deny"),
    prefix: state.prefix,
    offset: state.offset,
  };
}

function condition(text) {
  try {
    const found = JSON.parse(text);
    return Array.isArray(found) && found.length === 3 && found.every((part) => typeof part === "string") ? [found] : [];
  } catch {
    return [];
  }
}
