// Calls of the server, and its refusals in words.

const KEY = "genrec-key";

export const key = {
  get: () => sessionStorage.getItem(KEY) ?? "",
  set: (value) => sessionStorage.setItem(KEY, value),
};

const TITLES = {
  0: "The server cannot be reached",
  401: "This server asks for an API key",
  404: "There is no such thing",
  408: "The call came too slowly",
  413: "The call is too large",
  422: "This cannot be answered",
  429: "The server is busy",
  503: "Not answered in time",
};

/** A call that was not answered: `title` and `message` in words, `where` the places that are wrong. */
export class Refused extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.message);
    this.status = status;
    this.code = problem.error;
    this.title = TITLES[status] ?? `The server failed (${status})`;
    this.where = problem.where ?? [];
    this.retryAfter = retryAfter;
  }
}

const listeners = [];
let version = null;

/** Calls `listener` whenever an answer comes from another version of the catalogue than the one before. */
export const onNewVersion = (listener) => listeners.push(listener);

/** The answer of a GET, its query from `fields`. */
export function get(path, fields = {}, signal = undefined) {
  const query = new URLSearchParams(fields).toString();
  return called(query ? `${path}?${query}` : path, { signal });
}

/** The answer of a POST. */
export function post(path, body, signal = undefined) {
  return called(path, { method: "POST", body: JSON.stringify(body), signal, type: "application/json" });
}

/** The POST as a command for a shell. */
export function asCurl(path, body) {
  const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`;
  const lines = [`curl -s ${quoted(location.origin + path)}`];
  if (key.get()) lines.push('-H "X-API-Key: $GENREC_API_KEY"');
  lines.push("-H 'Content-Type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  return lines.join(" \\\n  ");
}

async function called(path, { type, ...options }) {
  const headers = {};
  if (type) headers["Content-Type"] = type;
  if (key.get()) headers["X-API-Key"] = key.get();
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, { message: "It is not running, or the network is down. Start it, then try again." });
  }
  const answer = await response.json().catch(() => ({ message: `${response.status} ${response.statusText}` }));
  if (!response.ok) throw new Refused(response.status, answer, response.headers.get("Retry-After"));
  notice(answer.version);
  return answer;
}

function notice(told) {
  if (!Number.isInteger(told) || told === version) return;
  const isNew = version !== null;
  version = told;
  if (isNew) listeners.forEach((listener) => listener());
}
