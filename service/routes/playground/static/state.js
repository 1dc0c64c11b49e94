// What is on the screen, as one plain object, and the requests that it means.
//
//   turns        [{role, content}], the conversation
//   candidates   [text]
//   mode         "one", "two" (side by side) or "sum" (weighted)
//   modelA, modelB   "name@version", or "" for the server's default
//   weights      {"name@version": number}
//   overLength   "error" or "truncate_prompt"
//   steps        "none", "line", "paragraph" or "custom"; `delimiter` is that of "custom", as typed

export const ROLES = ["user", "assistant", "system", "tool"];
export const MODES = ["one", "two", "sum"];
export const OVER_LENGTHS = ["error", "truncate_prompt"];
export const STEPS = ["none", "line", "paragraph", "custom"];

export const EXAMPLE = {
  turns: [{ role: "user", content: "Write a function `add(a, b)` that returns the sum of two numbers." }],
  candidates: [
    "def add(a, b):\n    return a + b",
    "def add(a, b):\n    return a - b",
    "I would rather not.",
  ],
  mode: "one",
  modelA: "",
  modelB: "",
  weights: {},
  overLength: "error",
  steps: "none",
  delimiter: "",
};

/** Return the delimiter that ends a step, or null where no steps are asked for. */
export function delimiterOf(state) {
  if (state.steps === "line") return "\n";
  if (state.steps === "paragraph") return "\n\n";
  if (state.steps === "none" || state.delimiter === "") return null;
  const escapes = { "\\n": "\n", "\\t": "\t", "\\\\": "\\" };
  return state.delimiter.replace(/\\[nt\\]/g, (escape) => escapes[escape]);
}

/** Return the models that score: one entry for each column of results. */
export function columnsOf(state) {
  if (state.mode === "one") return [{ model: state.modelA }];
  if (state.mode === "two") return [{ model: state.modelA }, { model: state.modelB }];
  return [{ models: state.weights }];
}

/** Return the body of `POST /v1/score` for one column. */
export function bodyOf(state, column) {
  const [first, ...more] = state.turns;
  // One turn of the user is what the API calls a prompt.
  const isPrompt = first.role === "user" && more.length === 0;
  const conversation = isPrompt ? { prompt: first.content } : { messages: state.turns };
  const body = { inputs: [{ ...conversation, candidates: state.candidates }] };
  if (column.model) body.model = column.model;
  if (column.models) body.models = column.models;
  if (state.overLength !== "error") body.over_length = state.overLength;
  const delimiter = delimiterOf(state);
  // Several models together score no steps.
  if (delimiter !== null && !column.models) body.steps = { delimiter };
  return body;
}
