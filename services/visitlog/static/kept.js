// What is kept on this phone: drafts, one a person and visit, and logs that wait to be sent, one a client id.
// Each belongs to the person who wrote it and is locked with that person's key: another one on the same phone neither
// reads, sends nor overwrites it, and nothing unsent is deleted without a question to whoever wrote it.

import { dropKey, keepKey, keyHere, seal, unseal } from "./sealing.js";

const DATABASE = "leap-visit-log";
const MS_OF_A_DAY = 24 * 3600 * 1000;
const DAYS_OF_A_DRAFT = 14;
const SECONDS_TO_ANSWER = 10;
let opened = null;
let held = null;
let leaving = false;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 2);
    request.onupgradeneeded = ({ oldVersion }) => {
      const database = request.result;
      const begun = database.createObjectStore("begun", { keyPath: ["person", "visit"] });
      if (oldVersion < 1) database.createObjectStore("outbox", { keyPath: "client" });
      if (oldVersion !== 1) return;
      // Before, one draft a visit, whoever wrote it.
      request.transaction.objectStore("drafts").openCursor().onsuccess = ({ target }) => {
        if (target.result) { begun.put({ at: Date.now(), ...target.result.value }); target.result.continue(); }
        else database.deleteObjectStore("drafts");
      };
    };
    request.onsuccess = () => {
      // Another window that signs out deletes the database: let it.
      request.result.onversionchange = () => { request.result.close(); opened = null; };
      resolve(request.result);
    };
    request.onerror = () => { opened = null; reject(request.error); };
  });
  return opened;
}

// Bring the person's key: the one of this session, asked for again behind the page, or else the server's. Says until when.
export async function bringKey(person) {
  held = (await keyHere()) ?? null;
  if (held && held.person !== person) {
    // Somebody else has signed in on this phone: what the former one kept stays, locked.
    await forgetPages();
    await dropKey();
    held = null;
  }
  const asked = askForKey(person);
  // A connection that hangs must not keep a page from its words.
  if (!held) await asked;
  if (held) await lockUp(person);
  return held?.until;
}

async function askForKey(person) {
  try {
    const answer = await fetch("/phone-key", {
      headers: { Accept: "application/json" },
      redirect: "error",
      signal: AbortSignal.timeout(SECONDS_TO_ANSWER * 1000),
    });
    if (answer.ok) {
      const { person: signedIn, key, seconds } = await answer.json();
      if (signedIn !== person) return await dropKey(); // in another window somebody else signed in
      const bytes = Uint8Array.from(atob(key), (letter) => letter.charCodeAt(0));
      const imported = await crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
      if (leaving) return; // signed out meanwhile
      held = { person, key: imported, until: held?.until ?? Date.now() + seconds * 1000 };
      await keepKey(held);
    } else if (answer.status === 401 || answer.status === 403) {
      // Where the session ended under an open form, its words are still kept for their writer: locked as before.
      await dropKey();
    }
  } catch {
    // No connection: the key of this session will do.
  }
}

// What it belongs to stands beside it: nothing of a family is in a visit's id, a log's id and a visitor's name.
async function locked({ visit, client, person, at, ...words }) {
  if (held?.person !== person) throw new Error("no key");
  const plain = new TextEncoder().encode(JSON.stringify(words));
  return { visit, client, person, at: at ?? Date.now(), ...(await seal(held.key, plain, [person, visit, client].join())) };
}

async function unlocked(kept) {
  if (kept.fields) return kept;
  const { visit, client, person, at } = kept;
  try {
    const plain = await unseal(held.key, kept, [person, visit, client].join());
    return { visit, client, person, at, ...JSON.parse(new TextDecoder().decode(plain)) };
  } catch {
    return undefined; // another key's: it stays where it is
  }
}

// What an earlier form of these pages kept in the clear.
async function lockUp(person) {
  for (const store of ["begun", "outbox"]) {
    for (const kept of await read(store, (all) => all.getAll())) {
      if (kept.person !== person || !kept.fields) continue;
      const closed = await locked(kept);
      await change([store], (all) => all.put(closed));
    }
  }
}

async function allOf(store, person) {
  const mine = (await read(store, (all) => all.getAll())).filter((kept) => kept.person === person);
  return (await Promise.all(mine.map(unlocked))).filter(Boolean);
}

// One transaction: all of `work` is kept, or nothing of it.
async function change(stores, work) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(stores, "readwrite", { durability: "strict" });
    transaction.oncomplete = () => resolve();
    transaction.onerror = transaction.onabort = () => reject(transaction.error);
    work(...stores.map((name) => transaction.objectStore(name)));
  });
}

async function read(store, pick) {
  const database = await open();
  return new Promise((resolve, reject) => {
    const request = pick(database.transaction(store).objectStore(store));
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export async function draftOf(visit, person) {
  const kept = await read("begun", (begun) => begun.get([person, visit]));
  return kept && unlocked(kept);
}

export const draftsOf = (person) => allOf("begun", person);

export async function waitingOf(person) {
  const waiting = await allOf("outbox", person);
  return waiting.sort((one, other) => (one.client < other.client ? -1 : 1));
}

// How much is not sent, also what can't be read just now: of the person, and of others on this phone.
export async function unsentOf(person) {
  const kept = (await Promise.all(["begun", "outbox"].map((store) => read(store, (all) => all.getAll())))).flat();
  const mine = kept.filter((each) => each.person === person).length;
  return { mine, others: kept.length - mine };
}

export async function keepDraft(draft) {
  const closed = await locked(draft);
  await change(["begun"], (begun) => begun.put(closed));
}

export async function keepWaiting(entry) {
  const closed = await locked(entry);
  await change(["outbox"], (outbox) => outbox.put(closed));
}

export const dropDraft = (visit, person) => change(["begun"], (begun) => begun.delete([person, visit]));
export const dropWaiting = (client) => change(["outbox"], (outbox) => outbox.delete(client));

// A finished log leaves the drafts as it enters the outbox: it is never in both and never in neither.
export async function finish(entry) {
  const closed = await locked(entry);
  await change(["begun", "outbox"], (begun, outbox) => { begun.delete([entry.person, entry.visit]); outbox.put(closed); });
}

// A refused log goes back to its form with everything that was written.
export async function takeBack(entry, refused) {
  const { visit, client, person, fields } = entry;
  const closed = await locked({ visit, client, person, fields, refused });
  await change(["begun", "outbox"], (begun, outbox) => { outbox.delete(client); begun.put(closed); });
}

// A draft that nobody went on with ages out: its writer is asked, and asked again after as many days. What somebody
// else left here stays, locked, until they are back to be asked: it may be all that is known of a visit.
export async function ageOut(person, ask) {
  for (const kept of await read("begun", (begun) => begun.getAll())) {
    const days = Math.floor((Date.now() - kept.at) / MS_OF_A_DAY);
    if (kept.person !== person || days < DAYS_OF_A_DRAFT) continue;
    if (ask(days)) await dropDraft(kept.visit, person);
    else await change(["begun"], (begun) => begun.put({ ...kept, at: Date.now() }));
  }
}

export async function forgetPages() {
  for (const name of await caches.keys()) if (name.startsWith("leap-pages")) await caches.delete(name);
}

// After sign-out nothing of a family can be read on the phone, and of the person nothing is left. What another one has
// not sent stays for them, locked; where there is none, all of it goes.
export async function forget(person) {
  leaving = true;
  held = null;
  await dropKey();
  await forgetPages();
  if ((await unsentOf(person)).others) {
    for (const store of ["begun", "outbox"]) {
      for (const kept of await read(store, (all) => all.getAll())) {
        if (kept.person !== person) continue;
        await change([store], (all) => all.delete(store === "begun" ? [kept.person, kept.visit] : kept.client));
      }
    }
    return;
  }
  if (opened) (await opened).close();
  opened = null;
  await new Promise((resolve) => {
    const request = indexedDB.deleteDatabase(DATABASE);
    request.onsuccess = request.onerror = request.onblocked = () => resolve();
  });
  for (const registration of await navigator.serviceWorker?.getRegistrations() ?? []) await registration.unregister();
}

// RFC 9562, version 7: ids sort by the time at which a log was begun.
export function uuid7() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let milliseconds = Date.now();
  for (let place = 5; place >= 0; place -= 1) {
    bytes[place] = milliseconds % 256;
    milliseconds = Math.floor(milliseconds / 256);
  }
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [8, 12, 16, 20].reduceRight((text, at) => `${text.slice(0, at)}-${text.slice(at)}`, hex);
}
