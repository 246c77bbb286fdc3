// This script copies, saves and prints what the page shows once: recovery codes, or the key of an authenticator app.

const keep = document.getElementById("keep");
const done = document.getElementById("kept-how");
const codes = [...document.querySelectorAll(".recovery-codes code")].map((code) => code.textContent);
const key = document.getElementById("key");

async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    return button.dataset.done;
  } catch {
    return button.dataset.refused;
  }
}

const ways = {
  copy: (button) => copy(codes.join("\n"), button),
  "copy-key": (button) => copy(key.textContent.replaceAll(" ", ""), button),
  save(button) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${keep.dataset.heading}\n\n${codes.join("\n")}\n`], { type: "text/plain;charset=utf-8" }));
    link.download = keep.dataset.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser has begun to read it by then
    return button.dataset.done;
  },
  print() {
    window.print();
    return "";
  },
};

keep.addEventListener("click", async (event) => {
  const button = event.target.closest("button");
  if (button) done.textContent = await ways[button.dataset.way](button);
});
keep.hidden = false;
