// This script refreshes the mailbox and the phone, and counts waits down. The page works without it.
"use strict";

const mailbox = document.getElementById("mailbox");
const texts = document.getElementById("texts");
const phone = document.getElementById("phone");

async function fetched(from) {
  const answer = await fetch(from);
  const fresh = document.createElement("div");
  if (answer.ok) fresh.innerHTML = await answer.text();
  return fresh;
}

async function refreshInbox(inbox, news) {
  const fresh = await fetched(inbox.dataset.from);
  const latest = (of) => of.querySelector(".message")?.id;
  if (latest(fresh) && latest(fresh) !== latest(inbox)) {
    inbox.replaceChildren(...fresh.childNodes);
    document.getElementById("news").textContent = news;
    inbox.classList.add("arrived");
    setTimeout(() => inbox.classList.remove("arrived"), 1200);
    return;
  }
  const clock = fresh.querySelector(".clock");
  if (clock) inbox.querySelector(".clock")?.replaceWith(clock);
}

// Codes and seconds are changed in place, so that the user loses neither the focus nor a selection.
async function refreshPhone() {
  const fresh = await fetched(phone.dataset.from);
  for (const entry of fresh.querySelectorAll("li")) {
    const shown = document.getElementById(entry.id);
    const [was, is] = [shown, entry].map((of) => of?.querySelector(".app-code"));
    if (was && was.textContent !== is.textContent) was.textContent = is.textContent;
    if (shown) tell(shown, entry.querySelector("progress").value);
  }
}

function tell(entry, left) {
  entry.querySelector("progress").value = left;
  entry.querySelector(".seconds").textContent = `${left} s`;
}

async function refresh() {
  if (document.hidden) return;
  try {
    await Promise.all([
      refreshInbox(mailbox, "A new message is in the mailbox."),
      refreshInbox(texts, "A new text message is on the phone."),
      refreshPhone(),
    ]);
  } catch {
    // The server can't be reached. The next round tries again.
  }
}

setInterval(refresh, 1000);
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

// When a button is pressed twice, its form is sent once.
let sent = false;
document.addEventListener("submit", (event) => {
  if (sent) event.preventDefault();
  sent = true;
});
window.addEventListener("pageshow", () => (sent = false));
