// What every page has: times in the reader's zone, and a sign of life while somebody reads.

const language = document.documentElement.lang;

export function showTimes(within) {
  const format = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  for (const one of within.querySelectorAll("time[datetime]")) {
    const at = new Date(one.dateTime);
    if (!Number.isNaN(at.getTime())) one.textContent = format.format(at);
  }
}

export function say(words, bad = false) {
  const place = document.getElementById("said");
  place.textContent = words;
  place.classList.toggle("bad", bad);
  place.classList.add("shown");
  clearTimeout(say.timer);
  say.timer = setTimeout(() => place.classList.remove("shown"), bad ? 8000 : 3000);
}

export async function send(url, body) {
  const answer = await fetch(url, { method: "POST", body, headers: { "X-Partial": "1" } });
  if (answer.ok) return answer;
  const told = await answer.json().catch(() => ({ detail: `${answer.status}` }));
  if (told.log_in && !body.get("reason")) location.reload(); // what was written stays
  throw new Error(told.detail);
}

const ALIVE_MS = 60_000;
let last = Date.now();

export function live() {
  const url = document.body.dataset.alive;
  if (!url || Date.now() - last < ALIVE_MS) return;
  last = Date.now();
  fetch(url, { method: "POST", headers: { "X-Partial": "1" } }).catch(() => {});
}

for (const kind of ["pointerdown", "keydown", "wheel"]) {
  addEventListener(kind, live, { passive: true });
}
showTimes(document);
