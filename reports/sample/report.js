"use strict";
// Theme: the system's choice until the reader picks one. Storage may be closed to file:// pages.
const root = document.documentElement;
function stored(key) { try { return localStorage.getItem(key); } catch { return null; } }
function store(key, value) { try { localStorage.setItem(key, value); } catch { /* stays for this page only */ } }
function setTheme(name) { root.dataset.theme = name; }
setTheme(stored("ipsectest-theme") || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));

document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("theme").addEventListener("click", () => {
    setTheme(root.dataset.theme === "dark" ? "light" : "dark");
    store("ipsectest-theme", root.dataset.theme);
  });
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.dataset.copy);
      button.textContent = "copied";
    });
  }
  if (document.getElementById("matrix")) startFilters();
  openMessage();
  addEventListener("hashchange", openMessage);
});

function openMessage() {
  if (!location.hash.startsWith("#message-")) return;
  const message = document.getElementById(location.hash.slice(1));
  if (message) message.open = true;
}

// Filters live in the hash (#verdict=fail,nonstrict&peer=...&q=...), so a view can be linked and survives "back".
function startFilters() {
  const verdicts = [...document.querySelectorAll("button[data-verdict]")];
  const search = document.getElementById("search");
  const peer = document.getElementById("peer");
  const changes = document.getElementById("changes");

  function write() {
    const state = new URLSearchParams();
    const on = verdicts.filter((b) => b.getAttribute("aria-pressed") === "true").map((b) => b.dataset.verdict);
    if (on.length < verdicts.length) state.set("verdict", on.join(","));
    if (peer.value) state.set("peer", peer.value);
    if (search.value.trim()) state.set("q", search.value.trim());
    if (changes.getAttribute("aria-pressed") === "true") state.set("changes", "1");
    history.replaceState(null, "", state.size ? "#" + state : location.pathname + location.search);
    apply();
  }

  function read() {
    const state = new URLSearchParams(location.hash.slice(1));
    const on = state.has("verdict") ? state.get("verdict").split(",") : null;
    for (const b of verdicts) b.setAttribute("aria-pressed", String(!on || on.includes(b.dataset.verdict)));
    peer.value = state.get("peer") || "";
    search.value = state.get("q") || "";
    changes.setAttribute("aria-pressed", String(state.has("changes")));
    apply();
  }

  function apply() {
    const on = new Set(verdicts.filter((b) => b.getAttribute("aria-pressed") === "true").map((b) => b.dataset.verdict));
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const changed = changes.getAttribute("aria-pressed") === "true";
    let shown = 0;
    for (const element of document.querySelectorAll("[data-case]")) {
      const d = element.dataset;
      const visible = on.has(d.verdictOf) && (!peer.value || d.peer === peer.value) && (!changed || d.changed === "1")
        && words.every((word) => d.case.includes(word));
      element.hidden = !visible;
      if (visible && element.classList.contains("chip")) shown += 1;
    }
    for (const row of document.querySelectorAll("#matrix tbody tr")) row.hidden = !row.querySelector(".chip:not([hidden])");
    for (const column of document.querySelectorAll("[data-column]")) {
      column.style.display = !peer.value || column.dataset.column === peer.value ? "" : "none";
    }
    document.getElementById("shown").textContent = shown;
    document.getElementById("none").hidden = shown > 0;
  }

  for (const button of [...verdicts, changes]) {
    button.addEventListener("click", (event) => {
      const pressed = (b) => b.getAttribute("aria-pressed") === "true";
      if (button !== changes && (event.detail === 2 || event.altKey)) for (const b of verdicts) b.setAttribute("aria-pressed", String(b === button));
      else button.setAttribute("aria-pressed", String(!pressed(button)));
      write();
    });
  }
  search.addEventListener("input", write);
  peer.addEventListener("change", write);
  addEventListener("hashchange", read);
  read();
}
