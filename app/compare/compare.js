// Compare: the same place of one scan as every model sees it (figure 8 of the paper), models beside each other,
// how many agree, and where two differ. Read viewer/base.js and slices.js first.
//
// Volumes come by HTTP as in Review. Crosshair, slice, bands, window, zoom, threshold and layout stay here; Python
// hears `map` and `expected` (other volumes are needed), `settings` (threshold and pair, for its downloads) and
// `picked` (a flagged voxel that was clicked).

export default lasting("fontanelle", mount);

function mount(root) {
  // All that one comparing viewer knows; the other files work on it.
  const v = {
    root, end: new AbortController(), data: {}, component: undefined,
    state: {
      layout: "all", plane: "axial", chosen: [], pair: [], on: [true, true, false, false, true, true], kept: {}, opacity: 0.75,
      window: [0, 255], radiological: true, crosshair: true, palette: "paper", threshold: 3, least: 1, cross: [0, 0, 0], zoom: 1,
      centre: [0, 0, 0], hidden: false, showing: "scan",
    },
    base: undefined, // the scan
    z: {}, expected: {}, // by model: raw steps of 1/16; reconstructions
    head: undefined, views: [], loaded: "", generation: 0, jumped: undefined, frame: undefined,
  };
  v.do = actions(v);
  v.ui = build(v);
  root.append(v.ui.box);
  listen(v);
  const watcher = new ResizeObserver(() => redraw(v));
  watcher.observe(v.ui.stage);
  v.end.signal.addEventListener("abort", () => watcher.disconnect());
  return { update: (component) => update(v, component), destroy: () => destroy(v) };
}

async function load(v) {
  const { data, ui } = v;
  const wanted = JSON.stringify([data.case, data.map, data.base.hash, data.expected, data.models.map((one) => [one.model, one.z.hash])]);
  if (wanted === v.loaded) return;
  const mine = ++v.generation, other = ui.box.dataset.hash !== data.base.hash;
  say(v, "Loading…");
  const [scan, ...rest] = await Promise.all([
    other ? openNifti(data.base) : v.base,
    ...data.models.map(async (one) => [one.model, await openNifti(one.z), one.reconstruction && await openNifti(one.reconstruction)]),
  ]);
  if (mine !== v.generation) return; // something else was asked for meanwhile
  for (const [name, map, image] of rest) for (const volume of [map, image])
    if (volume && volume.dims.join() !== scan.dims.join()) throw new Error(`${name} has the grid ${volume.dims.join("×")}, the scan ${scan.dims.join("×")}`);
  v.base = scan;
  v.z = Object.fromEntries(rest.map(([name, map]) => [name, map]));
  v.expected = Object.fromEntries(rest.filter(([, , image]) => image).map(([name, , image]) => [name, image]));
  if (other) {
    v.head = headBox(scan);
    v.state.cross = scan.dims.map((n) => Math.floor(n / 2));
    fit(v);
  }
  v.loaded = wanted;
  ui.box.dataset.hash = data.base.hash;
  say(v, "");
}

async function update(v, next) {
  v.component = next;
  v.data = next.data;
  furnish(v);
  sync(v);
  try {
    await load(v);
    const { data } = v;
    if (v.ui.box.dataset.state !== "ready") return;
    if (data.jump && data.jump.nonce !== v.jumped) { v.jumped = data.jump.nonce; v.do.moveTo(mmToVoxel(v.base, data.jump.mm)); }
    redraw(v);
  } catch (error) {
    v.loaded = "";
    say(v, `This scan can't be compared: ${error.message}`, "error");
  }
}

function destroy(v) {
  v.end.abort();
  cancelAnimationFrame(v.frame);
  v.generation += 1;
  v.ui.box.remove();
}
