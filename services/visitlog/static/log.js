// The pages as an application: readable offline, logs kept and sent, nothing left behind after sign-out.

import { ageOut, bringKey, draftsOf, dropDraft, dropWaiting, forget, unsentOf, waitingOf } from "./kept.js";
import { send, show } from "./outbox.js";
import { write } from "./writing.js";

const words = document.getElementById("words").dataset;
const person = document.body.dataset.person;

async function start() {
  // Without a way to lock it nothing is kept: the pages work as plain ones.
  if (!person || !("indexedDB" in window) || !("locks" in navigator) || !crypto.subtle) return;
  const worker = navigator.serviceWorker?.register("/service-worker.js").catch(() => undefined);
  watchSignOut();
  const form = document.getElementById("log-form");
  // What is typed before the draft is here would be lost to it.
  if (form) form.inert = true;
  const until = await bringKey(person).catch(() => undefined);
  if (!until) {
    if (form) form.inert = false;
    return;
  }
  setTimeout(() => location.reload(), Math.min(until - Date.now(), 2 ** 31 - 1));
  await ageOut(person, (days) => confirm(words.old.replace("%s", days)));
  await settle();

  if (form) await write(form);
  const bar = document.getElementById("outbox");
  if (bar) {
    await markDrafts();
    await show(bar, document.getElementById("outbox-said"));
    // Only a visitor goes where there is no connection; of the office nothing is kept on a phone.
    if (document.body.dataset.page === "visits" && (await worker)) await keepForTheRoad();
  }
}

// A log that was written by a plain form, or added to another one: nothing of it waits any more.
async function settle() {
  const client = document.querySelector("[data-settled]")?.dataset.settled;
  if (!client) return;
  for (const entry of await waitingOf(person)) if (entry.client === client) await dropWaiting(client);
  for (const draft of await draftsOf(person)) if (draft.client === client) await dropDraft(draft.visit, person);
}

async function markDrafts() {
  for (const draft of await draftsOf(person)) {
    const card = document.querySelector(`[data-visit="${CSS.escape(draft.visit)}"]`);
    const badge = card?.querySelector(".on-phone");
    if (!badge) continue;
    badge.textContent = words.begun;
    badge.hidden = false;
    const link = card.querySelector(".write-log");
    if (link) link.textContent = words.goOn;
  }
}

// The pages of the visits on the list are fetched once more, for a cellar without a connection.
async function keepForTheRoad() {
  const registration = await navigator.serviceWorker.ready;
  const pages = new Set([...document.querySelectorAll('a[href^="/visits/"]')].map((link) => link.pathname));
  for (const page of [...pages]) if (!page.endsWith("/log")) pages.add(`${page}/log`);
  registration.active?.postMessage({ keep: ["/", ...pages] });
}

function watchSignOut() {
  const form = document.querySelector('form[action="/sign-out"]');
  form?.addEventListener("submit", async (event) => {
    event.preventDefault();
    let unsent = 0;
    try {
      await send();
      unsent = (await unsentOf(person)).mine;
    } catch {
      // What can't be read can't be kept either.
    }
    const question = unsent === 1 ? words.unsentOne : words.unsentMany.replace("%s", unsent);
    if (unsent && !confirm(question)) return;
    await forget(person).catch(() => undefined);
    form.submit();
  });
}

start();
