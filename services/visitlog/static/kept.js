// What is kept on this phone: drafts, one a visit, and logs that wait to be sent, one a client id.
// Each is marked with the person who wrote it: another person on the same phone neither sees nor sends it.

const DATABASE = "leap-visit-log";
const DRAFT_DAYS = 14;
let opened = null;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore("drafts", { keyPath: "visit" });
      request.result.createObjectStore("outbox", { keyPath: "client" });
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
  const draft = await read("drafts", (drafts) => drafts.get(visit));
  return draft?.person === person ? draft : undefined;
}

export async function draftsOf(person) {
  return (await read("drafts", (drafts) => drafts.getAll())).filter((draft) => draft.person === person);
}

export async function waitingOf(person) {
  const waiting = (await read("outbox", (outbox) => outbox.getAll())).filter((each) => each.person === person);
  return waiting.sort((one, other) => (one.client < other.client ? -1 : 1));
}

export const keepDraft = (draft) => change(["drafts"], (drafts) => drafts.put({ ...draft, kept: Date.now() }));
export const dropDraft = (visit) => change(["drafts"], (drafts) => drafts.delete(visit));
export const keepWaiting = (entry) => change(["outbox"], (outbox) => outbox.put(entry));
export const dropWaiting = (client) => change(["outbox"], (outbox) => outbox.delete(client));

// A draft that nobody went on with for two weeks is no log any more: a family's words are not left lying on a phone.
export const dropOldDrafts = () =>
  change(["drafts"], (drafts) => {
    drafts.openCursor().onsuccess = ({ target: { result: cursor } }) => {
      if (!cursor) return;
      const { kept } = cursor.value;
      if (kept === undefined) cursor.update({ ...cursor.value, kept: Date.now() });
      else if (Date.now() - kept > DRAFT_DAYS * 86_400_000) cursor.delete();
      cursor.continue();
    };
  });

// A finished log leaves the drafts as it enters the outbox: it is never in both and never in neither.
export const finish = (entry) =>
  change(["drafts", "outbox"], (drafts, outbox) => { drafts.delete(entry.visit); outbox.put(entry); });

// A refused log goes back to its form with everything that was written.
export const takeBack = (entry, refused) =>
  change(["drafts", "outbox"], (drafts, outbox) => {
    outbox.delete(entry.client);
    const { visit, client, person, fields } = entry;
    drafts.put({ visit, client, person, fields, refused, kept: Date.now() });
  });

// Nothing of a family stays on a phone after sign-out.
export async function forgetEverything() {
  if (opened) (await opened).close();
  opened = null;
  await new Promise((resolve) => {
    const request = indexedDB.deleteDatabase(DATABASE);
    request.onsuccess = request.onerror = request.onblocked = () => resolve();
  });
  for (const name of await caches.keys()) if (name.startsWith("leap-pages")) await caches.delete(name);
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
