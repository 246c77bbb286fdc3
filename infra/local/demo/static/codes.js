// This script copies, saves and prints the recovery codes that the page shows. It takes them from the page, because Countersign
// shows them only once.

const keep = document.getElementById("keep");
const done = document.getElementById("kept-how");
const codes = [...document.querySelectorAll(".recovery-codes code")].map((code) => code.textContent);

const ways = {
  async copy() {
    try {
      await navigator.clipboard.writeText(codes.join("\n"));
      return "The codes are copied. Paste them where only you can read them.";
    } catch {
      return "The browser doesn’t let this page copy. Save or print the codes instead.";
    }
  },
  save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([`${keep.dataset.heading}\n\n${codes.join("\n")}\n`], { type: "text/plain;charset=utf-8" }));
    link.download = keep.dataset.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // the browser has begun to read it by then
    return "The codes are in your downloads folder. Keep the file where only you can read it.";
  },
  print() {
    window.print();
    return "";
  },
};

keep.addEventListener("click", async (event) => {
  const way = event.target.closest("button")?.dataset.way;
  if (way) done.textContent = await ways[way]();
});
keep.hidden = false;
