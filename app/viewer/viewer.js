// The reading viewer: NiiVue inside a Streamlit component (Components v2).
//
// Python sends the case's description as `data` at each rerun. Volumes come by HTTP, and everything that a
// reader does while looking stays here. Python hears of decisions only: `loaded` (what is on screen, by
// content hash, and which map), `selected` (a region), `answers` (verdicts by key, in order, each with its own
// id, region and analysis, and turns to other cases: a quick reader's keys may reach Python together), `missed` (a point overlooked), `map`,
// `weak` (bands 2–3 on or off, which the region table follows), `unsupported`.

const VIEWS = [["planes", "3-plane"], ["axial", "Axial"], ["coronal", "Coronal"], ["sagittal", "Sagittal"], ["render", "3D"]];
const LAYOUT = [ // left, top, width, height as fractions of the canvas
  { sliceType: PLANE.axial, position: [0, 0, 0.62, 1] },
  { sliceType: PLANE.coronal, position: [0.625, 0, 0.37, 0.497] },
  { sliceType: PLANE.sagittal, position: [0.625, 0.503, 0.37, 0.497] },
];
const MAPS = { volume: "Volume z", normative: "Normative z" };
const TITLES = { volume: "z within this volume, as in the paper", normative: "z against the normals of this model" };
const KEYS = [
  ["↑ ↓ · wheel", "slice (pointer over the viewer)"], ["PgUp PgDn", "five slices"], ["drag", "move crosshair"],
  ["right drag", "window / level"], ["Ctrl wheel", "zoom"], ["Ctrl drag", "pan"],
  ["n p", "next, previous region"], ["click", "select flagged region"], ["Shift click", "missed here"],
  ["1 2 3", "bands 2–3, 3–4, 4+"], ["+ = −", "brighter (+ or =), darker"], ["Space", "hold: hide overlay"],
  ["b", "hold: scan ↔ reconstruction"], ["m", "other z map"], ["v", "next view"], ["l", "swap left and right"],
  ["x", "crosshair"], ["0", "reset window and zoom"], ["a d s", "agree, disagree, unsure"], ["u", "undo"],
  ["e", "write a note (Enter, Esc: leave it)"], ["Shift N P", "next, previous case"], ["? Esc", "these keys, close them"],
];

export default function (component) {
  const { parentElement } = component;
  parentElement.fontanelle ??= mount(parentElement);
  const view = parentElement.fontanelle;
  view.update(component);
  return () => { view.destroy(); delete parentElement.fontanelle; };
}

function mount(root) {
  const state = {
    view: "planes", map: "volume", showing: "scan", on: [true, true, false, false, true, true],
    opacity: 0.7, window: [0, 255], radiological: true, crosshair: true, palette: "paper", plane: PLANE.axial, kept: {},
  };
  const ui = build();
  root.append(ui.box);
  let nv, niivue, component, data = {};
  let base, overlay; // NVImages on screen
  let scan, reconstruction; // { img, slope, inter }
  const z = {}; // by map name: raw voxels in steps of 1/16
  let hashes = {}, generation = 0, drawn, jumped, report = "";
  let told; // the last `weak` said, until Python's answer has it
  let answers = []; // by key, until Python has kept them
  let pick = 0; // counts selections made here: what Python says of an earlier one is out of date
  let busy = false; // while volumes change: one upload and drawing at the end instead of one a step

  // ---- drawing
  function paintBands() {
    if (!overlay) return;
    const voxels = z[state.map];
    const table = labelTable(state.on);
    const labels = overlay.img;
    if (voxels) for (let i = 0; i < labels.length; i++) labels[i] = table[voxels[i] + 128];
    else labels.fill(0);
    overlay.setColormapLabel(labelColors(data.palettes[state.palette]));
    overlay.opacity = state.hidden ? 0 : state.opacity;
    nv.refreshLayers(overlay, 1);
    nv.opts.isNearestInterpolation = true; // bands are labels: never blend two of them
    nv.updateInterpolation(1);
    nv.opts.isNearestInterpolation = false;
    nv.drawScene();
  }

  function paintBase() {
    if (!base) return;
    base.img = (state.showing === "scan" ? scan : reconstruction).img;
    [base.cal_min, base.cal_max] = state.window;
    nv.refreshLayers(base, 0);
    nv.drawScene();
  }

  function drawMarks() {
    const canvas = ui.marks, ctx = canvas.getContext("2d");
    if (canvas.width !== ui.canvas.width) canvas.width = ui.canvas.width;
    if (canvas.height !== ui.canvas.height) canvas.height = ui.canvas.height;
    ctx.clearRect(0, 0, canvas.width, canvas.height);
    if (!base || state.view === "render") return;
    const dpr = nv.uiData.dpr || 1;
    const selected = (data.regions ?? []).find((r) => r.id === data.selected);
    const cross = [...nv.frac2mm(nv.scene.crosshairPos, 0, true)].slice(0, 3);
    for (const tile of nv.screenSlices) {
      if (tile.axCorSag > PLANE.sagittal || tile.AxyzMxy.length < 4) continue;
      if (selected && !state.hidden) ring(ctx, tile, selected.centre, Math.max(4, 1.6 * selected.radius), dpr);
      for (const point of data.missed ?? []) plus(ctx, tile, point.mm, dpr);
      if (state.crosshair) hair(ctx, tile, cross, dpr);
    }
  }

  function ring(ctx, tile, mm, radius, dpr) {
    const at = project(nv, tile, mm);
    if (!at || at.off > radius) return;
    ctx.lineWidth = 1.5 * dpr;
    ctx.setLineDash([5 * dpr, 4 * dpr]);
    ctx.strokeStyle = "#ffd84d";
    ctx.beginPath();
    ctx.arc(at.x, at.y, radius * at.scale, 0, 2 * Math.PI);
    ctx.stroke();
    ctx.setLineDash([]);
  }

  // Open in the middle: what lies under the crosshair stays visible.
  function hair(ctx, tile, mm, dpr) {
    const at = project(nv, tile, mm), [left, top, width, height] = tile.leftTopWidthHeight, gap = 12 * dpr, edge = 22 * dpr;
    if (!at) return;
    ctx.lineWidth = dpr;
    ctx.strokeStyle = "rgb(94 242 194 / 55%)";
    ctx.beginPath();
    for (const [x1, y1, x2, y2] of [
      [left + edge, at.y, at.x - gap, at.y], [at.x + gap, at.y, left + width - edge, at.y],
      [at.x, top + edge, at.x, at.y - gap], [at.x, at.y + gap, at.x, top + height - edge],
    ]) if (x2 > x1 || y2 > y1) { ctx.moveTo(x1, y1); ctx.lineTo(x2, y2); }
    ctx.stroke();
  }

  function plus(ctx, tile, mm, dpr) {
    const at = project(nv, tile, mm);
    if (!at || at.off > 2.5) return;
    const r = 6 * dpr;
    for (const [color, width] of [["#000", 4], ["#5ef2c2", 2]]) {
      ctx.strokeStyle = color;
      ctx.lineWidth = width * dpr;
      ctx.beginPath();
      ctx.moveTo(at.x - r, at.y); ctx.lineTo(at.x + r, at.y); ctx.moveTo(at.x, at.y - r); ctx.lineTo(at.x, at.y + r);
      ctx.stroke();
    }
  }

  // ---- reading values
  function showValues(frac) {
    if (!base) return;
    const voxel = voxelAt(base, frac), at = indexOf(base, voxel), mm = nv.frac2mm(frac, 0, true);
    const raw = z[state.map]?.[at] ?? 0;
    const value = (v, digits) => v ? (v.inter + v.slope * v.img[at]).toFixed(digits) : "–";
    const cells = {
      T2: value(scan, scan.slope < 0.05 ? 2 : 0), expected: value(reconstruction, 2), z: formatZ(raw),
      band: bandText(bandOf(raw)),
      mm: [0, 1, 2].map((i) => mm[i].toFixed(1)).join(", "), voxel: storedVoxel(base, voxel, data.stored).join(", "),
    };
    for (const [name, text] of Object.entries(cells)) ui.values[name].textContent = text;
    const cross = nv.frac2mm(nv.scene.crosshairPos, 0, true), slice = voxelAt(base, nv.scene.crosshairPos);
    ui.values.slice.textContent = `${slice[2] + 1}/${base.dimsRAS[3]}`;
    ui.box.dataset.mm = [0, 1, 2].map((i) => cross[i].toFixed(2)).join(",");
  }

  function fracAt(event) {
    const bounds = ui.canvas.getBoundingClientRect(), dpr = nv.uiData.dpr || 1;
    const at = [(event.clientX - bounds.left) * dpr, (event.clientY - bounds.top) * dpr];
    const tile = nv.tileIndex(at[0], at[1]);
    if (tile >= 0 && nv.screenSlices[tile].axCorSag <= PLANE.sagittal) state.plane = nv.screenSlices[tile].axCorSag;
    const frac = nv.canvasPos2frac(at);
    return frac[0] >= 0 ? frac : null;
  }

  // ---- moving
  function jump(mm) {
    nv.scene.crosshairPos = nv.mm2frac(mm, 0, true);
    nv.drawScene();
    showValues(nv.scene.crosshairPos);
  }

  function select(region) {
    data.selected = region.id;
    jump(region.mm);
    component.setTriggerValue("selected", { id: region.id, case: data.case, pick: ++pick });
  }

  // A verdict on the selected region, or an undo. What it speaks of travels with it.
  function answer(what) {
    const free = ["undo", "next", "previous"].includes(what); // of a selected region
    if (ui.box.dataset.state !== "ready" || (!free && !data.selected)) return;
    const kept = new Set(data.answered ?? []);
    answers = answers.filter((one) => !kept.has(one.id));
    answers.push({ id: newId(), what, region: data.selected ?? null, map: state.map, address: data.address, hash: hashes.base });
    component.setStateValue("answers", [...answers]);
  }

  // Regions of the map on screen; none while Python has yet to send those of a map just chosen.
  const listed = () => (state.map === data.map ? data.regions ?? [] : []);

  function step(by) {
    const regions = listed();
    if (regions.length === 0) return;
    const at = regions.findIndex((r) => r.id === data.selected);
    select(regions[at < 0 ? (by > 0 ? 0 : regions.length - 1) : (at + by + regions.length) % regions.length]);
  }

  // A click on a flagged voxel that is on screen selects the region of its sign that lies closest, in its own radii.
  function selectAt(frac) {
    const raw = z[state.map]?.[indexOf(base, voxelAt(base, frac))] ?? 0, band = bandOf(raw);
    if (band < 0 || !state.on[band] || state.hidden) return;
    const mm = nv.frac2mm(frac, 0, true);
    const far = (r, to) => Math.hypot(...to.map((v, i) => v - mm[i])) / Math.max(1, r.radius);
    const near = listed().filter((r) => r.sign * raw > 0)
      .map((r) => [Math.min(far(r, r.mm), far(r, r.centre)), r]).sort((a, b) => a[0] - b[0]);
    if (near.length > 0 && near[0][0] <= 1.5) select(near[0][1]);
  }

  function scroll(by) {
    const plane = state.view === "planes" ? state.plane : PLANE[state.view];
    if (base && plane <= PLANE.sagittal) nv.moveCrosshairInVox(...[[0, 0, by], [0, by, 0], [by, 0, 0]][plane]);
  }

  // ---- settings
  function setView(name) {
    state.view = name;
    if (name === "planes") nv?.setCustomLayout(LAYOUT);
    else { nv?.clearCustomLayout(); nv?.setSliceType(PLANE[name]); }
    sync();
  }
  function setWindow(low, high) {
    const width = Math.max(4, high - low), middle = Math.min(255, Math.max(0, (low + high) / 2));
    state.window = [middle - width / 2, middle + width / 2];
    paintBase();
    sync();
  }
  function show(what) {
    if (what === "reconstruction" && !reconstruction) return;
    state.showing = what;
    paintBase();
    sync();
  }
  const weak = () => state.on[2] || state.on[3];
  // Bands as `change` leaves them; Python hears when the bands 2–3 came or went.
  function setBands(change) {
    const before = weak();
    change();
    paintBands();
    sync();
    if (weak() !== before) component.setTriggerValue("weak", { on: (told = weak()) });
  }
  function toggle(indices) {
    const all = indices.every((i) => state.on[i]);
    setBands(() => { for (const i of indices) state.on[i] = !all; });
  }
  // A whole sign off and, as it was, on again.
  function toggleSign(indices) {
    const before = indices.map((i) => state.on[i]);
    const after = before.some(Boolean) ? indices.map(() => false) : state.kept[indices[0]] ?? indices.map(() => true);
    if (before.some(Boolean)) state.kept[indices[0]] = before;
    setBands(() => indices.forEach((i, n) => { state.on[i] = after[n]; }));
  }
  function hide(hidden) { if (hidden !== !!state.hidden) { state.hidden = hidden; paintBands(); sync(); } }
  function setMap(name) {
    if (!z[name]) return;
    state.map = name;
    paintBands();
    sync();
    showValues(nv.scene.crosshairPos);
    component.setStateValue("map", name);
    reportLoaded();
  }
  function setRadiological(on) { state.radiological = on; nv?.setRadiologicalConvention(on); if (overlay) paintBands(); sync(); }
  function setCrosshair(on) { state.crosshair = on; nv.drawScene(); }
  // Zoom so that the head fills its tiles.
  function fit() {
    const [, nx, ny, nz] = base.dimsRAS, low = [nx, ny, nz], high = [0, 0, 0];
    for (let k = 0, at = 0; k < nz; k++) for (let j = 0; j < ny; j++) for (let i = 0; i < nx; i++) {
      if (scan.img[at++] < 16) continue;
      const voxel = [i, j, k];
      for (let d = 0; d < 3; d++) { if (voxel[d] < low[d]) low[d] = voxel[d]; if (voxel[d] > high[d]) high[d] = voxel[d]; }
    }
    const dims = [nx, ny, nz], zoom = Math.max(1, Math.min(3, ...dims.map((n, d) => (0.94 * n) / Math.max(1, high[d] - low[d] + 1))));
    const head = nv.frac2mm(dims.map((n, d) => (low[d] + high[d] + 1) / 2 / n)), middle = nv.frac2mm([0.5, 0.5, 0.5]);
    nv.scene.pan2Dxyzmm = [...[0, 1, 2].map((d) => middle[d] - head[d] * zoom), zoom];
  }
  function reset() { fit(); setWindow(0, 255); }

  // ---- controls
  function build() {
    const press = (text, title, action) => el("button", { type: "button", title, onclick: (e) => { action(); e.currentTarget.blur(); } }, text);
    const slider = (title, min, max, value, action) => el("input", {
      type: "range", title, "aria-label": title, min, max, step: "any", value, // the step first, else the value snaps to 1
      oninput: (e) => action(Number(e.target.value)), onchange: (e) => e.target.blur(),
    });
    const text = (cls) => el("span", { class: cls });
    const ui = { values: {}, views: {}, maps: {}, bases: {} };
    ui.id = text("id"); ui.model = text("dim"); ui.synthetic = el("span", { class: "badge" }, "SYNTHETIC"); ui.hash = text("hash");
    ui.side = press("", "Swap left and right (l)", () => setRadiological(!state.radiological));
    const head = el("div", { class: "bar head" }, ui.id, ui.synthetic, ui.model, el("span", { class: "grow" }), ui.hash, ui.side,
      press("?", "Keys (?)", () => { ui.help.hidden = !ui.help.hidden; }));

    for (const [name, label] of VIEWS) ui.views[name] = press(label, `${label} (v: next view)`, () => setView(name));
    for (const [name, label] of [["scan", "Scan"], ["reconstruction", "Expected"]])
      ui.bases[name] = press(label, name === "scan" ? "The scan as acquired" : "The model's reconstruction (hold b)", () => show(name));
    for (const [name, label] of Object.entries(MAPS)) ui.maps[name] = press(label, `${TITLES[name]} (m)`, () => setMap(name));
    ui.level = slider("Level", 0, 255, 127, (v) => { const w = (state.window[1] - state.window[0]) / 2; setWindow(v - w, v + w); });
    ui.width = slider("Window", 4, 400, 255, (v) => { const m = (state.window[0] + state.window[1]) / 2; setWindow(m - v / 2, m + v / 2); });
    ui.preset = el("select", { title: "Window preset", "aria-label": "Window preset", onchange: (e) => { if (WINDOWS[e.target.value]) setWindow(...WINDOWS[e.target.value]); e.target.blur(); } },
      ...Object.keys(WINDOWS).map((name) => el("option", { value: name }, name)), el("option", { value: "" }, "Manual"));
    const group = (...children) => el("div", { class: "group" }, ...children);
    const tools = el("div", { class: "bar" }, group(...Object.values(ui.views)), group(...Object.values(ui.bases)), group(...Object.values(ui.maps)),
      el("span", { class: "grow" }), el("label", {}, "W", ui.width), el("label", {}, "L", ui.level), ui.preset);

    ui.canvas = el("canvas", { class: "image", "aria-label": "Brain slices with flagged voxels" });
    ui.marks = el("canvas", { class: "marks" });
    ui.message = el("div", { class: "message", role: "status" });
    ui.help = el("dl", { class: "help", hidden: "" }, ...KEYS.flatMap(([key, what]) => [el("dt", {}, key), el("dd", {}, what)]));
    ui.stage = el("div", { class: "stage" }, ui.canvas, ui.marks, ui.message, ui.help);

    ui.chips = BANDS.map(([label, sign], i) => {
      const chip = press(label, `${sign > 0 ? "Brighter" : "Darker"} than expected by ${label} SD`, () => toggle([i]));
      chip.classList.add("chip");
      chip.dataset.band = `${sign > 0 ? "+" : "-"}${label}`;
      return chip;
    });
    ui.opacity = slider("Overlay opacity", 0.1, 1, state.opacity, (v) => { state.opacity = v; paintBands(); });
    ui.palette = el("select", { title: "Overlay colours", "aria-label": "Overlay colours", onchange: (e) => { state.palette = e.target.value; paintBands(); sync(); e.target.blur(); } });
    const legend = el("div", { class: "bar legend" }, press("darker", "Darker than expected (−)", () => toggleSign([0, 1, 2])), ...ui.chips,
      press("brighter", "Brighter than expected (+)", () => toggleSign([3, 4, 5])), el("span", { class: "dim", title: "Bands of |z| in standard deviations" }, "than expected"),
      el("span", { class: "grow" }), el("label", {}, "opacity", ui.opacity), ui.palette);
    const cell = (name, label) => el("span", { class: "cell" }, el("span", { class: "dim" }, label), ui.values[name] = text(`value ${name}`));
    const foot = el("div", { class: "bar foot" }, cell("T2", "T2"), cell("expected", "expected 0–1"), cell("z", "z"), cell("band", "band"),
      cell("mm", "mm"), cell("voxel", "voxel"), el("span", { class: "grow" }), cell("slice", "axial"));
    ui.box = el("div", { class: "fontanelle", "data-state": "loading" }, head, tools, ui.stage, legend, foot);
    return ui;
  }

  function sync() {
    const mark = (nodes, active) => { for (const [name, node] of Object.entries(nodes)) node.setAttribute("aria-pressed", name === active); };
    mark(ui.views, state.view);
    mark(ui.bases, state.showing);
    mark(ui.maps, state.map);
    ui.bases.reconstruction.disabled = !reconstruction;
    for (const name of Object.keys(MAPS)) ui.maps[name].disabled = !z[name];
    const colors = data.palettes?.[state.palette] ?? [];
    ui.chips.forEach((chip, i) => {
      chip.setAttribute("aria-pressed", state.on[i]);
      chip.style.setProperty("--band", colors[i]);
    });
    ui.side.textContent = conventionText(state.radiological);
    const [low, high] = state.window;
    ui.width.value = high - low;
    ui.level.value = (low + high) / 2;
    ui.preset.value = Object.keys(WINDOWS).find((name) => Math.abs(WINDOWS[name][0] - low) < 1 && Math.abs(WINDOWS[name][1] - high) < 1) ?? "";
    ui.box.classList.toggle("hidden-overlay", !!state.hidden);
  }

  function say(text, kind = "loading") {
    ui.message.textContent = text;
    ui.message.hidden = text === "";
    ui.box.dataset.state = text === "" ? "ready" : kind;
  }

  // ---- events
  const listeners = new AbortController();
  const on = (target, type, handler, options = {}) => target.addEventListener(type, handler, { signal: listeners.signal, ...options });
  let pressed; // where the button went down, and the window at that time
  on(ui.stage, "mousedown", (event) => {
    if (!base) return;
    pressed = { x: event.clientX, y: event.clientY, button: event.button, window: [...state.window] };
    if (event.button === 0 && event.shiftKey) {
      event.stopPropagation();
      event.preventDefault();
      const frac = fracAt(event);
      if (frac) component.setTriggerValue("missed", { mm: [...nv.frac2mm(frac, 0, true)].slice(0, 3), case: data.case });
    } else if (event.button === 2) event.stopPropagation();
  }, { capture: true });
  on(window, "mousemove", (event) => {
    if (pressed?.button !== 2) return;
    const [low, high] = pressed.window, level = (low + high) / 2 - (event.clientY - pressed.y) * 0.5;
    const width = high - low + (event.clientX - pressed.x) * 0.8;
    setWindow(level - width / 2, level + width / 2);
  });
  on(window, "mouseup", () => { if (pressed?.button === 2) pressed = undefined; });
  on(ui.canvas, "click", (event) => {
    if (!pressed || event.shiftKey || event.ctrlKey || Math.hypot(event.clientX - pressed.x, event.clientY - pressed.y) > 3) return;
    const frac = base && fracAt(event);
    if (frac) selectAt(frac);
  });
  on(ui.canvas, "mousemove", (event) => { const frac = base && fracAt(event); if (frac) showValues(frac); });
  on(ui.stage, "wheel", (event) => {
    if (!base || !event.ctrlKey) return;
    event.stopPropagation();
    event.preventDefault();
    const pan = nv.scene.pan2Dxyzmm, before = pan[3];
    pan[3] = Math.min(8, Math.max(1, pan[3] * (event.deltaY < 0 ? 1.1 : 1 / 1.1)));
    // Keep the point under the crosshair where it is: on screen is position × zoom + pan.
    const at = nv.frac2mm(nv.scene.crosshairPos);
    for (let i = 0; i < 3; i++) pan[i] += at[i] * (before - pan[3]);
    nv.drawScene();
  }, { capture: true, passive: false });
  on(ui.stage, "dblclick", (event) => event.stopPropagation(), { capture: true });
  for (const type of ["dragenter", "dragover", "drop"]) on(ui.stage, type, (event) => event.stopPropagation(), { capture: true });
  for (const type of ["keydown", "keyup"]) on(ui.canvas, type, (event) => event.stopImmediatePropagation(), { capture: true });

  const noteField = () => document.querySelector('input[aria-label="Note"]');
  const near = () => ui.box.matches(":hover") || ui.box.contains(root.activeElement ?? null);
  const flags = (label) => BANDS.flatMap(([name], i) => (name === label ? [i] : []));
  const actions = {
    n: () => step(1), p: () => step(-1), 1: () => toggle(flags("2–3")), 2: () => toggle(flags("3–4")), 3: () => toggle(flags("4+")),
    "+": () => toggleSign([3, 4, 5]), "=": () => toggleSign([3, 4, 5]), "-": () => toggleSign([0, 1, 2]), " ": () => hide(true),
    b: () => show(state.showing === "scan" ? "reconstruction" : "scan"), m: () => setMap(state.map === "volume" ? "normative" : "volume"),
    v: () => setView(VIEWS[(VIEWS.findIndex(([name]) => name === state.view) + 1) % VIEWS.length][0]),
    l: () => setRadiological(!state.radiological), x: () => setCrosshair(!state.crosshair), 0: reset,
    a: () => answer("agree"), d: () => answer("disagree"), s: () => answer("unsure"), u: () => answer("undo"),
    N: () => answer("next"), P: () => answer("previous"),
    e: () => noteField()?.focus(), "?": () => { ui.help.hidden = !ui.help.hidden; }, Escape: () => { ui.help.hidden = true; },
  };
  const scrolls = { ArrowUp: 1, ArrowDown: -1, PageUp: 5, PageDown: -5 };
  on(window, "keydown", (event) => {
    if (["Enter", "Escape"].includes(event.key) && event.composedPath()[0] === noteField()) setTimeout(() => noteField()?.blur());
    if (!base || event.ctrlKey || event.metaKey || event.altKey || typing(event) || globalThis.fontanelleClaims?.has(event.key)) return;
    if (event.key in scrolls && near()) { event.preventDefault(); scroll(scrolls[event.key]); return; }
    if (!(event.key in actions)) return;
    if (" e".includes(event.key)) event.preventDefault();
    if (event.repeat && "adsuNP".includes(event.key)) return;
    if (event.repeat && " b".includes(event.key)) return;
    actions[event.key]();
  }, { capture: true });
  on(window, "keyup", (event) => {
    if (!base) return;
    if (event.key === " ") { if (state.hidden) event.preventDefault(); hide(false); }
    if (event.key === "b" && !typing(event)) actions.b();
  }, { capture: true });
  on(window, "blur", () => { if (base) hide(false); });

  // ---- loading
  async function start() {
    if (!hasWebgl2()) {
      say("This browser offers no WebGL2, which the viewer needs. Slices drawn by the server are shown below instead.", "error");
      component.setStateValue("unsupported", true);
      return false;
    }
    niivue = await loadNiivue(data.niivue);
    nv = await openNiivue(niivue, ui.canvas, { isRadiologicalConvention: state.radiological });
    const draw = nv.drawScene.bind(nv);
    nv.drawScene = (...args) => { if (!busy) { draw(...args); drawMarks(); } };
    const upload = nv.updateGLVolume.bind(nv);
    nv.updateGLVolume = () => { if (!busy) upload(); };
    nv.onLocationChange = () => showValues(nv.scene.crosshairPos);
    setView(state.view);
    return true;
  }

  async function load() {
    const wanted = Object.fromEntries(Object.entries(data.volumes).map(([name, volume]) => [name, volume.hash]));
    const changed = [...new Set([...Object.keys(wanted), ...Object.keys(hashes)])].filter((name) => wanted[name] !== hashes[name]);
    if (changed.length === 0) return say("");
    const mine = ++generation;
    say("Loading…");
    if (!nv && !(await start())) return;
    const opened = Object.fromEntries(await Promise.all(changed.filter((name) => wanted[name]).map(async (name) => [name, await openVolume(niivue, name, data.volumes[name])])));
    if (mine !== generation) return; // another case was opened meanwhile
    for (const [map, name] of [["volume", "z-volume"], ["normative", "z-normative"]])
      if (changed.includes(name)) { if (opened[name]) z[map] = opened[name].img; else delete z[map]; }
    if (changed.includes("reconstruction")) reconstruction = opened.reconstruction && unscale(opened.reconstruction);
    if (!z[state.map]) state.map = Object.keys(z)[0] ?? "volume"; // Python hears it by `loaded`
    if (!reconstruction) state.showing = "scan";
    busy = true;
    if (opened.base) {
      scan = unscale(opened.base); // before it is copied: labels have no scale
      const bands = await niivue.NVImage.zerosLike(opened.base, "uint8");
      for (const image of [...nv.volumes]) nv.removeVolume(image);
      [base, overlay] = [opened.base, bands];
      [base.cal_min, base.cal_max] = state.window;
      nv.addVolume(base);
      nv.addVolume(overlay);
      fit();
      nv.scene.crosshairPos = base.dimsRAS.slice(1, 4).map((n) => (Math.floor(n / 2) + 0.5) / n); // a voxel's middle
    }
    hashes = wanted;
    paintBase();
    paintBands();
    setView(state.view);
    busy = false;
    say("");
  }

  async function update(next) {
    component = next;
    const before = [state.map, ...state.on].join();
    // Another case or model opens with the map that its table lists; while one is open, the reader chooses.
    if (data.address !== next.data.address) state.map = next.data.map;
    if (told !== undefined) { if (next.data.weak === told) told = undefined; } // an older answer changes nothing
    else if (next.data.weak !== weak()) state.on[2] = state.on[3] = next.data.weak;
    const repaint = before !== [state.map, ...state.on].join();
    const late = data.address === next.data.address && next.data.pick < pick;
    data = { ...next.data, selected: late ? data.selected : next.data.selected };
    pick = Math.max(pick, data.pick);
    ui.id.textContent = data.case;
    ui.model.textContent = data.model;
    ui.synthetic.hidden = !data.synthetic;
    ui.hash.textContent = `#${(data.volumes.base?.hash ?? "").slice(0, 8)}`;
    ui.hash.title = "First digits of the scan's content hash";
    ui.box.dataset.case = data.case;
    ui.box.dataset.map = data.map; // whose regions the table lists
    if (ui.palette.options.length === 0) ui.palette.append(...Object.keys(data.palettes).map((name) => el("option", { value: name }, data.paletteNames[name])));
    sync();
    try {
      await load();
      if (repaint && ui.box.dataset.state === "ready") paintBands();
      if (!base || ui.box.dataset.state !== "ready") return;
      const chosen = drawn === undefined && (data.regions ?? []).find((r) => r.id === data.selected);
      if (chosen) { jumped = data.jump?.nonce; jump(chosen.mm); } // mounted again, for example after a name was asked for
      else if (data.jump && data.jump.nonce !== jumped) { jumped = data.jump.nonce; jump(data.jump.mm); }
      else if (drawn === generation) drawMarks();
      else { nv.drawScene(); showValues(nv.scene.crosshairPos); }
      drawn = generation;
      reportLoaded();
    } catch (error) {
      busy = false;
      hashes = {};
      reportLoaded(); // nothing is: a verdict must wait
      say(`This case can't be shown: ${error.message}`, "error");
    }
  }

  function reportLoaded() {
    const now = JSON.stringify({ case: data.case, map: state.map, hashes });
    if (now === report) return;
    report = now;
    ui.box.dataset.hash = hashes.base;
    component.setStateValue("loaded", JSON.parse(now));
  }

  // What is on screen now: for whoever hears keys in the viewer's stead (`fontanelleClaims`), as app/review/desk.js.
  const onScreen = () => ({
    address: data.address, case: data.case, region: data.selected ?? null, map: state.map, hash: hashes.base,
    ready: ui.box.dataset.state === "ready",
  });
  globalThis.fontanelleOnScreen = onScreen;

  function destroy() {
    if (globalThis.fontanelleOnScreen === onScreen) delete globalThis.fontanelleOnScreen;
    listeners.abort();
    generation += 1;
    nv?.gl?.getExtension("WEBGL_lose_context")?.loseContext();
    nv?.cleanup?.();
    ui.box.remove();
  }

  return { update, destroy };
}
