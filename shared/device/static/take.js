// Files that are dropped or pasted.

/** Give `take` the files dropped on `area`; `zone`, a part of it, shows where. */
export function takeDrops(area, zone, take) {
  let depth = 0; // enter and leave come for every element below, too
  const show = (change) => {
    depth = Math.max(0, depth + change);
    zone.classList.toggle("drop-over", depth > 0);
  };
  zone.querySelector(".drop-hint").hidden = false;
  area.addEventListener("dragenter", (event) => { if (holdsFiles(event)) show(1); });
  area.addEventListener("dragleave", (event) => { if (holdsFiles(event)) show(-1); });
  area.addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    event.stopPropagation();
    event.dataTransfer.dropEffect = "copy";
  });
  area.addEventListener("drop", (event) => {
    show(-depth);
    if (!holdsFiles(event)) return;
    event.preventDefault();
    take([...event.dataTransfer.files]);
  });
}

/** Give `take` the files pasted anywhere `isMine` says of, by the element that has the focus. */
export function takePastes(isMine, take) {
  document.addEventListener("paste", (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (!files.length || !isMine(event.target)) return;
    event.preventDefault();
    take(files);
  });
}

const holdsFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;

// A file dropped beside the areas would replace the page.
document.addEventListener("dragover", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  if (event.dataTransfer) event.dataTransfer.dropEffect = "none";
});
document.addEventListener("drop", (event) => { if (holdsFiles(event)) event.preventDefault(); });
