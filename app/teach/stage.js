// The picture of a lesson: one scan, marks on it, the answer once it is shown, the teacher's pointer.
//
// `openStage` knows nothing of lessons or roles; lesson.js tells it what to show.

const STAGE_LAYOUT = [ // left, top, width, height as fractions of the canvas
  { sliceType: PLANE.axial, position: [0, 0, 0.62, 1] },
  { sliceType: PLANE.coronal, position: [0.625, 0, 0.375, 0.497] },
  { sliceType: PLANE.sagittal, position: [0.625, 0.503, 0.375, 0.497] },
];
const STAGE_VIEWS = ["planes", "axial", "coronal", "sagittal"];
const STAGE_BANDS = [true, true, false, false, true, true]; // 3 SD and more, as Review opens
const SPOT_COLORS = { hit: "#5ef2c2", again: "#8fb8ac", false: "#ff8a7a" };
const TRUTH_COLOR = "#ffe14d", READERS_COLOR = "#dba8ff", LASER_AWAY = "#ffb3bd";
const THROUGH = [2, 1, 0]; // the axis that axial, coronal and sagittal slices follow
const HALF_SLICE = 0.55; // in slices; a little more than half, for rounding

// `on.mark(mm)` after a Shift-click, `on.look({ plane, mm, cross })` as cursor and slices move.
function openStage(on) {
  const end = new AbortController();
  const state = { view: "planes", plane: PLANE.axial, radiological: true, window: [0, 255], layers: { truth: true, readers: true, model: true, class: true } };
  const canvas = el("canvas", { class: "image", "aria-label": "Brain slices" }), over = el("canvas", { class: "marks" });
  const message = el("div", { class: "message", role: "status" }), node = el("div", { class: "stage" }, canvas, over, message);
  let nv, niivue, base, overlay, scan, dims, generation = 0, shown = "", loading = Promise.resolve(), cursor;
  let spots = [], answer = null, truth = null, z = null, pointer = null;
  const stage = { node, state, ready: () => !!base };

  const say = (text) => { message.textContent = text; message.hidden = text === ""; node.dataset.state = text === "" ? "ready" : "waiting"; };
  const tiles = () => nv.screenSlices.filter((tile) => tile.axCorSag <= PLANE.sagittal && tile.AxyzMxy.length >= 4);

  // ---- loading
  async function start(url) {
    if (!hasWebgl2()) throw new Error("this browser offers no WebGL2, which the viewer needs");
    niivue = await loadNiivue(url);
    nv = await openNiivue(niivue, canvas, { isRadiologicalConvention: state.radiological });
    const draw = nv.drawScene.bind(nv);
    nv.drawScene = (...args) => { draw(...args); drawOver(); };
    nv.onLocationChange = () => look();
    setView(state.view);
  }

  // Show the scan of `item` ({ number, base: { url, hash }, synthetic }); the same scan again keeps position and window.
  // Resolves once it is drawn.
  stage.show = (item, url) => {
    const key = item ? `${item.number}:${item.base?.hash ?? item.error}` : "";
    if (key !== shown) { shown = key; loading = load(item, url, key); }
    return loading;
  };

  async function load(item, url, key) {
    const mine = ++generation;
    node.dataset.answer = "";
    if (!item || item.error) { base = undefined; say(item?.error ?? ""); node.dataset.scan = ""; return; }
    say("Loading…");
    try {
      if (!nv) await start(url);
      const image = await openVolume(niivue, "base", item.base);
      if (mine !== generation) return; // the class went on meanwhile
      const bands = await niivue.NVImage.zerosLike(image, "uint8");
      scan = unscale(image);
      bands.hdr.scl_slope = 1;
      bands.hdr.scl_inter = 0;
      for (const volume of [...nv.volumes]) nv.removeVolume(volume);
      [base, overlay, dims, answer, truth, z] = [image, bands, image.dimsRAS, null, null, null];
      overlay.opacity = 0;
      [base.cal_min, base.cal_max] = state.window;
      nv.addVolume(base);
      nv.addVolume(overlay);
      fit();
      nv.scene.crosshairPos = dims.slice(1, 4).map((n) => (Math.floor(n / 2) + 0.5) / n); // a voxel's middle
      setView(state.view);
      node.dataset.scan = key;
      say("");
      follow();
    } catch (error) {
      shown = "";
      if (mine === generation) { base = undefined; say(`This scan can't be shown: ${error.message}`); }
    }
  }

  // The answer as the server reveals it, null before. Its volumes are fetched now, not earlier.
  stage.answer = async (next) => {
    if (!base || JSON.stringify(next) === JSON.stringify(answer)) return;
    const mine = generation, before = answer;
    answer = next;
    if (!next) { [truth, z] = [null, null]; node.dataset.answer = ""; paintBands(); nv.drawScene(); return; }
    try {
      const volume = next.truth?.volume, map = next.model?.z;
      if (volume && volume.hash !== before?.truth?.volume?.hash) {
        const image = await openVolume(niivue, "truth", volume);
        if (mine !== generation) return;
        truth = image.dimsRAS.slice(1, 4).join() === dims.slice(1, 4).join() ? { img: image.img, kept: new Map() } : null;
      }
      if (map && map.hash !== before?.model?.z?.hash) {
        const image = await openVolume(niivue, "z", map);
        if (mine !== generation) return;
        z = image.img;
        overlay.img = bandImage(z);
      }
      paintBands();
      nv.drawScene();
      node.dataset.answer = "shown";
    } catch (error) {
      answer = before;
      on.problem(`Part of the answer can't be shown: ${error.message}`);
    }
  };
  stage.spots = (next) => { spots = next; if (base) drawOver(); };
  stage.point = (next) => { pointer = next; follow(); };

  function follow() {
    if (!base) return;
    if (pointer && on.follows()) nv.scene.crosshairPos = nv.mm2frac(pointer.cross, 0, true);
    nv.drawScene();
    node.dataset.pointer = pointer ? pointer.mm.map((value) => value.toFixed(1)).join() : "";
    node.dataset.slice = toMM(nv, nv.scene.crosshairPos).map((value) => value.toFixed(1)).join();
  }

  function paintBands() {
    if (!overlay) return;
    overlay.opacity = z && answer?.model && state.layers.model ? 0.6 : 0;
    overlay.setColormapLabel(bandColors(answer?.model?.colors ?? BANDS.map(() => "#000000"), STAGE_BANDS));
    nv.refreshLayers(overlay, 1);
    nv.opts.isNearestInterpolation = true; // bands are labels: never blend two of them
    nv.updateInterpolation(1);
    nv.opts.isNearestInterpolation = false;
  }

  // ---- drawing over the slices
  function drawOver() {
    const ctx = over.getContext("2d"), dpr = (nv.uiData.dpr || 1) * stage.scale();
    if (over.width !== canvas.width) over.width = canvas.width;
    if (over.height !== canvas.height) over.height = canvas.height;
    ctx.clearRect(0, 0, over.width, over.height);
    if (!base) return;
    const cross = toMM(nv, nv.scene.crosshairPos);
    [node.dataset.laser, node.dataset.away] = ["", ""];
    for (const tile of tiles()) {
      if (answer?.truth && truth && state.layers.truth) drawTruth(ctx, tile, dpr);
      drawHair(ctx, nv, tile, cross, dpr);
      if (answer?.marks && state.layers.class) for (const mm of answer.marks) drawDot(ctx, tile, mm, dpr);
      if (answer?.readers && state.layers.readers) for (const found of answer.readers.findings) drawFound(ctx, tile, found, answer.readers.readers, dpr);
      spots.forEach((spot, i) => drawOwn(ctx, tile, spot, i + 1, dpr));
      // As large as the picture asks for, but never so large that a tile has no room for all four.
      drawLetters(ctx, tile, state.radiological, Math.max(nv.uiData.dpr || 1, Math.min(dpr, Math.min(...tile.leftTopWidthHeight.slice(2)) / 190)));
      if (pointer) drawLaser(ctx, tile, pointer, dpr);
    }
  }

  function caption(ctx, text, x, y, color, dpr) {
    ctx.font = `700 ${13 * dpr}px system-ui, "DejaVu Sans", sans-serif`;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    outlined(ctx, text, x, y, color, dpr);
  }

  function drawOwn(ctx, tile, spot, number, dpr) {
    const at = project(nv, tile, spot.mm);
    if (!at || at.off > spot.radius) return;
    const r = Math.max(7 * dpr, Math.sqrt(spot.radius ** 2 - at.off ** 2) * at.scale), color = SPOT_COLORS[spot.outcome] ?? "#ffffff";
    ctx.setLineDash(spot.outcome === "again" ? [4 * dpr, 4 * dpr] : []);
    for (const [stroke, width] of [["rgb(0 0 0 / 75%)", 4], [color, 2]]) {
      ctx.strokeStyle = stroke;
      ctx.lineWidth = width * dpr;
      ctx.beginPath();
      ctx.arc(at.x, at.y, r, 0, 2 * Math.PI);
      ctx.stroke();
    }
    ctx.setLineDash([]);
    caption(ctx, String(number), at.x + r * 0.75 + 3 * dpr, at.y - r * 0.75, color, dpr);
  }

  function drawDot(ctx, tile, mm, dpr) {
    const at = project(nv, tile, mm);
    if (!at || at.off > 3) return;
    ctx.fillStyle = "rgb(255 255 255 / 90%)";
    ctx.strokeStyle = "rgb(0 0 0 / 80%)";
    ctx.lineWidth = 1.5 * dpr;
    ctx.beginPath();
    ctx.arc(at.x, at.y, 3.5 * dpr, 0, 2 * Math.PI);
    ctx.fill();
    ctx.stroke();
  }

  function drawFound(ctx, tile, found, of, dpr) {
    const at = project(nv, tile, found.mm), r = 7 * dpr;
    if (!at || at.off > 4) return;
    for (const [stroke, width] of [["rgb(0 0 0 / 75%)", 4.5], [READERS_COLOR, 2]]) {
      ctx.strokeStyle = stroke;
      ctx.lineWidth = width * dpr;
      ctx.strokeRect(at.x - r, at.y - r, 2 * r, 2 * r);
    }
    caption(ctx, `${found.by}/${of}`, at.x + r + 4 * dpr, at.y + r, READERS_COLOR, dpr);
  }

  function drawLaser(ctx, tile, { mm, plane }, dpr) {
    const at = project(nv, tile, mm), r = 6 * dpr, through = THROUGH[tile.axCorSag];
    const away = (nv.mm2frac(mm, 0, true)[through] - tile.sliceFrac) * dims[through + 1]; // in slices
    if (!at || Math.abs(away) > HALF_SLICE) {
      if (tile.axCorSag === plane) drawAway(ctx, tile, away, dpr);
      return;
    }
    node.dataset.laser = [node.dataset.laser, tile.axCorSag].filter((part) => part !== "").join();
    const glow = ctx.createRadialGradient(at.x, at.y, 0, at.x, at.y, 2.4 * r);
    glow.addColorStop(0, "rgb(255 40 60 / 95%)");
    glow.addColorStop(0.35, "rgb(255 40 60 / 80%)");
    glow.addColorStop(1, "rgb(255 40 60 / 0%)");
    ctx.fillStyle = glow;
    ctx.beginPath();
    ctx.arc(at.x, at.y, 2.4 * r, 0, 2 * Math.PI);
    ctx.fill();
  }

  // Who looks at another slice than the teacher points at is told how far it is, by the arrow keys' steps.
  function drawAway(ctx, tile, away, dpr) {
    const [left, top, , height] = tile.leftTopWidthHeight, n = Math.max(1, Math.round(Math.abs(away)));
    const text = `Teacher: ${plural(n, "slice")} ${away > 0 ? "↑" : "↓"}`;
    node.dataset.away = text;
    caption(ctx, text, left + 6 * dpr, top + height - 12 * dpr, LASER_AWAY, dpr);
  }

  // Outline of each lesion where this slice cuts it, along the edges of its voxels, with its number.
  function drawTruth(ctx, tile, dpr) {
    const [across, up, through] = [[0, 1, 2], [0, 2, 1], [1, 2, 0]][tile.axCorSag];
    const [w, h, n] = [dims[across + 1], dims[up + 1], dims[through + 1]], depth = Math.min(n - 1, Math.max(0, Math.floor(tile.sliceFrac * n)));
    const key = `${tile.axCorSag}:${depth}`;
    if (!truth.kept.has(key)) truth.kept.set(key, outline(across, up, through, depth));
    const { path, labels } = truth.kept.get(key);
    if (labels.length === 0) return;
    const corner = (u, v) => { const frac = [0, 0, 0]; [frac[across], frac[up], frac[through]] = [u, v, tile.sliceFrac]; return projectFrac(nv, tile, frac); };
    const o = corner(0, 0), right = corner(1, 0), top = corner(0, 1);
    const matrix = new DOMMatrix([(right.x - o.x) / w, (right.y - o.y) / w, (top.x - o.x) / h, (top.y - o.y) / h, o.x, o.y]), onScreen = new Path2D();
    onScreen.addPath(path, matrix);
    for (const [stroke, width] of [["rgb(0 0 0 / 70%)", 4], [TRUTH_COLOR, 2]]) {
      ctx.strokeStyle = stroke;
      ctx.lineWidth = width * dpr;
      ctx.stroke(onScreen);
    }
    for (const { label, u, v } of labels) {
      const at = matrix.transformPoint(new DOMPoint(u, v));
      caption(ctx, `L${label}`, at.x + 4 * dpr, at.y - 8 * dpr, TRUTH_COLOR, dpr);
    }
  }

  function outline(across, up, through, depth) {
    const strides = [1, dims[1], dims[1] * dims[2]], [w, h] = [dims[across + 1], dims[up + 1]], path = new Path2D(), corners = new Map();
    const at = (u, v) => (u < 0 || v < 0 || u >= w || v >= h ? 0 : truth.img[u * strides[across] + v * strides[up] + depth * strides[through]]);
    for (let v = 0; v <= h; v++) for (let u = 0; u <= w; u++) {
      const here = at(u, v);
      if (here !== at(u - 1, v)) { path.moveTo(u, v); path.lineTo(u, v + 1); }
      if (here !== at(u, v - 1)) { path.moveTo(u, v); path.lineTo(u + 1, v); }
      if (here > 0) corners.set(here, { label: here, u: u + 1, v: v + 1 }); // the last: right above
    }
    return { path, labels: [...corners.values()] };
  }

  // ---- looking
  function setView(name) {
    state.view = name;
    if (!nv) return;
    if (name === "planes") nv.setCustomLayout(STAGE_LAYOUT);
    else { nv.clearCustomLayout(); nv.setSliceType(PLANE[name]); state.plane = PLANE[name]; }
  }
  stage.setView = setView;
  stage.setRadiological = (radiological) => { state.radiological = radiological; nv?.setRadiologicalConvention(radiological); if (base) { paintBands(); nv.drawScene(); } };
  stage.setLayer = (name, shownNow) => { state.layers[name] = shownNow; if (base) { paintBands(); nv.drawScene(); } };
  stage.go = (mm) => { if (base) { cursor = undefined; nv.scene.crosshairPos = nv.mm2frac(mm, 0, true); nv.drawScene(); look(); } };
  stage.cross = () => toMM(nv, nv.scene.crosshairPos);
  stage.scroll = (by) => { if (base) nv.moveCrosshairInVox(...[[0, 0, by], [0, by, 0], [by, 0, 0]][state.plane]); };
  // Letters and lines grow with the picture: 1 where it is as high as --marks says, in pixels.
  stage.scale = () => Math.max(1, node.clientHeight / (parseFloat(getComputedStyle(node).getPropertyValue("--marks")) || 650));
  stage.redraw = () => { if (base) nv.drawScene(); };

  function fit() {
    const [, nx, ny, nz] = dims, low = [nx, ny, nz], high = [0, 0, 0];
    for (let k = 0, at = 0; k < nz; k++) for (let j = 0; j < ny; j++) for (let i = 0; i < nx; i++) {
      if (scan.img[at++] < 16) continue;
      [i, j, k].forEach((value, d) => { if (value < low[d]) low[d] = value; if (value > high[d]) high[d] = value; });
    }
    const size = [nx, ny, nz], zoom = Math.max(1, Math.min(3, ...size.map((n, d) => (0.94 * n) / Math.max(1, high[d] - low[d] + 1))));
    const head = nv.frac2mm(size.map((n, d) => (low[d] + high[d] + 1) / 2 / n)), middle = nv.frac2mm([0.5, 0.5, 0.5]);
    nv.scene.pan2Dxyzmm = [...[0, 1, 2].map((d) => middle[d] - head[d] * zoom), zoom];
  }

  function setWindow(low, high) {
    const width = Math.max(4, high - low), middle = Math.min(255, Math.max(0, (low + high) / 2));
    state.window = [middle - width / 2, middle + width / 2];
    [base.cal_min, base.cal_max] = state.window;
    nv.refreshLayers(base, 0);
    nv.drawScene();
  }
  stage.reset = () => { if (base) { fit(); setWindow(0, 255); } };

  const look = () => {
    if (!base) return;
    const cross = stage.cross();
    node.dataset.slice = cross.map((value) => value.toFixed(1)).join();
    on.look({ ...(cursor ? { plane: cursor.plane, mm: toMM(nv, inSlice(cursor)) } : { plane: state.plane, mm: cross }), cross });
  };
  // The cursor stays where it is on the screen while slices pass below it.
  const inSlice = ({ plane, frac }) => frac.map((value, axis) => (axis === THROUGH[plane] ? nv.scene.crosshairPos[axis] : value));

  // The position under the mouse; its plane is the one that arrows scroll.
  function fracAt(event) {
    const bounds = canvas.getBoundingClientRect(), dpr = nv.uiData.dpr || 1;
    const x = (event.clientX - bounds.left) * dpr, y = (event.clientY - bounds.top) * dpr;
    const tile = tiles().find(({ leftTopWidthHeight: [left, top, width, height] }) => x >= left && x <= left + width && y >= top && y <= top + height);
    const frac = tile && nv.canvasPos2frac([x, y]);
    if (!frac || frac[0] < 0) return null;
    state.plane = tile.axCorSag;
    return frac;
  }

  const hear = (target, type, handler, options = {}) => target.addEventListener(type, handler, { signal: end.signal, ...options });
  let pressed;
  hear(node, "mousedown", (event) => {
    if (!base) return;
    pressed = { x: event.clientX, y: event.clientY, button: event.button, window: [...state.window] };
    if (event.button === 0 && event.shiftKey) {
      event.stopPropagation();
      event.preventDefault();
      const frac = fracAt(event);
      if (frac) on.mark(toMM(nv, frac));
    } else if (event.button === 2) event.stopPropagation();
  }, { capture: true });
  hear(window, "mousemove", (event) => {
    if (pressed?.button !== 2) return;
    const [low, high] = pressed.window, level = (low + high) / 2 - (event.clientY - pressed.y) * 0.5, width = high - low + (event.clientX - pressed.x) * 0.8;
    setWindow(level - width / 2, level + width / 2);
  });
  hear(window, "mouseup", () => { pressed = undefined; });
  hear(canvas, "mousemove", (event) => {
    const frac = base && fracAt(event);
    if (!frac) return;
    cursor = { plane: state.plane, frac: [...frac] };
    look();
  });
  hear(node, "contextmenu", (event) => event.preventDefault());
  hear(node, "dblclick", (event) => event.stopPropagation(), { capture: true });
  for (const type of ["dragenter", "dragover", "drop"]) hear(node, type, (event) => event.stopPropagation(), { capture: true });
  for (const type of ["keydown", "keyup"]) hear(canvas, type, (event) => event.stopImmediatePropagation(), { capture: true });

  stage.close = () => {
    end.abort();
    generation += 1;
    nv?.gl?.getExtension("WEBGL_lose_context")?.loseContext();
    nv?.cleanup?.();
  };
  say("");
  return stage;
}
