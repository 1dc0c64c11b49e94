// A state in the fragment of a link: JSON, compressed, in base64url. The key is no part of a state.

import { MODES, OVER_LENGTHS, ROLES, STEPS } from "./state.js";

const PREFIX = "#v1=";

// Bytes of JSON. A small fragment could otherwise grow to gigabytes.
const MAX_BYTES = 8 * 1024 * 1024;
const MAX_ENTRIES = 1024;

export async function toFragment(state) {
  const bytes = new TextEncoder().encode(JSON.stringify(state));
  const packed = await collect(new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate-raw")));
  let letters = "";
  for (const byte of packed) letters += String.fromCharCode(byte);
  return PREFIX + btoa(letters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Return the state of a fragment, or null if it holds none that this page wrote. */
export async function fromFragment(fragment) {
  if (!fragment.startsWith(PREFIX)) return null;
  try {
    const letters = atob(fragment.slice(PREFIX.length).replaceAll("-", "+").replaceAll("_", "/"));
    const packed = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    return checked(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(await collect(stream))));
  } catch {
    return null;
  }
}

async function collect(stream) {
  const pieces = [];
  let size = 0;
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > MAX_BYTES) {
      await reader.cancel();
      throw new RangeError("more than a link may hold");
    }
    pieces.push(value);
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

/** Return a state of known fields and types alone, or null. */
export function checked(value) {
  const isText = (text) => typeof text === "string";
  const isList = (list) => Array.isArray(list) && list.length <= MAX_ENTRIES;
  const isTurn = (turn) => ROLES.includes(turn?.role) && isText(turn.content);
  const weights = Object.entries(value?.weights ?? {});
  const good =
    isList(value?.turns) &&
    value.turns.length > 0 &&
    value.turns.every(isTurn) &&
    isList(value.candidates) &&
    value.candidates.every(isText) &&
    MODES.includes(value.mode) &&
    OVER_LENGTHS.includes(value.overLength) &&
    STEPS.includes(value.steps) &&
    [value.modelA, value.modelB, value.delimiter].every(isText) &&
    weights.length <= 16 &&
    weights.every(([, weight]) => Number.isFinite(weight));
  if (!good) return null;
  const { candidates, mode, modelA, modelB, overLength, steps, delimiter } = value;
  const turns = value.turns.map(({ role, content }) => ({ role, content }));
  const rest = { mode, modelA, modelB, overLength, steps, delimiter };
  return { turns, candidates: [...candidates], weights: Object.fromEntries(weights), ...rest };
}
