// Moments that go on counting: <time data-ago="seconds since 1970">, <span data-elapsed="…">; and
// that count down: <time data-left="…">.
// The server's clock counts: a page may be looked at from a machine whose clock is wrong.
const ahead = Date.now() / 1000 - Number(document.body.dataset.now);
export const now = () => Date.now() / 1000 - ahead;

const UNITS = [[86400, "day"], [3600, "hour"], [60, "minute"]];

export function ago(moment) {
  const seconds = Math.max(0, Math.round(now() - moment));
  for (const [size, unit] of UNITS) {
    if (seconds >= size) {
      const number = Math.floor(seconds / size);
      return `${number} ${unit}${number > 1 ? "s" : ""} ago`;
    }
  }
  return `${seconds} s ago`;
}

export function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${whole % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function tick() {
  for (const element of document.querySelectorAll("[data-ago]")) {
    write(element, ago(Number(element.dataset.ago)));
  }
  for (const element of document.querySelectorAll("[data-elapsed]")) {
    write(element, duration(now() - Number(element.dataset.elapsed)));
  }
  for (const element of document.querySelectorAll("[data-left]")) {
    const left = Number(element.dataset.left) - now();
    write(element, duration(left));
    if (left < 0 && left > -2) document.dispatchEvent(new CustomEvent("fedbell:changed"));
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

setInterval(tick, 1000);
