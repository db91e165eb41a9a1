// Adding pictures without leaving the page: chosen, dropped or pasted, they are sent one by one,
// a few at a time, and each row tells what became of its file.
import { check } from "./check.js";
import { Rows } from "./rows.js";
import { send } from "./send.js";
import { takeDrops, takePastes } from "./take.js";

const MOST_AT_ONCE = 3;
const SUMMARY_EVERY_MS = 1500; // a screen reader says each

const element = (id) => document.getElementById(id);
const form = element("upload");
const input = element("upload-files");
const limits = { bytes: Number(form.dataset.mostBytes), pixels: Number(form.dataset.mostPixels) };
const rows = new Rows(retry);
let entries = [];
let queue = [];
let running = 0;

function add(files) {
  if (!files.length) return;
  const label = element("upload-label").value;
  const fresh = files.map((file) => ({ file, label: null, choice: label, status: "waiting" }));
  entries.push(...fresh);
  fresh.forEach((entry) => rows.add(entry));
  enqueue(fresh);
}

function retry(entry) {
  element("uploads-list").focus(); // its button goes
  enqueue([entry]);
}

function enqueue(list) {
  for (const entry of list) {
    Object.assign(entry, { status: "waiting", detail: null });
    rows.update(entry);
  }
  queue.push(...list);
  element("uploads").hidden = false;
  summarize();
  while (running < MOST_AT_ONCE && queue.length) work();
}

async function work() {
  running += 1;
  for (let entry = queue.shift(); entry; entry = queue.shift()) {
    Object.assign(entry, await upload(entry));
    rows.update(entry);
    summarize();
  }
  running -= 1;
  if (running) return;
  summarize();
  document.dispatchEvent(new CustomEvent("fedbell:changed"));
}

async function upload(entry) {
  const { problem, body, shows } = await check(entry.file, limits);
  if (problem) return { status: "refused", detail: problem };
  if (shows) rows.thumbnail(entry);
  entry.status = "sending";
  rows.update(entry);
  const address = new URL(form.action);
  if (entry.choice) address.searchParams.set("label", entry.choice);
  const told = await send(address, body, entry.file.name, (share) => rows.progress(entry, share));
  const isAsked = Boolean(told.id) && !told.label;
  return { status: told.status, detail: told.detail, label: told.label, labelFrom: told.label_from, id: told.id, isAsked };
}

// Once somebody has said which class a picture is, its row asks no more.
document.addEventListener("fedbell:refreshed", () => {
  const allAreShown = element("asked").hasAttribute("data-all");
  for (const entry of entries.filter((each) => each.isAsked)) {
    if (element(`asked-${entry.id}`)) entry.wasAsked = true;
    if (element(`asked-${entry.id}`) || !entry.wasAsked || !allAreShown) continue;
    Object.assign(entry, { isAsked: false, detail: "Its class was asked for and told." });
    rows.update(entry);
    summarize();
  }
});

// What is said of all together. ---------------------------------------------------------------

let timer = null;
let last = 0;

function summarize() {
  const busy = running > 0 || queue.length > 0;
  const ended = entries.filter((entry) => !["waiting", "sending"].includes(entry.status)).length;
  const bar = element("uploads-progress");
  bar.max = Math.max(1, entries.length);
  bar.value = ended;
  bar.hidden = !busy;
  element("uploads-dismiss").hidden = busy;
  element("uploads-retry").hidden = busy || !entries.some((entry) => entry.status === "broken");
  clearTimeout(timer);
  timer = setTimeout(tell, busy ? Math.max(0, last + SUMMARY_EVERY_MS - Date.now()) : 0);
}

function tell() {
  last = Date.now();
  const count = (test) => entries.filter(test).length;
  const isHere = (entry) => entry.status === "kept" || entry.status === "known";
  const parts = [`${count(isHere)} of ${entries.length} uploaded`];
  const refused = count((entry) => entry.status === "refused");
  const broken = count((entry) => entry.status === "broken");
  const asked = count((entry) => entry.isAsked);
  if (refused) parts.push(`${refused} refused`);
  if (broken) parts.push(`${broken} not sent`);
  if (asked) parts.push(`${asked} need${asked === 1 ? "s" : ""} a class: say it above`);
  element("uploads-summary").textContent = entries.length ? `${parts.join(", ")}.` : "";
}

// Where files come from. ----------------------------------------------------------------------

form.noValidate = true;
element("upload-send").hidden = true;
form.addEventListener("submit", (event) => event.preventDefault());
input.addEventListener("change", () => {
  add([...input.files]);
  input.value = "";
});
takeDrops(form.closest("section"), element("upload-drop"), add);
takePastes((place) => !place.closest?.("#try-section"), add);
element("uploads-retry").addEventListener("click", () => {
  element("uploads-list").focus();
  enqueue(entries.filter((entry) => entry.status === "broken"));
});
element("uploads-dismiss").addEventListener("click", () => {
  entries = [];
  rows.clear();
  element("uploads").hidden = true;
  element("uploads-summary").textContent = "";
  input.focus();
});
addEventListener("beforeunload", (event) => { if (running) event.preventDefault(); });
