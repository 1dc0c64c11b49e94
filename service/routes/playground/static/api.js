// Requests to the server that this page came from, and its errors as sentences.

// The page is `PREFIX/playground`, so the API is below the folder that holds it.
export const SERVER = new URL(".", document.baseURI).href.replace(/\/$/, "");

const KEY_ITEM = "codepmp.playground.key";

let key = "";
try {
  key = sessionStorage.getItem(KEY_ITEM) ?? "";
} catch {
  // A browser that stores nothing asks for the key after each reload.
}

export function apiKey() {
  return key;
}

/** Keep the key for this tab. It goes nowhere but into the header of requests to this server. */
export function setApiKey(value) {
  key = value.trim();
  try {
    sessionStorage.setItem(KEY_ITEM, key);
  } catch {
    // As above.
  }
}

/** Why there is no answer. `again` is true where the same request may succeed later. */
export class Failure extends Error {
  constructor(sentence, { status = 0, code = "", again = false, retryAfter = 0 } = {}) {
    super(sentence);
    Object.assign(this, { status, code, again, retryAfter });
  }
}

export async function fetchModels(signal) {
  const list = await request("v1/models", { signal });
  if (!Array.isArray(list.data)) throw new Failure(NOT_OURS);
  return list.data;
}

export async function fetchScores(body, signal) {
  const answer = await request("v1/score", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal,
  });
  if (!Array.isArray(answer.results?.[0]?.scores)) throw new Failure(NOT_OURS);
  return answer;
}

const NOT_OURS = "Something else than the reward-model server answered.";

async function request(path, options) {
  const headers = { ...options.headers };
  if (key) {
    // Headers hold no other characters, and no key of this server has them.
    if (!/^[\x21-\x7e]+$/.test(key)) throw new Failure("This is no key of this server.", { status: 401 });
    headers["X-API-Key"] = key;
  }
  let response;
  try {
    response = await fetch(`${SERVER}/${path}`, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The server does not answer.", { again: true });
  }
  const answer = await response.json().catch((error) => {
    if (error.name === "AbortError") throw error;
    return null;
  });
  if (!response.ok) throw failureOf(response, answer);
  if (answer === null || typeof answer !== "object") throw new Failure(NOT_OURS);
  return answer;
}

function failureOf(response, answer) {
  const { status } = response;
  const code = String(answer?.error?.code ?? "");
  const message = String(answer?.error?.message ?? `${status} ${response.statusText}`.trim());
  const facts = { status, code };
  if (status === 401) {
    const sentence = key ? "The server does not know this key." : "This server needs an API key.";
    return new Failure(sentence, facts);
  }
  if ([429, 502, 503, 504].includes(status)) {
    const retryAfter = Number(response.headers.get("Retry-After")) || 0;
    return new Failure(`The server cannot score now: ${message}.`, { ...facts, again: true, retryAfter });
  }
  return new Failure(`The server refuses this: ${message}.`, facts);
}
