// A note that is never lost. Each change is kept in this browser at once, told to Python when the reader
// pauses, and forgotten here when Python has it: a reload, a dead server or a lost connection costs nothing.
//
// Python sends `place` (reader, analysis, region: whose note this is), `value`, `kept` ({place: text} that the
// database holds), `role`, and `given` ({place: id}, see below). It hears `typed`: {texts, left, told}, with the
// {place: text} of all that it has not kept yet, and in `left` {place: id} of the places that the reader is done
// with: their texts belong to the answers that stand there. `told` makes each word a new one.

const PAUSE_MS = 400;
const STORED = "fontanelle.note.";

export default lasting("fontanelleNote", mount);

function mount(root) {
  const field = el("textarea", { class: "field", maxlength: "2000" });
  const box = el("div", { class: "note" }, field);
  root.append(box);
  let component, data = { place: "" }, timer;
  const waiting = new Map(); // place → text that Python has not kept
  const left = new Map(); // place → { id, text } of what Python has not given to the answer there
  const fields = (globalThis.fontanelleNotes ??= {}); // by role: whoever answers by key finds the text as typed

  let changed = false; // since the field was left last

  // Another reader's notes wait for that reader.
  const mine = ([place]) => place.split(".")[0] === data.place.split(".")[0];
  const owed = () => [...waiting, ...left].some(mine);

  function tell() {
    clearTimeout(timer);
    if (!owed()) return;
    const done = [...left].filter(mine), texts = Object.fromEntries([...done.map(([place, { text }]) => [place, text]), ...[...waiting].filter(mine)]);
    component.setStateValue("typed", { texts, left: Object.fromEntries(done.map(([place, { id }]) => [place, id])), told: Date.now() });
    again.told();
  }
  const again = insisting(owed, tell);

  function typed() {
    changed = true;
    waiting.set(data.place, field.value);
    localStorage.setItem(STORED + data.place, field.value);
    clearTimeout(timer);
    timer = setTimeout(tell, PAUSE_MS);
  }

  field.addEventListener("input", typed);
  field.addEventListener("blur", () => {
    if (!changed) return;
    changed = false;
    left.set(data.place, { id: newId(), text: field.value });
    tell();
  });
  // The page's own keys (Streamlit's too) never hear what is typed; Enter and Escape give the keys back.
  for (const type of ["keydown", "keyup", "keypress"]) field.addEventListener(type, (event) => {
    event.stopPropagation();
    if (type === "keydown" && (event.key === "Escape" || (event.key === "Enter" && !event.shiftKey))) {
      event.preventDefault();
      field.blur();
    }
  });

  function update(next) {
    component = next;
    const turned = next.data.place !== data.place;
    data = next.data;
    field.rows = data.rows;
    field.placeholder = data.placeholder;
    field.setAttribute("aria-label", data.label);
    field.title = data.title;
    field.disabled = !!data.disabled;
    for (const [place, text] of Object.entries(data.kept)) {
      if (waiting.get(place) === text) waiting.delete(place);
      if (localStorage.getItem(STORED + place) === text) localStorage.removeItem(STORED + place);
    }
    for (const [place, { id }] of left) if (data.given[place] === id) left.delete(place);
    again.heard();
    const stored = localStorage.getItem(STORED + data.place);
    if (turned) {
      tell();
      changed = false;
      field.value = stored ?? data.value;
      if (stored !== null && stored !== data.value) { waiting.set(data.place, stored); timer = setTimeout(tell, 0); }
    } else if (!waiting.has(data.place) && root.activeElement !== field) field.value = data.value;
    fields[data.role] = { place: data.place, text: () => field.value, 
      // Focus, and what was typed before the field was there.
      focus: (before = "", stay = true) => {
        field.focus();
        if (before) { field.value += before; typed(); }
        if (!stay) field.blur();
      } };
  }

  function destroy() {
    clearTimeout(timer);
    again.end();
    if (fields[data.role]?.place === data.place) delete fields[data.role];
    box.remove();
  }

  return { update, destroy };
}
