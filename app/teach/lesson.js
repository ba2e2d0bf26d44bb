// A lesson in the browser: teacher, learner or projector, as `data.role` says. Read stage.js and link.js first.
//
// Streamlit's page mounts this once and hands it a signed token. All that happens then comes by events from the
// server (app/teach/web.py) and goes there by POST; nothing reruns the page.

const POINT_MS = 66; // at most so often the teacher's pointer is sent
const IDLE_MS = 30000; // a second counts as active where the learner did something within that time

export default lasting("lesson", mountLesson);

function mountLesson(root) {
  const v = { data: {}, lesson: null, skew: 0, marks: [], at: -1, pending: 0, follows: true, laser: false, active: 0, busy: performance.now(), chosen: null };
  const end = new AbortController();
  v.stage = openStage({ mark: (mm) => addMark(v, mm), look: (at) => look(v, at), follows: () => v.data.role !== "teacher" && v.follows, problem: (text) => notice(v, text) });
  v.link = openLink({ state: (lesson, skew) => { v.skew = skew; arrived(v, lesson); }, pointer: (pointer) => pointed(v, pointer), line: (up) => { v.up = up; v.ui.line.hidden = up; }, stale: () => renew(v) });
  v.ui = buildLesson(v);
  root.append(v.ui.box);
  const hear = (target, type, handler, options = {}) => target.addEventListener(type, handler, { signal: end.signal, ...options });
  for (const type of ["mousemove", "keydown", "wheel", "pointerdown"]) hear(window, type, () => { v.busy = performance.now(); }, { passive: true });
  const keys = {
    ArrowUp: () => v.stage.scroll(1), ArrowDown: () => v.stage.scroll(-1), PageUp: () => v.stage.scroll(5), PageDown: () => v.stage.scroll(-5),
    v: () => setView(v, STAGE_VIEWS[(STAGE_VIEWS.indexOf(v.stage.state.view) + 1) % STAGE_VIEWS.length]),
    m: () => { if (v.stage.ready()) addMark(v, v.stage.cross()); }, l: () => swapSides(v), 0: () => v.stage.reset(),
    p: () => { if (v.data.role === "teacher" && v.lesson?.case) setLaser(v, !v.laser); },
  };
  hear(window, "keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event) || !v.stage.ready() || !(event.key in keys)) return;
    if (event.key.length > 1 && !v.ui.box.matches(":hover") && !v.ui.box.contains(root.activeElement ?? null)) return;
    event.preventDefault();
    keys[event.key]();
  }, { capture: true });
  v.clock = setInterval(() => tick(v), 250);
  return {
    update(next) { v.component = next; v.data = next.data; v.link.to(v.data.prefix); v.ui.box.dataset.role = v.data.role; draw(v); },
    destroy() { end.abort(); clearInterval(v.clock); v.link.close(); v.stage.close(); v.ui.box.remove(); },
  };
}

// Streamlit does not run the page again by itself when its server comes back: it is asked to, for a new token.
function renew(v) {
  if (performance.now() - (v.renewed ?? -Infinity) < 3000) return;
  v.renewed = performance.now();
  v.component.setTriggerValue("renew", Date.now());
}

// ---- what happened
function arrived(v, lesson) {
  v.lesson = lesson;
  if (!lesson || !("index" in lesson)) { draw(v); return; }
  if (lesson.index !== v.at) { [v.at, v.active, v.chosen] = [lesson.index, 0, null]; v.marks = []; v.sent = false; v.saved = undefined; if (v.laser) setLaser(v, false); }
  if (lesson.marks && v.pending === 0) adopt(v, lesson.marks);
  v.stage.show(lesson.case, v.data.niivue).then(() => { v.stage.answer(lesson.answer ?? null); showSpots(v); take(v); });
  draw(v);
}

// Where the class is to look, each place once: the lesion at the reveal, then what the teacher clicks.
function take(v) {
  const place = v.lesson?.place;
  if (!place || place.case !== v.at || place.id === v.taken) return;
  v.taken = place.id;
  if (v.data.role === "teacher" || v.follows) v.stage.go(place.mm);
}

// The teacher's own pointer is drawn where the cursor is; what the server says of it counts after a reload only.
function pointed(v, pointer) {
  if (v.data.role !== "teacher") { v.pointer = pointer; v.stage.point(pointer); draw(v); }
  else if (!v.heard && pointer) { v.laser = true; draw(v); }
  v.heard = true;
}

// The server's marks; rows on screen keep their note while it is being typed.
function adopt(v, marks) {
  v.marks = marks.map((mark) => Object.assign(v.marks.find((one) => one.id === mark.id) ?? { key: mark.id }, mark));
  showSpots(v);
}

function showSpots(v) {
  v.stage.spots(v.marks.map(({ mm, outcome }) => ({ mm, outcome, radius: v.lesson.tolerance })));
}

const canMark = (v) => v.data.role === "learner" && v.lesson?.state === "open" && v.lesson.case && !v.lesson.revealed && !v.lesson.committed && !v.sent;
const remaining = (v) => (v.lesson?.ends ? v.lesson.ends - (Date.now() + v.skew) : null);

function tick(v) {
  const left = remaining(v), on = v.lesson?.state === "open" && v.lesson.case && !v.lesson.revealed && left !== null;
  v.ui.timer.hidden = !on;
  if (on) {
    const seconds = Math.max(0, Math.ceil(left / 1000));
    v.ui.timer.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    v.ui.timer.classList.toggle("late", seconds <= 10);
    if (left <= 0 && canMark(v)) commitMarks(v, true);
  }
  if (canMark(v) && document.visibilityState === "visible" && performance.now() - v.busy < IDLE_MS) v.active += 0.25;
}

// ---- what a learner does
function op(v, action, content) {
  v.pending += 1;
  return v.link.send(action, content).then(
    (answer) => { v.pending -= 1; v.saved = new Date(); if (answer.marks && answer.case === v.at && v.pending === 0) adopt(v, answer.marks); draw(v); },
    (error) => { v.pending -= 1; notice(v, `Not saved. ${error.message}`); draw(v); },
  );
}

function addMark(v, mm) {
  if (!canMark(v)) { if (v.data.role === "learner" && v.lesson?.case) notice(v, "Marks on this scan change no more."); return; }
  const id = newId(), mark = { key: id, id, mm, type: "", note: "" }; // the key stays, the id changes with each wording
  v.marks.push(mark);
  showSpots(v);
  op(v, "mark", { id: mark.id, case: v.at, mm });
  draw(v);
}

// A new wording is a row of its own, in the place of the former.
function changeMark(v, mark, change) {
  if (!canMark(v) || Object.entries(change).every(([name, value]) => mark[name] === value)) return;
  const before = mark.id;
  Object.assign(mark, change, { id: newId() });
  op(v, "mark", { id: mark.id, case: v.at, mm: mark.mm, type: mark.type, note: mark.note, before });
}

function removeMark(v, mark) {
  if (!canMark(v)) return;
  v.marks = v.marks.filter((one) => one !== mark);
  showSpots(v);
  op(v, "remove", { id: newId(), case: v.at, mark: mark.id });
  draw(v);
}

// `automatic`: the time is over, nobody pressed the button.
function commitMarks(v, automatic = false) {
  v.sent = true; // no mark may follow
  op(v, "commit", { case: v.at, seconds: v.active, automatic }).then(() => { if (!v.lesson.committed) setTimeout(() => { v.sent = false; draw(v); }, 2000); });
  draw(v);
}

// ---- what a teacher does
function control(v, action, more = {}) {
  v.ui.controls.inert = true;
  v.link.send(action, { case: v.at, ...more }).catch((error) => notice(v, error.message)).finally(() => { v.ui.controls.inert = false; });
}

// A place of the answer that was clicked; where the teacher does it, for the class too.
function showPlace(v, mm) {
  v.stage.go(mm);
  if (v.data.role !== "teacher" || !v.lesson?.revealed) return;
  v.taken = newId();
  v.link.send("show", { id: v.taken, case: v.at, mm }).catch((error) => notice(v, error.message));
}

function setFollows(v, follows) {
  v.follows = follows;
  if (v.pointer) v.stage.point(v.pointer);
  else if (follows && v.lesson?.place) v.stage.go(v.lesson.place.mm);
}

function setLaser(v, on) {
  v.laser = on;
  if (on) look(v, { plane: v.stage.state.plane, mm: v.stage.cross(), cross: v.stage.cross() });
  else { v.aim = null; v.stage.point(null); v.link.tell("point", { on: false }).catch(() => notice(v, "The pointer could not be taken away.")); }
  draw(v);
}

// Cursor and slices moved: told to the class while the laser is on, at most every POINT_MS, the last one always.
function look(v, at) {
  v.ui.box.dataset.mm = at.cross.map((value) => value.toFixed(1)).join();
  if (v.data.role !== "teacher" || !v.laser) return;
  v.stage.point(at);
  v.aim = at;
  if (v.waiting) return;
  const send = () => {
    v.waiting = undefined;
    if (!v.aim || !v.laser) return;
    const now = v.aim;
    v.aim = null;
    v.ui.box.dataset.pointer = now.mm.map((value) => value.toFixed(1)).join();
    v.link.tell("point", { on: true, ...now }).then(() => { v.up = true; }, () => notice(v, "The pointer does not reach the class just now."));
    v.waiting = setTimeout(send, POINT_MS);
  };
  send();
}

function setView(v, name) { v.stage.setView(name); draw(v); }
function swapSides(v) { v.stage.setRadiological(!v.stage.state.radiological); draw(v); }

function notice(v, text) {
  clearTimeout(v.noticed);
  v.ui.notice.textContent = text;
  v.ui.notice.hidden = false;
  v.noticed = setTimeout(() => { v.ui.notice.hidden = true; }, 6000);
}
