// What stands around the picture of a lesson. `draw(v)` brings all of it up to what `v.lesson` says.

const VIEW_LABELS = { planes: "3-plane", axial: "Axial", coronal: "Coronal", sagittal: "Sagittal" };
const LAYER_LABELS = { truth: "Truth", readers: "Readers", model: "Model", class: "Class marks" };
const LAYER_MEANS = { truth: "outlines of the lesions that are known", readers: "places that readers call a finding", model: "bands of the model", class: "where the class marked" };
const plural = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;
// Who marked nothing and did not commit gave no answer, also where the reveal or the end of the time committed it.
const answered = ({ committed, unanswered }) => committed - unanswered;
const clockTime = (date) => date.toTimeString().slice(0, 8);

function buildLesson(v) {
  const press = (text, title, action, cls) => el("button", { type: "button", title, class: cls, onclick: action }, text);
  const text = (cls) => el("span", { class: cls });
  const ui = { views: {}, layers: {} };
  ui.title = text("title"); ui.place = text("place"); ui.age = text("age"); ui.id = text("dim id"); ui.hash = text("hash"); ui.counts = text("counts"); ui.timer = text("timer");
  ui.timer.setAttribute("role", "timer");
  ui.synthetic = el("span", { class: "badge" }, "SYNTHETIC");
  ui.line = el("span", { class: "line", role: "status", hidden: "" }, "Connection lost. Trying again…");
  ui.code = text("smallcode");
  ui.head = el("div", { class: "bar head" }, ui.title, ui.place, ui.age, ui.synthetic, ui.id, ui.hash, el("span", { class: "grow" }), ui.line, ui.timer, ui.counts, ui.code);
  for (const [name, label] of Object.entries(VIEW_LABELS)) ui.views[name] = press(label, `${label} (v: next view)`, () => setView(v, name));
  for (const [name, label] of Object.entries(LAYER_LABELS)) ui.layers[name] = press(label, `Show or hide: ${LAYER_MEANS[name]}`, () => { v.stage.setLayer(name, !v.stage.state.layers[name]); draw(v); });
  for (const name of ["truth", "readers", "class"]) ui.layers[name].prepend(el("span", { class: `key ${name}`, "aria-hidden": "true" }));
  ui.side = press("", "Swap left and right (l)", () => swapSides(v));
  ui.followBox = el("input", { type: "checkbox", onchange: (event) => setFollows(v, event.target.checked) });
  ui.followBox.checked = true;
  ui.follow = el("label", { class: "follow" }, ui.followBox, "Follow the teacher");
  ui.legend = text("legend");
  ui.foot = el("div", { class: "bar foot" }, el("div", { class: "group" }, ...Object.values(ui.views)), el("div", { class: "group layers" }, ...Object.values(ui.layers)), ui.legend,
    el("span", { class: "grow" }), ui.follow, ui.side, el("span", { class: "dim disclaimer" }, DISCLAIMER));
  ui.lobby = el("div", { class: "lobby" });
  ui.notice = el("div", { class: "notice", role: "status", hidden: "" });
  ui.picture = el("div", { class: "picture" }, v.stage.node, ui.lobby, ui.notice);
  ui.controls = el("div", { class: "controls" });
  ui.task = el("div", { class: "task", "aria-live": "polite" });
  ui.shown = el("div", { class: "dim" });
  ui.list = el("div", { class: "list" });
  ui.answer = el("div", { class: "answer" });
  ui.panel = el("div", { class: "panel" }, ui.controls, ui.task, ui.list, ui.answer, ui.shown);
  ui.box = el("div", { class: "lesson", "data-phase": "loading" }, ui.head, el("div", { class: "main" }, ui.picture, ui.panel), ui.foot);
  new ResizeObserver(() => v.stage.redraw()).observe(ui.picture);
  return ui;
}

const phaseOf = (lesson) => (!lesson || !("index" in lesson) ? "loading" : lesson.state !== "open" ? lesson.state : lesson.index < 0 ? "lobby" : lesson.revealed ? "revealed" : "marking");

function draw(v) {
  const { ui, lesson, data } = v, phase = phaseOf(lesson), { role } = data, box = ui.box, press = (node, on) => node.setAttribute("aria-pressed", !!on);
  box.dataset.phase = phase;
  box.dataset.index = lesson?.index ?? "";
  box.dataset.committed = lesson?.counts?.committed ?? "";
  box.dataset.joined = lesson?.counts?.joined ?? "";
  if (phase === "loading") { fill(ui.lobby, "loading", () => [el("p", {}, lesson === null && v.up ? "This lesson is not here any more." : lesson?.problem ?? "Loading…")]); return; }
  const { counts } = lesson, open = phase === "marking" || phase === "revealed";
  ui.title.textContent = lesson.title;
  ui.place.textContent = lesson.index >= 0 ? `Scan ${lesson.index + 1} of ${lesson.count}` : plural(lesson.count, "scan");
  ui.synthetic.hidden = !lesson.case?.synthetic;
  const { age } = lesson.case ?? {};
  ui.age.textContent = typeof age === "number" ? `PMA ${age.toFixed(1)} weeks` : "";
  ui.age.title = "Postmenstrual age at the scan";
  ui.id.textContent = lesson.case?.id ?? "";
  ui.hash.textContent = lesson.case?.base ? `#${lesson.case.base.hash.slice(0, 8)}` : "";
  const here = role === "teacher" ? ` · ${counts.here} here` : "";
  ui.counts.textContent = role === "learner" ? lesson.name : `${counts.joined} joined${here}${open ? ` · ${answered(counts)} ${phase === "revealed" ? "answered" : "committed"}` : ""}`;
  ui.code.textContent = role !== "learner" && lesson.state === "open" && lesson.index >= 0 ? `code ${lesson.code}` : "";
  for (const [name, node] of Object.entries(ui.views)) press(node, v.stage.state.view === name);
  const has = { truth: lesson.answer?.truth?.lesions.length > 0, readers: lesson.answer?.readers?.findings.length > 0, model: !!lesson.answer?.model, class: lesson.answer?.marks?.length > 0 };
  for (const [name, node] of Object.entries(ui.layers)) { node.hidden = !has[name]; press(node, v.stage.state.layers[name]); }
  ui.side.textContent = conventionText(v.stage.state.radiological);
  ui.follow.hidden = role !== "learner" && !(role === "projector" && v.pointer);
  drawLegend(v, has);
  ui.lobby.hidden = open;
  if (!open) drawLobby(v, phase);
  if (role === "teacher") drawControls(v, phase);
  drawTask(v, phase);
  ui.shown.textContent = role === "teacher" && phase === "marking" ? "The class sees the scan without its answer." : "";
  if (role === "learner") drawMine(v, phase);
  if (role === "teacher") drawRoster(v, phase);
  drawAnswer(v, phase);
  if (lesson.problem) notice(v, lesson.problem);
}

// New content of `node` only where what it shows, as `key` says, has changed: focus and typing stay.
const filled = new WeakMap();
function fill(node, key, make) {
  if (filled.get(node) === key) return;
  filled.set(node, key);
  node.replaceChildren(...make());
}

function drawLegend(v, has) {
  const colors = v.lesson.answer?.model?.colors, on = has.model && v.stage.state.layers.model;
  fill(v.ui.legend, on ? colors.join() : "", () => (on ? [...bandKeys(colors, -1), ...bandKeys(colors, 1), el("span", {}, "SD")] : []));
}

// One word for all bands of a sign: the line below the picture is to stay one line.
function bandKeys(colors, sign) {
  const bands = [...BANDS.entries()].filter(([i, [, of]]) => STAGE_BANDS[i] && of === sign);
  return [el("span", { class: "sign" }, sign > 0 ? "brighter" : "darker"), ...bands.map(([i, [label]]) => el("span", { class: "band", style: `--band: ${colors[i]}` }, label))];
}

function drawLobby(v, phase) {
  const { lesson, data } = v, { role } = data, { counts } = lesson, local = ["localhost", "127.0.0.1", "[::1]"].includes(location.hostname);
  const address = location.origin + location.pathname;
  fill(v.ui.lobby, JSON.stringify([phase, role, lesson.title, lesson.code, counts?.joined, lesson.total, lesson.name]), () => {
    const code = el("p", { class: "code", "aria-label": `Join code ${[...lesson.code].join(" ")}` }, ...[...lesson.code].map((letter) => el("span", {}, letter)));
    if (phase === "draft") return [el("h2", {}, lesson.title), el("p", {}, role === "learner" ? "This lesson has not begun." : "A draft. Open the lesson to let learners join.")];
    if (phase === "closed") {
      const [first, ...rest] = role === "learner" ? totalLines(lesson) : ["Learners can no longer join or mark.", ...(role === "teacher" ? closedLines(lesson) : [])];
      return [el("h2", {}, "The lesson is closed"), el("p", { class: "big" }, first), ...rest.map((line) => el("p", {}, line))];
    }
    if (role === "learner") return [el("h2", {}, `You are in, ${lesson.name}`), el("p", {}, "The first scan appears when the teacher begins. Keep this page open.")];
    return [
      el("h2", {}, lesson.title), el("p", {}, "Join at"), el("p", { class: "address" }, address), el("p", {}, "with the code"), code,
      el("p", { class: "big count" }, `${counts.joined} joined`),
      ...(local && role === "teacher" ? [el("p", { class: "dim" }, "This address works on this computer only. For other devices, start the server with an address of your network and open the page there.")] : []),
    ];
  });
}

function closedLines(lesson) {
  if (lesson.index < 0) return ["No scan was shown."];
  return ["The results are below. Its scans are shown again in an open lesson only:", `Open again goes on at scan ${lesson.index + 1} of ${lesson.count}.`];
}

function totalLines(lesson) {
  const { scans, hits, misses, false_marks: wrong } = lesson.total ?? {};
  if (!scans) return ["You answered no scan with a known answer."];
  return [`${hits} of ${plural(hits + misses, "lesion")} found, ${plural(wrong, "false mark")}`, `Over ${plural(scans, "scan")} with a known answer.`];
}

function drawControls(v, phase) {
  const { lesson } = v, last = lesson.index + 1 >= lesson.count;
  const held = lesson.held ?? {};
  fill(v.ui.controls, JSON.stringify([phase, lesson.index, last, v.laser, held]), () => {
    const press = (text, title, action, cls = "") => el("button", { type: "button", title, class: cls, onclick: action }, text);
    if (phase === "draft") return [press("Open the lesson", "Learners can join from now on", () => control(v, "open"), "primary")];
    if (phase === "closed") return [press("Open again", "Learners can join and go on", () => control(v, "open"), "primary")];
    const next = held.next
      ? press(`Leave out scan ${lesson.index + 2}`, held.next, () => control(v, "next", { leaveOut: true }), phase === "marking" ? "" : "primary")
      : press(lesson.index < 0 ? "Begin" : "Next scan", "Show the next scan to the class", () => control(v, "next"), phase === "marking" ? "" : "primary");
    const show = press("Reveal", held.reveal || "Show the answer; open marks are committed", () => control(v, "reveal"), "primary");
    show.disabled = !!held.reveal;
    const laser = press(v.laser ? "Pointer is on" : "Pointer", "Laser pointer: the class follows your cursor and slice (p)", () => setLaser(v, !v.laser), "laser");
    laser.setAttribute("aria-pressed", v.laser);
    const close = press("Close lesson", "End joining and marking", () => control(v, "close"), last && phase === "revealed" ? "primary" : "quiet");
    return [...(phase === "marking" ? [show] : []), ...(last ? [] : [next]), ...(lesson.index >= 0 ? [laser] : []), close];
  });
}

function drawTask(v, phase) {
  const { lesson, data } = v, { counts } = lesson, make = [];
  if (data.role === "learner" && phase === "marking") {
    if (lesson.committed && !lesson.answered) make.push("The time is over. You marked nothing and did not commit: this scan counts as not answered.");
    else make.push(lesson.committed || v.sent ? `Committed: ${plural(v.marks.length, "mark")}. The answer comes when the teacher reveals it.` : "Mark each finding by Shift-click (or m at the crosshair). Commit when you are done, also where there is nothing to find.");
  } else if (data.role === "projector" && phase === "marking") make.push(`${answered(counts)} of ${counts.joined} committed`);
  else if (data.role === "teacher" && phase === "marking") make.push(counts.unanswered > 0 ? `The time is over: ${answered(counts)} of ${counts.joined} answered.` : counts.joined > 0 && counts.committed === counts.joined ? "Everybody has committed." : `${counts.committed} of ${counts.joined} have committed.`);
  else if (data.role === "teacher" && phase === "revealed") make.push("The answer is shown to the class.");
  if (data.role === "teacher" && ["lobby", "marking", "revealed"].includes(phase)) make.push(...[lesson.held?.reveal, lesson.held?.next].filter(Boolean));
  fill(v.ui.task, make.join("|"), () => make.map((line) => el("p", {}, line)));
}

// ---- learner
function drawMine(v, phase) {
  const { lesson, ui } = v, free = canMark(v), marking = phase === "marking";
  ui.list.hidden = !(marking || phase === "revealed");
  const key = JSON.stringify([phase, !!free, v.at, v.marks.map((mark) => [mark.key, mark.outcome])]);
  fill(ui.list, key, () => [
    ...v.marks.map((mark, i) => ownRow(v, mark, i, free)),
    ...(v.marks.length === 0 ? [el("p", { class: "dim" }, free ? "No mark yet." : "You marked nothing.")] : []),
    ...(marking && free ? [el("button", { type: "button", class: "primary commit", onclick: () => commitMarks(v) }, v.marks.length === 0 ? "Commit: nothing to find" : `Commit ${plural(v.marks.length, "mark")}`)] : []),
    el("p", { class: "dim saved", role: "status" }),
  ]);
  const saved = ui.list.querySelector(".saved");
  if (saved) saved.textContent = v.pending > 0 ? "saving…" : v.saved ? `saved ${clockTime(v.saved)}` : "";
}

function ownRow(v, mark, i, free) {
  const words = { hit: "on a lesion", again: "same lesion again", false: "false mark" }, label = v.lesson.types.find((type) => type.name === mark.type)?.label;
  const go = el("button", { type: "button", class: "number", title: "Show this mark", "aria-label": `Show mark ${i + 1}`, onclick: () => v.stage.go(mark.mm) }, String(i + 1));
  if (!free) return el("div", { class: "row", "data-outcome": mark.outcome }, go, el("span", { class: "grow" }, [label, mark.note].filter(Boolean).join(": ") || "finding"), el("span", { class: "outcome" }, words[mark.outcome] ?? ""));
  const type = el("select", { "aria-label": `Type of mark ${i + 1}`, onchange: (event) => changeMark(v, mark, { type: event.target.value }) },
    el("option", { value: "" }, "Type…"), ...v.lesson.types.map(({ name, label: shown }) => el("option", { value: name }, shown)));
  type.value = mark.type;
  let later;
  const keep = () => { clearTimeout(later); changeMark(v, mark, { note: note.value.trim() }); };
  const note = el("input", { type: "text", maxlength: 500, placeholder: "Note", "aria-label": `Note on mark ${i + 1}`, onchange: keep, oninput: () => { clearTimeout(later); later = setTimeout(keep, 700); } });
  note.value = mark.note;
  return el("div", { class: "row" }, go, type, note, el("button", { type: "button", class: "remove", title: "Remove this mark", "aria-label": `Remove mark ${i + 1}`, onclick: () => removeMark(v, mark) }, "×"));
}

// ---- teacher
function drawRoster(v, phase) {
  const { lesson, ui } = v, known = lesson.roster.some((row) => row.score) || lesson.roster.some((row) => row.total[0] + row.total[1] + row.total[2] > 0);
  fill(ui.list, JSON.stringify([phase, lesson.roster]), () => {
    if (lesson.roster.length === 0) return [el("p", { class: "dim" }, "Nobody has joined yet.")];
    const groups = [...(phase === "revealed" ? ["This scan"] : []), ...(known ? ["So far"] : [])];
    const cells = ([hits, misses, wrong]) => [el("td", {}, `${hits} of ${hits + misses}`), el("td", {}, String(wrong))];
    return [el("table", {},
      el("thead", {}, el("tr", {}, el("th", { rowspan: groups.length ? 2 : 1 }, "Learner"), el("th", { rowspan: groups.length ? 2 : 1, title: "Committed this scan" }, "Done"), ...groups.map((name) => el("th", { colspan: 2, scope: "colgroup" }, name))),
        ...(groups.length ? [el("tr", {}, ...groups.flatMap(() => [el("th", { title: "Lesions found" }, "Found"), el("th", { title: "False marks" }, "False")]))] : [])),
      el("tbody", {}, ...lesson.roster.map((row) => el("tr", { class: row.here ? "" : "away", title: row.here ? "" : "Not connected just now" }, el("th", { scope: "row" }, row.name), doneCell(row),
        ...(phase === "revealed" ? (row.score ? cells(row.score) : [el("td", {}, "–"), el("td", {}, "–")]) : []), ...(known ? cells(row.total) : [])))))];
  });
}

// Who committed, whose marks the reveal or the end of the time committed, and who gave no answer.
function doneCell({ committed, answered: gave, automatic }) {
  const [text, says] = !committed ? ["–", "not committed"] : !gave ? ["no answer", "marked nothing and did not commit"] : automatic ? ["auto", "marked, and did not commit before the reveal or the end of the time"] : ["✓", "committed"];
  return el("td", { "aria-label": says, title: says, class: committed && !gave ? "silent" : "" }, text);
}

// ---- the answer, for everybody
function drawAnswer(v, phase) {
  const { lesson } = v, answer = phase === "revealed" ? lesson.answer : null;
  fill(v.ui.answer, JSON.stringify([phase, answer, lesson.case?.id, v.data.role === "learner" && lesson.total]), () => {
    if (!answer) return [];
    const parts = v.data.role === "projector" ? [el("p", { class: "dim case" }, lesson.case?.id ?? "")] : []; // no room in the line above
    if (v.data.role === "learner") parts.push(...scoreLines(answer, lesson));
    if (answer.shows.includes("truth")) parts.push(el("h3", { class: "truth" }, "Truth"), ...truthLines(v, answer.truth));
    if (answer.shows.includes("readers")) parts.push(el("h3", { class: "readers" }, "Readers"), ...readerLines(v, answer.readers));
    if (answer.shows.includes("model")) parts.push(el("h3", { class: "model" }, "Model"), el("p", {}, answer.model ? `${answer.model.name}, ${answer.model.map}: bands of 3 SD and more. A flag is no diagnosis.` : "The analysis is no longer on disk."));
    return parts;
  });
}

function scoreLines(answer, lesson) {
  if (lesson.committed && !lesson.answered) return [el("p", { class: "big score" }, "Not answered"), el("p", { class: "dim" }, "You marked nothing and did not commit before the reveal or the end of the time. This scan does not count in your scores.")];
  if (answer.score === null) return [el("p", { class: "big" }, lesson.committed ? "Not scored: the answer to this scan is not known." : "You were not there for this scan.")];
  const [hits, misses, wrong] = answer.score, [total] = totalLines(lesson);
  const here = hits + misses === 0 ? "No lesion in this scan" : `${hits} of ${plural(hits + misses, "lesion")} found`;
  return [el("p", { class: "big score" }, `${here}, ${plural(wrong, "false mark")}`), el("p", { class: "dim" }, `So far: ${total}. A mark counts within ${lesson.tolerance} mm of a lesion; each lesion counts once.`)];
}

function truthLines(v, truth) {
  if (!truth) return [el("p", {}, "Not known for this scan.")];
  if (truth.lesions.length === 0) return [el("p", {}, "Normal: made without a lesion.")];
  return truth.lesions.map((lesion) => el("button", { type: "button", class: "row lesion", title: "Show this lesion", onclick: () => showPlace(v, lesion.mm) },
    el("span", { class: "number" }, `L${lesion.label}`), el("span", { class: "grow" }, lesion.type, el("span", { class: "volume" }, ` ${volumeText(lesion.volume_mm3)}`)),
    ...(truth.of > 0 ? [el("span", { class: "outcome", title: "Learners who found it" }, `${lesion.found} of ${truth.of} found it`)] : [])));
}

const volumeText = (mm3) => (mm3 < 1000 ? `${Math.round(mm3)} mm³` : `${(mm3 / 1000).toFixed(1)} mL`);

function readerLines(v, readers) {
  if (!readers) return [el("p", {}, "Not told: clinical reading of this scan is not finished.")];
  const classes = readers.classes.map(([name, n]) => `${name} (${n})`).join(", ");
  return [
    el("p", {}, `${plural(readers.readers, "reader")}; class ${classes || "not given"}.`),
    ...(readers.findings.length === 0 ? [el("p", {}, "No finding.")] : []),
    ...(readers.findings.length === 0 ? [] : [el("p", { class: "dim" }, "Places that they call a finding:")]),
    ...readers.findings.map((found) => el("button", { type: "button", class: "row lesion", title: "Show this finding", onclick: () => showPlace(v, found.mm) },
      el("span", { class: "grow" }, [found.types.join(" or ") || "Type not given", found.side].filter(Boolean).join(", "), el("span", { class: "volume" }, ` ${sizeText(found)}`)),
      el("span", { class: "outcome", title: "Readers who call it a finding" }, `${found.by} of ${plural(readers.readers, "reader")}`))),
  ];
}

// A flag of the model that readers agree with has a volume, a mark of their own the radius that they gave it.
const sizeText = ({ volume_mm3: volume, radius_mm: radius }) => (volume === null ? `mark, radius ${Math.round(radius)} mm` : `flag, ${volumeText(volume)}`);
