// The playground: reads the form, asks the server, shows what it answers.

import { apiKey, Failure, fetchModels, fetchScores, setApiKey } from "./api.js";
import * as form from "./form.js";
import { checked, fromFragment, toFragment } from "./link.js";
import { clearResults, showResults, summaryOf } from "./results.js";
import { curl, python } from "./snippets.js";
import { bodyOf, columnsOf, EXAMPLE } from "./state.js";

const { byId } = form;

// Milliseconds after the last change until a request is sent; as long as the last one took, if
// that is more, so that a slow server gets no more requests than it can answer.
const MIN_PAUSE = 300;
const MAX_PAUSE = 3000;
const MAX_RETRY_SECONDS = 30;
const DRAFT_ITEM = "codepmp.playground.draft";

let models = null; // What the server serves; null until it has said so.
let running = null; // The AbortController of the request under way.
let timer = 0; // Of the next request.
let shown = ""; // The requests whose answers are on the screen.
let lastTook = 0;
let failures = 0; // In a row, for the pause between tries.

/** Score what is on the screen. A request under way is aborted, and its answer never shown. */
async function score({ always = false } = {}) {
  clearTimeout(timer);
  showSnippets();
  if (!always && models !== null && JSON.stringify(columnsToAsk()) === shown) return;
  running?.abort();
  const controller = (running = new AbortController());
  const { signal } = controller;
  byId("columns").setAttribute("aria-busy", "true");
  const started = performance.now();
  try {
    if (models === null) {
      models = await fetchModels(signal);
      form.showModels(models);
    }
    const state = form.readState();
    const columns = columnsToAsk();
    const problem = problemOf(state);
    if (problem) throw new Failure(problem);
    const answers = await Promise.all(columns.map((column) => answerOf(column, signal)));
    if (signal.aborted) return;
    lastTook = performance.now() - started;
    const failed = answers.find((answer) => answer.failure);
    showResults(answers, state.candidates);
    say("status", summaryOf(answers));
    showFailure(failed?.failure);
    shown = failed ? "" : JSON.stringify(columns);
  } catch (error) {
    if (signal.aborted) return;
    clearResults();
    say("status", "");
    shown = "";
    showFailure(error instanceof Failure ? error : new Failure(`This page failed: ${error.message}.`));
  } finally {
    if (running === controller) {
      running = null;
      byId("columns").setAttribute("aria-busy", "false");
    }
  }
}

/** What is on the screen as requests, one for each column of results. */
function columnsToAsk() {
  const state = form.readState();
  return columnsOf(state).map((column) => ({ ...column, body: bodyOf(state, column) }));
}

/** What keeps a state from being sent at all, as a sentence. */
function problemOf(state) {
  if (state.candidates.length === 0) return "Add a candidate to score.";
  if (state.mode === "sum" && Object.keys(state.weights).length === 0) {
    return "Give a weight to a calibrated model.";
  }
  return "";
}

async function answerOf(column, signal) {
  const name = column.model || "the default model";
  try {
    return { name, answer: await fetchScores(column.body, signal) };
  } catch (failure) {
    if (!(failure instanceof Failure)) throw failure;
    return { name, failure };
  }
}

function showFailure(failure) {
  // A hidden button would lose the focus, and with it the place of who uses the keyboard.
  if (!failure && document.activeElement === byId("retry")) byId("score").focus();
  byId("failure").hidden = !failure;
  failures = failure?.again ? failures + 1 : 0;
  if (!failure) {
    say("failure-text", "");
    return;
  }
  // What is served may have changed when the server comes back.
  if (failure.again || failure.code === "model_not_found") models = null;
  if (failure.status === 401) byId("key-field").hidden = false;
  let text = failure.message;
  if (failure.again && byId("live").checked) {
    const seconds = Math.min(MAX_RETRY_SECONDS, Math.max(failure.retryAfter, 2 ** Math.min(failures - 1, 5)));
    text += ` The next try is in ${seconds} s.`;
    clearTimeout(timer);
    timer = setTimeout(() => score({ always: true }), seconds * 1000);
  }
  say("failure-text", text);
}

/** Set a text that screen readers announce; the same text again is not announced again. */
function say(id, text) {
  if (byId(id).textContent !== text) byId(id).textContent = text;
}

/** Score soon: people are typing. */
function scoreSoon() {
  if (location.hash) history.replaceState(null, "", location.pathname + location.search);
  byId("notice").hidden = true;
  clearTimeout(timer);
  if (byId("live").checked) {
    timer = setTimeout(score, Math.min(MAX_PAUSE, Math.max(MIN_PAUSE, lastTook)));
  } else {
    say("status", "The scores are of what was here before: press Score.");
    showSnippets();
  }
}

/** Score soon, after an item was removed: an answer under way would be shown at other items. */
function scoreOthersSoon() {
  running?.abort();
  scoreSoon();
}

/** Take the key that is typed. */
function takeKey() {
  if (byId("key").value.trim() === apiKey()) return;
  setApiKey(byId("key").value);
  models = null;
}

function showSnippets() {
  const state = form.readState();
  for (const [id, write] of [["curl", curl], ["python", python]]) {
    // A long code is written only while somebody looks at it.
    if (byId(id).open) byId(id).querySelector("pre").textContent = write(state, apiKey() !== "");
  }
}

function saveDraft() {
  try {
    sessionStorage.setItem(DRAFT_ITEM, JSON.stringify(form.readState()));
  } catch {
    // Full, or not allowed: a reload then begins anew.
  }
}

function readDraft() {
  try {
    return checked(JSON.parse(sessionStorage.getItem(DRAFT_ITEM)));
  } catch {
    return null;
  }
}

async function start() {
  let state = readDraft() ?? EXAMPLE;
  byId("notice").hidden = true;
  if (location.hash) {
    const linked = await fromFragment(location.hash);
    state = linked ?? state;
    if (!linked) {
      byId("notice").textContent = "The link to this page is damaged or of another version, so it was ignored.";
      byId("notice").hidden = false;
    }
  }
  form.showState(state);
  byId("key").value = apiKey();
  byId("key-field").hidden = !apiKey();
  byId("playground").hidden = false;
  await score({ always: true });
}

async function copy(text, what, where) {
  try {
    await navigator.clipboard.writeText(text);
    byId("copied").textContent = `${what} copied.`;
  } catch {
    // Browsers give pages the clipboard over HTTPS and from this machine alone.
    byId("copied").textContent = `The browser does not let this page copy: the ${what} is ${where}.`;
  }
}

function addCandidate() {
  form.addCandidate().focus();
  scoreSoon();
}

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  score({ always: true });
});
byId("retry").addEventListener("click", () => score({ always: true }));
byId("live").addEventListener("change", scoreSoon);
// `change`, because a key that is half typed is a wrong one.
byId("key").addEventListener("change", () => {
  takeKey();
  score({ always: true });
});
byId("form").addEventListener("input", (event) => {
  // The box to paste into holds no candidates yet, and the key has a listener of its own.
  if (event.target.closest("#several, #key")) return;
  form.showFieldsInUse();
  scoreSoon();
});
byId("form").addEventListener("click", (event) => {
  const item = event.target.closest(".remove")?.closest("li");
  if (!item) return;
  form.removeItem(item).focus();
  scoreOthersSoon();
});
byId("add-turn").addEventListener("click", () => {
  form.addTurn(form.nextRole()).focus();
  scoreSoon();
});
byId("add-system").addEventListener("click", () => {
  form.addTurn("system").focus();
  scoreSoon();
});
byId("add-candidate").addEventListener("click", addCandidate);
byId("clear-candidates").addEventListener("click", () => {
  form.clearCandidates();
  byId("add-candidate").focus();
  scoreOthersSoon();
});
byId("several-add").addEventListener("click", () => {
  const box = byId("several-texts");
  try {
    form.splitSeveral(box.value, byId("several-split").value).forEach((text) => form.addCandidate(text));
    byId("several-note").textContent = "";
    box.value = "";
    scoreSoon();
  } catch (error) {
    byId("several-note").textContent = error.message;
  }
});
byId("copy-link").addEventListener("click", async () => {
  history.replaceState(null, "", await toFragment(form.readState()));
  await copy(location.href, "link", "in the address bar");
});
for (const id of ["curl", "python"]) {
  byId(id).addEventListener("toggle", showSnippets);
  byId(id).querySelector(".copy").addEventListener("click", () => copy(byId(id).querySelector("pre").textContent, "code", "above"));
}
document.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  if (event.shiftKey) {
    addCandidate();
    return;
  }
  takeKey();
  score({ always: true });
});
addEventListener("hashchange", start);
// A reload finds the texts again; they stay in this tab.
addEventListener("pagehide", saveDraft);

start();
