// Sends one picture, and tells how far it is. While the device is busy, it is sent again.

const MOST_ATTEMPTS = 10;

/**
 * @param {string} address where to.
 * @param {Blob} body the file; name: what it is called.
 * @param {(share: number) => void} onProgress called with a number from 0 to 1.
 * @returns {Promise<{status: "kept"|"known"|"refused"|"broken", label?: string, detail?: string}>}
 */
export async function send(address, body, name, onProgress) {
  for (let attempt = 1; ; attempt += 1) {
    const call = await answered(address, body, name, onProgress);
    const seconds = call.status === 503 ? Number(call.getResponseHeader("Retry-After")) : 0;
    if (!seconds || attempt === MOST_ATTEMPTS) return outcome(call);
    await new Promise((resume) => setTimeout(resume, seconds * 1000));
  }
}

function answered(address, body, name, onProgress) {
  const form = new FormData();
  form.append("pictures", body, name);
  return new Promise((resolve) => {
    const call = new XMLHttpRequest();
    call.open("POST", address);
    call.setRequestHeader("Accept", "application/json");
    call.responseType = "json";
    call.upload.onprogress = (event) => { if (event.lengthComputable) onProgress(event.loaded / event.total); };
    call.onloadend = () => resolve(call);
    call.send(form);
  });
}

function outcome(call) {
  const told = call.response?.pictures?.[0];
  if (told) return told;
  if (!call.status) {
    return {
      status: "broken",
      detail: "The connection broke before the answer came. Try again: sent twice, it is kept once.",
    };
  }
  const problem = call.response;
  const detail = problem?.detail ?? `The device answered ${call.status}. Its log says more.`;
  // What the server cannot do now, it may do later.
  return { status: call.status >= 500 ? "broken" : "refused", detail };
}
