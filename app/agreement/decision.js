// The decision on one disagreement: what, which finding, and why. Each change is kept in this browser at once,
// told to Python when the coordinator pauses, and forgotten here when the database has it; so is a decision that
// was saved: a reload, a dead server or a lost connection costs nothing. Read base.js and presence.js first.
//
// Python sends `place` (reader and question: whose draft of what), `values` [[value, label, key]], `terms`
// [[name, label]] of a flag, null of a class (no values: no question is open), `value` {decision, finding_type, reason} to begin with, `kept`
// {place: id} of the drafts that the database has, `answered` {id: whether it was kept} of decisions, `said`
// {text, failed, count}, `session` and `health`. It hears `typed`: {drafts: {place: {id, …}}} of all that it has not kept,
// and `saved`: {id, place, …}, one decision. `told` makes each word a new one.

const PAUSE_MS = 400;
const SLOW_MS = 6000; // till the wait for an answer is put in words
const QUIET_MS = 500; // keys typed before the next question came must have ended for so long
const BACK_MS = 30_000; // a form that comes again within this after the last key has the cursor again
const STORED = "fontanelle.decision.", SENT = "fontanelle.decided.";
const PARTS = ["decision", "finding_type", "reason"];

export default lasting("fontanelleDecision", mount);

function mount(root) {
  const ui = {
    choices: el("div", { class: "choices", role: "group", "aria-label": "Decision" }),
    type: el("select", { id: "type", onchange: () => change({ finding_type: ui.type.value }) }),
    field: el("textarea", { class: "field", id: "reason", maxlength: "4000", required: "", "aria-describedby": "said" }),
    kept: el("span", { class: "dim" }),
    save: el("button", { type: "button", class: "save", onclick: save }, "Save decision ", el("kbd", { "aria-hidden": "true" }, "Ctrl ⏎")),
    said: el("span", { class: "said", id: "said", role: "status", "aria-live": "polite" }),
  };
  ui.finding = el("div", { class: "finding" }, el("label", { for: "type" }, "Finding"), ui.type);
  ui.box = el("div", { class: "decision" }, ui.choices, ui.finding,
    el("div", { class: "why" }, el("label", { for: "reason" }, "Reason (required)"), ui.kept), ui.field, el("div", { class: "end" }, ui.save, ui.said));
  root.append(ui.box);
  let component, data = { place: "", values: [] }, timer, slow;
  let now = {}; // what is chosen and typed
  let saving; // the decision that Python has not answered for
  let typedAt = -Infinity; // when something was typed last
  let early = false, quiet = -Infinity; // whether keys were pressed while a decision was on its way; till when others are deaf
  let lost = false;
  const waiting = new Map(); // place → draft that Python has not kept
  const end = new AbortController(), noDialog = undialog(end.signal);

  // Another reader's drafts wait for that reader.
  const reader = () => `${data.place.split(".")[0]}.`;
  const mine = () => [...waiting].filter(([place]) => place.startsWith(reader()) && place !== saving?.place);
  const tellAgain = insisting(() => mine().length > 0, tell), sendAgain = insisting(() => saving !== undefined, send);

  function tell() {
    clearTimeout(timer);
    if (mine().length === 0) return;
    component.setStateValue("typed", { drafts: Object.fromEntries(mine()), told: Date.now() });
    tellAgain.told();
  }

  function change(parts) {
    if (saving) return;
    now = { ...now, ...parts };
    const draft = { id: newId(), ...now };
    waiting.set(data.place, draft);
    localStorage.setItem(STORED + data.place, JSON.stringify(draft));
    say("");
    draw();
    clearTimeout(timer);
    timer = setTimeout(tell, PAUSE_MS);
  }

  // ---- saving
  function save() {
    if (saving || ui.box.hidden) return;
    const keys = data.values.map(([, , key]) => key).join(" ");
    const lacks = [[!now.decision, `choose a decision (${keys})`, ui.choices], [now.reason.trim() === "", "give the reason", ui.field]].filter(([is]) => is);
    if (lacks.length > 0) {
      say(`Not saved: ${lacks.map(([, what]) => what).join(", and ")}.`, true);
      for (const [, , node] of lacks) mark(node, true);
      (lacks[0][2] === ui.field ? ui.field : ui.choices.firstElementChild).focus();
      return;
    }
    saving = { id: newId(), place: data.place, ...now };
    localStorage.setItem(SENT + data.place, JSON.stringify(saving));
    clearTimeout(timer);
    ui.field.blur();
    say("Saving …");
    draw();
    send();
  }

  function send() {
    component.setStateValue("saved", { ...saving, told: Date.now() });
    sendAgain.told();
    clearTimeout(slow);
    slow = setTimeout(() => { if (saving && !lost) say("The server has not answered yet. The decision is kept here, and sent again.", true); }, SLOW_MS);
  }

  function answered() {
    if (!saving || !(saving.id in data.answered)) return;
    clearTimeout(slow);
    const { id, place } = saving;
    localStorage.removeItem(SENT + place);
    if (data.answered[id]) { waiting.delete(place); localStorage.removeItem(STORED + place); }
    saving = undefined;
    if (early) quiet = performance.now() + QUIET_MS;
  }

  // ---- keys
  const dialog = () => document.querySelector('[role="dialog"][aria-modal="true"], [data-testid="stDialog"]');
  window.addEventListener("keydown", (event) => {
    if (dialog()) return;
    const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
    if (plain && (saving || performance.now() < quiet) && (event.key.length === 1 || ["Enter", "Backspace"].includes(event.key))) {
      // Meant for a question that nobody has seen yet.
      if (saving) early = true;
      else quiet = performance.now() + QUIET_MS;
      take(event);
      return;
    }
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      take(event);
      if (!event.repeat) save();
      return;
    }
    if (!plain || event.repeat || typing(event)) return;
    const key = event.shiftKey ? event.key : event.key.toLowerCase(), choice = data.values.find(([, , one]) => one === key);
    if (choice) change({ decision: choice[0] });
    else if (key.toLowerCase() === "e" && !ui.box.hidden) ui.field.focus();
    else return;
    take(event);
  }, { capture: true, signal: end.signal });

  function take(event) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  ui.field.addEventListener("input", () => { typedAt = performance.now(); change({ reason: ui.field.value }); });
  // The page's own keys (Streamlit's too) never hear what is typed; Escape gives the keys back.
  for (const node of [ui.field, ui.type]) for (const type of ["keydown", "keyup", "keypress"]) node.addEventListener(type, (event) => {
    event.stopPropagation();
    if (type === "keydown" && event.key === "Escape") node.blur();
  });

  // ---- what is seen
  function say(text, failed = false) {
    ui.said.textContent = text;
    ui.said.classList.toggle("failed", failed);
    for (const node of [ui.choices, ui.field]) mark(node, false);
  }

  function mark(node, lacks) {
    if (node === ui.field) node.setAttribute("aria-invalid", String(lacks));
    else node.toggleAttribute("data-lacks", lacks);
  }

  function draw() {
    for (const button of ui.choices.children) button.setAttribute("aria-pressed", String(button.dataset.value === now.decision));
    if (ui.field.value !== now.reason) ui.field.value = now.reason;
    ui.type.value = now.finding_type ?? "";
    ui.field.readOnly = saving !== undefined;
    ui.save.setAttribute("aria-disabled", String(saving !== undefined));
    const empty = PARTS.every((part) => !now[part]);
    ui.kept.textContent = waiting.has(data.place) || empty || !data.draft ? "" : "draft kept";
  }

  function offer() {
    ui.box.hidden = data.values.length === 0;
    ui.choices.replaceChildren(...data.values.map(([value, label, key]) => el("button",
      { type: "button", class: "choice", "data-value": value, "aria-keyshortcuts": key, onclick: () => change({ decision: value }) }, el("kbd", { "aria-hidden": "true" }, key), label)));
    ui.finding.hidden = !data.terms;
    ui.type.replaceChildren(el("option", { value: "" }, "not named"), ...(data.terms ?? []).map(([name, label]) => el("option", { value: name }, label)));
    ui.field.placeholder = "What decided it? (e: type here, Esc: back to the keys)";
  }

  function connection(there) {
    lost = !there;
    noDialog(lost);
    say(lost ? `The server does not answer. ${saving ? "Your decision is kept in this browser, and saved" : "What you choose and type is kept in this browser, and told"} when it is back.` : saving ? "Saving …" : "The server is back.", lost);
  }

  // ---- Python
  function update(next) {
    component = next;
    const before = data, turned = next.data.place !== before.place;
    data = next.data;
    if (before.place === "" && data.health) watchServer(data.health, connection, end.signal);
    for (const [place, { id }] of mine()) if (data.kept[place] === id) { waiting.delete(place); localStorage.removeItem(STORED + place); }
    answered();
    for (const again of [tellAgain, sendAgain]) again.heard();
    // A server that was started anew has heard nothing.
    if (before.place !== "" && before.session !== data.session) setTimeout(() => { tell(); if (saving) send(); }, 0);
    if (turned) open();
    else if (!waiting.has(data.place) && !saving && root.activeElement !== ui.field) now = { ...data.value };
    if (data.said.count !== before.said?.count && data.said.text) say(data.said.text, data.said.failed);
    if (early && !saving) {
      early = false;
      ui.said.textContent += " Keys that were pressed meanwhile did nothing.";
    }
    draw();
  }

  // Another question, or the form anew: what this browser has of it goes before what the database has.
  function open() {
    tell();
    offer();
    const stored = localStorage.getItem(STORED + data.place);
    const { id, ...parts } = stored === null ? data.value : JSON.parse(stored);
    now = parts;
    say("");
    if (stored !== null) { waiting.set(data.place, { id, ...parts }); clearTimeout(timer); timer = setTimeout(tell, 0); }
    resend();
    document.querySelector('[data-testid="stMain"]')?.scrollTo(0, 0);
    document.querySelector(".st-key-adjudicate_said")?.parentElement.scrollTo(0, 0);
    const left = globalThis.fontanelleDecisionLeft;
    if (left?.place === data.place && performance.now() - left.at < BACK_MS) {
      draw();
      ui.field.focus();
      ui.field.setSelectionRange(left.from, left.to);
    } else if (root.activeElement === ui.field) ui.field.blur();
    delete globalThis.fontanelleDecisionLeft;
  }

  // A decision that was on its way when the page was loaded anew; it is kept once, by its id.
  function resend() {
    const name = Object.keys(localStorage).find((one) => one.startsWith(SENT + reader()));
    if (saving || name === undefined) return;
    saving = JSON.parse(localStorage.getItem(name));
    answered();
    if (saving) setTimeout(send, 0);
  }

  function destroy() {
    clearTimeout(timer);
    clearTimeout(slow);
    for (const again of [tellAgain, sendAgain]) again.end();
    end.abort();
    globalThis.fontanelleDecisionLeft = { place: data.place, at: typedAt, from: ui.field.selectionStart, to: ui.field.selectionEnd };
    ui.box.remove();
  }

  return { update, destroy };
}
