// What a reader can do in Compare, by button or key: `v.do.<name>(…)`. Python hears what its own work depends on.

const inside = ({ dims }, voxel) => voxel.map((at, i) => Math.min(dims[i] - 1, Math.max(0, Math.round(at))));

// The head in the middle of each pane.
function fit({ state, head, base }) {
  state.zoom = 1;
  state.centre = [0, 1, 2].map((axis) => ((head.low[axis] + head.high[axis]) / 2) * base.spacing[axis]);
}

function actions(v) {
  const { state } = v;
  const change = (action) => (...values) => { action(...values); sync(v); redraw(v); };
  const next = (list, now) => list[(list.findIndex(([name]) => name === now) + 1) % list.length][0];

  return {
    // ---- moving
    moveTo(voxel) { state.cross = inside(v.base, voxel); redraw(v); },
    scroll(by, plane = scrolledPlane(v)) {
      const to = [...state.cross];
      to[AXES[plane][2]] += by;
      v.do.moveTo(to);
    },
    // What lies under the pointer stays there.
    zoom({ slice, x, y }, factor) {
      const point = slice.toVoxel(x, y, state.cross), before = state.zoom;
      state.zoom = Math.min(10, Math.max(1, state.zoom * factor));
      for (const axis of [slice.u, slice.v]) {
        const mm = point[axis] * v.base.spacing[axis];
        state.centre[axis] = mm - ((mm - state.centre[axis]) * before) / state.zoom;
      }
      redraw(v);
    },
    // By `dx`, `dy` pixels from `centre`.
    pan(slice, centre, dx, dy) {
      state.centre = [...centre];
      state.centre[slice.u] -= ((mirrored(slice.plane, state.radiological) ? -1 : 1) * dx) / slice.scale;
      state.centre[slice.v] += dy / slice.scale;
      redraw(v);
    },
    // A click on a flagged voxel: Python looks for its region.
    pick({ tile, slice, x, y }) {
      if (tile.kind !== "model" || state.hidden || !v.z[tile.model]) return;
      const voxel = inside(v.base, slice.toVoxel(x, y, state.cross)), band = bandOf(v.z[tile.model].img[offsetIn(v.base, voxel)]);
      if (band >= 0 && state.on[band]) v.component.setTriggerValue("picked", { model: tile.model, voxel, case: v.data.case });
    },

    // ---- what is shown
    setLayout: change((name) => { state.layout = name; }),
    nextLayout: () => v.do.setLayout(next(LAYOUTS.filter(([name]) => name !== "four" || modelsOf(v).length > 3), state.layout)),
    setPlane: change((name) => { state.plane = name; }),
    nextPlane: () => v.do.setPlane(next(PLANES.filter(([name]) => name !== "planes" || state.layout !== "all"), planeOf(v))),
    setChosen: change((n, name) => { state.chosen[n] = name; }),
    setPair: change((n, name) => { state.pair[n] = name; v.do.tell(); }),
    setThreshold: change((value) => { state.threshold = value; }),
    setLeast: change((k) => { state.least = state.least === k ? 1 : k; }),
    setWindow: change((low, high) => { state.window = windowOf(low, high); }),
    setRadiological: change((on = !state.radiological) => { state.radiological = on; }),
    setCrosshair: change((on = !state.crosshair) => { state.crosshair = on; }),
    setPalette: change((name) => { state.palette = name; }),
    setOpacity: change((value) => { state.opacity = value; }),
    toggle: change((indices) => { const all = indices.every((i) => state.on[i]); for (const i of indices) state.on[i] = !all; }),
    // A whole sign off and, as it was, on again.
    toggleSign: change((indices) => {
      const before = indices.map((i) => state.on[i]);
      const after = before.some(Boolean) ? indices.map(() => false) : state.kept[indices[0]] ?? indices.map(() => true);
      if (before.some(Boolean)) state.kept[indices[0]] = before;
      indices.forEach((i, n) => { state.on[i] = after[n]; });
    }),
    hide: change((hidden) => { state.hidden = hidden; }),
    show: change((what) => {
      state.showing = what;
      if (what === "reconstruction" && !v.data.expected) v.component.setTriggerValue("expected", true); // shown once they are here
    }),
    blink: () => v.do.show(state.showing === "scan" ? "reconstruction" : "scan"),
    reset() { fit(v); v.do.setWindow(0, 255); },
    help(shown = v.ui.help.hidden) { v.ui.help.hidden = !shown; },

    // ---- what Python hears
    tell() { v.component.setStateValue("settings", { threshold: state.threshold, pair: [...state.pair] }); },
    askMap(name) { if (name && name !== v.data.map) v.component.setTriggerValue("map", name); },
    nextMap: () => v.do.askMap(v.data.maps[(v.data.maps.indexOf(v.data.map) + 1) % v.data.maps.length]),

    save() {
      if (v.ui.box.dataset.state !== "ready") return;
      picture(v).toBlob((blob) => {
        const link = el("a", { href: URL.createObjectURL(blob), download: `${v.data.case}_compare-${state.layout}_map-${v.data.map}.png` });
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 10000);
      }, "image/png");
    },
  };
}
