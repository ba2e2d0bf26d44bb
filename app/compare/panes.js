// The panes of a layout: what each shows, and where it lies on the canvas.

const LAYOUTS = [["all", "All models"], ["two", "2-up"], ["four", "4-up"], ["consensus", "Consensus"], ["difference", "Difference"]];
const PLANES = [["axial", "Axial"], ["coronal", "Coronal"], ["sagittal", "Sagittal"], ["planes", "3-plane"]];
const CAPTION = 18; // CSS pixels above each pane
const EVEN = 0.9; // of the largest size that tiles may give up for rows of one length

const COUNT_SIDES = ["brighter", "darker"]; // the panes of the consensus, each with colours of its own

const modelsOf = (v) => v.data.models?.map((one) => one.model) ?? [];
const countSide = ({ sign }) => COUNT_SIDES[sign > 0 ? 0 : 1];
const mapsOf = (v) => modelsOf(v).filter((name) => v.z[name]).map((name) => v.z[name].img);
const layoutLabel = (v) => LAYOUTS.find(([name]) => name === v.state.layout)[1];
const planeOf = ({ state }) => (state.plane === "planes" && state.layout === "all" ? "axial" : state.plane);
// The plane that keys scroll.
const scrolledPlane = (v) => (planeOf(v) === "planes" ? PLANE.axial : PLANE[planeOf(v)]);

function panesOf(v) {
  const { state, data } = v, own = new Set((data.models ?? []).filter((one) => !one.paper).map((one) => one.model));
  const model = (name) => ({
    kind: "model", model: name, note: own.has(name) ? ["not in", "the paper"] : undefined, // two lines: beside the side letter
    title: state.showing === "reconstruction" && v.expected[name] ? `${name}, expected` : name,
  });
  if (state.layout === "all") return [{ kind: "scan", title: "scan" }, ...modelsOf(v).map(model)];
  if (state.layout === "two" || state.layout === "four") return state.chosen.slice(0, state.layout === "two" ? 2 : 4).map(model);
  if (state.layout === "consensus") return COUNT_SIDES.map((side) => ({ kind: "count", sign: side === "brighter" ? 1 : -1, title: `${side} than expected` }));
  const [a, b] = state.pair;
  return [model(a), model(b), { kind: "difference", title: `${a} less ${b}` }];
}

// Columns and rows for `count` tiles of a head of `aspect` (width by height): full rows where they cost little size.
function grid(count, width, height, aspect, caption) {
  const all = Array.from({ length: count }, (_, i) => {
    const columns = i + 1, rows = Math.ceil(count / columns);
    return { columns, rows, size: Math.min(width / columns / aspect, height / rows - caption), empty: columns * rows - count };
  });
  const largest = Math.max(...all.map((one) => one.size));
  return all.filter((one) => one.size >= EVEN * largest).sort((a, b) => a.empty - b.empty || b.size - a.size)[0];
}

// Column and row of each pane. Where the scan and what is not in the paper fill whole columns, they stand at the
// left, and the paper's models in rows beside them; else all follow one another.
function places(panes, columns, rows) {
  const apart = panes.filter((pane) => pane.kind === "scan" || pane.note), lead = apart.length / rows;
  if (rows === 1 || !Number.isInteger(lead) || apart.length === panes.length) return panes.map((_, n) => [n % columns, Math.floor(n / columns)]);
  let beside = 0;
  return panes.map((pane) => {
    const n = apart.indexOf(pane);
    return n >= 0 ? [Math.floor(n / rows), n % rows] : [lead + (beside % (columns - lead)), Math.floor(beside++ / (columns - lead))];
  });
}

// Tiles of the layout, and in each the slices, in pixels of a canvas of width × height.
function arrange(v, width, height, unit) {
  const { state, base, head } = v, list = panesOf(v), three = planeOf(v) === "planes", caption = CAPTION * unit, gap = 2 * unit;
  const plane = three ? PLANE.axial : PLANE[planeOf(v)];
  const extent = (axis) => (head.high[axis] - head.low[axis] + 1) * base.spacing[axis];
  const [across, down] = AXES[plane];
  // Three planes: the axial one fills the left 62 % of the pane.
  const { columns, rows } = grid(list.length, width, height, (extent(across) / extent(down)) * (three ? 1.55 : 1), caption);
  const cells = places(list, columns, rows);
  return list.map((pane, n) => {
    const w = width / columns, h = height / rows, [column, row] = cells[n];
    const tile = { ...pane, x: column * w + gap, y: row * h, w: w - 2 * gap, h: h - gap };
    const inner = { x: tile.x, y: tile.y + caption, w: tile.w, h: tile.h - caption }, left = Math.round(inner.w * 0.62), half = inner.h / 2;
    tile.slices = three
      ? [{ ...inner, plane: PLANE.axial, w: left },
        { x: inner.x + left, y: inner.y, w: inner.w - left, h: half, plane: PLANE.coronal },
        { x: inner.x + left, y: inner.y + half, w: inner.w - left, h: half, plane: PLANE.sagittal }]
      : [{ ...inner, plane }];
    for (const slice of tile.slices) {
      const [right, up] = AXES[slice.plane];
      const scale = 0.94 * Math.min(slice.w / extent(right), slice.h / extent(up)) * state.zoom;
      Object.assign(slice, { scale, unit, ...placement(slice, base, state.centre, scale, state.radiological) });
    }
    return tile;
  });
}

// The slice of the panes on screen that lies under a pointer, and where in pixels of the canvas.
function sliceAt(v, event) {
  const bounds = v.ui.canvas.getBoundingClientRect(), dpr = globalThis.devicePixelRatio || 1;
  const x = (event.clientX - bounds.left) * dpr, y = (event.clientY - bounds.top) * dpr;
  for (const tile of v.views) for (const slice of tile.slices)
    if (x >= slice.x && x < slice.x + slice.w && y >= slice.y && y < slice.y + slice.h) return { tile, slice, x, y };
  return undefined;
}
