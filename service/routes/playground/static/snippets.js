// The same request with curl and in Python. Texts are hostile: each is quoted for its language.

import { SERVER } from "./api.js";
import { bodyOf, columnsOf, delimiterOf } from "./state.js";

// Linux takes at most 128 KiB in one argument of a command.
const MAX_ARGUMENT = 100_000;

// Letters that are not seen, or that reorder what is seen: a terminal or an editor must not be
// misled by them. JSON.stringify leaves them as they are.
const UNSEEN = /[\p{C}\p{Zl}\p{Zp}]/gu;

const hex = (code, digits) => code.toString(16).padStart(digits, "0");

/** A text as JSON, in which every letter can be seen. */
function json(value) {
  const escape = (letter) => [...Array(letter.length).keys()].map((i) => `\\u${hex(letter.charCodeAt(i), 4)}`).join("");
  return JSON.stringify(value).replace(UNSEEN, escape);
}

/** A text as a Python literal: JSON's escapes are Python's, except for pairs of surrogates. */
function literal(text) {
  const escape = (letter) =>
    letter.length > 1 ? `\\U${hex(letter.codePointAt(0), 8)}` : `\\u${hex(letter.charCodeAt(0), 4)}`;
  return JSON.stringify(text).replace(UNSEEN, escape);
}

/** A text as a Python expression, over several lines if it has several. */
function lines(text, indent) {
  const parts = text.match(/[^\n]*\n|[^\n]+/g) ?? [""];
  if (parts.length === 1) return literal(text);
  const inner = parts.map((part) => `${indent}    ${literal(part)}`).join("\n");
  return `(\n${inner}\n${indent})`;
}

/** Quote for a POSIX shell: nothing between single quotes means anything to it. */
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export function curl(state, withKey) {
  return columnsOf(state)
    .map((column) => {
      const data = quoted(json(bodyOf(state, column)));
      const key = withKey ? ' -H "X-API-Key: $KEY"' : "";
      const command = `curl -sS ${quoted(`${SERVER}/v1/score`)} -H 'Content-Type: application/json'${key}`;
      if (data.length < MAX_ARGUMENT) return `${command} --data-raw ${data}\n`;
      return `printf '%s' ${data} |\n  ${command} --data-binary @-\n`;
    })
    .join("\n");
}

export function python(state, withKey) {
  const [first, ...more] = state.turns;
  const isPrompt = first.role === "user" && more.length === 0;
  const turns = state.turns.map(
    (turn) => `    {"role": ${literal(turn.role)}, "content": ${lines(turn.content, "    ")}},\n`,
  );
  const prompt = isPrompt ? lines(first.content, "") : `[\n${turns.join("")}]`;
  const candidates = state.candidates.map((text) => `    ${lines(text, "    ")},\n`);
  const shared = [];
  if (state.overLength !== "error") shared.push(`over_length=${literal(state.overLength)}`);
  const delimiter = delimiterOf(state);
  if (delimiter !== null && state.mode !== "sum") shared.push(`steps=${literal(delimiter)}`);
  const options = columnsOf(state).map(({ model, models }) => {
    const own = [];
    if (model) own.push(`model=${literal(model)}`);
    if (models) {
      const weights = Object.entries(models).map(([name, weight]) => `${literal(name)}: ${weight}`);
      own.push(`models={${weights.join(", ")}}`);
    }
    return `    Options(${[...own, ...shared].join(", ")}),\n`;
  });
  return `${withKey ? "import os\n\n" : ""}from codepmp_client import Options, RewardClient

prompt = ${prompt}
candidates = [
${candidates.join("")}]
# One entry for each model, or sum of models, that scores.
all_options = [
${options.join("")}]
with RewardClient(${literal(SERVER)}${withKey ? ', api_key=os.environ["KEY"]' : ""}) as client:
    for options in all_options:
        result = client.score(prompt, candidates, options)
        print(result.model, result.version, "ranking:", result.ranking)
        for index, score in enumerate(result.scores):
            print(index, score.raw, score.normalized, score.error)
`;
}
