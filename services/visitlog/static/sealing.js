// What lies on this phone is locked: AES-GCM with the key of whoever is signed in. The page and its worker share this.
// The key comes from the server with a session, can't be read out of the browser, and goes with the session's hours;
// what it locked stays as it is until the same person signs in again.

const KEY_DATABASE = "leap-phone-key";
const encoded = (text) => new TextEncoder().encode(text);

function withKeys(mode, work) {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(KEY_DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore("keys");
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const database = request.result;
      const transaction = database.transaction("keys", mode);
      const asked = work(transaction.objectStore("keys"));
      transaction.oncomplete = () => { database.close(); resolve(asked.result); };
      transaction.onerror = transaction.onabort = () => { database.close(); reject(transaction.error); };
    };
  });
}

// The key of whoever is signed in, with `person` and the moment `until` which it is kept; undefined: there is none.
export async function keyHere() {
  const held = await withKeys("readonly", (keys) => keys.get("current"));
  if (held && held.until > Date.now()) return held;
  if (held) await dropKey();
  return undefined;
}

export const keepKey = (held) => withKeys("readwrite", (keys) => keys.put(held, "current"));

export const dropKey = () => new Promise((resolve) => {
  const request = indexedDB.deleteDatabase(KEY_DATABASE);
  request.onsuccess = request.onerror = request.onblocked = () => resolve();
});

// `of` says what it belongs to: moved to another place, it can't be opened.
export async function seal(key, plain, of) {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  return { iv, sealed: await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData: encoded(of) }, key, plain) };
}

export const unseal = (key, { iv, sealed }, of) =>
  crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData: encoded(of) }, key, sealed);
