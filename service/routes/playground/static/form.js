// The form: what people type, as the state of state.js, and back.

import { ROLES } from "./state.js";

export const byId = (id) => document.getElementById(id);

const turns = byId("turns");
const candidates = byId("candidates");

/** Make an element. Texts are only ever set as text, so that none is read as HTML. */
export function element(tag, className, text, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined && text !== null) made.textContent = text;
  made.append(...children);
  return made;
}

export function readState() {
  const state = {
    turns: [...turns.children].map((item) => ({
      role: item.querySelector(".role").value,
      content: item.querySelector(".text").value,
    })),
    candidates: [...candidates.children].map((item) => item.querySelector(".text").value),
    weights: {},
    mode: byId("mode").value,
    modelA: byId("model-a").value,
    modelB: byId("model-b").value,
    overLength: byId("over-length").value,
    steps: byId("steps").value,
    delimiter: byId("delimiter").value,
  };
  for (const input of byId("weights").querySelectorAll("input")) {
    if (input.value.trim() !== "" && Number.isFinite(input.valueAsNumber)) {
      state.weights[input.name] = input.valueAsNumber;
    }
  }
  return state;
}

export function showState(state) {
  turns.replaceChildren();
  candidates.replaceChildren();
  state.turns.forEach((turn) => addTurn(turn.role, turn.content));
  state.candidates.forEach((text) => addCandidate(text));
  byId("mode").value = state.mode;
  byId("over-length").value = state.overLength;
  byId("steps").value = state.steps;
  byId("delimiter").value = state.delimiter;
  selectModel(byId("model-a"), state.modelA);
  selectModel(byId("model-b"), state.modelB);
  // Inputs that are there already are those of the models that are served.
  for (const input of byId("weights").querySelectorAll("input")) input.value = "";
  for (const [name, weight] of Object.entries(state.weights)) weightOf(name).value = String(weight);
  showFieldsInUse();
}

/** Show the fields that the chosen mode and steps need, and hide the others. */
export function showFieldsInUse() {
  const mode = byId("mode").value;
  for (const field of document.querySelectorAll("[data-modes]")) {
    field.hidden = !field.dataset.modes.split(" ").includes(mode);
  }
  byId("steps").disabled = mode === "sum";
  byId("delimiter-field").hidden = byId("steps").value !== "custom" || mode === "sum";
}

export function addTurn(role = "user", content = "") {
  const item = byId("turn-template").content.cloneNode(true).firstElementChild;
  item.querySelector(".role").value = role;
  item.querySelector(".text").value = content;
  // A system message comes first, where chat templates expect it.
  if (role === "system" && !content) turns.prepend(item);
  else turns.append(item);
  renumber();
  return item.querySelector(".text");
}

/** The role that comes after the last turn: user and assistant take turns. */
export function nextRole() {
  return turns.lastElementChild?.querySelector(".role").value === "user" ? ROLES[1] : ROLES[0];
}

export function addCandidate(text = "") {
  const item = byId("candidate-template").content.cloneNode(true).firstElementChild;
  item.querySelector(".text").value = text;
  candidates.append(item);
  renumber();
  return item.querySelector(".text");
}

/** Remove a turn or a candidate; return what should have the focus then. */
export function removeItem(item) {
  const list = item.parentElement;
  const next = item.nextElementSibling ?? item.previousElementSibling;
  item.remove();
  if (list === turns && turns.children.length === 0) return addTurn();
  renumber();
  if (next) return next.querySelector(".remove");
  return byId("add-candidate");
}

export function clearCandidates() {
  candidates.replaceChildren();
}

/** The boxes of the candidates, in order. */
export function candidateItems() {
  return [...candidates.children];
}

function renumber() {
  const name = (item, what) => {
    item.querySelector(".text").setAttribute("aria-label", what);
    item.querySelector(".remove").setAttribute("aria-label", `Remove ${what.toLowerCase()}`);
  };
  [...turns.children].forEach((item, index) => {
    name(item, `Turn ${index + 1}`);
    item.querySelector(".role").setAttribute("aria-label", `Role of turn ${index + 1}`);
  });
  candidateItems().forEach((item, index) => {
    name(item, `Candidate ${index + 1}`);
    item.querySelector("h3").textContent = `Candidate ${index + 1}`;
  });
}

/** Split a pasted text into candidates. Throws an Error whose message says what is wrong. */
export function splitSeveral(text, how) {
  if (how === "rule") {
    const parts = text.split(/^---+[ \t]*$/m);
    return parts.map((part) => part.replace(/^\n|\n$/g, "")).filter((part) => part.trim());
  }
  if (how === "line") return text.split("\n").filter((line) => line.trim());
  let list;
  try {
    list = JSON.parse(text);
  } catch {
    throw new Error("This is not JSON.");
  }
  if (!Array.isArray(list) || list.some((entry) => typeof entry !== "string")) {
    throw new Error("This is not a JSON list of texts.");
  }
  return list;
}

/** Offer the served models, and keep what was chosen. */
export function showModels(models) {
  const names = models.map((model) => `${model.id}@${model.version}`);
  const state = readState();
  for (const select of [byId("model-a"), byId("model-b")]) {
    const chosen = select.value;
    const usual = models.length ? `the default (${models[0].id})` : "the default";
    select.replaceChildren(new Option(usual, ""));
    for (const [index, name] of names.entries()) {
      select.append(new Option(models[index].current ? name : `${name} (not current)`, name));
    }
    selectModel(select, chosen);
  }
  // To compare a model with itself is of no use.
  if (byId("model-b").value === "" && names.length > 1) byId("model-b").value = names[1];
  const calibrated = names.filter((_, index) => models[index].calibration);
  byId("weights").replaceChildren();
  calibrated.forEach(weightOf);
  for (const [name, weight] of Object.entries(state.weights)) weightOf(name).value = String(weight);
  const warnings = models.flatMap((model) => model.warnings.map((text) => `${model.id}: ${text}`));
  byId("warnings").replaceChildren(...warnings.map((text) => element("li", "", text)));
}

function selectModel(select, name) {
  const known = [...select.options].some((option) => option.value === name);
  if (!known) select.append(new Option(name ? `${name} (not served)` : "the default", name));
  select.value = name;
}

function weightOf(name) {
  const inputs = [...byId("weights").querySelectorAll("input")];
  const found = inputs.find((input) => input.name === name);
  if (found) return found;
  const input = element("input");
  Object.assign(input, { type: "number", step: "any", name });
  byId("weights").append(element("label", "", name, input));
  return input;
}

