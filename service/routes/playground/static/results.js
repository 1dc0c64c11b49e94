// Scores on the screen: a ranking for each column, and each candidate's outcome below its text.

import { byId, candidateItems, element } from "./form.js";

// More coloured pieces than anybody reads, and few enough for the browser to lay out at once.
const MAX_PIECES = 400;
const LEVELS = 7;

const number = (value) => value.toFixed(4);

/** Remove all scores from the screen. */
export function clearResults() {
  byId("columns").replaceChildren();
  for (const item of candidateItems()) item.querySelector(".outcome").replaceChildren();
}

/**
 * Show the answers to a state.
 *
 * columns: [{answer}] or [{failure}], in order
 * texts: the candidates that were sent; the boxes may hold newer ones
 */
export function showResults(columns, texts) {
  byId("columns").replaceChildren(...columns.map((column) => rankingOf(column, texts)));
  candidateItems().forEach((item, index) => {
    const outcomes = columns.filter((column) => column.answer?.results[0].scores[index]);
    item.querySelector(".outcome").replaceChildren(
      ...outcomes.map((column) => outcomeOf(column, index, texts[index], columns.length > 1)),
    );
  });
}

/** One sentence about all columns, for the live region. */
export function summaryOf(columns) {
  return columns
    .filter((column) => column.answer)
    .map(({ answer }) => {
      const { scores, best, ranking } = answer.results[0];
      const { tokens, computed_tokens: computed } = answer.usage;
      const counts = `${ranking.length} of ${scores.length} scored, ${tokens} tokens, ${computed} computed.`;
      if (best === null) return `${titleOf(answer)}: no candidate has a score. ${counts}`;
      return `${titleOf(answer)}: candidate ${best + 1} is best with ${number(scores[best].score)}. ${counts}`;
    })
    .join(" ");
}

const titleOf = (answer) =>
  answer.score_type === "weighted_normalized" ? "Weighted sum" : `${answer.model}@${answer.version}`;

function rankingOf({ answer, failure, name }, texts) {
  const section = element("section", "column");
  if (failure) {
    section.append(element("h3", "", name), element("p", "error", failure.message));
    return section;
  }
  section.append(element("h3", "", titleOf(answer)));
  const { scores, ranking } = answer.results[0];
  const list = element("ol", "ranking");
  const highest = ranking.length ? scores[ranking[0]].score : 0;
  const lowest = ranking.length ? scores[ranking.at(-1)].score : 0;
  for (const index of ranking) {
    const { score, normalized } = scores[index];
    const bar = element("span", "bar");
    // From 3 %, so that the lowest bar is seen, too.
    const share = highest > lowest ? (score - lowest) / (highest - lowest) : 1;
    bar.style.setProperty("width", `${3 + 97 * share}%`);
    const values = element("span", "values", number(score));
    if (normalized !== null && answer.score_type === "raw_logit") {
      values.append(element("small", "", ` normalized ${number(normalized)}`));
    }
    list.append(entryOf(index, texts[index], element("span", "track", null, bar), values));
  }
  section.append(list);
  const range = rangeOfSteps(answer);
  if (range) {
    const [from, to] = range.map(number);
    section.append(element("p", "facts", `Steps are coloured from ${from} (red) to ${to} (green).`));
  }
  const failed = scores.filter((score) => score.error);
  if (failed.length) {
    const errors = element("ul", "ranking");
    for (const { index, error } of failed) {
      errors.append(entryOf(index, texts[index], element("span", "error", `${error.code}: ${error.message}`)));
    }
    section.append(element("h4", "", "Without a score"), errors);
  }
  return section;
}

function entryOf(index, text, ...more) {
  const go = element("button", "go", `${index + 1}`);
  go.type = "button";
  go.setAttribute("aria-label", `Go to candidate ${index + 1}`);
  go.addEventListener("click", () => candidateItems()[index]?.querySelector(".text").focus());
  const preview = element("span", "preview", text.trim().slice(0, 120));
  return element("li", "", null, go, preview, ...more);
}

function outcomeOf({ answer }, index, text, named) {
  const { scores, ranking } = answer.results[0];
  const score = scores[index];
  const box = element("div", "result");
  const line = element("p", "facts");
  const facts = named ? [element("strong", "", titleOf(answer))] : [];
  if (score.error) {
    facts.push(element("span", "error", `${score.error.code}: ${score.error.message}`));
  } else {
    facts.push(element("span", "", `rank ${ranking.indexOf(index) + 1}`));
    const kind = answer.score_type === "raw_logit" ? "raw" : "weighted sum";
    facts.push(element("span", "raw", `${kind} ${number(score.score)}`));
    if (answer.score_type === "raw_logit") {
      const normalized = score.normalized === null ? "not calibrated" : `normalized ${number(score.normalized)}`;
      facts.push(element("span", "normalized", normalized));
    }
  }
  if (score.tokens) facts.push(element("span", "tokens", `${score.tokens} tokens`));
  if (score.truncated) {
    facts.push(element("span", "truncated", `truncated: ${score.tokens_dropped} tokens of the prompt dropped`));
  }
  facts.forEach((fact, place) => line.append(...(place ? [" · "] : []), fact));
  box.append(line);
  if (score.parts) box.append(partsOf(score.parts));
  if (score.steps?.length) box.append(stepsOf(score.steps, text, answer));
  return box;
}

function partsOf(parts) {
  const table = element("table", "parts");
  const head = ["part", "weight", "raw", "normalized"].map((name) => element("th", "", name));
  head.forEach((cell) => (cell.scope = "col"));
  table.append(element("thead", "", null, element("tr", "", null, ...head)));
  const rows = Object.entries(parts).map(([name, { weight, score, normalized }]) => {
    const cells = [weight, score, normalized].map((value) =>
      element("td", "", value === null ? "–" : number(value)),
    );
    return element("tr", "", null, element("td", "", name), ...cells);
  });
  table.append(element("tbody", "", null, ...rows));
  return table;
}

/** The lowest and the highest score of all steps of an answer; null where there are none. */
function rangeOfSteps(answer) {
  const all = answer.results[0].scores.flatMap((score) => score.steps?.map((step) => step.score) ?? []);
  return all.length ? [all.reduce((a, b) => Math.min(a, b)), all.reduce((a, b) => Math.max(a, b))] : null;
}

/** The text in pieces, one a step, each coloured by its score and followed by it. */
function stepsOf(steps, text, answer) {
  const [lowest, highest] = rangeOfSteps(answer);
  // The server counts characters as Python does: a surrogate pair is one.
  const characters = Array.from(text);
  const box = element("div", "steps");
  let start = 0;
  for (const { end, score } of steps.slice(0, MAX_PIECES)) {
    const share = highest > lowest ? (score - lowest) / (highest - lowest) : 1;
    // The line's end before a step would show as an empty line.
    const piece = element("span", "piece", characters.slice(start, end).join("").replace(/^\n+/, ""));
    const row = element("div", `step level-${Math.round(share * (LEVELS - 1))}`);
    row.append(piece, element("span", "step-score", number(score)));
    box.append(row);
    start = end;
  }
  if (steps.length > MAX_PIECES) {
    box.append(element("p", "", `${steps.length - MAX_PIECES} more steps are not shown.`));
  }
  return box;
}
