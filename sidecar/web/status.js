// Keeps the page current: the server makes it anew, and each part that differs is put in place. Nothing is made here.
"use strict";

const AGES = 5000; // milliseconds: what only time changes
const SETTLED = 1000; // after a change: by then the outputs have it
const PAUSE = 300; // at least so long between two fetches, however fast the list changes

let fetching = false;
let wanted = false;

async function refresh() {
  wanted = true;
  if (fetching || document.hidden) return;
  fetching = true;
  while (wanted && !document.hidden) {
    wanted = false;
    try {
      const answer = await fetch("/", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      put(new DOMParser().parseFromString(await answer.text(), "text/html"));
      tell("", "");
    } catch (error) {
      tell(" · not live: the sidecar does not answer", "lost");
    }
    await new Promise((done) => setTimeout(done, PAUSE));
  }
  fetching = false;
}

function put(page) {
  document.title = page.title;
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = page.getElementById(part.id);
    if (!next || (next.innerHTML === part.innerHTML && next.className === part.className)) continue;
    part.className = next.className;
    part.replaceChildren(...next.childNodes);
  }
}

function tell(text, state) {
  const live = document.getElementById("live");
  live.textContent = text || " · live";
  live.className = state;
}

new EventSource("/members/stream").onmessage = () => {
  refresh();
  setTimeout(refresh, SETTLED);
};
setInterval(refresh, AGES);
document.addEventListener("visibilitychange", refresh);
