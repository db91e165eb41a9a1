// Keyboards stay where they were: when a button that was pressed goes, or can be pressed no more,
// its neighbour has the focus, or the heading above.

let pressed = null;

document.addEventListener("submit", (event) => {
  const button = event.submitter;
  const card = button?.closest("[data-card]");
  pressed = button && {
    button,
    cards: card ? [card, card.nextElementSibling, card.previousElementSibling] : [],
    section: button.closest("section"),
  };
}, true);

document.addEventListener("fedbell:refreshed", () => {
  if (!pressed) return;
  const { button, cards, section } = pressed;
  if (button.isConnected && !button.disabled) return;
  const focused = document.activeElement;
  if (focused === document.body || focused === button) {
    const near = [...cards, section].filter((each) => each?.isConnected);
    const place = near.map((each) => each.querySelector("button:not(:disabled), summary")).find(Boolean);
    (place ?? document.getElementById("task-heading")).focus();
  }
  pressed = null;
});
