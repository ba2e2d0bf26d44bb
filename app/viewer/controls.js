// The viewer's bars: built once, and brought in line with the state by `sync`.

const VIEWS = [
  ["planes", "3-plane"], ["axial", "Axial"], ["coronal", "Coronal"], ["sagittal", "Sagittal"],
  ["mosaic", "Mosaic"], ["panes", "Panes"], ["render", "3D"],
];
const VIEW_TITLES = { panes: "Scan, expected, residual and flags side by side", mosaic: "Many slices at once", render: "3D render" };
// Of who reads; the desk beside the viewer adds its own (`fontanelleKeys`, app/review/desk.js).
const READ_KEYS = [
  ["Shift click", "mark a finding; digits name it"], ["Shift drag · Shift wheel", "its radius"],
  ["click", "select the flagged region"], ["n p", "next, previous region"],
];
// Of who looks. Those of class "reading" a viewer for looking has not.
const LOOK_KEYS = [
  ["↑ ↓ · wheel", "slice (pointer over the viewer)"], ["PgUp PgDn", "five slices"], ["drag", "move crosshair"],
  ["right drag", "window / level"], ["Ctrl wheel", "zoom"], ["Ctrl drag", "pan"],
  ["Shift M", "measure: drag a distance in mm; Esc ends"],
  ["Shift 1 2 3", "bands 2–3, 3–4, 4+"], ["+ = −", "brighter (+ or =), darker"], ["o", "outlines with digits, or colours"],
  ["Space", "hold: hide overlay"], ["b", "hold: scan ↔ reconstruction"], ["w", "swipe scan | expected"], ["[ ]", "move the swipe"],
  ["m", "next z map"], ["v", "next view"], ["t", "next plane of mosaic or panes"], ["l", "swap left and right"], ["x", "crosshair"],
  ["i", "smooth or nearest voxel"], ["0", "reset window and zoom", "reading"], ["g", "save the picture (PNG)"],
  ["? Esc", "show, close these keys"], ["", "Keys act with the pointer over the viewer", "looking"],
];

function build(v) {
  const { state } = v, act = (name, ...args) => () => v.do[name](...args);
  const ui = { values: {}, views: {}, maps: {}, bases: {} };

  ui.id = text("id"); ui.model = text("dim"); ui.synthetic = el("span", { class: "badge" }, "SYNTHETIC"); ui.hash = text("hash");
  ui.side = press("", "Swap left and right (l)", act("setRadiological"), { "aria-label": undefined }); // its words say more
  const head = el("div", { class: "bar head" }, ui.id, ui.synthetic, ui.model, grow(), ui.hash, ui.side,
    press("PNG", "Save the picture as PNG (g)", act("save")), press("?", "Keys (?)", act("help")));

  for (const [name, label] of VIEWS) ui.views[name] = press(label, `${VIEW_TITLES[name] ?? label} (v: next view)`, act("setView", name));
  ui.plane = select("Plane (t)", (plane) => v.do.setPlane(plane), ...[["all", "All planes"], ["axial", "Axial"], ["coronal", "Coronal"], ["sagittal", "Sagittal"]].map(option));
  for (const [name, label, title] of [["scan", "Scan", "The scan as acquired"], ["reconstruction", "Expected", "The model's reconstruction (hold b)"]])
    ui.bases[name] = press(label, title, act("show", name));
  ui.swipe = press("Swipe", "Swipe between scan and expected (w; [ and ] move it)", act("swipe"));
  ui.mapGroup = group("z map");
  ui.window = windowControls(() => state.window, (low, high) => v.do.setWindow(low, high));
  ui.smooth = press("Smooth", "Smooth between voxels, or show each (i)", act("setSmooth"));
  ui.measure = press("Measure", "Distance in mm: drag on a slice (Shift M; Esc ends it)", act("measure"));
  const tools = toolbar("View", "tools", group("View", ...Object.values(ui.views)), ui.plane,
    group("Image", ...Object.values(ui.bases), ui.swipe), ui.mapGroup, grow(), el("span", { class: "together" }, ui.measure, ...ui.window.nodes, ui.smooth));

  ui.canvas = el("canvas", { class: "image", role: "img", "aria-label": "Brain slices with flagged voxels" });
  ui.marks = el("canvas", { class: "marks", "aria-hidden": "true" });
  ui.message = el("div", { class: "message", role: "status" });
  ui.note = el("div", { class: "note", role: "status", hidden: "" });
  ui.lost = el("div", { class: "lost", role: "alert", hidden: "" });
  ui.help = el("div", { class: "help two", role: "dialog", "aria-label": "Keys", hidden: "" });
  ui.stage = el("div", { class: "stage" }, ui.canvas, ui.marks, ui.lost, ui.note, ui.message, ui.help);

  ui.chips = bandChips((i) => v.do.toggle([i]));
  ui.opacity = slider("Overlay opacity", 0.1, 1, state.opacity, (value) => v.do.setOpacity(value));
  ui.palette = select("Overlay colours", (name) => v.do.setPalette(name));
  ui.contours = press("Outlines", "Outline of each band with its digit (o)", act("setContours"));
  ui.legend = toolbar("Bands", "legend",
    press("darker", "Darker than expected (−)", act("toggleSign", [0, 1, 2])), ...ui.chips,
    press("brighter", "Brighter than expected (+)", act("toggleSign", [3, 4, 5])), el("span", { class: "dim", title: "Bands of |z| in standard deviations" }, "than expected"),
    grow(), el("span", { class: "together" }, ui.contours, ui.opacity, ui.palette));
  ui.unaided = el("div", { class: "bar legend unaided" }, el("span", { class: "dim" }, "Unaided read: what the model found is hidden. Shift-click marks a finding."));
  const cell = (name, label) => el("span", { class: `cell for-${name}` }, el("span", { class: "dim" }, label), ui.values[name] = text(`value ${name}`));
  const foot = el("div", { class: "bar foot" }, cell("T2", "T2"), cell("expected", "expected 0–1"), cell("z", "z"), cell("band", "band"),
    cell("mm", "mm"), cell("voxel", "voxel"), grow(), cell("slice", "axial"));
  ui.box = el("div", { class: "fontanelle", "data-state": "loading", role: "region", "aria-label": "Viewer" }, head, tools, ui.stage, ui.legend, ui.unaided, foot);
  return ui;
}

// All keys that count now, in one list: what is answered, and what is looked at.
const keyLists = () => [[...READ_KEYS, ...(globalThis.fontanelleKeys ?? [])], LOOK_KEYS]
  .map((keys, i) => el("dl", { class: i === 0 ? "reading" : undefined }, ...keyRows(keys)));

// What another case or phase changes: maps, keys, colours.
function fill(v) {
  const { ui, data } = v, maps = data.maps ?? [];
  if (Object.keys(ui.maps).join() !== maps.map((map) => map.name).join()) {
    ui.maps = Object.fromEntries(maps.map(({ name, label, title }) => [name, press(label, `${title} (m)`, () => v.do.setMap(name))]));
    ui.mapGroup.replaceChildren(...Object.values(ui.maps));
  }
  const names = Object.keys(data.palettes ?? {});
  if (ui.palette.options.length !== names.length) ui.palette.replaceChildren(...names.map((name) => el("option", { value: name }, data.paletteNames[name])));
  ui.id.textContent = data.case;
  ui.model.textContent = data.model;
  ui.synthetic.hidden = !data.synthetic;
  ui.hash.textContent = `#${(data.volumes.base?.hash ?? "").slice(0, 8)}`;
  ui.hash.title = "First digits of the scan's content hash";
  ui.box.dataset.case = data.case;
  ui.box.dataset.map = data.map; // whose regions the table lists
  ui.box.dataset.blind = !!data.blind;
  ui.box.dataset.look = !!data.look;
  ui.legend.hidden = ui.mapGroup.hidden = !!data.blind;
  ui.unaided.hidden = !data.blind;
}

function sync(v) {
  const { ui, state, data } = v, expected = !!v.reconstruction;
  pressOne(ui.views, state.view);
  pressOne(ui.bases, state.showing);
  pressOne(ui.maps, state.map);
  setPressed(ui.swipe, state.swiping);
  setPressed(ui.smooth, state.smooth);
  setPressed(ui.measure, state.measuring);
  setPressed(ui.contours, state.contours);
  ui.bases.reconstruction.disabled = ui.swipe.disabled = ui.views.panes.disabled = !expected;
  ui.plane.hidden = !["mosaic", "panes"].includes(state.view);
  ui.plane.options[0].disabled = state.view === "panes"; // it shows one
  ui.plane.value = state.view === "panes" ? PLANE_NAMES[state.plane] : state.rows;
  const colors = data.palettes?.[state.palette] ?? [];
  ui.chips.forEach((chip, i) => {
    setPressed(chip, state.on[i]);
    chip.style.setProperty("--band", colors[i]);
  });
  ui.side.textContent = conventionText(state.radiological);
  ui.window.show();
  ui.palette.value = state.palette;
  ui.box.classList.toggle("hidden-overlay", !!state.hidden);
  ui.box.dataset.view = state.view;
}

// Covers the stage with `text` until the scan is there, or says why it can't be; the case is whole once "ready".
function say(v, text, state) {
  v.ui.message.textContent = text;
  v.ui.message.hidden = text === "";
  v.ui.box.dataset.state = state;
}

// A word in passing.
function tell(v, text) {
  clearTimeout(v.told);
  v.ui.note.textContent = text;
  v.ui.note.hidden = false;
  v.told = setTimeout(() => { v.ui.note.hidden = true; }, 4000);
}
