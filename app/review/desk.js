// The reader's keys, and the line that says what the next one means.
//
// A letter opens a row, digits choose in it: k 3 4 is class 2A, confidence 4; a 2 agrees and names the finding.
// Answers leave in order, each with its own id, the region, analysis and map that were on screen, and the note
// as typed; they stay in this browser until Python has kept them, or told that they never will be (`refused`).
// The viewer leaves these keys to the desk (`fontanelleClaims`) and tells what it shows (`fontanelleOnScreen`).
// Read waiting.js and refused.js first.

const STORED = "fontanelle.answers.";
const DIGITS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "h", "q", "r", "y", "z"];
const VERDICTS = { a: "agree", d: "disagree", s: "unsure" };
const OWN = [...Object.keys(VERDICTS), "u", "k", "j", "f", "e", "E", "N", "P", "S"];
const SURE = [["0", "", "not said"], ["1", "1", "a guess"], ["2", "2", ""], ["3", "3", ""], ["4", "4", ""], ["5", "5", "certain"]];
// Beside the viewer's own, which shows them all.
const SHEET = [
  ["a d s", "agree, disagree, unsure; then"],
  ["digit, digit", "which finding, how sure; any other key goes on"],
  ["j, digit, digit", "finding of the region, or of the last mark"],
  ["e", "note on the region, or on the last mark"],
  ["k, digit, digit", "class of the scan, then how sure"],
  ["Shift E", "note on the scan"],
  ["Enter, Esc", "leave a note (Shift Enter: new line)"],
  ["f", "finish: lock the first read, save the second"],
  ["u", "undo: one step a press"],
  ["Shift N P", "next, previous case"],
  ["Shift S", "skip this case, with a reason"],
  ["band", "highest where a region is large enough; its peak may lie above"],
];

export default lasting("fontanelleDesk", mount);

function mount(root) {
  const ui = {
    said: el("div", { class: "said", role: "status" }), row: el("div", { class: "row" }),
    sheet: el("dl", { class: "sheet", role: "dialog", "aria-label": "Keys", hidden: "" },
      ...[...SHEET, ["? Esc", "show, close these keys"]].flatMap(([key, what]) => [el("dt", {}, key), el("dd", {}, what)])),
  };
  const refused = openRefused();
  ui.box = el("div", { class: "desk" }, ui.said, ui.row, ui.sheet, refused.node);
  root.append(ui.box);
  let component, data = {}, armed, answers = [];
  // A note that Python has yet to open: what is typed for it, and the keys after its Enter, wait.
  let wanted; // { text, over, after, until }
  // Digits after a key that opened no row: they answer nothing, and are nobody else's either.
  let deaf = false, waits;
  let passed; // the mark after which a region was answered
  let replaying; // keys that waited and are yet to be told; what is pressed meanwhile comes after them
  const claimed = new Set(OWN);
  const keys = (globalThis.fontanelleKeys = [...SHEET]);
  const claims = (globalThis.fontanelleClaims = {
    has: (key) => holds(key) || wanted !== undefined || replaying !== undefined || claimed.has(key) || (deaf && /^\d$/.test(key)),
  });

  // ---- answers
  // A note may lag behind its region or mark: what is typed till `find` has it is kept for it.
  function awaitNote(find, typed = "", over = false, after = []) {
    wanted = { text: typed, over, after, until: performance.now() + 5000 };
    (function look() {
      if (!wanted) return;
      const note = find(globalThis.fontanelleNotes ?? {});
      if (note) {
        const { text, over, after } = wanted;
        wanted = undefined;
        note.focus(text, !over);
        for (const key of after) window.dispatchEvent(new KeyboardEvent("keydown", { key }));
      }
      else if (performance.now() > wanted.until) wanted = undefined;
      else setTimeout(look, 20);
    })();
  }

  function focusRegion(region, ...typed) {
    const place = `${data.reader}.${data.analysis}.${region}`;
    awaitNote((notes) => (notes.region?.place === place ? notes.region : undefined), ...typed);
  }

  // Of the mark that is on its way to Python, where one is.
  function focusMark() {
    const before = screen().marking ? data.mark : undefined;
    awaitNote((notes) => (data.mark === before ? undefined : notes[`mark.${data.mark}`]));
  }

  // Keys that waited for what comes; what follows an e or E, up to Enter, is a note's.
  function release() {
    clearTimeout(waits);
    const held = globalThis.fontanelleHeld;
    if (held === undefined) return;
    if (performance.now() > held.until) {
      delete globalThis.fontanelleHeld;
      if (held.keys.length > 0) say(`${HOLDS[held.way].late}: look, and answer again.`, true);
      return;
    }
    const { ready, blind, address } = screen(), noted = globalThis.fontanelleNotes?.case?.place === data.scan;
    const there = ready && noted && address === data.address && (!data.viewer || !!blind === (data.phase === "first"));
    if (!data.answered.includes(held.id) || !there) {
      ui.said.textContent = HOLDS[held.way].text;
      waits = setTimeout(release, 50);
      return;
    }
    delete globalThis.fontanelleHeld;
    globalThis.fontanelleClaims = claims;
    say(data.said.text, data.said.failed);
    replay(held.way !== "turn" && data.said.failed ? meantHere(held) : held.keys);
  }

  function replay(keys) {
    replaying = undefined;
    if (keys.length === 0) return;
    if (globalThis.fontanelleHeld) { // one of them asked for another page: the rest is meant for that
      globalThis.fontanelleHeld.keys.unshift(...keys);
      return;
    }
    const [key, ...rest] = keys;
    if (key === "e" || key === "E") {
      const end = rest.findIndex((one) => one === "Enter" || one === "Escape"), over = end >= 0;
      const text = (over ? rest.slice(0, end) : rest).filter((one) => one.length === 1).join(""), after = over ? rest.slice(end + 1) : [];
      if (key === "e" && target()?.region) { focusRegion(target().region, text, over, after); return; }
      note(key)?.focus(text, !over);
      goOn(after);
      return;
    }
    for (const type of ["keydown", "keyup"]) window.dispatchEvent(new KeyboardEvent(type, { key }));
    goOn(rest);
  }

  function goOn(keys) {
    replaying = keys;
    setTimeout(replay, 0, keys);
  }

  // The note that e or E opens, but for a region's.
  function note(key) {
    const notes = globalThis.fontanelleNotes ?? {};
    return (key === "e" ? notes[`mark.${target()?.mark}`] : undefined) ?? notes.case;
  }

  function screen() {
    const shown = globalThis.fontanelleOnScreen?.();
    if (data.viewer) return shown ?? { ready: false };
    return { address: data.address, region: data.region, map: data.map, hash: data.hash, ready: true };
  }

  function answer(what, value = "", more = {}) {
    const { address, region, map, hash, ready, active } = screen();
    if (!ready) { say("Wait until the viewer shows this case.", true); return undefined; }
    if (more.mark && address !== data.address) { say("Not saved: the mark is of another case.", true); return undefined; }
    const notes = globalThis.fontanelleNotes ?? {};
    const given = {
      id: newId(), what, value, address, region, map, hash, phase: data.phase, session: data.session, mark: null, active: active ?? null,
      note: address === data.address && notes.region?.place === `${data.reader}.${data.analysis}.${region}` ? notes.region.text() : null,
      remark: notes.case?.place === data.scan ? notes.case.text() : null,
      ...more,
    };
    answers.push(given);
    send();
    return given;
  }

  function send() {
    localStorage.setItem(STORED + data.reader, JSON.stringify(answers));
    // After a lost connection Python may hold this very list, unheard: it hears of one that differs only.
    const told = Date.now();
    component.setStateValue("answers", answers.map((one) => ({ ...one, told })));
    again.told();
  }
  const again = insisting(() => answers.length > 0, send);

  // ---- rows: [key, value, label]
  const rows = {
    class: () => data.classes.map(([value, label, key]) => [key, value, label]),
    sure: () => SURE,
    type: () => [["0", "", "not named"], ...data.terms.map(([name, label], i) => [DIGITS[i], name, label]).filter(([key]) => key)],
  };
  const TITLES = { class: "Class", sure: "How sure?", type: "Finding" };

  function arm(row, what, target = {}, then = undefined) {
    armed = row && { row, what, target, then, choices: rows[row]() };
    draw();
  }

  function choose(key) {
    const { what, target, then, choices } = armed, choice = choices.find(([one]) => one === key);
    if (!choice) return false;
    if (!answer(what, choice[1], target)) { arm(); return true; }
    if (then) arm("sure", then, target);
    else arm();
    return true;
  }

  // What a type, a confidence or a note speaks of: a mark set since the region was chosen or answered, else the
  // region on screen, else the mark set last.
  function target() {
    const { region } = screen(), newest = data.newest && data.mark !== passed && (region ?? null) === (data.region ?? null);
    if (data.phase === "second" && region && !newest) return { region, mark: null };
    return data.mark ? { region: null, mark: data.mark } : null;
  }

  const actions = {
    k: () => arm("class", "class", {}, "class-sure"),
    j: () => { const to = target(); if (to) arm("type", "type", to, "sure"); else say("Select a region or mark a finding first.", true); },
    f: () => finish(),
    u: () => answer("undo"),
    N: () => wait(answer("next"), "turn"),
    P: () => wait(answer("previous"), "turn"),
    S: () => answer("skip"),
    e: () => {
      const to = target();
      if (screen().marking || to?.mark) focusMark();
      else if (to) focusRegion(to.region);
      else note("e")?.focus();
    },
    E: () => note("E")?.focus(),
  };
  const finish = () => wait(answer("finish"), data.phase === "first" ? "lock" : "save");

  // What is typed next is meant for the page that comes; a server that is gone sends none.
  function wait(given, way) {
    if (!given || screen().lost) return;
    hold(given.id, way);
    release();
  }

  for (const [key, verdict] of Object.entries(VERDICTS)) actions[key] = () => {
    if (data.phase !== "second") return say("The flags are hidden: lock the first read (f) before you answer them.", true);
    passed = data.mark;
    const given = screen().region ? answer(verdict) : say("Select a region first: n, or click a row.", true);
    if (given) arm("type", "type", { region: given.region, mark: null }, "sure");
  };

  // ---- keys
  const listeners = new AbortController();
  window.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event)) return;
    // Without a server Streamlit opens a dialog of its own, which the viewer hides: answers go on.
    if (document.querySelector('[role="dialog"][aria-modal="true"], [data-testid="stDialog"]') && !screen().lost) return;
    if (holds(event.key)) return;
    if (replaying && event.isTrusted) {
      if (canWait(event.key)) replaying.push(event.key);
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    if (wanted) {
      if (wanted.over) wanted.after.push(event.key);
      else if (["Enter", "Escape"].includes(event.key)) wanted.over = true;
      else if (event.key === "Backspace") wanted.text = wanted.text.slice(0, -1);
      else if (event.key.length === 1) wanted.text += event.key;
      event.preventDefault();
      event.stopImmediatePropagation();
      return;
    }
    if (event.key === "?") { ui.sheet.hidden = data.viewer || !ui.sheet.hidden; return; } // a viewer shows them with its own
    if (event.key === "Escape") { ui.sheet.hidden = true; refused.seen(); }
    if (event.repeat) return;
    const taken = armed && (event.key === "Escape" ? (arm(), true) : choose(event.key));
    if (!taken) {
      if (armed) arm();
      if (!deaf || !/^\d$/.test(event.key)) {
        if (event.key !== "Shift") deaf = false;
        if (!(event.key in actions)) return;
        actions[event.key]();
        deaf = !armed && "adsjk".includes(event.key);
      }
    }
    event.preventDefault();
    event.stopImmediatePropagation();
  }, { capture: true, signal: listeners.signal });

  // A click on the button takes the same way as the key: the note as typed and the seconds come along.
  window.addEventListener("click", (event) => {
    const button = event.target?.closest?.(".st-key-review_finish button");
    if (!button || button.disabled || !data.viewer) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    finish();
  }, { capture: true, signal: listeners.signal });

  // ---- what is seen
  function say(text, failed = false) {
    ui.said.textContent = text || " ";
    ui.said.classList.toggle("failed", failed);
    return undefined;
  }

  function draw() {
    for (const key of [...claimed]) if (!OWN.includes(key)) claimed.delete(key);
    ui.row.replaceChildren();
    ui.box.dataset.armed = armed?.row ?? "";
    if (!armed) {
      ui.row.append(...hints().map(([key, what]) => el("span", { class: "hint" }, el("kbd", {}, key), what)));
      return;
    }
    claimed.add("Escape");
    ui.row.append(el("b", {}, TITLES[armed.row]));
    for (const [key, value, label] of armed.choices) {
      claimed.add(key);
      ui.row.append(el("button", { type: "button", class: "choice", onclick: () => choose(key) }, el("kbd", {}, key), label || value));
    }
  }

  const hints = () => data.phase === "first"
    ? [["Shift click", "mark a finding"], ["k", "class"], ["Shift E", "note"], ["f", "lock"], ["?", "all keys"]]
    : [["n p", "region"], ["a d s", "agree, disagree, unsure"], ["j", "finding"], ["k", "class"], ["f", "save"], ["?", "all keys"]];

  function update(next) {
    component = next;
    const before = data;
    data = next.data;
    if (before.reader !== data.reader) {
      try { answers = JSON.parse(localStorage.getItem(STORED + data.reader) ?? "[]"); } catch { answers = []; }
    }
    // A new session, of a reload or of a server that came back, has heard none of them.
    const anew = before.reader !== data.reader || before.session !== data.session;
    if (anew && answers.some((one) => !data.answered.includes(one.id))) setTimeout(send);
    const left = answers.filter((one) => !data.answered.includes(one.id));
    if (left.length < answers.length) { answers = left; localStorage.setItem(STORED + data.reader, JSON.stringify(answers)); }
    again.heard();
    refused.show(data.refused);
    if (before.said?.count !== data.said.count || before.scan !== data.scan) say(data.said.text, data.said.failed);
    if (armed && (before.scan !== data.scan || before.phase !== data.phase)) armed = undefined;
    if (before.scan === data.scan && data.mark && data.mark !== before.mark && data.fresh) arm("type", "type", { region: null, mark: data.mark }, "sure");
    else draw();
    release();
    atAddress();
  }

  // The page's own address names the case on screen, whatever became of Streamlit's word on it: a reload opens it.
  function atAddress() {
    const here = new URL(location.href), name = data.address.slice(0, 16);
    if (here.searchParams.get("case") === name) return;
    here.searchParams.set("case", name);
    history.replaceState(history.state, "", here);
  }

  function destroy() {
    listeners.abort();
    if (globalThis.fontanelleKeys === keys) delete globalThis.fontanelleKeys;
    clearTimeout(waits);
    again.end();
    if (globalThis.fontanelleClaims === claims) globalThis.fontanelleClaims = { has: holds };
    ui.box.remove();
  }

  return { update, destroy };
}
