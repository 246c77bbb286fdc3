// This script makes the pages smoother: it writes times as the reader's clock shows them, counts waits down, sends a whole code by
// itself, and lets a browser fill a code in. Without it the pages work all the same. Only keys need a script: keys.js.

const language = document.documentElement.lang;
const clock = new Intl.DateTimeFormat(language, { timeStyle: "short" });
const day = new Intl.DateTimeFormat(language, { dateStyle: "long" });
const both = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });

for (const time of document.querySelectorAll("time")) {
  const at = new Date(time.dateTime);
  const today = day.format(at) === day.format(new Date());
  time.textContent = (time.hasAttribute("data-day") ? day : today ? clock : both).format(at);
}

// A button that can't be pressed yet says for how long.
for (const button of document.querySelectorAll("button[data-wait]")) {
  const note = button.parentElement.querySelector(".wait");
  const ends = performance.now() + Number(button.dataset.wait) * 1000;
  const count = () => {
    const left = Math.ceil((ends - performance.now()) / 1000);
    button.disabled = left > 0;
    if (note) note.textContent = left > 0 ? note.dataset.text.replace("99", left) : "";
    if (left > 0) setTimeout(count, 1000);
  };
  count();
}

// When a button is pressed twice, its form is sent once. The server would do it once all the same.
let sent = false;
document.addEventListener("submit", (event) => {
  if (sent) event.preventDefault();
  sent = true;
});
window.addEventListener("pageshow", () => (sent = false));

// A code is sent when it is whole. What was corrected afterwards is not sent by itself again.
const code = document.querySelector("input[data-whole]");
if (code) {
  let tried = false;
  code.addEventListener("input", () => {
    const typed = code.value.replace(/[\s-]/g, "");
    if (tried || !/^[0-9]+$/.test(typed) || typed.length !== Number(code.dataset.whole)) return;
    tried = true;
    code.form.requestSubmit(code.form.querySelector("button[name=do]"));
  });
}

// A browser on the phone that gets the text message offers to fill the code in (WebOTP).
if (code && "OTPCredential" in window) {
  const abort = new AbortController();
  code.form.addEventListener("submit", () => abort.abort());
  navigator.credentials
    .get({ otp: { transport: ["sms"] }, signal: abort.signal })
    .then((otp) => {
      code.value = otp.code;
      code.dispatchEvent(new Event("input", { bubbles: true }));
    })
    .catch(() => {}); // the user types it then
}

// The form of a link is sent at once by a browser with scripts. Programs that only look at links run none.
const atOnce = document.querySelector("form[data-at-once]");
if (atOnce) atOnce.requestSubmit(atOnce.querySelector("button"));

// An offer is left by itself when its time is over, so that what waits for it is not lost.
const leaves = document.querySelector("form[data-leaves]");
if (leaves) setTimeout(() => leaves.requestSubmit(leaves.querySelector("button")), Number(leaves.dataset.leaves) * 1000);

if (document.querySelector(".ceremony")) import("./keys.js");
