// Places for event streams, shared by all windows of a browser on this server. A browser keeps at
// most six connections to a server: were all of them streams, no page could load any more.
const PLACES = 3;
const RENEW_MS = 3000;
const STALE_MS = 10000;

const me = `${Date.now()}-${Math.random()}`;
const key = (place) => `fedbell-stream-${place}`;
let renewing = null;

/** Take a place, or keep the one that is held; false when other windows have all of them. */
export function takePlace() {
  try {
    for (let place = 0; place < PLACES; place += 1) {
      const [holder, time] = (localStorage.getItem(key(place)) ?? "").split(" ");
      if (holder === me || !(Date.now() - Number(time) < STALE_MS)) {
        renew(place);
        renewing ??= setInterval(() => renew(place), RENEW_MS);
        return true;
      }
    }
    return false;
  } catch {
    return true; // a browser that stores nothing shares nothing either
  }
}

/** Give the place back. */
export function leavePlace() {
  clearInterval(renewing);
  renewing = null;
  try {
    for (let place = 0; place < PLACES; place += 1) {
      if (localStorage.getItem(key(place))?.startsWith(`${me} `)) localStorage.removeItem(key(place));
    }
  } catch { /* nothing was stored */ }
}

function renew(place) {
  localStorage.setItem(key(place), `${me} ${Date.now()}`);
}
