// Is the reader at work, and is the server there?

const IDLE_MS = 30_000; // without a move, click or key
const REPORT_MS = 10_000; // at most one report in

// Counts the seconds in which the tab is visible and the reader active, by phase of a case.
// `report` gets {address, phase, run, seconds}; seconds of a run only grow.
function activeClock(report, signal) {
  const run = newId(), totals = new Map();
  let place, moved = -Infinity, ticked = performance.now(), told = { at: -Infinity, seconds: 0 };
  const key = () => `${place.address} ${place.phase}`;
  const now = () => (place ? { ...place, run, seconds: Math.round(totals.get(key()) ?? 0) } : null);
  const tell = () => {
    const so = now();
    if (!so || so.seconds === told.seconds) return;
    told = { at: performance.now(), seconds: so.seconds };
    report(so);
  };
  const tick = () => {
    const time = performance.now(), passed = Math.min(2000, time - ticked);
    ticked = time;
    if (!place || document.hidden || time - moved > IDLE_MS) return;
    totals.set(key(), (totals.get(key()) ?? 0) + passed / 1000);
    if (time - told.at >= REPORT_MS) tell();
  };
  const active = () => { moved = performance.now(); };
  for (const type of ["mousemove", "mousedown", "wheel", "keydown", "touchstart"])
    window.addEventListener(type, active, { signal, capture: true, passive: true });
  document.addEventListener("visibilitychange", () => { if (document.hidden) { tick(); tell(); } }, { signal });
  const timer = setInterval(tick, 1000);
  signal.addEventListener("abort", () => clearInterval(timer));
  return {
    now: () => { tick(); return now(); },
    // Counting goes on for this phase of this case; "" counts nothing.
    turn(address, phase) {
      if (place?.address === address && place.phase === phase) return;
      tick();
      tell();
      place = phase ? { address, phase } : undefined;
      told = { at: performance.now(), seconds: place ? now().seconds : 0 };
      active();
    },
  };
}

const ASK_MS = 2000, AGAIN_MS = 400; // between two questions; after one that nobody answered
const SILENCE_MS = 4000; // a busy server may take its time

// Asks the server every two seconds whether it is there; `tell(true or false)` when that changes. One that is gone
// refuses at once, and is noticed within 2.5 s.
function watchServer(url, tell, signal) {
  let there = true, missed = 0, timer;
  async function ask() {
    clearTimeout(timer);
    let answer = false;
    try { answer = (await fetch(url, { cache: "no-store", signal: AbortSignal.timeout(SILENCE_MS) })).ok; } catch { answer = false; }
    if (signal.aborted) return;
    missed = answer ? 0 : missed + 1;
    // One miss can be a hiccup, two are a loss.
    if (answer !== there && (answer || missed >= 2)) tell(there = answer);
    timer = setTimeout(ask, document.hidden ? 30_000 : missed === 1 ? AGAIN_MS : ASK_MS);
  }
  for (const type of ["online", "offline"]) window.addEventListener(type, ask, { signal });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) ask(); }, { signal });
  signal.addEventListener("abort", () => clearTimeout(timer));
  timer = setTimeout(ask, ASK_MS);
}

// Streamlit's own word on a lost server covers the page and takes the cursor from what is being typed. From
// `lost(true)` to `lost(false)` it is closed as it opens, and the cursor goes back; once closed it does not come again.
function undialog(signal) {
  const shown = () => [...document.querySelectorAll('[data-testid="stDialog"]')].find((one) => one.textContent.includes("Connection error"));
  let cursor; // what had it before the dialog came
  function look() {
    if (shown()) return;
    cursor = document.activeElement;
    while (cursor?.shadowRoot?.activeElement) cursor = cursor.shadowRoot.activeElement;
  }
  for (const type of ["keyup", "input", "pointerup", "focusin"]) window.addEventListener(type, look, { signal, capture: true });
  const field = () => ["TEXTAREA", "INPUT", "SELECT"].includes(cursor?.tagName);
  let taken = false; // a key that meets the dialog on its way goes where the cursor was
  window.addEventListener("keydown", () => { if (taken && field()) cursor.focus(); }, { signal, capture: true });
  function close() {
    const button = shown()?.querySelector("button");
    if (!button) return;
    button.click();
    taken = true;
    setTimeout(() => { taken = false; }, 400);
    if (field()) for (const wait of [0, 50, 300]) setTimeout(() => cursor.focus(), wait);
  }
  const watcher = new MutationObserver(close);
  signal.addEventListener("abort", () => watcher.disconnect());
  return function lost(is) {
    watcher.disconnect();
    if (is) { watcher.observe(document.body, { childList: true }); close(); }
  };
}
