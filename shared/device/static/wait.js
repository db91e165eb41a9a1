// While the device knows no task: look again, and go on as soon as it does.
setInterval(async () => {
  try {
    const status = await (await fetch("/status")).json();
    if (Object.keys(status.tasks).length) location.reload();
  } catch {
    // The device does not answer; it is asked again.
  }
}, 2000);
