// Keeps the shell, and the pages of one's own visits, readable without a connection: the pages locked with the key of
// whoever is signed in. SHELL and VERSION stand above, and what locks (sealing.js).

const SHELL_CACHE = `leap-shell-${VERSION}`;
const PAGES_CACHE = "leap-pages";
const MS_TO_ANSWER = 5000;
const MS_TO_KEEP = 12 * 3600 * 1000; // as long as a session: a lost phone forgets by itself

self.addEventListener("install", (event) => {
  event.waitUntil((async () => {
    const cache = await caches.open(SHELL_CACHE);
    await cache.addAll(SHELL.map((address) => new Request(address, { cache: "reload" })));
    await self.skipWaiting();
  })());
});

self.addEventListener("activate", (event) => {
  event.waitUntil((async () => {
    for (const name of await caches.keys()) if (name.startsWith("leap-shell-") && name !== SHELL_CACHE) await caches.delete(name);
    await dropUnlocked();
    await self.clients.claim();
  })());
});

self.addEventListener("message", (event) => {
  if (event.data?.keep) event.waitUntil(keep(event.data.keep));
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (origin !== location.origin) return;
  if (request.method === "POST" && pathname === "/sign-out") event.waitUntil(forget());
  if (request.method !== "GET") return;
  if (pathname.startsWith("/static/")) event.respondWith(shellFirst(request));
  else if (request.mode === "navigate" && !pathname.startsWith("/v1/")) event.respondWith(networkFirst(event));
});

const isOwnPage = (pathname) => pathname === "/" || /^\/visits\/[0-9a-f-]{36}(\/log)?$/.test(pathname);

async function shellFirst(request) {
  const cache = await caches.open(SHELL_CACHE);
  const exact = await cache.match(request);
  if (exact) return exact;
  try {
    return await fetch(request);
  } catch {
    // A module asks for its neighbour without a version.
    return (await cache.match(request, { ignoreSearch: true })) ?? Response.error();
  }
}

async function networkFirst(event) {
  const { request } = event;
  const { pathname } = new URL(request.url);
  const kept = isOwnPage(pathname) ? await keptPage(pathname) : undefined;
  // A connection that hangs is none: what is on the phone comes first then.
  const patience = kept ? AbortSignal.timeout(MS_TO_ANSWER) : undefined;
  try {
    const answer = await fetch(request, patience ? { signal: patience } : {});
    event.waitUntil(remember(pathname, answer.clone()));
    return answer;
  } catch {
    return kept ?? (await caches.match("/offline")) ?? Response.error();
  }
}

async function keptPage(pathname) {
  const page = await (await caches.open(PAGES_CACHE)).match(pathname);
  if (!page) return undefined;
  const held = await keyHere();
  const { person, iv, headers } = JSON.parse(page.headers.get("x-leap-locked") ?? "{}");
  if (!held || held.person !== person || Date.now() - Date.parse(page.headers.get("date") ?? "") >= MS_TO_KEEP) {
    await caches.delete(PAGES_CACHE);
    return undefined;
  }
  try {
    const plain = await unseal(held.key, { iv: Uint8Array.from(iv), sealed: await page.arrayBuffer() }, person + pathname);
    return new Response(plain, { headers });
  } catch {
    return undefined;
  }
}

// Pages that an earlier form of this worker kept in the clear.
async function dropUnlocked() {
  const pages = await caches.open(PAGES_CACHE);
  for (const request of await pages.keys()) {
    const page = await pages.match(request);
    if (page && !page.headers.has("x-leap-locked")) await pages.delete(request);
  }
}

async function remember(pathname, answer) {
  // A navigation's redirect is followed by the browser; fetched pages show where they ended.
  if (answer.type === "opaqueredirect") return;
  if (new URL(answer.url || location.href).pathname === "/sign-in") return void (await forget());
  if (!answer.ok || answer.redirected || !isOwnPage(pathname)) return;
  const held = await keyHere();
  if (!held) return;
  const { person, key } = held;
  const page = await answer.arrayBuffer();
  // Of somebody who signed in meanwhile: not this one's to keep.
  if (!new TextDecoder().decode(page).includes(`data-person="${person}"`)) return;
  const { iv, sealed } = await seal(key, page, person + pathname);
  // The body is no longer compressed, whatever the answer said on its way.
  const headers = [...answer.headers].filter(([name]) => !["content-encoding", "content-length"].includes(name));
  const locked = JSON.stringify({ person, iv: [...iv], headers });
  const date = answer.headers.get("date") ?? new Date().toUTCString();
  await (await caches.open(PAGES_CACHE)).put(pathname, new Response(sealed, { headers: { date, "x-leap-locked": locked } }));
}

async function keep(pathnames) {
  for (const pathname of pathnames.filter(isOwnPage)) {
    try {
      await remember(pathname, await fetch(pathname, { headers: { Accept: "text/html" } }));
    } catch {
      return;
    }
  }
}

// The session is over, or somebody signs in: what is locked stays so until its person is back.
async function forget() {
  await dropKey();
  await caches.delete(PAGES_CACHE);
}
