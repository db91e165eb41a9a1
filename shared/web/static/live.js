// Keeps a page as the server would render it now. Elements with an id and data-live are its live
// parts; data-live="progress" ones follow running work too. One event stream a page tells when to
// look; when none is to be had, the page looks every few seconds.
import { morph } from "./morph.js";
import { leavePlace, takePlace } from "./places.js";
import { keepingFocus } from "./focus.js";
import "./forms.js";
import "./log.js";

const POLL_MS = 5000;
const STREAM_AGAIN_MS = 30000;
const AT_MOST_EVERY_MS = 1000;
const SPEAK_EVERY_MS = 4000;

const body = document.body;
let after = body.dataset.liveAfter;
let stream = null;
let poll = null;
let streamAgain = null;

const parts = (selector) => [...document.querySelectorAll(selector)]
  .filter((part) => !("livePaused" in part.dataset)).map((part) => part.id);

// Refreshing: at most once a second, and never two at once. ---------------------------------

let wanted = new Set();
let timer = null;
let last = 0;
let busy = false;

function want(ids) {
  ids.forEach((id) => wanted.add(id));
  if (timer === null && !busy) {
    timer = setTimeout(refresh, Math.max(50, last + AT_MOST_EVERY_MS - Date.now()));
  }
}

async function refresh() {
  timer = null;
  if (!wanted.size) return;
  const ids = [...wanted];
  wanted = new Set();
  busy = true;
  last = Date.now();
  try {
    const answer = await fetch(location.href, {
      headers: { Accept: "text/html", "Fedbell-Parts": ids.join(" ") },
      signal: AbortSignal.timeout(20000),
    });
    if (answer.status === 401) return location.reload(); // logged out: the server asks for it
    if (answer.ok) show(await answer.text(), ids);
    say(answer.ok ? "" : "The server has trouble to show this page. It is asked again.");
  } catch {
    say("The server does not answer. The page goes on as soon as it does.");
  } finally {
    busy = false;
    if (wanted.size) want([]);
  }
}

function show(text, ids) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  for (const id of ids) {
    const old = document.getElementById(id);
    const now = fresh.getElementById(id);
    if (old && now && !("livePaused" in old.dataset)) keepingFocus(old, () => morph(old, now));
  }
  document.title = fresh.title;
  announce();
  document.dispatchEvent(new CustomEvent("fedbell:refreshed"));
}

// What is said aloud: the newest text of [data-announce], when it changes, and not all the time.

let spoken = document.querySelector("[data-announce]")?.dataset.announce ?? "";
let speaking = null;

function announce() {
  const told = document.querySelector("[data-announce]")?.dataset.announce ?? "";
  if (told === spoken || speaking !== null) return;
  spoken = told;
  document.getElementById("announcement").textContent = told;
  speaking = setTimeout(() => { speaking = null; announce(); }, SPEAK_EVERY_MS);
}

function say(text) {
  const line = document.getElementById("connection");
  if (line.textContent !== text) line.textContent = text;
  line.hidden = !text;
}

// Listening. ----------------------------------------------------------------------------------

function listen() {
  clearTimeout(streamAgain);
  stream?.close();
  if (!takePlace()) {
    startPolling();
    streamAgain = setTimeout(listen, STREAM_AGAIN_MS);
    return;
  }
  const query = new URLSearchParams({ after });
  if (body.dataset.liveTask) query.set("task", body.dataset.liveTask);
  stream = new EventSource(`/events?${query}`);
  stream.onopen = () => { stopPolling(); want(parts("[data-live]")); };
  stream.onmessage = (event) => { after = event.lastEventId || after; want(parts("[data-live]")); };
  stream.addEventListener("progress", () => want(parts('[data-live="progress"]')));
  stream.onerror = () => {
    // The browser reconnects by itself, with Last-Event-ID; meanwhile, and when it gave up: poll.
    startPolling();
    if (stream.readyState === EventSource.CLOSED) {
      leavePlace();
      clearTimeout(streamAgain);
      streamAgain = setTimeout(listen, STREAM_AGAIN_MS);
    }
  };
}

function startPolling() {
  poll ??= setInterval(() => want(parts("[data-live]")), POLL_MS);
}

function stopPolling() {
  clearInterval(poll);
  poll = null;
}

function rest() {
  clearTimeout(streamAgain);
  stopPolling();
  stream?.close();
  stream = null;
  leavePlace();
}

// A page that nobody sees holds no place on the server.
document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
addEventListener("pagehide", rest);
addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
document.addEventListener("fedbell:changed", () => { last = 0; want(parts("[data-live]")); });

if (!document.hidden) listen();
