// What the page does better with scripts: the mailbox refreshes, and waits count down. Nothing needs it.
"use strict";

const mailbox = document.getElementById("mailbox");

async function refresh() {
  if (document.hidden) return;
  try {
    const answer = await fetch(mailbox.dataset.from);
    if (!answer.ok) return;
    const fresh = document.createElement("section");
    fresh.innerHTML = await answer.text();
    const latest = (of) => of.querySelector("details")?.id;
    if (latest(fresh) !== latest(mailbox)) {
      mailbox.replaceChildren(...fresh.childNodes);
      document.getElementById("news").textContent = "A new message is in the mailbox.";
      mailbox.classList.add("arrived");
      setTimeout(() => mailbox.classList.remove("arrived"), 1200);
      return;
    }
    const clock = fresh.querySelector(".clock");
    if (clock) mailbox.querySelector(".clock")?.replaceWith(clock);
  } catch {
    // The server is away; the next round asks again.
  }
}

setInterval(refresh, 1500);
document.addEventListener("visibilitychange", refresh);

const opened = performance.now();
const passed = () => Math.floor((performance.now() - opened) / 1000);

const again = document.querySelector("button[data-wait]");
const note = document.querySelector(".wait");
const until = document.querySelector("[data-left]");

function count() {
  if (again) {
    const left = Number(again.dataset.wait) - passed();
    again.disabled = left > 0;
    if (note) note.textContent = left > 0 ? ` possible in ${left} s` : "";
  }
  if (until) {
    const left = Math.max(0, Number(until.dataset.left) - passed());
    until.title = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")} left`;
  }
}

count();
setInterval(count, 1000);
