// Compare: the same place of one scan as every model sees it (figure 8 of the paper), models beside each other,
// how many agree, and where two differ.
//
// Volumes come by HTTP as in Review. Crosshair, slice, bands, window, zoom, threshold and layout stay here; Python
// hears `map` and `expected` (other volumes are needed), `settings` (threshold and pair, for its downloads) and
// `picked` (a flagged voxel that was clicked).

const LAYOUTS = [["all", "All models"], ["two", "2-up"], ["four", "4-up"], ["consensus", "Consensus"], ["difference", "Difference"]];
const PLANES = [["axial", "Axial"], ["coronal", "Coronal"], ["sagittal", "Sagittal"], ["planes", "3-plane"]];
const COMPARE_KEYS = [
  ["↑ ↓ · wheel", "slice (pointer over the viewer)"], ["PgUp PgDn", "five slices"], ["drag", "move crosshair in all panes"],
  ["click", "choose the flagged region"], ["right drag", "window / level"], ["Ctrl wheel", "zoom"], ["Ctrl drag", "pan"],
  ["Shift 1 2 3", "bands 2–3, 3–4, 4+"], ["+ = −", "brighter (+ or =), darker"], ["Space", "hold: hide overlay"],
  ["b", "hold: scan ↔ reconstruction"], ["m", "other z map"], ["c", "next layout"], ["v", "next plane"],
  ["l", "swap left and right"], ["x", "crosshair"], ["0", "reset window and zoom"], ["? Esc", "these keys, close them"],
];
const CAPTION = 18; // CSS pixels above each pane

export default lasting("fontanelle", mount);

function mount(root) {
  const { openNifti, voxelToMM, mmToVoxel, AXES, mirrored, zColors, countColors, differenceColors, countAt, slicePixels, headBox, grid, placement } = drawing;
  const state = {
    layout: "all", plane: "axial", chosen: [], pair: [], on: [true, true, false, false, true, true], opacity: 0.75, window: [0, 255],
    radiological: true, crosshair: true, palette: "paper", threshold: 3, least: 1, cross: [0, 0, 0], zoom: 1, centre: [0, 0, 0], hidden: false, showing: "scan",
  };
  const ui = build();
  root.append(ui.box);
  let component, data = {};
  let base; // the scan
  let z = {}, expected = {}; // by model: raw steps of 1/16; reconstructions
  let head, loaded = "", generation = 0, jumped, frame, views = [];

  // ---- what is on screen
  const models = () => data.models?.map((one) => one.model) ?? [];
  const maps = () => models().filter((name) => z[name]).map((name) => z[name].img);
  const signed = (value, digits = 1) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;

  function panes() {
    const model = (name) => ({ kind: "model", model: name, title: state.showing === "reconstruction" && expected[name] ? `${name}, expected` : name });
    if (state.layout === "all") return [{ kind: "scan", title: "scan" }, ...models().map(model)];
    if (state.layout === "two" || state.layout === "four") return state.chosen.slice(0, state.layout === "two" ? 2 : 4).map(model);
    if (state.layout === "consensus") return [{ kind: "count", sign: 1, title: "brighter than expected" }, { kind: "count", sign: -1, title: "darker than expected" }];
    const [a, b] = state.pair;
    return [model(a), model(b), { kind: "difference", title: `${a} less ${b}` }];
  }

  const planeNow = () => (state.plane === "planes" && state.layout === "all" ? "axial" : state.plane);

  // Tiles of the layout, and in each the slices, in pixels of a canvas of width × height.
  function arrange(width, height, unit) {
    const list = panes(), three = planeNow() === "planes", caption = CAPTION * unit, gap = 2 * unit;
    const plane = three ? PLANE.axial : PLANE[planeNow()], [u, v] = AXES[plane];
    const extent = (axis) => (head.high[axis] - head.low[axis] + 1) * base.spacing[axis];
    // Three planes: the axial one fills the left 62 % of the pane.
    const { columns, rows } = grid(list.length, width, height, (extent(u) / extent(v)) * (three ? 1.55 : 1), caption);
    return list.map((pane, n) => {
      const w = width / columns, h = height / rows;
      const tile = { ...pane, x: (n % columns) * w + gap, y: Math.floor(n / columns) * h, w: w - 2 * gap, h: h - gap };
      const inner = { x: tile.x, y: tile.y + caption, w: tile.w, h: tile.h - caption }, left = Math.round(inner.w * 0.62), half = inner.h / 2;
      tile.slices = three
        ? [{ ...inner, plane: PLANE.axial, w: left },
          { x: inner.x + left, y: inner.y, w: inner.w - left, h: half, plane: PLANE.coronal },
          { x: inner.x + left, y: inner.y + half, w: inner.w - left, h: half, plane: PLANE.sagittal }]
        : [{ ...inner, plane }];
      for (const slice of tile.slices) {
        const [across, down] = AXES[slice.plane];
        const scale = 0.94 * Math.min(slice.w / extent(across), slice.h / extent(down)) * state.zoom;
        Object.assign(slice, { scale, unit, ...placement(slice, base, state.centre, scale, state.radiological) });
      }
      return tile;
    });
  }

  // Colour of a voxel's overlay in one pane; undefined where the pane has none.
  function overlayColor(pane, tables) {
    if (pane.kind === "model" && z[pane.model]) { const { img } = z[pane.model]; return (at) => tables.bands[img[at] + 128]; }
    if (pane.kind === "count") { const all = maps(), steps = state.threshold / Z_STEP; return (at) => tables.counts[countAt(all, at, steps, pane.sign)]; }
    if (pane.kind === "difference" && z[state.pair[0]] && z[state.pair[1]]) {
      const [a, b] = state.pair.map((name) => z[name].img);
      return (at) => tables.difference[a[at] - b[at] + 254];
    }
    return undefined;
  }

  const scratch = document.createElement("canvas");
  function blit(ctx, pixels, box, smooth, alpha) {
    if (scratch.width !== pixels.width || scratch.height !== pixels.height) Object.assign(scratch, { width: pixels.width, height: pixels.height });
    scratch.getContext("2d").putImageData(pixels, 0, 0);
    ctx.imageSmoothingEnabled = smooth;
    ctx.globalAlpha = alpha;
    ctx.drawImage(scratch, ...box);
    ctx.globalAlpha = 1;
  }

  function greys() {
    const [low, high] = state.window;
    return Uint32Array.from({ length: 256 }, (_, raw) => {
      const v = Math.round(255 * Math.max(0, Math.min(1, (raw - low) / (high - low))));
      return ((255 << 24) | (v << 16) | (v << 8) | v) >>> 0;
    });
  }

  function paint(ctx, tiles) {
    const tables = {
      grey: greys(), bands: zColors(state.on, data.palettes[state.palette]),
      counts: countColors(models().length, data.counts, state.least), difference: differenceColors(data.difference, data.differenceLimit),
    };
    const kept = new Map(); // the same slice of the scan lies under all panes
    for (const tile of tiles) {
      const under = tile.kind === "model" && state.showing === "reconstruction" && expected[tile.model] ? expected[tile.model] : base;
      for (const slice of tile.slices) {
        ctx.save();
        ctx.beginPath();
        ctx.rect(slice.x, slice.y, slice.w, slice.h);
        ctx.clip();
        const index = state.cross[slice.through], flip = mirrored(slice.plane, state.radiological);
        let grey = under === base ? kept.get(slice.plane) : undefined;
        if (!grey) grey = slicePixels(base.dims, slice.plane, index, flip, (at) => tables.grey[under.img[at]]);
        if (under === base) kept.set(slice.plane, grey);
        blit(ctx, grey, slice.box, true, 1);
        const color = state.hidden ? undefined : overlayColor(tile, tables);
        if (color) blit(ctx, slicePixels(base.dims, slice.plane, index, flip, color), slice.box, false, state.opacity);
        marks(ctx, tile, slice);
        ctx.restore();
      }
      caption(ctx, tile);
    }
  }

  function marks(ctx, tile, slice) {
    const { unit, through: w } = slice, line = (x1, y1, x2, y2) => { ctx.moveTo(x1, y1); ctx.lineTo(x2, y2); };
    if (data.region && !state.hidden) {
      const at = mmToVoxel(base, data.region.centre), radius = Math.max(4, 1.6 * data.region.radius);
      if (Math.abs(at[w] - state.cross[w]) * base.spacing[w] <= radius) {
        const [x, y] = slice.toScreen(at);
        ctx.setLineDash([5 * unit, 4 * unit]);
        ctx.lineWidth = 1.5 * unit;
        ctx.strokeStyle = "#ffd84d";
        ctx.beginPath();
        ctx.arc(x, y, radius * slice.scale, 0, 2 * Math.PI);
        ctx.stroke();
        ctx.setLineDash([]);
      }
    }
    const [x, y] = slice.toScreen(state.cross).map((at) => Math.floor(at) + 0.5); // one sharp pixel
    tile.at = [...(tile.at ?? []), [x, y]];
    if (state.crosshair) { // open in the middle: what lies under it stays visible
      const gap = 9 * unit;
      ctx.lineWidth = unit;
      ctx.strokeStyle = "rgb(94 242 194 / 60%)";
      ctx.beginPath();
      line(slice.x, y, x - gap, y); line(x + gap, y, slice.x + slice.w, y);
      line(x, slice.y, x, y - gap); line(x, y + gap, x, slice.y + slice.h);
      ctx.stroke();
    }
    const [left, right, top, bottom] = sideLetters(slice.plane, state.radiological), size = 12 * unit;
    ctx.font = `600 ${size}px system-ui, sans-serif`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.lineWidth = 3 * unit;
    ctx.strokeStyle = "#000";
    ctx.fillStyle = "#ffd84d";
    const middle = [slice.x + slice.w / 2, slice.y + slice.h / 2];
    for (const [letter, lx, ly] of [[left, slice.x + size, middle[1]], [right, slice.x + slice.w - size, middle[1]], [top, middle[0], slice.y + size], [bottom, middle[0], slice.y + slice.h - size]]) {
      ctx.strokeText(letter, lx, ly);
      ctx.fillText(letter, lx, ly);
    }
  }

  // Title at the left, what the pane says of the voxel under the crosshair at the right.
  function caption(ctx, tile) {
    const unit = tile.slices[0].unit, at = offset(state.cross), y = tile.y + (CAPTION / 2) * unit;
    const value = {
      scan: () => "", model: () => (z[tile.model] ? `z ${formatZ(z[tile.model].img[at])}` : ""),
      count: () => `${countAt(maps(), at, state.threshold / Z_STEP, tile.sign)} of ${models().length}`,
      difference: () => (z[state.pair[0]] && z[state.pair[1]] ? signed((z[state.pair[0]].img[at] - z[state.pair[1]].img[at]) * Z_STEP) : ""),
    }[tile.kind]();
    ctx.font = `600 ${11.5 * unit}px system-ui, sans-serif`;
    ctx.textBaseline = "middle";
    ctx.textAlign = "right";
    ctx.fillStyle = "#f2f6f7";
    ctx.fillText(value, tile.x + tile.w - 4 * unit, y);
    const room = tile.w - ctx.measureText(value).width - 14 * unit;
    ctx.textAlign = "left";
    ctx.fillStyle = tile.kind === "model" && tile.model === data.region_model ? "#ffd84d" : "#b9c5ca";
    ctx.fillText(tile.title, tile.x + 4 * unit, y, Math.max(10, room));
  }

  function draw() {
    frame = undefined;
    if (!base || ui.box.dataset.state !== "ready") return;
    const dpr = globalThis.devicePixelRatio || 1, { clientWidth, clientHeight } = ui.stage;
    const width = Math.round(clientWidth * dpr), height = Math.round(clientHeight * dpr);
    if (width === 0 || height === 0) return;
    if (ui.canvas.width !== width) ui.canvas.width = width;
    if (ui.canvas.height !== height) ui.canvas.height = height;
    const ctx = ui.canvas.getContext("2d");
    ctx.fillStyle = "#000";
    ctx.fillRect(0, 0, width, height);
    views = arrange(width, height, dpr);
    paint(ctx, views);
    describe(dpr);
  }
  const redraw = () => { frame ??= requestAnimationFrame(draw); };

  // For tests and for readers of the page's structure: what lies where, in CSS pixels.
  function describe(dpr) {
    const at = offset(state.cross), steps = state.threshold / Z_STEP, all = maps();
    const [brighter, darker] = [1, -1].map((sign) => countAt(all, at, steps, sign));
    const mm = voxelToMM(base, state.cross);
    const cells = {
      T2: (base.inter + base.slope * base.img[at]).toFixed(base.slope < 0.05 ? 2 : 0), mm: mm.map((v) => v.toFixed(1)).join(", "),
      voxel: storedVoxel({ dimsRAS: [3, ...base.dims] }, state.cross, data.stored).join(", "),
      agree: `brighter ${brighter} of ${all.length} · darker ${darker} of ${all.length}`, slice: `${state.cross[2] + 1}/${base.dims[2]}`,
    };
    for (const [name, text] of Object.entries(cells)) ui.values[name].textContent = text;
    Object.assign(ui.box.dataset, {
      mm: mm.map((v) => v.toFixed(2)).join(","), consensus: `${brighter},${darker}`, layout: state.layout, map: data.map,
      panes: JSON.stringify(views.map((t) => ({ title: t.title, slices: t.slices.map((s, n) => ({ plane: s.plane, x: s.x / dpr, y: s.y / dpr, w: s.w / dpr, h: s.h / dpr, scale: s.scale / dpr, at: t.at[n].map((c) => c / dpr) })) }))),
    });
    ui.canvas.setAttribute("aria-label", `${views.map((tile) => tile.title).join(", ")}; slice ${cells.slice}; ${cells.agree}`);
  }

  // ---- moving
  const offset = ([x, y, w]) => x + base.dims[0] * (y + base.dims[1] * w);
  const inside = (voxel) => voxel.map((v, i) => Math.min(base.dims[i] - 1, Math.max(0, Math.round(v))));
  function moveTo(voxel) { state.cross = inside(voxel); redraw(); }
  function sliceAt(event) {
    const bounds = ui.canvas.getBoundingClientRect(), dpr = globalThis.devicePixelRatio || 1;
    const x = (event.clientX - bounds.left) * dpr, y = (event.clientY - bounds.top) * dpr;
    for (const tile of views) for (const slice of tile.slices)
      if (x >= slice.x && x < slice.x + slice.w && y >= slice.y && y < slice.y + slice.h) return { tile, slice, x, y };
    return undefined;
  }
  function scroll(by, plane) { const axis = AXES[plane ?? (planeNow() === "planes" ? PLANE.axial : PLANE[planeNow()])][2]; const to = [...state.cross]; to[axis] += by; moveTo(to); }
  function pick(hit) {
    const voxel = inside(hit.slice.toVoxel(hit.x, hit.y, state.cross));
    if (hit.tile.kind !== "model" || state.hidden || !z[hit.tile.model]) return;
    const band = bandOf(z[hit.tile.model].img[offset(voxel)]);
    if (band >= 0 && state.on[band]) component.setTriggerValue("picked", { model: hit.tile.model, voxel, case: data.case });
  }

  // ---- settings
  function change(action) { return (...values) => { action(...values); sync(); redraw(); }; }
  const setLayout = change((name) => { state.layout = name; });
  const setPlane = change((name) => { state.plane = name; });
  const setChosen = change((n, name) => { state.chosen[n] = name; });
  const setPair = change((n, name) => { state.pair[n] = name; tell(); });
  const setThreshold = change((value) => { state.threshold = value; });
  const setLeast = change((k) => { state.least = state.least === k ? 1 : k; });
  const setWindow = change((low, high) => {
    const width = Math.max(4, high - low), middle = Math.min(255, Math.max(0, (low + high) / 2));
    state.window = [middle - width / 2, middle + width / 2];
  });
  const setRadiological = change((on) => { state.radiological = on; });
  const toggle = change((indices) => { const all = indices.every((i) => state.on[i]); for (const i of indices) state.on[i] = !all; });
  const toggleSign = change((indices) => {
    const any = indices.some((i) => state.on[i]), kept = state[`kept${indices[0]}`];
    if (any) state[`kept${indices[0]}`] = indices.map((i) => state.on[i]);
    indices.forEach((i, n) => { state.on[i] = any ? false : (kept?.[n] ?? true); });
  });
  const hide = change((hidden) => { state.hidden = hidden; });
  const reset = () => { fit(); setWindow(0, 255); };
  function fit() {
    state.zoom = 1;
    state.centre = [0, 1, 2].map((axis) => ((head.low[axis] + head.high[axis]) / 2) * base.spacing[axis]);
  }
  function tell() { component.setStateValue("settings", { threshold: state.threshold, pair: [...state.pair] }); }
  const askMap = (name) => { if (name && name !== data.map) component.setTriggerValue("map", name); };
  const setShowing = change((what) => {
    state.showing = what;
    if (what === "reconstruction" && !data.expected) component.setTriggerValue("expected", true); // shown once they are here
  });

  // ---- controls
  function build() {
    const press = (text, title, action) => el("button", { type: "button", title, onclick: (e) => { action(); e.currentTarget.blur(); } }, text);
    const slider = (title, min, max, step, value, action, done = () => {}) => el("input", {
      type: "range", title, "aria-label": title, min, max, step, value,
      oninput: (e) => action(Number(e.target.value)), onchange: (e) => { done(); e.target.blur(); },
    });
    const text = (cls) => el("span", { class: cls });
    const group = (...children) => el("div", { class: "group" }, ...children);
    const select = (title, action) => el("select", { title, "aria-label": title, onchange: (e) => { action(e.target.value); e.target.blur(); } });
    const ui = { values: {}, layouts: {}, planes: {}, bases: {}, maps: {} };
    ui.id = text("id");
    ui.synthetic = el("span", { class: "badge" }, "SYNTHETIC");
    ui.count = text("dim");
    ui.side = press("", "Swap left and right (l)", () => setRadiological(!state.radiological));
    for (const [name, label] of LAYOUTS) ui.layouts[name] = press(label, `${label} (c: next layout)`, () => setLayout(name));
    for (const [name, label] of PLANES) ui.planes[name] = press(label, `${label} (v: next plane)`, () => setPlane(name));
    for (const [name, label] of [["scan", "Scan"], ["reconstruction", "Expected"]])
      ui.bases[name] = press(label, name === "scan" ? "The scan as acquired" : "Each model's reconstruction (hold b)", () => setShowing(name));
    ui.mapGroup = group();
    ui.save = press("PNG", "Save this view as PNG, with legend and names", savePicture);
    const headBar = el("div", { class: "bar head" }, ui.id, ui.synthetic, ui.count, el("span", { class: "grow" }), ui.side, ui.save,
      press("?", "Keys (?)", () => { ui.help.hidden = !ui.help.hidden; }));
    ui.level = slider("Level", 0, 255, "any", 127, (v) => { const w = (state.window[1] - state.window[0]) / 2; setWindow(v - w, v + w); });
    ui.width = slider("Window", 4, 400, "any", 255, (v) => { const m = (state.window[0] + state.window[1]) / 2; setWindow(m - v / 2, m + v / 2); });
    ui.preset = select("Window preset", (name) => { if (WINDOWS[name]) setWindow(...WINDOWS[name]); });
    ui.preset.append(...Object.keys(WINDOWS).map((name) => el("option", { value: name }, name)), el("option", { value: "" }, "Manual"));
    const tools = el("div", { class: "bar" }, group(...Object.values(ui.layouts)), group(...Object.values(ui.planes)), group(...Object.values(ui.bases)), ui.mapGroup,
      el("span", { class: "grow" }), el("span", { class: "together" }, el("label", {}, "W", ui.width), el("label", {}, "L", ui.level), ui.preset));

    ui.chosen = [0, 1, 2, 3].map((n) => select(`Model of pane ${n + 1}`, (name) => setChosen(n, name)));
    ui.pair = [0, 1].map((n) => select(n === 0 ? "Subtract from this model" : "Subtract this model", (name) => setPair(n, name)));
    ui.choose = el("div", { class: "bar choose" }, el("label", { class: "of-chosen" }, "Models"), ...ui.chosen, ...ui.pair.flatMap((node, n) => (n ? [el("span", { class: "dim of-pair" }, "less"), node] : [node])));

    ui.canvas = el("canvas", { class: "image", role: "img" });
    ui.message = el("div", { class: "message", role: "status" });
    ui.help = el("dl", { class: "help", hidden: "" }, ...COMPARE_KEYS.flatMap(([key, what]) => [el("dt", {}, key), el("dd", {}, what)]));
    ui.stage = el("div", { class: "stage" }, ui.canvas, ui.message, ui.help);

    ui.chips = BANDS.map(([label, sign], i) => {
      const chip = press(label, `${sign > 0 ? "Brighter" : "Darker"} than expected by ${label} SD`, () => toggle([i]));
      chip.classList.add("chip");
      chip.dataset.band = `${sign > 0 ? "+" : "-"}${label}`;
      return chip;
    });
    ui.palette = select("Overlay colours", change((name) => { state.palette = name; }));
    ui.bands = el("div", { class: "part" }, press("darker", "Darker than expected (−)", () => toggleSign([0, 1, 2])), ...ui.chips,
      press("brighter", "Brighter than expected (+)", () => toggleSign([3, 4, 5])), el("span", { class: "dim" }, "than expected"), ui.palette);
    ui.counts = el("div", { class: "part" });
    ui.ramp = el("canvas", { class: "ramp", width: 120, height: 10 });
    ui.rampText = [text("dim"), text("dim")];
    ui.difference = el("div", { class: "part" }, ui.rampText[0], ui.ramp, ui.rampText[1]);
    ui.threshold = slider("Threshold of |z| for the consensus", 2, 6, 0.25, state.threshold, (v) => setThreshold(v), () => tell());
    ui.thresholdText = text("value");
    ui.opacity = slider("Overlay opacity", 0.1, 1, "any", state.opacity, change((v) => { state.opacity = v; }));
    const legend = el("div", { class: "bar legend" }, ui.counts, ui.bands, ui.difference, el("span", { class: "grow" }),
      el("label", { class: "of-threshold" }, "consensus at |z| ≥", ui.threshold, ui.thresholdText), el("label", {}, "opacity", ui.opacity));
    const cell = (name, label) => el("span", { class: "cell" }, el("span", { class: "dim" }, label), ui.values[name] = text(`value ${name}`));
    const foot = el("div", { class: "bar foot" }, cell("T2", "T2"), cell("agree", ""), cell("mm", "mm"), cell("voxel", "voxel"), el("span", { class: "grow" }), cell("slice", "axial"));
    ui.agreeLabel = ui.values.agree.previousSibling;
    ui.box = el("div", { class: "fontanelle compare", "data-state": "loading" }, headBar, tools, ui.choose, ui.stage, legend, foot);
    return ui;
  }

  function sync() {
    const mark = (nodes, active) => { for (const [name, node] of Object.entries(nodes)) node.setAttribute("aria-pressed", name === active); };
    mark(ui.layouts, state.layout);
    mark(ui.planes, planeNow());
    mark(ui.bases, state.showing);
    mark(ui.maps, data.map);
    ui.planes.planes.disabled = state.layout === "all";
    ui.layouts.four.disabled = models().length < 4;
    const shown = state.layout === "two" ? 2 : state.layout === "four" ? 4 : 0;
    ui.chosen.forEach((node, n) => { node.hidden = n >= shown; node.value = state.chosen[n] ?? ""; });
    ui.pair.forEach((node, n) => { node.hidden = state.layout !== "difference"; node.value = state.pair[n] ?? ""; });
    for (const node of ui.choose.querySelectorAll(".of-chosen")) node.hidden = shown === 0;
    for (const node of ui.choose.querySelectorAll(".of-pair")) node.hidden = state.layout !== "difference";
    ui.choose.hidden = shown === 0 && state.layout !== "difference";
    ui.bands.hidden = state.layout === "consensus";
    ui.counts.hidden = state.layout !== "consensus";
    ui.difference.hidden = state.layout !== "difference";
    const colors = data.palettes?.[state.palette] ?? [];
    ui.chips.forEach((chip, i) => { chip.setAttribute("aria-pressed", state.on[i]); chip.style.setProperty("--band", colors[i]); });
    [...ui.counts.querySelectorAll(".chip")].forEach((chip, i) => chip.setAttribute("aria-pressed", i + 1 >= state.least));
    ui.side.textContent = conventionText(state.radiological);
    ui.thresholdText.textContent = state.threshold.toFixed(2);
    ui.agreeLabel.textContent = `|z| ≥ ${state.threshold.toFixed(2)}:`;
    ui.threshold.value = state.threshold;
    const [low, high] = state.window;
    ui.width.value = high - low;
    ui.level.value = (low + high) / 2;
    ui.preset.value = Object.keys(WINDOWS).find((name) => Math.abs(WINDOWS[name][0] - low) < 1 && Math.abs(WINDOWS[name][1] - high) < 1) ?? "";
    ui.box.classList.toggle("hidden-overlay", state.hidden);
  }

  // Controls that follow the models and maps at hand.
  function furnish() {
    const names = models();
    state.chosen = [0, 1, 2, 3].map((n) => (names.includes(state.chosen[n]) ? state.chosen[n] : names[n] ?? names[0]));
    state.pair = [0, 1].map((n) => (names.includes(state.pair[n]) ? state.pair[n] : names[n] ?? names[0]));
    for (const node of [...ui.chosen, ...ui.pair]) node.replaceChildren(...names.map((name) => el("option", { value: name }, name)));
    if (state.layout === "four" && names.length < 4) state.layout = "two";
    ui.maps = Object.fromEntries(data.maps.map((name) => [name, el("button", { type: "button", title: `${data.mapTitles[name]}, in all panes (m)`, onclick: (e) => { askMap(name); e.currentTarget.blur(); } }, data.mapNames[name])]));
    ui.mapGroup.replaceChildren(...Object.values(ui.maps));
    if (ui.palette.options.length === 0) ui.palette.append(...Object.keys(data.palettes).map((name) => el("option", { value: name }, data.paletteNames[name])));
    const top = Math.min(names.length, data.counts.length);
    state.least = Math.min(state.least, top);
    ui.counts.replaceChildren(el("span", { class: "dim" }, "models that flag"), ...Array.from({ length: top }, (_, i) => {
      const chip = el("button", { type: "button", class: "chip", title: `Show voxels that ${i + 1} or more models flag`, onclick: (e) => { setLeast(i + 1); e.currentTarget.blur(); } },
        i + 1 === top && names.length > top ? `${i + 1}+` : `${i + 1}`);
      chip.style.setProperty("--band", data.counts[i]);
      return chip;
    }), el("span", { class: "dim" }, `of ${names.length}`));
    drawRamp(ui.ramp.getContext("2d"), 0, 0, 120, 10);
    ui.rampText[0].textContent = `z less by ${data.differenceLimit} SD or more`;
    ui.rampText[1].textContent = "more";
    ui.id.textContent = data.case;
    ui.count.textContent = `${names.length} models · ${data.mapNames[data.map] ?? data.map}`;
    ui.synthetic.hidden = !data.synthetic;
    ui.box.dataset.case = data.case;
    ui.box.dataset.region = data.region_model;
  }

  function drawRamp(ctx, x, y, width, height) {
    const table = differenceColors(data.difference, data.differenceLimit), reach = data.differenceLimit / Z_STEP;
    for (let i = 0; i < width; i++) {
      const color = table[254 + Math.round((2 * i / (width - 1) - 1) * reach)];
      ctx.fillStyle = `rgb(${color & 255} ${(color >> 8) & 255} ${(color >> 16) & 255})`;
      ctx.fillRect(x + i, y, 1, height);
    }
  }

  function say(text, kind = "loading") {
    ui.message.textContent = text;
    ui.message.hidden = text === "";
    ui.box.dataset.state = text === "" ? "ready" : kind;
  }

  // ---- picture
  // The view at twice its size, with everything that a reader of the picture needs burned in.
  function picture() {
    const unit = 2, width = Math.round(ui.stage.clientWidth * unit), body = Math.round(ui.stage.clientHeight * unit), line = 20 * unit;
    const canvas = document.createElement("canvas"), ctx = canvas.getContext("2d");
    const names = models().join(", ");
    const top = [`${data.case}${data.synthetic ? "   SYNTHETIC DATA" : ""}`, `${LAYOUTS.find(([name]) => name === state.layout)[1]} · ${data.mapNames[data.map]}: ${data.mapTitles[data.map]} · ${conventionText(state.radiological)}`];
    const under = { consensus: `Voxels that k of ${models().length} models flag at |z| ≥ ${state.threshold.toFixed(2)} SD${state.least > 1 ? `, k ≥ ${state.least}` : ""}: ${names}`,
      difference: `z of ${state.pair[0]} less z of ${state.pair[1]}, each cut at ±${Z_LIMIT} SD` }[state.layout] ?? `Models: ${[...new Set(panes().filter((pane) => pane.model).map((pane) => pane.model))].join(", ")}`;
    const place = `voxel ${ui.values.voxel.textContent} of the file · ${ui.values.mm.textContent} mm (RAS+) · Fontanelle ${data.version} · ${DISCLAIMER}`;
    const fit = (text, size) => { // lines no wider than the picture
      ctx.font = `${size}px system-ui, sans-serif`;
      const lines = [""];
      for (const word of text.split(" ")) {
        const longer = lines.at(-1) === "" ? word : `${lines.at(-1)} ${word}`;
        if (ctx.measureText(longer).width > width - 20 * unit && lines.at(-1) !== "") lines.push(word); else lines[lines.length - 1] = longer;
      }
      return lines;
    };
    const above = top.flatMap((text) => fit(text, 12 * unit)), below = [...fit(under, 12 * unit), ...fit(place, 12 * unit)];
    Object.assign(canvas, { width, height: body + (above.length + below.length + 2) * line });
    ctx.fillStyle = "#000";
    ctx.fillRect(0, 0, canvas.width, canvas.height);
    const write = (text, row, weight = 400) => {
      ctx.font = `${weight} ${12 * unit}px system-ui, sans-serif`;
      ctx.textAlign = "left";
      ctx.textBaseline = "middle";
      ctx.fillStyle = "#f2f6f7";
      ctx.fillText(text, 10 * unit, row);
    };
    above.forEach((text, n) => write(text, (n + 0.6) * line, n === 0 ? 700 : 400));
    ctx.save();
    ctx.translate(0, (above.length + 0.3) * line);
    paint(ctx, arrange(width, body, unit));
    ctx.restore();
    let y = (above.length + 0.3) * line + body + 0.6 * line;
    legendInto(ctx, 10 * unit, y, unit);
    for (const text of below) write(text, (y += line));
    return canvas;
  }

  function legendInto(ctx, x, y, unit) {
    const swatch = (color, label) => {
      ctx.fillStyle = color;
      ctx.fillRect(x, y - 6 * unit, 12 * unit, 12 * unit);
      text(label, 16);
    };
    const text = (label, indent = 0) => {
      ctx.font = `${12 * unit}px system-ui, sans-serif`;
      ctx.textAlign = "left";
      ctx.textBaseline = "middle";
      ctx.fillStyle = "#f2f6f7";
      ctx.fillText(label, x + indent * unit, y);
      x += indent * unit + ctx.measureText(label).width + 10 * unit;
    };
    if (state.hidden) return text("overlay hidden");
    if (state.layout === "consensus") {
      text("models that flag:");
      const chips = [...ui.counts.querySelectorAll(".chip")];
      chips.forEach((chip, i) => { if (i + 1 >= state.least) swatch(data.counts[i], chip.textContent); });
      return undefined;
    }
    text("darker");
    BANDS.forEach(([label, sign], i) => {
      if (i === 3) text("brighter");
      if (state.on[i]) swatch(data.palettes[state.palette][i], `${label} SD`);
    });
    if (state.layout === "difference") {
      text(`difference −${data.differenceLimit}`);
      drawRamp(ctx, x, y - 5 * unit, 100 * unit, 10 * unit);
      x += 106 * unit;
      text(`+${data.differenceLimit} SD`);
    }
    return undefined;
  }

  function savePicture() {
    if (ui.box.dataset.state !== "ready") return;
    picture().toBlob((blob) => {
      const link = el("a", { href: URL.createObjectURL(blob), download: `${data.case}_compare-${state.layout}_map-${data.map}.png` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10000);
    }, "image/png");
  }

  // ---- events
  const listeners = new AbortController();
  const on = (target, type, handler, options = {}) => target.addEventListener(type, handler, { signal: listeners.signal, ...options });
  let pressed; // where the button went down, and window and centre at that time
  on(ui.canvas, "mousedown", (event) => {
    const hit = base && sliceAt(event);
    if (!hit) return;
    event.preventDefault();
    pressed = { ...hit, button: event.button, ctrl: event.ctrlKey || event.button === 1, client: [event.clientX, event.clientY], window: [...state.window], centre: [...state.centre] };
    if (event.button === 0 && !pressed.ctrl) moveTo(hit.slice.toVoxel(hit.x, hit.y, state.cross));
  });
  on(window, "mousemove", (event) => {
    if (!pressed) return;
    const dx = event.clientX - pressed.client[0], dy = event.clientY - pressed.client[1], dpr = globalThis.devicePixelRatio || 1;
    pressed.moved ||= Math.hypot(dx, dy) > 3;
    if (pressed.button === 2) {
      const [low, high] = pressed.window, level = (low + high) / 2 - dy * 0.5, width = high - low + dx * 0.8;
      setWindow(level - width / 2, level + width / 2);
    } else if (pressed.ctrl) {
      const { slice } = pressed, sign = mirrored(slice.plane, state.radiological) ? -1 : 1;
      state.centre = [...pressed.centre];
      state.centre[slice.u] -= (sign * dx * dpr) / slice.scale;
      state.centre[slice.v] += (dy * dpr) / slice.scale;
      redraw();
    } else {
      const bounds = ui.canvas.getBoundingClientRect();
      moveTo(pressed.slice.toVoxel((event.clientX - bounds.left) * dpr, (event.clientY - bounds.top) * dpr, state.cross));
    }
  });
  on(window, "mouseup", () => {
    if (pressed?.button === 0 && !pressed.ctrl && !pressed.moved) pick(pressed);
    pressed = undefined;
  });
  on(ui.stage, "contextmenu", (event) => event.preventDefault());
  on(ui.stage, "wheel", (event) => {
    const hit = base && sliceAt(event);
    if (!hit) return;
    event.preventDefault();
    if (!event.ctrlKey) { scroll(event.deltaY < 0 ? 1 : -1, hit.slice.plane); return; }
    // What lies under the pointer stays there.
    const { slice } = hit, point = slice.toVoxel(hit.x, hit.y, state.cross), before = state.zoom;
    state.zoom = Math.min(10, Math.max(1, state.zoom * (event.deltaY < 0 ? 1.15 : 1 / 1.15)));
    for (const axis of [slice.u, slice.v]) {
      const mm = point[axis] * base.spacing[axis];
      state.centre[axis] = mm - ((mm - state.centre[axis]) * before) / state.zoom;
    }
    redraw();
  }, { passive: false });

  const flags = (label) => BANDS.flatMap(([name], i) => (name === label ? [i] : []));
  const next = (list, now) => list[(list.findIndex(([name]) => name === now) + 1) % list.length][0];
  const actions = {
    "+": () => toggleSign([3, 4, 5]), "=": () => toggleSign([3, 4, 5]), "-": () => toggleSign([0, 1, 2]), " ": () => hide(true),
    b: () => setShowing(state.showing === "scan" ? "reconstruction" : "scan"),
    m: () => askMap(data.maps[(data.maps.indexOf(data.map) + 1) % data.maps.length]),
    c: () => setLayout(next(LAYOUTS.filter(([name]) => name !== "four" || models().length > 3), state.layout)),
    v: () => setPlane(next(PLANES.filter(([name]) => name !== "planes" || state.layout !== "all"), planeNow())),
    l: () => setRadiological(!state.radiological), x: () => { state.crosshair = !state.crosshair; redraw(); }, 0: reset,
    "?": () => { ui.help.hidden = !ui.help.hidden; }, Escape: () => { ui.help.hidden = true; },
  };
  const scrolls = { ArrowUp: 1, ArrowDown: -1, PageUp: 5, PageDown: -5 };
  on(window, "keydown", (event) => {
    if (!base || event.ctrlKey || event.metaKey || event.altKey || typing(event)) return;
    if (event.key in scrolls && ui.box.matches(":hover")) { event.preventDefault(); scroll(scrolls[event.key]); return; }
    if (bandKey(event)) { toggle(flags(["2–3", "3–4", "4+"][bandKey(event) - 1])); return; }
    if (!Object.hasOwn(actions, event.key)) return;
    if (event.key === " ") event.preventDefault();
    if (event.repeat && " b".includes(event.key)) return;
    actions[event.key]();
  }, { capture: true });
  on(window, "keyup", (event) => {
    if (!base) return;
    if (event.key === " " && state.hidden) { event.preventDefault(); hide(false); }
    if (event.key === "b" && !typing(event)) actions.b();
  }, { capture: true });
  on(window, "blur", () => { if (base && state.hidden) hide(false); });
  const watcher = new ResizeObserver(redraw);
  watcher.observe(ui.stage);

  // ---- loading
  async function load() {
    const wanted = JSON.stringify([data.case, data.map, data.base.hash, data.expected, data.models.map((one) => [one.model, one.z.hash])]);
    if (wanted === loaded) return;
    const mine = ++generation, other = ui.box.dataset.hash !== data.base.hash;
    say("Loading…");
    const opened = await Promise.all([
      other ? openNifti(data.base) : base,
      ...data.models.map(async (one) => [one.model, await openNifti(one.z), one.reconstruction && await openNifti(one.reconstruction)]),
    ]);
    if (mine !== generation) return; // something else was asked for meanwhile
    const [scan, ...rest] = opened;
    for (const [name, map, image] of rest) for (const volume of [map, image])
      if (volume && volume.dims.join() !== scan.dims.join()) throw new Error(`${name} has the grid ${volume.dims.join("×")}, the scan ${scan.dims.join("×")}`);
    base = scan;
    z = Object.fromEntries(rest.map(([name, map]) => [name, map]));
    expected = Object.fromEntries(rest.filter(([, , image]) => image).map(([name, , image]) => [name, image]));
    if (other) {
      head = headBox(base);
      state.cross = base.dims.map((n) => Math.floor(n / 2));
      fit();
    }
    loaded = wanted;
    ui.box.dataset.hash = data.base.hash;
    say("");
  }

  async function update(next) {
    component = next;
    data = next.data;
    furnish();
    sync();
    try {
      await load();
      if (ui.box.dataset.state !== "ready") return;
      if (data.jump && data.jump.nonce !== jumped) { jumped = data.jump.nonce; moveTo(mmToVoxel(base, data.jump.mm)); }
      redraw();
    } catch (error) {
      loaded = "";
      say(`This scan can't be compared: ${error.message}`, "error");
    }
  }

  function destroy() {
    listeners.abort();
    watcher.disconnect();
    cancelAnimationFrame(frame);
    generation += 1;
    ui.box.remove();
  }

  return { update, destroy };
}
