// One key exchanges agent and customer, where their voices gave them.

const button = document.getElementById("swap-roles");
const keysOn = document.getElementById("keys-on");
const help = document.getElementById("help");

addEventListener("keydown", (event) => {
  if (!button || !keysOn.checked || help.open) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.matches("textarea, input, select")) return;
  if (event.key.toLowerCase() !== "s" && event.key !== "ㄴ") return;
  event.preventDefault();
  button.click();
});
