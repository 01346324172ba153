// Sending recordings with their progress, and a job while it is worked on.

import { say, showTimes } from "./shell.js";

const form = document.getElementById("upload");
const drop = document.getElementById("drop");

function choose() {
  const input = form.querySelector("[type=file]");
  const place = document.getElementById("chosen");
  const names = [...input.files].map((one) => one.name);
  place.textContent = names.length ? `${names.length} ${form.dataset.chosen}: ${names.slice(0, 3).join(", ")}` : "";
}

function submit(event) {
  event.preventDefault();
  const request = new XMLHttpRequest();
  const box = form.querySelector(".progress");
  box.hidden = false;
  request.upload.addEventListener("progress", ({ loaded, total }) => {
    const share = Math.round((100 * loaded) / (total || 1));
    box.querySelector("progress").value = share;
    box.querySelector("span").textContent = `${form.dataset.sending} ${share}%`;
  });
  request.addEventListener("load", () => {
    let told = {};
    try {
      told = JSON.parse(request.responseText);
    } catch {
      told = {};
    }
    if (told.job) location.assign(`${document.body.dataset.root}/review/jobs/${told.job}`);
    else fail(told.detail);
  });
  request.addEventListener("error", () => fail());
  request.open("POST", form.getAttribute("action"));
  request.setRequestHeader("X-Partial", "1");
  request.send(new FormData(form));
}

function fail(detail) {
  form.querySelector(".progress").hidden = true;
  say(detail || form.dataset.failed, true);
}

if (form) {
  form.addEventListener("submit", submit);
  form.querySelector("[type=file]").addEventListener("change", choose);
  for (const kind of ["dragenter", "dragover"]) {
    drop.addEventListener(kind, (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
  }
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    form.querySelector("[type=file]").files = event.dataTransfer.files;
    choose();
  });
}

const job = document.getElementById("job");

async function watch() {
  if (job.querySelector("[data-ended]")) return;
  try {
    const answer = await fetch(job.dataset.url, { headers: { "X-Partial": "1" } });
    if (answer.ok) {
      const made = document.createElement("template");
      made.innerHTML = await answer.text();
      job.replaceChildren(made.content);
      showTimes(job);
      if (job.querySelector("[data-ended]")) location.reload();
    }
  } catch {
    // The server may be restarting; the next look will tell.
  }
  setTimeout(watch, 1500);
}

if (job) watch();
