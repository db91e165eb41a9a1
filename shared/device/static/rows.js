// The list of files of an upload: a row for each of the first, and for each that has a problem.

const MOST_ROWS = 100;
const STATES = {
  waiting: ["waiting", "waits"],
  sending: ["running", "on its way"],
  kept: ["done", "kept"],
  known: ["done", "kept"],
  refused: ["failed", "refused"],
  broken: ["failed", "not sent"],
};

export class Rows {
  /** @param {(entry: object) => void} onRetry called when somebody wants a file to be sent again. */
  constructor(onRetry) {
    this.list = document.getElementById("uploads-list");
    this.template = document.getElementById("uploads-row");
    this.more = document.getElementById("uploads-more");
    this.onRetry = onRetry;
    this.unlisted = 0;
  }

  /** Show a new entry: {file, status}. */
  add(entry) {
    if (this.list.childElementCount < MOST_ROWS) this.#addRow(entry);
    else this.#count(1);
  }

  /** Show how an entry is now: its status, and label and detail when the server told them. */
  update(entry) {
    const isWrong = entry.status === "refused" || entry.status === "broken";
    if (!entry.row) {
      if (!isWrong) return;
      this.#addRow(entry);
      this.#count(-1);
      return;
    }
    if (isWrong) this.list.prepend(entry.row); // where it is seen
    const [kind, word] = STATES[entry.status];
    const icon = document.createElement("span");
    icon.className = "state-icon";
    icon.ariaHidden = "true";
    const state = document.createElement("span");
    state.className = `state state-${kind}`;
    state.append(icon, word);
    const label = document.createElement("bdi");
    label.textContent = entry.label ?? "";
    const by = entry.labelFrom === "name" ? ", by its name" : "";
    const parts = [state, ...(entry.label ? [" as ", label, by] : [])];
    if (entry.detail) parts.push(`. ${entry.detail}`);
    entry.row.querySelector(".outcome").replaceChildren(...parts);
    entry.row.querySelector("progress").hidden = entry.status !== "sending";
    entry.row.querySelector("button").hidden = entry.status !== "broken";
  }

  /** Show how much of an entry is sent, from 0 to 1. */
  progress(entry, share) {
    if (entry.row) entry.row.querySelector("progress").value = share;
  }

  /** Show the picture itself, small. */
  thumbnail(entry) {
    if (!entry.row) return;
    const picture = entry.row.querySelector("img");
    const address = URL.createObjectURL(entry.file);
    picture.onload = picture.onerror = () => URL.revokeObjectURL(address);
    picture.src = address;
    picture.hidden = false;
  }

  clear() {
    this.list.replaceChildren();
    this.#count(-this.unlisted);
  }

  #addRow(entry) {
    entry.row = this.template.content.firstElementChild.cloneNode(true);
    const name = entry.row.querySelector(".name");
    name.textContent = name.title = entry.file.name;
    entry.row.querySelector("progress").ariaLabel = `Sent of ${entry.file.name}`;
    const again = entry.row.querySelector("button");
    again.ariaLabel = `Try again: ${entry.file.name}`;
    again.addEventListener("click", () => this.onRetry(entry));
    this.list.append(entry.row);
    this.update(entry);
  }

  #count(change) {
    this.unlisted += change;
    this.more.textContent = this.unlisted
      ? `And ${this.unlisted.toLocaleString("en")} more, which are listed only if something is wrong with them.`
      : "";
  }
}
