// Compare's bars: built once, furnished with the models and maps at hand, brought in line with the state by `sync`.

const COMPARE_KEYS = [
  ["↑ ↓ · wheel", "slice (pointer over the viewer)"], ["PgUp PgDn", "five slices"], ["drag", "move crosshair in all panes"],
  ["click", "choose the flagged region"], ["right drag", "window / level"], ["Ctrl wheel", "zoom"], ["Ctrl drag", "pan"],
  ["Shift 1 2 3", "bands 2–3, 3–4, 4+"], ["+ = −", "brighter (+ or =), darker"], ["Space", "hold: hide overlay"],
  ["b", "hold: scan ↔ reconstruction"], ["m", "other z map"], ["c", "next layout"], ["v", "next plane"],
  ["l", "swap left and right"], ["x", "crosshair"], ["0", "reset window and zoom"], ["? Esc", "these keys, close them"],
];
const RAMP = [120, 10]; // pixels

function build(v) {
  const { state } = v, act = v.do;
  const ui = { values: {}, layouts: {}, planes: {}, bases: {}, maps: {} };
  ui.id = text("id");
  ui.synthetic = el("span", { class: "badge" }, "SYNTHETIC");
  ui.count = text("dim");
  ui.side = press("", "Swap left and right (l)", () => act.setRadiological(), { "aria-label": undefined }); // its words say more
  const head = el("div", { class: "bar head" }, ui.id, ui.synthetic, ui.count, grow(), ui.side,
    press("PNG", "Save this view as PNG, with legend and names", () => act.save()), press("?", "Keys (?)", () => act.help()));

  for (const [name, label] of LAYOUTS) ui.layouts[name] = press(label, `${label} (c: next layout)`, () => act.setLayout(name));
  for (const [name, label] of PLANES) ui.planes[name] = press(label, `${label} (v: next plane)`, () => act.setPlane(name));
  for (const [name, label, title] of [["scan", "Scan", "The scan as acquired"], ["reconstruction", "Expected", "Each model's reconstruction (hold b)"]])
    ui.bases[name] = press(label, title, () => act.show(name));
  ui.mapGroup = group("z map");
  ui.window = windowControls(() => state.window, act.setWindow);
  const tools = toolbar("View", "tools", group("Layout", ...Object.values(ui.layouts)), group("Plane", ...Object.values(ui.planes)),
    group("Image", ...Object.values(ui.bases)), ui.mapGroup, grow(), el("span", { class: "together" }, ...ui.window.nodes));

  ui.chosen = [0, 1, 2, 3].map((n) => select(`Model of pane ${n + 1}`, (name) => act.setChosen(n, name)));
  ui.pair = [0, 1].map((n) => select(n === 0 ? "Subtract from this model" : "Subtract this model", (name) => act.setPair(n, name)));
  ui.ofChosen = el("span", { class: "dim" }, "Models");
  ui.ofPair = el("span", { class: "dim" }, "less");
  ui.choose = toolbar("Models", "choose", ui.ofChosen, ...ui.chosen, ui.pair[0], ui.ofPair, ui.pair[1]);

  ui.canvas = el("canvas", { class: "image", role: "img" });
  ui.message = el("div", { class: "message", role: "status" });
  ui.help = keySheet(COMPARE_KEYS);
  ui.stage = el("div", { class: "stage" }, ui.canvas, ui.message, ui.help);

  ui.chips = bandChips((i) => act.toggle([i]));
  ui.palette = select("Overlay colours", act.setPalette);
  ui.bands = el("div", { class: "part" }, press("darker", "Darker than expected (−)", () => act.toggleSign([0, 1, 2])), ...ui.chips,
    press("brighter", "Brighter than expected (+)", () => act.toggleSign([3, 4, 5])), el("span", { class: "dim" }, "than expected"), ui.palette);
  ui.counts = el("div", { class: "part counts" });
  ui.ramp = el("canvas", { class: "ramp", width: RAMP[0], height: RAMP[1], "aria-hidden": "true" });
  ui.rampText = [text("dim"), text("dim")];
  ui.difference = el("div", { class: "part" }, ui.rampText[0], ui.ramp, ui.rampText[1]);
  ui.threshold = slider("Threshold of |z| for the consensus", 2, 6, state.threshold, act.setThreshold, { step: 0.25, done: () => act.tell() });
  ui.thresholdText = text("value");
  ui.opacity = slider("Overlay opacity", 0.1, 1, state.opacity, act.setOpacity);
  const legend = toolbar("Overlay", "legend", ui.counts, ui.bands, ui.difference, grow(),
    el("span", { class: "together" }, el("label", {}, "consensus at |z| ≥", ui.threshold, ui.thresholdText), el("label", {}, "opacity", ui.opacity)));
  const cell = (name, label) => el("span", { class: "cell" }, el("span", { class: "dim" }, label), ui.values[name] = text(`value ${name}`));
  const foot = el("div", { class: "bar foot" }, cell("T2", "T2"), cell("agree", ""), cell("mm", "mm"), cell("voxel", "voxel"), grow(), cell("slice", "axial"));
  ui.agreeLabel = ui.values.agree.previousSibling;
  ui.box = el("div", { class: "fontanelle compare", "data-state": "loading", role: "region", "aria-label": "Comparing viewer" }, head, tools, ui.choose, ui.stage, legend, foot);
  return ui;
}

function sync(v) {
  const { ui, state, data } = v, shown = { two: 2, four: 4 }[state.layout] ?? 0, differ = state.layout === "difference";
  pressOne(ui.layouts, state.layout);
  pressOne(ui.planes, planeOf(v));
  pressOne(ui.bases, state.showing);
  pressOne(ui.maps, data.map);
  ui.planes.planes.disabled = state.layout === "all";
  ui.layouts.four.disabled = modelsOf(v).length < 4;
  ui.chosen.forEach((node, n) => { node.hidden = n >= shown; node.value = state.chosen[n] ?? ""; });
  ui.pair.forEach((node, n) => { node.hidden = !differ; node.value = state.pair[n] ?? ""; });
  ui.ofChosen.hidden = shown === 0;
  ui.ofPair.hidden = ui.difference.hidden = !differ;
  ui.choose.hidden = shown === 0 && !differ;
  ui.bands.hidden = state.layout === "consensus";
  ui.counts.hidden = state.layout !== "consensus";
  const colors = data.palettes?.[state.palette] ?? [];
  ui.chips.forEach((chip, i) => { setPressed(chip, state.on[i]); chip.style.setProperty("--band", colors[i]); });
  [...ui.counts.querySelectorAll(".chip")].forEach((chip, i) => setPressed(chip, i + 1 >= state.least));
  ui.side.textContent = conventionText(state.radiological);
  ui.thresholdText.textContent = state.threshold.toFixed(2);
  ui.agreeLabel.textContent = `|z| ≥ ${state.threshold.toFixed(2)}:`;
  ui.threshold.value = state.threshold;
  ui.window.show();
  ui.box.classList.toggle("hidden-overlay", state.hidden);
}

// Controls that follow the models and maps at hand.
function furnish(v) {
  const { ui, state, data } = v, names = modelsOf(v);
  state.chosen = [0, 1, 2, 3].map((n) => (names.includes(state.chosen[n]) ? state.chosen[n] : names[n] ?? names[0]));
  state.pair = [0, 1].map((n) => (names.includes(state.pair[n]) ? state.pair[n] : names[n] ?? names[0]));
  for (const node of [...ui.chosen, ...ui.pair]) node.replaceChildren(...names.map((name) => option([name, name])));
  if (state.layout === "four" && names.length < 4) state.layout = "two";
  ui.maps = Object.fromEntries(data.maps.map((name) => [name, press(data.mapNames[name], `${data.mapTitles[name]}, in all panes (m)`, () => v.do.askMap(name))]));
  ui.mapGroup.replaceChildren(...Object.values(ui.maps));
  if (ui.palette.options.length === 0) ui.palette.append(...Object.keys(data.palettes).map((name) => option([name, data.paletteNames[name]])));
  const top = Math.min(names.length, data.counts.brighter.length);
  state.least = Math.min(state.least, top);
  ui.counts.replaceChildren(el("span", { class: "dim" }, "brighter | darker by"), ...Array.from({ length: top }, (_, i) => {
    const chip = press(i + 1 === top && names.length > top ? `${i + 1}+` : `${i + 1}`, `Show voxels that ${i + 1} or more models flag`, () => v.do.setLeast(i + 1), { class: "chip" });
    for (const side of COUNT_SIDES) chip.style.setProperty(`--${side}`, data.counts[side][i]);
    return chip;
  }), el("span", { class: "dim" }, `of ${names.length} models`));
  drawRamp(ui.ramp.getContext("2d"), 0, 0, ...RAMP, data);
  ui.rampText[0].textContent = `z less by ${data.differenceLimit} SD or more`;
  ui.rampText[1].textContent = "more";
  ui.id.textContent = data.case;
  ui.count.textContent = `${names.length} models · ${data.mapNames[data.map] ?? data.map}`;
  ui.synthetic.hidden = !data.synthetic;
  ui.box.dataset.case = data.case;
  ui.box.dataset.region = data.region_model;
}

// The colours of differences as a strip.
function drawRamp(ctx, x, y, width, height, { difference, differenceLimit }) {
  const table = differenceColors(difference, differenceLimit), reach = differenceLimit / Z_STEP;
  for (let i = 0; i < width; i++) {
    const color = table[254 + Math.round((2 * i / (width - 1) - 1) * reach)];
    ctx.fillStyle = `rgb(${color & 255} ${(color >> 8) & 255} ${(color >> 16) & 255})`;
    ctx.fillRect(x + i, y, 1, height);
  }
}

// Covers the stage with `text` until all is there, or says why it can't be.
function say({ ui }, words, kind = "loading") {
  ui.message.textContent = words;
  ui.message.hidden = words === "";
  ui.box.dataset.state = words === "" ? "ready" : kind;
}
