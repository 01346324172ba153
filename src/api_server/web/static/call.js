// One call: player, lanes, follow-along, keys, decisions.

import { Channels } from "./channels.js";
import { live, say, send, showTimes } from "./shell.js";
import { drawLane, readPeaks } from "./lanes.js";

const byId = (id) => document.getElementById(id);
const audio = byId("audio");
const transcript = byId("transcript");
const list = byId("sentences");
let sentences = [];
let starts = [];
const lanes = byId("lanes");
const seconds = Number(lanes.dataset.seconds) || 1;
// Findings beside the text; on a narrow screen they are above it, and it must not take them away.
const beside = matchMedia("(min-width: 60.01rem)");
const calm = matchMedia("(prefers-reduced-motion: reduce)");

// Sentences: a long call begins with the first few hundred --------------------------------------

function index() {
  sentences = [...list.children];
  starts = sentences.map((one) => Number(one.dataset.start));
}

async function fill() {
  index();
  if (!list.dataset.more) return;
  try {
    const answer = await fetch(list.dataset.more, { headers: { "X-Partial": "1" } });
    if (!answer.ok) throw new Error((await answer.json()).detail);
    const made = document.createElement("template");
    made.innerHTML = await answer.text();
    list.append(made.content);
    index();
    byId("rest").remove();
  } catch (error) {
    byId("rest").textContent = `${list.dataset.failed} (${error.message})`;
  }
  list.removeAttribute("aria-busy");
}

const whole = fill();

// Playing -----------------------------------------------------------------------------------

let until = null;

function playFrom(from, end = null) {
  if (!audio) return;
  until = end;
  audio.currentTime = from;
  audio.play().catch(() => say(audio.dataset.failed, true));
}

function toggle() {
  if (!audio) return;
  until = null;
  if (audio.paused) audio.play().catch(() => say(audio.dataset.failed, true));
  else audio.pause();
}

function skip(by) {
  if (!audio) return;
  until = null;
  audio.currentTime = Math.max(0, audio.currentTime + by);
}

// Following ---------------------------------------------------------------------------------

const followButton = byId("follow");
let following = true;
let playing = null;

function follow(on) {
  following = on;
  followButton?.setAttribute("aria-pressed", String(on));
  if (on && playing) show(playing);
}

function show(one) {
  const far = Math.abs(one.getBoundingClientRect().top) > 2 * innerHeight;
  one.scrollIntoView({ block: "center", behavior: far || calm.matches ? "auto" : "smooth" });
}

function sentenceAt(time) {
  let low = 0;
  let high = starts.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (starts[middle] <= time) low = middle + 1;
    else high = middle;
  }
  for (let at = low - 1; at >= Math.max(0, low - 3); at -= 1) {
    if (Number(sentences[at].dataset.end) >= time) return sentences[at];
  }
  return null;
}

function mark() {
  const time = audio.currentTime;
  const now = sentenceAt(time);
  if (now && now !== playing) {
    playing?.classList.remove("playing");
    playing?.removeAttribute("aria-current");
    now.classList.add("playing");
    now.setAttribute("aria-current", "true");
    playing = now;
    if (following && !audio.paused) show(now);
  }
  const head = byId("playhead");
  const wave = lanes.querySelector(".wave");
  if (wave) {
    head.hidden = false;
    const left = wave.offsetLeft + (time / (audio.duration || seconds)) * wave.offsetWidth;
    head.style.transform = `translateX(${left}px)`;
  }
  if (until !== null && time >= until + 0.3) {
    until = null;
    audio.pause();
  }
}

function run() {
  mark();
  live();
  if (!audio.paused) requestAnimationFrame(run);
}

// Lanes -------------------------------------------------------------------------------------

let peaks = null;

function draw() {
  for (const lane of lanes.querySelectorAll(".lane[data-channel]")) {
    const of = peaks?.channels[Number(lane.dataset.channel)];
    if (of) drawLane(lane.querySelector("canvas"), of);
  }
  if (audio) mark();
}

async function prepare() {
  const state = byId("sound-state");
  state.textContent = audio.dataset.preparing;
  try {
    const answer = await fetch(audio.dataset.peaks, { headers: { "X-Partial": "1" } });
    if (!answer.ok) throw new Error((await answer.json()).detail);
    peaks = readPeaks(await answer.arrayBuffer());
    state.textContent = "";
    audio.preload = "metadata";
    draw();
    const channels = new Channels(audio, peaks.channels.length, lanes);
    channels.listen();
  } catch (error) {
    state.textContent = error.message || audio.dataset.failed;
    state.classList.add("bad");
  }
}

lanes.addEventListener("click", (event) => {
  const wave = event.target.closest(".wave");
  if (!wave || !audio) return;
  const box = wave.getBoundingClientRect();
  playFrom(((event.clientX - box.left) / box.width) * (audio.duration || seconds));
});

// Findings ----------------------------------------------------------------------------------

const waiting = () => [...document.querySelectorAll(".finding[data-mine]")];
let current = null;
let decided = null; // what was decided last: U takes that back, wherever its reader is by now

function choose(one, listen = true) {
  document.querySelector(".finding.current")?.classList.remove("current");
  current = one?.dataset.element ?? null;
  if (!one) return;
  one.closest("details.others")?.setAttribute("open", "");
  one.classList.add("current");
  one.focus({ preventScroll: true });
  one.scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
  point();
  const evidence = one.querySelector("[data-play]");
  if (!evidence) return;
  const chosenNow = current;
  const look = () => {
    const sentence = byId(evidence.dataset.sentence);
    if (sentence && beside.matches && current === chosenNow) show(sentence);
    return Boolean(sentence);
  };
  if (!look()) {
    whole.then(() => {
      point();
      look();
    });
  }
  if (!beside.matches) follow(false);
  if (listen && audio) playFrom(Number(evidence.dataset.play), Number(evidence.dataset.until));
}

function point() {
  for (const mark of transcript.querySelectorAll("mark")) {
    mark.classList.toggle("current", mark.dataset.elements.split(" ").includes(current));
  }
}

const chosen = () => (current ? byId(`f-${current}`) : null);

function next() {
  const open = waiting();
  if (!open.length) {
    byId("next-call")?.focus();
    return;
  }
  const at = open.findIndex((one) => one.dataset.element === current);
  choose(open[(at + 1) % open.length]);
}

async function decide(form, submitter) {
  const body = new FormData(form, submitter);
  const of = body.get("element");
  const reason = form.querySelector("[name=reason]");
  if (body.get("action") !== "accept" && reason && !String(body.getAll("reason").at(-1)).trim()) {
    reason.focus();
    return;
  }
  try {
    const answer = await send(form.getAttribute("action"), body); // a field is called so, too
    const made = document.createElement("template");
    made.innerHTML = await answer.text();
    byId("findings").replaceWith(made.content);
    showTimes(byId("findings"));
    audio?.pause();
    if (of && body.get("action") !== "comment") {
      decided = body.get("action") === "undo" ? null : of;
      const same = byId(`f-${of}`);
      if (body.get("action") === "undo" || !waiting().length) choose(same, false);
      else next();
      if (!waiting().length) byId("next-call")?.focus({ preventScroll: true });
    }
  } catch (error) {
    say(error.message, true);
  }
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-decide]")) return;
  event.preventDefault();
  decide(event.target, event.submitter);
});

function begin(form) {
  const quote = form.querySelector("[name=quote]");
  if (quote && lastSelection && !quote.value) quote.value = lastSelection;
  if (!form.contains(document.activeElement?.closest("textarea, select"))) {
    form.querySelector("textarea, select").focus();
  }
}

document.addEventListener("toggle", (event) => {
  const form = event.target;
  if (form.matches?.("details.form") && form.open) begin(form);
}, true);

let lastSelection = "";
document.addEventListener("selectionchange", () => {
  const selection = getSelection();
  if (selection && !selection.isCollapsed && transcript.contains(selection.anchorNode)) {
    lastSelection = selection.toString().trim().slice(0, 4000);
  }
});

// Pointing ----------------------------------------------------------------------------------

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-play]");
  if (button) {
    const finding = button.closest(".finding");
    if (finding) choose(finding, false);
    follow(beside.matches || !finding);
    playFrom(Number(button.dataset.play), button.dataset.until ? Number(button.dataset.until) : null);
    return;
  }
  const marked = event.target.closest("mark");
  if (marked) choose(byId(`f-${marked.dataset.elements.split(" ")[0]}`), false);
  const sentence = event.target.closest(".sentences > li");
  if (sentence && getSelection()?.isCollapsed) {
    follow(true);
    playFrom(Number(sentence.dataset.from));
  }
});

for (const kind of ["wheel", "touchmove"]) {
  addEventListener(kind, (event) => {
    if (event.target instanceof Element && event.target.closest("#transcript")) follow(false);
  }, { passive: true });
}
transcript.addEventListener("keydown", (event) => {
  if (["PageUp", "PageDown", "Home", "End", "ArrowUp", "ArrowDown"].includes(event.key)) follow(false);
});
followButton?.addEventListener("click", () => follow(!following));
byId("speed")?.addEventListener("change", (event) => {
  audio.playbackRate = Number(event.target.value);
});

// Keys --------------------------------------------------------------------------------------

const keysOn = byId("keys-on");
const help = byId("help");
keysOn.checked = localStorage.getItem("stt-review-keys") !== "off";
keysOn.addEventListener("change", () => {
  localStorage.setItem("stt-review-keys", keysOn.checked ? "on" : "off");
});
byId("help-button").addEventListener("click", () => help.showModal());

function press(key) {
  const of = chosen()?.querySelector(`.decide [data-key=${key}]`);
  if (!of) return;
  if (of instanceof HTMLDetailsElement) {
    of.open = true;
    begin(of); // its event comes later than a fast reader's next key
  } else of.click();
}

const undoOf = (one) => one?.querySelector(".decide [data-key=u]");

function quick(number) {
  const open = chosen()?.querySelector("details.form[data-key=r][open] .quick");
  open?.children[number - 1]?.click();
}

const keys = {
  " ": toggle,
  k: toggle,
  j: () => skip(-3),
  l: () => skip(3),
  n: next,
  a: () => press("a"),
  r: () => press("r"),
  e: () => press("e"),
  u: () => (undoOf(chosen()) ?? undoOf(byId(`f-${decided}`)))?.click(),
  "?": () => help.showModal(),
};
// Where Korean is being typed, the keys are those of its letters.
const hangul = { ㅏ: "k", ㅓ: "j", ㅣ: "l", ㅜ: "n", ㅁ: "a", ㄱ: "r", ㄷ: "e", ㅕ: "u" };

addEventListener("keydown", (event) => {
  const on = event.target;
  if (!keysOn.checked || event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const key = hangul[event.key] ?? event.key.toLowerCase();
  if (on.matches("textarea, input, select")) {
    if (/^[1-4]$/.test(key) && on.matches("details[data-key=r] textarea") && !on.value) {
      event.preventDefault();
      quick(Number(key));
    } else if (key === "escape") {
      const form = on.closest("details.form");
      if (form) form.open = false;
      chosen()?.focus();
    }
    return;
  }
  if (key === " " && on.closest("button, summary, a, audio")) return;
  const work = keys[key];
  if (!work) return;
  event.preventDefault();
  work();
});

// Printing: what is folded is on paper, too ---------------------------------------------------

let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open], .form)")];
  for (const one of folded) one.open = true;
});
addEventListener("afterprint", () => {
  for (const one of folded) one.open = false;
});
byId("print-button").addEventListener("click", () => print());

// Beginning ---------------------------------------------------------------------------------

if (audio) {
  audio.addEventListener("play", run);
  audio.addEventListener("seeked", mark);
  audio.addEventListener("seeking", live);
  new ResizeObserver(draw).observe(lanes);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  prepare();
  const at = Number(new URLSearchParams(location.search).get("t"));
  if (at > 0) {
    audio.preload = "metadata";
    audio.currentTime = at;
    const look = () => {
      const there = sentenceAt(at);
      if (there) show(there);
    };
    if (list.dataset.more) whole.then(look);
    else look();
  }
}
