// This script shows times in the reader's time zone and the page's language. Without it they are shown in UTC.

const language = document.documentElement.lang;
const clock = new Intl.DateTimeFormat(language, { timeStyle: "short" });
const day = new Intl.DateTimeFormat(language, { dateStyle: "medium" });
const both = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

// The server's clock can be moved, so its day may differ from the reader's.
let now = new Date();

function tell(time) {
  const at = new Date(time.dateTime);
  const today = !time.hasAttribute("data-day") && day.format(at) === day.format(now);
  const text = (today ? clock : both).format(at);
  if (time.textContent !== text) time.textContent = text; // an unchanged text stays selected
}

function tellAll(within) {
  const current = document.querySelector("time[data-day]");
  if (current) now = new Date(current.dateTime);
  for (const time of within.querySelectorAll("time")) tell(time);
}

tellAll(document);
// Messages and the clock are replaced when they change.
for (const inbox of [document.getElementById("mailbox"), document.getElementById("texts")]) {
  new MutationObserver((changes) => {
    if (changes.some((change) => [...change.addedNodes].some((node) => node instanceof Element))) tellAll(inbox);
  }).observe(inbox, { childList: true, subtree: true });
}
