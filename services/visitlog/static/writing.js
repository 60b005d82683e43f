// The form: every change is kept on the phone at once, under the id that the log will have for ever.

import { draftOf, finish, keepDraft, uuid7, waitingOf } from "./kept.js";

const words = document.getElementById("words").dataset;
const person = document.body.dataset.person;

export async function write(form) {
  const visit = form.dataset.visit;
  const problem = document.querySelector(".notice.bad[role=alert]:not([hidden])");
  form.inert = true;
  if ((await waitingOf(person)).some((entry) => entry.visit === visit && !entry.refused)) {
    // Written already, and on its way: a second log of it would only be refused.
    location.replace("/");
    return;
  }
  // Two windows with one form would overwrite each other's words: the second waits until the first is closed.
  const elsewhere = document.getElementById("elsewhere");
  const held = await holdOrWait(`leap-draft-${visit}`, () => {
    elsewhere.textContent = words.elsewhere;
    elsewhere.hidden = false;
  });
  elsewhere.hidden = true;
  const draft = await draftOf(visit, person);
  // What the server gives back to be corrected is newer than the draft it came from.
  if (draft && !problem) fill(form, draft.fields);
  if (draft?.refused && !problem) {
    const refused = document.getElementById("refused");
    refused.textContent = draft.refused;
    refused.hidden = false;
  }
  const client = draft?.client ?? uuid7();
  form.inert = false;
  const allKept = keepAsWritten(form, visit, client);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.dataset.leaving) return;
    form.dataset.leaving = "yes";
    const fields = [...new FormData(form)].concat([["written_at", new Date().toISOString()]]);
    try {
      // A draft that is still being locked would come after its log, and be asked about for ever.
      await allKept();
      await finish({ visit, client, person, fields });
    } catch {
      // A browser that keeps nothing still sends plain forms.
      form.submit();
      return;
    }
    held();
    location.assign("/");
  });
  checkTimes(form);
}

function holdOrWait(name, onWaiting) {
  return new Promise((granted) => {
    const hold = () => new Promise((release) => granted(release));
    navigator.locks.request(name, { ifAvailable: true }, (lock) => {
      if (lock) return hold();
      onWaiting();
      navigator.locks.request(name, hold);
      return undefined;
    });
  });
}

// Each stroke is kept at once: to lock it takes a moment that a page which is being left no longer has. What is typed
// meanwhile is kept with the next turn. Gives what waits for the last one.
function keepAsWritten(form, visit, client) {
  const status = document.getElementById("kept");
  const clock = new Intl.DateTimeFormat(document.documentElement.lang, { timeStyle: "short" });
  let again = false;
  let working = null;
  const turns = async () => {
    while (again && !form.dataset.leaving) {
      again = false;
      try {
        await keepDraft({ visit, client, person, fields: [...new FormData(form)] });
        status.textContent = words.kept.replace("%s", clock.format(new Date()));
      } catch {
        status.textContent = words.notKept;
      }
    }
    working = null;
    delete form.dataset.unkept;
  };
  const keep = () => {
    again = true;
    form.dataset.unkept = "yes";
    working ??= turns();
  };
  form.addEventListener("input", keep);
  form.addEventListener("change", keep);
  return () => working;
}

function fill(form, fields) {
  const values = new Map();
  for (const [name, value] of fields) values.set(name, [...(values.get(name) ?? []), value]);
  for (const field of form.elements) {
    if (!field.name) continue;
    const given = values.get(field.name) ?? [];
    if (field.type === "checkbox" || field.type === "radio") field.checked = given.includes(field.value);
    else if (given.length) field.value = given.shift();
  }
  for (const details of form.querySelectorAll("details")) {
    const filled = [...details.querySelectorAll("input, textarea")].some((field) =>
      field.type === "checkbox" || field.type === "radio" ? field.checked : field.value && !field.defaultValue);
    if (filled) details.open = true;
  }
}

function checkTimes(form) {
  const { start, end } = form.elements;
  const check = () => {
    const tookPlace = form.elements.outcome.value === "took_place";
    end.required = tookPlace;
    end.setCustomValidity(end.value && start.value && end.value <= start.value ? words.endAfterStart : "");
  };
  form.addEventListener("input", check);
  check();
}
