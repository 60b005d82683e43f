// Sends what waits, one log after another, whenever there is a connection. A log keeps its id for ever,
// so that one that arrived without our hearing of it is answered "known" and never written twice.

import { dropWaiting, keepWaiting, takeBack, waitingOf } from "./kept.js";

const SECONDS_TO_ANSWER = 20;
const SECONDS_BETWEEN = 20;
const GONE = [401, 403];

const words = document.getElementById("words").dataset;
const person = document.body.dataset.person;
const said = (text, value) => text.replace("%s", value);
const counted = (one, many, count) => (count === 1 ? one : said(many, count));

// `sent` logs are on the server; `signedOut` and `offline` say why others still wait.
export async function send() {
  const result = { sent: 0, offline: false, signedOut: false };
  // One window sends at a time; the others would only repeat it.
  await navigator.locks.request("leap-outbox", async () => {
    for (const entry of await waitingOf(person)) {
      if (entry.refused) continue;
      const answer = await put(entry);
      if (answer === null) { result.offline = true; return; }
      if (answer.ok) {
        await dropWaiting(entry.client);
        result.sent += 1;
      } else if (GONE.includes(answer.status)) {
        result.signedOut = true;
        return;
      } else if (answer.status >= 500 || answer.status === 429) {
        result.offline = true;
        return;
      } else {
        // An answer that repeating won't change: the person must look at it.
        await keepWaiting({ ...entry, refused: await reason(answer), status: answer.status });
      }
    }
  });
  return result;
}

async function put(entry) {
  try {
    return await fetch(`/visits/${entry.visit}/logs/${entry.client}`, {
      method: "PUT",
      body: new URLSearchParams(entry.fields),
      headers: { Accept: "application/problem+json" },
      redirect: "error",
      signal: AbortSignal.timeout(SECONDS_TO_ANSWER * 1000),
    });
  } catch {
    return null;
  }
}

async function reason(answer) {
  try {
    const problem = await answer.json();
    return problem.detail || Object.values(problem.fields ?? {}).join(" ") || problem.title;
  } catch {
    return String(answer.status);
  }
}

// The box on the list of visits: what waits, a button to send it now, and what was refused.
export async function show(bar, status) {
  let trying = false;

  async function draw(note) {
    const waiting = await waitingOf(person);
    const ready = waiting.filter((entry) => !entry.refused);
    bar.replaceChildren();
    if (ready.length) {
      const button = document.createElement("button");
      button.className = "primary wide";
      button.id = "send-now";
      button.textContent = counted(words.sendOne, words.sendMany, ready.length);
      button.addEventListener("click", () => attempt());
      bar.append(button);
      if (note) bar.append(paragraph(note));
    }
    for (const entry of waiting.filter((each) => each.refused)) bar.append(refusal(entry, draw));
    bar.hidden = !bar.childElementCount;
    markVisits(waiting);
  }

  async function attempt() {
    if (trying) return;
    trying = true;
    try {
      if (!(await waitingOf(person)).some((entry) => !entry.refused)) return await draw();
      status.textContent = words.sending;
      const { sent, offline, signedOut } = await send();
      status.textContent = "";
      await draw(signedOut ? words.signedOut : offline ? words.offline : "");
      if (sent) {
        // The list behind the box is older than what was sent just now.
        sessionStorage.setItem("leap-sent", String(sent));
        location.reload();
      }
    } finally {
      trying = false;
    }
  }

  const sent = Number(sessionStorage.getItem("leap-sent"));
  sessionStorage.removeItem("leap-sent");
  await draw();
  addEventListener("online", attempt);
  document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && attempt());
  setInterval(() => document.visibilityState === "visible" && attempt(), SECONDS_BETWEEN * 1000);
  await attempt();
  if (sent) status.textContent = counted(words.sentOne, words.sentMany, sent);
}

function paragraph(text) {
  const element = document.createElement("p");
  element.className = "hint";
  element.textContent = text;
  return element;
}

function refusal(entry, draw) {
  const box = document.createElement("div");
  box.className = "refusal";
  box.append(paragraph(said(words.refused, entry.refused)));
  const row = document.createElement("div");
  row.className = "actions";
  if (entry.status === 409) row.append(action(words.compare, () => compare(entry)));
  else row.append(action(words.correct, async () => {
    await takeBack(entry, entry.refused);
    location.assign(`/visits/${entry.visit}/log`);
  }));
  row.append(action(words.discard, async () => {
    if (!confirm(words.discardSure)) return;
    await dropWaiting(entry.client);
    await draw();
  }));
  box.append(row);
  return box;
}

function action(text, run) {
  const button = document.createElement("button");
  button.textContent = text;
  button.addEventListener("click", run);
  return button;
}

// The server's own page shows both logs side by side: sent once more as a plain form.
function compare(entry) {
  const form = document.createElement("form");
  form.method = "post";
  form.action = `/visits/${entry.visit}/logs/${entry.client}`;
  for (const [name, value] of entry.fields) {
    const field = document.createElement("input");
    field.type = "hidden";
    field.name = name;
    field.value = value;
    form.append(field);
  }
  document.body.append(form);
  form.submit();
}

function markVisits(waiting) {
  for (const card of document.querySelectorAll("[data-visit]")) {
    const badge = card.querySelector(".on-phone");
    if (!badge || !waiting.some((entry) => entry.visit === card.dataset.visit)) continue;
    badge.textContent = words.waiting;
    badge.hidden = false;
    card.querySelector(".write-log")?.remove();
  }
}
