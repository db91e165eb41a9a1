// The log's buttons: pause, and scroll with it. Its lines come with the other live parts.
const log = document.getElementById("log");
const pause = document.getElementById("log-pause");
const follow = document.getElementById("log-follow");

if (log) {
  pause.hidden = false;
  document.getElementById("log-scroll").hidden = false;
  pause.addEventListener("click", () => {
    const paused = pause.getAttribute("aria-pressed") !== "true";
    pause.setAttribute("aria-pressed", String(paused));
    if (paused) log.dataset.livePaused = "";
    else delete log.dataset.livePaused;
    document.dispatchEvent(new CustomEvent("fedbell:changed"));
  });
  const scroll = () => { if (follow.checked) log.scrollTop = log.scrollHeight; };
  follow.addEventListener("change", scroll);
  document.addEventListener("fedbell:refreshed", scroll);
  scroll();
}
