// The views: which tiles lie where on the canvas, and which images they need.

const PLANE_NAMES = ["axial", "coronal", "sagittal"];
const THREE_PLANES = [
  { plane: PLANE.axial, position: [0, 0, 0.62, 1] },
  { plane: PLANE.coronal, position: [0.625, 0, 0.375, 0.497] },
  { plane: PLANE.sagittal, position: [0.625, 0.503, 0.375, 0.497] },
];
const RESIDUAL_SD = 6; // the residual pane is black at −6 and white at +6 SD

// Tiles of the view on screen; none for the 3D render.
function layoutOf(v) {
  const { state } = v;
  if (state.view === "render") return [];
  if (state.view === "planes") return THREE_PLANES;
  if (state.view === "mosaic") return mosaic(v);
  if (state.view === "panes") return panes(v);
  return [{ plane: PLANE[state.view], position: [0, 0, 1, 1] }];
}

function grid(count, columns, rows) {
  return Array.from({ length: count }, (_, i) => [(i % columns) / columns + 0.001, Math.floor(i / columns) / rows + 0.001, 1 / columns - 0.002, 1 / rows - 0.002]);
}

// The same slice as acquired, as expected, as residual, and with its flags.
function panes(v) {
  const wide = v.ui.canvas.width > 2.6 * v.ui.canvas.height, [columns, rows] = wide ? [4, 1] : [2, 2];
  const map = v.data.maps.find((one) => one.name === v.state.map)?.label ?? "z";
  const kinds = [
    { base: "scan", overlay: null, title: "Scan" },
    { base: "reconstruction", overlay: null, title: "Expected" },
    { base: "residual", overlay: null, title: `Residual: ${map}, ±${RESIDUAL_SD}` },
    { base: "scan", title: "Flags" },
  ].filter(({ base }) => base !== "residual" || v.z[v.state.map]);
  return grid(kinds.length, columns, rows).map((position, i) => ({ plane: v.state.plane, position, ...kinds[i] }));
}

// Slices through the head, evenly spaced, that of the crosshair among them: scrolling moves all.
function mosaic(v) {
  const { width, height } = v.ui.canvas, { rows: wanted } = v.state, dpr = v.nv.uiData.dpr || 1;
  const rows = wanted === "all" || height < 700 * dpr ? 3 : 4;
  const columns = Math.max(3, Math.round(width / (height / rows) / 1.02));
  const each = (plane, count) => {
    const axis = 2 - plane, n = v.base.dimsRAS[axis + 1], low = v.head.low[axis], high = v.head.high[axis];
    const here = Math.floor(v.nv.scene.crosshairPos[axis] * n), gap = Math.max(1, Math.ceil((high - low + 1) / count));
    const first = low + ((((here - low) % gap) + gap) % gap), slices = [];
    for (let at = first; at <= high && slices.length < count; at += gap) slices.push(at);
    // Axial from above down as in the paper's figure; front to back; left to right.
    if (plane !== PLANE.sagittal) slices.reverse();
    return slices.map((at) => ({ plane, depth: at === here ? v.nv.scene.crosshairPos[axis] : (at + 0.5) / n }));
  };
  const tiles = wanted === "all"
    ? PLANE_NAMES.flatMap((name, row) => each(PLANE[name], columns).map((tile, i) => ({ ...tile, place: row * columns + i })))
    : each(PLANE[wanted], rows * columns).map((tile, i) => ({ ...tile, place: i }));
  const places = grid(rows * columns, columns, rows);
  return tiles.map(({ place, ...tile }) => ({ ...tile, position: places[place] }));
}

// Textures that the view needs and that changed since they were made.
function freshen(v) {
  const { tiles, state } = v, needed = new Set(["scan"]);
  if (state.view === "panes") for (const tile of panes(v)) needed.add(tile.base);
  if (state.showing === "reconstruction" || tiles.swipe) needed.add("reconstruction");
  for (const name of needed) {
    const there = { scan: v.scan, residual: v.z[state.map], reconstruction: v.reconstruction }[name]; // overlays come after the scan
    if (!there || !v.stale.has(name)) continue;
    v.stale.delete(name);
    tiles.setBase(name, name === "residual" ? residual(v) : there.img, v.base.dimsRAS, name === "residual" ? [0, 255] : state.window);
  }
  if (v.stale.has("bands") && !v.data.blind && v.z[state.map]) {
    v.stale.delete("bands");
    v.bands[state.map] ??= bandImage(v.z[state.map]);
    const { R, G, B, A } = bandColors(v.data.palettes[state.palette], state.on);
    const colors = Uint32Array.from(A, (alpha, i) => R[i] | (G[i] << 8) | (B[i] << 16) | (Math.round(alpha * state.opacity) << 24));
    tiles.setOverlay("bands", v.bands[state.map], v.base.dimsRAS, colors);
  }
  tiles.base = v.reconstruction ? state.showing : "scan";
  const flags = !state.hidden && v.z[state.map] && !v.data.blind;
  tiles.overlay = flags && !(state.contours && state.view !== "render") ? "bands" : null;
}

function residual(v) {
  const raw = v.z[v.state.map], grey = new Uint8Array(raw.length), scale = (127.5 * Z_STEP) / RESIDUAL_SD;
  for (let i = 0; i < raw.length; i++) if (!v.brain || v.brain[i]) grey[i] = Math.min(255, Math.max(0, Math.round(127.5 + raw[i] * scale)));
  return grey;
}

// Zoom so that the head fills its tiles.
function fit(v) {
  const { nv, head } = v, dims = v.base.dimsRAS.slice(1, 4);
  const zoom = Math.max(1, Math.min(3, ...dims.map((n, d) => (0.94 * n) / Math.max(1, head.high[d] - head.low[d] + 1))));
  const centre = nv.frac2mm(dims.map((n, d) => (head.low[d] + head.high[d] + 1) / 2 / n)), middle = nv.frac2mm([0.5, 0.5, 0.5]);
  nv.scene.pan2Dxyzmm = [...[0, 1, 2].map((d) => middle[d] - centre[d] * zoom), zoom];
}

// First and last voxel of the head along each axis.
function headOf(v) {
  const [, nx, ny, nz] = v.base.dimsRAS, low = [nx, ny, nz], high = [0, 0, 0];
  for (let k = 0, at = 0; k < nz; k++) for (let j = 0; j < ny; j++) for (let i = 0; i < nx; i++) {
    if (v.scan.img[at++] < 16) continue;
    if (i < low[0]) low[0] = i;
    if (i > high[0]) high[0] = i;
    if (j < low[1]) low[1] = j;
    if (j > high[1]) high[1] = j;
    if (k < low[2]) low[2] = k;
    if (k > high[2]) high[2] = k;
  }
  return low[0] > high[0] ? { low: [0, 0, 0], high: [nx - 1, ny - 1, nz - 1] } : { low, high };
}
