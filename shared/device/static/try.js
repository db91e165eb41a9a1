// Trying the model without leaving the page: the answer's page is asked for, and its part shown.
import { check } from "./check.js";
import { takeDrops, takePastes } from "./take.js";

const element = (id) => document.getElementById(id);
const form = element("try");
const section = element("try-section");
const input = element("try-file");
const place = element("prediction");
const { mostBytes, mostPixels } = element("upload").dataset;
let asked = 0;

async function ask([file]) {
  if (!file) return;
  const mine = (asked += 1); // an answer to an older question is not shown
  tell("The model looks at it …");
  place.replaceChildren();
  try {
    const { problem, body } = await check(file, { bytes: Number(mostBytes), pixels: Number(mostPixels) });
    if (problem) throw new Error(problem);
    const fields = new FormData();
    fields.append("picture", body, file.name);
    const answer = await fetch(form.action, { method: "POST", headers: { Accept: "text/html" }, body: fields });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (mine !== asked) return;
    const said = page.getElementById("answer");
    if (!said) throw new Error(page.querySelector("main h1 ~ p")?.textContent ?? `The device answered ${answer.status}.`);
    place.replaceChildren(document.importNode(said, true));
    tell("");
  } catch (error) {
    const told = error instanceof TypeError ? "The device does not answer. Try again." : error.message;
    if (mine === asked) tell(told);
  }
}

function tell(text) {
  element("try-told").textContent = text;
}

// The forms under an answer are sent without leaving the page (forms.js); this says how it went.
place.addEventListener("submit", (event) => {
  const label = new FormData(event.target, event.submitter).get("label");
  document.addEventListener("fedbell:changed", () => {
    if (!element("problem").hidden) return;
    place.replaceChildren();
    tell(`Kept as ${label}: it is one of this device's pictures now.`);
    input.focus();
  }, { once: true });
});

element("try-send").hidden = true;
form.noValidate = true;
form.addEventListener("submit", (event) => event.preventDefault());
input.addEventListener("change", () => {
  ask([...input.files]);
  input.value = "";
});
takeDrops(section, element("try-drop"), ask);
takePastes((focused) => section.contains(focused), ask);
