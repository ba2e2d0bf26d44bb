// What a reader can do, by button or key: `v.do.<name>(…)`. Python hears decisions only.

const RADIUS_MM = { least: 1, first: 5, most: 40 }; // of a missed finding

// Marks go to Python one by one, the next when it has answered for the one before: of two events sent at once it
// would hear the last only.
function tellMarked(v) {
  if (v.marked.length === 0) return;
  v.component.setTriggerValue("missed", v.marked[0]);
  v.insists.told();
}

function actions(v) {
  const { state } = v, redraw = () => v.nv?.drawScene();
  const stale = (...names) => { for (const name of names) v.stale.add(name); };
  const refresh = (...names) => { stale(...names); redraw(); sync(v); };
  const weak = () => state.on[2] || state.on[3];
  const listed = () => (state.map === v.data.map && !v.data.look ? v.data.regions ?? [] : []); // none while Python has yet to send those of a map just chosen

  // Bands as `change` leaves them; Python hears when the bands 2–3 came or went.
  function setBands(change) {
    const before = weak();
    change();
    refresh("bands");
    if (weak() !== before) v.component.setTriggerValue("weak", { on: (v.weakTold = weak()) });
  }

  function select(region) {
    v.data.selected = region.id;
    v.do.jump(region.mm);
    v.picked = { id: region.id, case: v.data.case, pick: ++v.pick };
    v.component.setTriggerValue("selected", v.picked);
    v.insists.told();
  }

  return {
    weak, select,

    // ---- moving
    jump(mm) {
      v.nv.scene.crosshairPos = v.nv.mm2frac(mm, 0, true);
      redraw();
      showValues(v, v.nv.scene.crosshairPos);
    },
    scroll(by) {
      const plane = PLANE[state.view] <= PLANE.sagittal ? PLANE[state.view] : state.plane;
      if (v.base && state.view !== "render") v.nv.moveCrosshairInVox(...[[0, 0, by], [0, by, 0], [by, 0, 0]][plane]);
    },
    step(by) {
      const regions = listed();
      if (regions.length === 0) return;
      const at = regions.findIndex((region) => region.id === v.data.selected);
      select(regions[at < 0 ? (by > 0 ? 0 : regions.length - 1) : (at + by + regions.length) % regions.length]);
    },
    // A click on a flagged voxel that is on screen selects the region of its sign that lies closest, in its own radii.
    selectAt(frac) {
      const raw = v.z[state.map]?.[indexOf(v.base, voxelAt(v.base, frac))] ?? 0, band = bandOf(raw);
      if (band < 0 || !state.on[band] || state.hidden) return;
      const mm = toMM(v.nv, frac);
      const far = (region, to) => Math.hypot(...to.map((value, i) => value - mm[i])) / Math.max(1, region.radius);
      const near = listed().filter((region) => region.sign * raw > 0)
        .map((region) => [Math.min(far(region, region.mm), far(region, region.centre)), region]).sort((a, b) => a[0] - b[0]);
      if (near.length > 0 && near[0][0] <= 1.5) select(near[0][1]);
    },
    zoom(factor) {
      const pan = v.nv.scene.pan2Dxyzmm, before = pan[3];
      pan[3] = Math.min(8, Math.max(1, pan[3] * factor));
      // Keep the point under the crosshair where it is: on screen is position × zoom + pan.
      const at = v.nv.frac2mm(v.nv.scene.crosshairPos);
      for (let i = 0; i < 3; i++) pan[i] += at[i] * (before - pan[3]);
      redraw();
    },

    // ---- what is shown
    setView(name) {
      if (name === "panes" && !v.reconstruction) name = "render";
      state.view = name;
      if (PLANE[name] <= PLANE.sagittal) state.plane = PLANE[name];
      redraw();
      sync(v);
    },
    nextView: () => v.do.setView(VIEWS[(VIEWS.findIndex(([name]) => name === state.view) + 1) % VIEWS.length][0]),
    setPlane(name) {
      if (state.view === "panes") state.plane = PLANE[name] ?? PLANE.axial;
      else state.rows = name;
      redraw();
      sync(v);
    },
    nextPlane() {
      const names = ["all", ...PLANE_NAMES];
      if (state.view === "mosaic") v.do.setPlane(names[(names.indexOf(state.rows) + 1) % names.length]);
      if (state.view === "panes") v.do.setPlane(PLANE_NAMES[(state.plane + 1) % 3]);
    },
    setWindow(low, high) {
      state.window = windowOf(low, high);
      refresh("scan", "reconstruction");
    },
    show(what) {
      if (what === "reconstruction" && !v.reconstruction) return;
      state.showing = what;
      refresh();
    },
    blink: () => v.do.show(state.showing === "scan" ? "reconstruction" : "scan"),
    swipe() {
      if (!v.reconstruction) return;
      state.swiping = !state.swiping;
      state.showing = "scan";
      v.tiles.swipe = state.swiping ? { share: state.share, base: "reconstruction" } : null;
      refresh();
    },
    moveSwipe(share) {
      if (!state.swiping) return;
      state.share = v.tiles.swipe.share = Math.min(0.98, Math.max(0.02, share));
      redraw();
    },
    setSmooth(on = !state.smooth) {
      state.smooth = on;
      v.tiles?.setSmooth(on);
      refresh();
    },
    toggle(indices) {
      const all = indices.every((i) => state.on[i]);
      setBands(() => { for (const i of indices) state.on[i] = !all; });
    },
    setOn(on) { setBands(() => { state.on = [...on]; }); },
    // A whole sign off and, as it was, on again.
    toggleSign(indices) {
      const before = indices.map((i) => state.on[i]);
      const after = before.some(Boolean) ? indices.map(() => false) : state.kept[indices[0]] ?? indices.map(() => true);
      if (before.some(Boolean)) state.kept[indices[0]] = before;
      setBands(() => indices.forEach((i, n) => { state.on[i] = after[n]; }));
    },
    hide(hidden) { if (hidden !== !!state.hidden) { state.hidden = hidden; refresh(); } },
    setOpacity(value) { state.opacity = value; refresh("bands"); },
    setPalette(name) { state.palette = name; refresh("bands"); },
    setContours(on = !state.contours) { state.contours = on; refresh(); },
    // A map is fetched when it is first asked for; until it is there, that of before stays.
    async setMap(name) {
      const map = (v.data.maps ?? []).find((one) => one.name === name), { address } = v.data;
      v.asked = name;
      if (!map || !v.base || name === state.map) return;
      if (!v.z[name]) {
        tell(v, `Loading ${map.label}…`);
        try { await loadMap(v, map); } catch (error) { tell(v, `${map.label} can't be shown: ${error.message}`); return; }
        if (v.asked !== name || v.data.address !== address || !v.z[name]) return; // the reader went on meanwhile
        tell(v, map.title);
      }
      state.map = name;
      refresh("bands", "residual");
      showValues(v, v.nv.scene.crosshairPos);
      v.component.setStateValue("map", name);
      reportLoaded(v);
    },
    nextMap() {
      const names = (v.data.maps ?? []).map((map) => map.name);
      if (names.length > 0) v.do.setMap(names[(names.indexOf(state.map) + 1) % names.length]);
    },
    setRadiological(on = !state.radiological) {
      state.radiological = on;
      if (v.nv) v.nv.opts.isRadiologicalConvention = on;
      refresh();
    },
    setCrosshair(on = !state.crosshair) { state.crosshair = on; redraw(); },
    // While measuring, a drag draws a line; the last one goes with it.
    measure(on = !state.measuring) {
      state.measuring = on;
      v.line = undefined;
      delete v.ui.box.dataset.length;
      if (v.base) drawMarks(v);
      sync(v);
      if (on) tell(v, "Drag on a slice to measure; Shift M or Esc ends it");
    },
    reset() { fit(v); v.do.setWindow(0, 255); },
    help(shown = v.ui.help.hidden) {
      if (shown) v.ui.help.replaceChildren(...keyLists());
      v.ui.help.hidden = !shown;
    },

    // ---- what Python hears
    missed(spot) {
      if (!v.ui.lost.hidden) {
        tell(v, "Not saved: no connection. Mark it again when the server is back");
        return;
      }
      if (v.brain && v.brain[indexOf(v.base, voxelAt(v.base, v.nv.mm2frac(spot.mm, 0, true)))] === 0) {
        tell(v, "Outside the brain: nothing marked");
        return;
      }
      v.marked.push({ id: newId(), mm: spot.mm, radius: spot.radius, case: v.data.case, blind: !!v.data.blind });
      if (v.marked.length === 1) tellMarked(v);
    },
    setRadius(radius) {
      state.radius = Math.min(RADIUS_MM.most, Math.max(RADIUS_MM.least, radius));
      tell(v, `Radius of a mark: ${state.radius.toFixed(0)} mm`);
    },

    // ---- the picture
    save() {
      if (!v.base) return;
      const { data, scan } = v, unit = (step) => { const value = scan.inter + scan.slope * step; return Math.abs(value) < 10 ? value.toFixed(2) : value.toFixed(0); };
      const map = (data.maps ?? []).find((one) => one.name === state.map), colors = data.palettes?.[state.palette];
      const facts = {
        case: data.case, synthetic: data.synthetic, model: data.blind ? "" : data.model, map: data.blind ? "unaided read" : map?.label ?? "",
        convention: conventionText(state.radiological), version: data.version,
        bands: data.blind || state.hidden || !v.z[state.map] ? [] : BANDS.map(([label, sign], i) => [label, sign, colors[i], state.on[i]]),
        threshold: data.blind || state.hidden ? "" : data.threshold ?? "",
        window: `${state.showing === "scan" ? "T2" : "expected image, in"} window ${unit(state.window[0])} … ${unit(state.window[1])}`,
      };
      const factor = Math.ceil(PNG_WIDTH / Math.max(1, v.ui.canvas.width));
      const picture = enlarged(v, factor, (dpr) => pngPicture([v.ui.canvas, v.ui.marks], facts, dpr));
      savePng(picture, `${data.case}_${data.blind ? "unaided" : data.model}_${state.view}.png`);
      tell(v, "Picture saved");
    },
  };
}
