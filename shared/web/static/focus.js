// Where the keyboard goes on when what had the focus is gone, or cannot be pressed any more.

/** Run `change`, which changes `part`; whoever was in it stays in it. */
export function keepingFocus(part, change) {
  const before = document.activeElement;
  const wasInside = before !== document.body && part.contains(before);
  change();
  // A list of cards knows better: the neighbour of what is gone.
  if (!wasInside || before.closest("[data-card]")) return;
  const waits = heading(part);
  if (before.isConnected && !before.disabled && before !== waits) return;
  // The next thing to press; and until there is one, the heading.
  const next = part.querySelector(".btn-primary:not(:disabled)") ?? waits;
  if (next === waits && waits) waits.tabIndex = -1;
  next?.focus();
}

function heading(part) {
  return part.querySelector("h1, h2, h3");
}
