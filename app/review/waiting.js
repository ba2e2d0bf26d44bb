// Keys typed while a page is coming: after a lock, a save, or a turn to another case.
//
// What comes may bring a new desk, so they wait outside of it, and are told to the desk that is there then, in
// order. `fontanelleHeld`: { id of the answer that the page waits for, way, keys, until }.

const HOLD_MS = 60_000;
const HOLDS = {
  lock: { text: "Locked: revealing the flags …", late: "The flags did not come" },
  save: { text: "Saving …", late: "Nothing came after the save" },
  turn: { text: "Opening …", late: "The other case did not come" },
};
const holding = () => globalThis.fontanelleHeld !== undefined && document.querySelector(".st-key-reading_panel") !== null;
// Turning on and on goes at once, as long as nothing else was typed in between.
const turns = (key) => globalThis.fontanelleHeld?.way === "turn" && globalThis.fontanelleHeld.keys.length === 0 && "NP".includes(key);
// Keys that type or answer: others, as arrows, belong to what is on screen now.
const canWait = (key) => key.length === 1 || ["Enter", "Escape", "Backspace"].includes(key);
const holds = (key) => holding() && !turns(key) && canWait(key);

function hold(id, way) {
  const held = (globalThis.fontanelleHeld = { id, way, keys: [], until: performance.now() + HOLD_MS });
  const end = new AbortController();
  globalThis.fontanelleClaims = { has: holds };
  window.addEventListener("keydown", (event) => {
    if (globalThis.fontanelleHeld !== held || performance.now() > held.until) {
      end.abort();
      if (globalThis.fontanelleHeld === held) delete globalThis.fontanelleHeld;
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event) || !holds(event.key)) return;
    held.keys.push(event.key);
    event.preventDefault();
    event.stopImmediatePropagation();
  }, { capture: true, signal: end.signal });
}

// Of keys that waited for a page that was refused: those after a second f, which saves all the same. Others were
// meant for what is not shown.
const meantHere = ({ way, keys }) => (way === "save" && keys[0] === "f" ? keys : []);
