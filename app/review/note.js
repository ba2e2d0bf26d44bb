// A note that is never lost. Each change is kept in this browser at once, told to Python when the reader
// pauses, and forgotten here when Python has it: a reload, a dead server or a lost connection costs nothing.
//
// Python sends `place` (reader, analysis, region: whose note this is), `value`, `kept` ({place: text} that the
// database holds) and `role`; it hears `texts`, {place: text} of all that it has not kept yet, with `left`, the
// place that the reader is done with: its text then belongs to the answer that stands there.

const PAUSE_MS = 400;
const STORED = "fontanelle.note.";

export default lasting("fontanelleNote", mount);

function mount(root) {
  const field = el("textarea", { class: "field", maxlength: "2000" });
  const box = el("div", { class: "note" }, field);
  root.append(box);
  let component, data = { place: "" }, timer;
  const waiting = new Map(); // place → text that Python has not kept
  const fields = (globalThis.fontanelleNotes ??= {}); // by role: whoever answers by key finds the text as typed

  let changed = false; // since the field was left last

  function tell(left = "") {
    clearTimeout(timer);
    const texts = left ? { [left]: field.value } : {};
    for (const [place, text] of waiting) texts[place] = text;
    // With the time: what a dead server was told must count as new when it is told again.
    if (Object.keys(texts).length > 0) component.setStateValue("texts", { ...texts, left, at: String(Date.now()) });
  }

  function typed() {
    changed = true;
    waiting.set(data.place, field.value);
    localStorage.setItem(STORED + data.place, field.value);
    clearTimeout(timer);
    timer = setTimeout(() => tell(), PAUSE_MS);
  }

  field.addEventListener("input", typed);
  field.addEventListener("blur", () => { if (changed) tell(data.place); changed = false; });
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
    const stored = localStorage.getItem(STORED + data.place);
    if (turned) {
      tell();
      changed = false;
      field.value = stored ?? data.value;
      if (stored !== null && stored !== data.value) { waiting.set(data.place, stored); timer = setTimeout(() => tell(), 0); }
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
    if (fields[data.role]?.place === data.place) delete fields[data.role];
    box.remove();
  }

  return { update, destroy };
}
