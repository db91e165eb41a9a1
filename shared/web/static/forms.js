// Forms with data-live-form: sent without leaving the page, which then shows what happened.
// Without JavaScript the same forms lead back to the page.
const ANSWER_MS = 20000;

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (!form.matches("[data-live-form]")) return;
  event.preventDefault();
  if (form.dataset.sending !== undefined) return;
  const question = form.dataset.confirm;
  if (question && !confirm(question)) return;
  form.dataset.sending = "";
  hideProblem();
  try {
    const fields = new FormData(form, event.submitter);
    const answer = await fetch(form.action, {
      method: "POST",
      headers: { Accept: "application/json", Prefer: "respond-async" },
      body: new URLSearchParams(fields),
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    if (!answer.ok) showProblem(await problemOf(answer));
  } catch {
    showProblem({ title: "The server does not answer.", detail: "Look whether it runs, and try again." });
  } finally {
    delete form.dataset.sending;
    document.dispatchEvent(new CustomEvent("fedbell:changed"));
  }
});

/** The problem details of an answer; a sentence when it has none. */
export async function problemOf(answer) {
  try {
    return await answer.json();
  } catch {
    return { title: `The server answered ${answer.status}.`, detail: "Its log says more." };
  }
}

/** Show problem details at the top of the page, and say them. */
export function showProblem({ title, detail }) {
  const place = document.getElementById("problem");
  const strong = document.createElement("strong");
  strong.textContent = title;
  place.replaceChildren(strong, ` ${detail ?? ""}`);
  place.hidden = false;
  place.scrollIntoView({ block: "nearest" });
}

export function hideProblem() {
  document.getElementById("problem").hidden = true;
}
