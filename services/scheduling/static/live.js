// What others change shows by itself, and never under somebody's eyes: the stream says which request changed, the
// page asks for that line as any page does, and the line being read or acted on keeps its place and its content.
const live = document.getElementById("live");
const queue = document.getElementById("queue");
const GATHER_MS = 200;
const MOST_AT_ONCE = 25;

const changed = new Map();
const fresh = new Set();
let waiting = null;

const lineOf = (id) => document.getElementById(`row-${id}`);
const isRead = (line) => line.matches(":hover, :focus-within");

function told(event) {
  const said = JSON.parse(event.detail.data);
  const known = Number(lineOf(said.id)?.dataset.version ?? 0);
  if (known >= said.version) return;
  changed.set(said.id, said.version);
  waiting ??= setTimeout(gather, GATHER_MS);
}

async function gather() {
  waiting = null;
  const ids = [...changed.keys()];
  const asked = ids.map((id) => `${id}.${changed.get(id)}`).join(",");
  changed.clear();
  if (ids.length > MOST_AT_ONCE) {
    await compare();
    return;
  }
  const address = live.dataset.rows;
  const answer = await fetch(`${address}${address.includes("?") ? "&" : "?"}ids=${asked}`);
  if (answer.ok) show(await answer.text(), ids);
}

// Too much happened, or the stream was away: this page again, compared with what is shown.
async function compare() {
  const answer = await fetch(location.href);
  if (answer.ok) show(await answer.text(), [...queue.querySelectorAll(".line")].map((line) => line.dataset.id));
}

function show(html, asked) {
  const page = new DOMParser().parseFromString(html, "text/html");
  const found = new Map([...page.querySelectorAll(".line")].map((line) => [line.dataset.id, line]));
  const anchor = [...queue.children].find(isRead) ?? [...queue.children].find((line) => line.getBoundingClientRect().top >= 0);
  const before = anchor?.getBoundingClientRect().top;
  for (const id of asked) {
    const shown = lineOf(id);
    if (shown && found.has(id)) renew(shown, found.get(id));
    else if (shown) mark(shown, live.dataset.gone, null);
  }
  for (const [id, line] of found) {
    if (!lineOf(id) && belongsHere(line)) fresh.add(id);
  }
  announce();
  if (anchor?.isConnected) window.scrollBy(0, anchor.getBoundingClientRect().top - before);
}

function renew(shown, line) {
  if (Number(shown.dataset.version) >= Number(line.dataset.version)) return;
  if (isRead(shown)) {
    mark(shown, live.dataset.changed, line);
  } else {
    shown.replaceWith(line);
    htmx.process(line);
  }
}

// Laid over the line's end: nothing moves.
function mark(shown, words, line) {
  shown.querySelector(".line-changed")?.remove();
  const button = document.createElement(line ? "button" : "span");
  button.className = line ? "small line-changed" : "badge line-changed";
  button.textContent = words;
  shown.classList.toggle("gone", !line);
  if (line) {
    button.type = "button";
    button.addEventListener("click", () => {
      shown.replaceWith(line);
      line.querySelector("a")?.focus();
    });
  }
  shown.append(button);
}

// A line that sorts after the last one of a full page is on a later page, not new.
function belongsHere(line) {
  if (live.dataset.firstPage !== "yes") return false;
  const last = queue.lastElementChild;
  if (!document.querySelector("[rel=next]") || !last) return true;
  return order(line) <= order(last);
}

function order(line) {
  return line.dataset.order;
}

function announce() {
  const button = document.getElementById("fresh");
  if (!fresh.size) return;
  button.textContent = fresh.size === 1 ? live.dataset.saidOne : live.dataset.saidMany.replace("#", fresh.size);
  button.hidden = false;
}

if (live && queue) {
  live.addEventListener("changed", told);
  live.addEventListener("missed", compare);
  document.getElementById("fresh").addEventListener("click", () => location.reload());
}

// One request: say that somebody changed it, leave what is being typed alone.
const watched = document.getElementById("watched");
for (const stream of [live, watched]) {
  stream?.addEventListener("ready", () => (stream.dataset.ready = "yes"));
}
watched?.addEventListener("missed", async () => {
  const answer = await fetch(`/requests/${watched.dataset.id}/version`);
  if (answer.ok && Number(await answer.text()) > Number(watched.dataset.version)) {
    document.getElementById("changed-meanwhile").hidden = false;
  }
});
watched?.addEventListener("changed", (event) => {
  const said = JSON.parse(event.detail.data);
  if (said.id === watched.dataset.id && said.version > Number(watched.dataset.version)) {
    document.getElementById("changed-meanwhile").hidden = false;
  }
});
