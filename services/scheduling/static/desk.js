// The keys of the desk. Each key is written on what it does (data-key), so this file knows none of them by name.
// Single keys can be switched off on the page of keys; then only Tab, Enter and the arrows work, as everywhere.
import "./live.js";

const on = document.body.dataset.shortcuts === "on";
let armed = null;

function typing(target) {
  if (target.isContentEditable || target.matches("textarea, select")) return true;
  return target.matches("input") && !target.matches("[type=radio], [type=checkbox], [type=submit], [type=button]");
}

function use(element) {
  if (element.matches("input:not([type=radio]):not([type=checkbox]), select, textarea")) {
    element.focus();
    element.scrollIntoView({ block: "nearest" });
  } else if (element.matches("details")) {
    element.open = true;
    (element.querySelector("input:not([type=hidden]), select, button") ?? element).focus();
  } else {
    element.click();
  }
}

// First the way, then the answer: two keys record a contact.
function arm(way) {
  way.checked = true;
  way.focus();
  armed = way.closest("form");
  armed.classList.add("armed");
}

function disarm() {
  armed?.classList.remove("armed");
  armed = null;
}

function step(direction) {
  const links = [...document.querySelectorAll(".line-why")];
  const now = links.findIndex((link) => link.closest(".line").contains(document.activeElement));
  const next = links[now < 0 ? 0 : Math.min(Math.max(now + direction, 0), links.length - 1)];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

function pressed(event) {
  if (event.key === "Escape") {
    disarm();
    if (typing(event.target)) event.target.blur();
    return;
  }
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const key = CSS.escape(event.key);
  const found =
    armed?.querySelector(`[data-answer-key="${key}"]`) ??
    document.querySelector(`[data-way-key="${key}"]`) ??
    document.activeElement?.closest(".line")?.querySelector(`[data-row-key="${key}"]`) ??
    document.querySelector(`[data-key="${key}"]`);
  if (found) {
    event.preventDefault();
    if (found.dataset.wayKey) arm(found);
    else use(found);
  } else if (event.key === "j" || event.key === "k") {
    event.preventDefault();
    step(event.key === "j" ? 1 : -1);
  }
}

if (on) document.addEventListener("keydown", pressed);

// A page that came back with something to correct begins there.
document.getElementById("problem")?.focus();
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => window.print());
}
