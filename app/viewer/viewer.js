// The reading viewer: NiiVue inside a Streamlit component (Components v2). Read base.js and tiles.js first.
//
// Python sends the case's description as `data` at each rerun. Volumes come by HTTP, and everything that a
// reader does while looking stays here. Python hears of decisions only: `loaded` (what is on screen, by
// content hash, and which map), `selected` (a region), `missed` (a point overlooked), `map`, `weak` (bands 2–3
// on or off, which the region table follows), `active` (seconds at work), `unsupported`. Verdicts are not the
// viewer's: whoever hears them asks `fontanelleOnScreen` what they speak of.

export default function (component) {
  const { parentElement } = component;
  parentElement.fontanelle ??= mount(parentElement);
  const view = parentElement.fontanelle;
  view.update(component);
  return () => { view.destroy(); delete parentElement.fontanelle; };
}

function mount(root) {
  // All that one viewer knows; the other files work on it.
  const v = {
    root, end: new AbortController(), data: {}, component: undefined, nv: undefined, niivue: undefined, tiles: undefined,
    state: {
      view: "planes", rows: "all", plane: PLANE.axial, map: "volume", showing: "scan", swiping: false, share: 0.5, smooth: true,
      on: [true, true, false, false, true, true], kept: {}, opacity: 0.7, palette: "paper", contours: false, hidden: false,
      window: [0, 255], radiological: true, crosshair: true, radius: RADIUS_MM.first,
    },
    base: undefined, overlay: undefined, // NVImages on screen
    scan: undefined, reconstruction: undefined, // { img, slope, inter }
    brain: undefined, z: {}, bands: {}, // voxels of the mask; by map name raw z in steps of 1/16, and z as labels
    stale: new Set(), contours: new Map(), head: undefined,
    hashes: {}, generation: 0, drawn: undefined, jumped: undefined, report: "",
    weakTold: undefined, // the last `weak` said, until Python's answer has it
    pick: 0, // counts selections made here: what Python says of an earlier one is out of date
    marked: [], telling: undefined, // missed findings on their way to Python
    spot: undefined, // a missed finding while its radius is drawn
  };
  v.do = actions(v);
  v.ui = build(v);
  root.append(v.ui.box);
  v.clock = activeClock((so) => v.component.setTriggerValue("active", so), v.end.signal);
  listen(v);
  // What is on screen now, for whoever hears keys in the viewer's stead, as app/review/desk.js.
  const onScreen = () => ({
    address: v.data.address, case: v.data.case, region: v.data.selected ?? null, map: v.state.map, hash: v.hashes.base,
    active: v.clock.now(), ready: v.ui.box.dataset.state === "ready",
  });
  globalThis.fontanelleOnScreen = onScreen;
  v.end.signal.addEventListener("abort", () => { if (globalThis.fontanelleOnScreen === onScreen) delete globalThis.fontanelleOnScreen; });
  return { update: (component) => update(v, component), destroy: () => destroy(v) };
}

// ---- values under a position
function showValues(v, frac) {
  if (!v.base) return;
  const { nv, base, ui } = v, voxel = voxelAt(base, frac), at = indexOf(base, voxel), mm = toMM(nv, frac);
  const raw = v.z[v.state.map]?.[at], value = (volume, digits) => (volume ? (volume.inter + volume.slope * volume.img[at]).toFixed(digits) : "–");
  const cells = {
    T2: value(v.scan, v.scan.slope < 0.05 ? 2 : 0), expected: value(v.reconstruction, 2), z: raw === undefined ? "–" : formatZ(raw),
    band: bandText(bandOf(raw ?? 0)), mm: mm.map((one) => one.toFixed(1)).join(", "), voxel: storedVoxel(base, voxel, v.data.stored).join(", "),
  };
  for (const [name, text] of Object.entries(cells)) ui.values[name].textContent = text;
  const cross = toMM(nv, nv.scene.crosshairPos), slice = voxelAt(base, nv.scene.crosshairPos);
  ui.values.slice.textContent = `${slice[2] + 1}/${base.dimsRAS[3]}`;
  ui.box.dataset.mm = cross.map((one) => one.toFixed(2)).join(",");
}

// ---- loading
async function start(v) {
  if (!hasWebgl2()) {
    say(v, "This browser offers no WebGL2, which the viewer needs. Slices drawn by the server are shown below instead.", "error");
    v.component.setStateValue("unsupported", true);
    return false;
  }
  v.niivue = await loadNiivue(v.data.niivue);
  v.nv = await openNiivue(v.niivue, v.ui.canvas, { isRadiologicalConvention: v.state.radiological });
  v.tiles = openTiles(v.nv);
  v.tiles.before = () => freshen(v);
  v.tiles.layout = () => layoutOf(v);
  v.tiles.after = () => drawMarks(v);
  v.nv.onLocationChange = () => showValues(v, v.nv.scene.crosshairPos);
  if (v.data.health) watchServer(v.data.health, (there) => connection(v, there), v.end.signal);
  return true;
}

function connection(v, there) {
  v.ui.lost.hidden = there;
  v.ui.lost.textContent = there ? "" : "The server does not answer. You can go on looking; what you say waits here until it is back.";
  if (there) tell(v, "The server is back");
}

async function load(v) {
  const { data, state } = v, wanted = Object.fromEntries(Object.entries(data.volumes).map(([name, volume]) => [name, volume.hash]));
  const changed = [...new Set([...Object.keys(wanted), ...Object.keys(v.hashes)])].filter((name) => wanted[name] !== v.hashes[name]);
  if (changed.length === 0) return say(v, "");
  const mine = ++v.generation, began = performance.now();
  say(v, "Loading…");
  if (!v.nv && !(await start(v))) return;
  const opened = Object.fromEntries(await Promise.all(changed.filter((name) => wanted[name]).map(async (name) => [name, await openVolume(v.niivue, name, data.volumes[name])])));
  if (mine !== v.generation) return; // another case was opened meanwhile
  for (const kind of changed) {
    const map = kind.startsWith("z-") && kind.slice(2);
    if (map) { delete v.bands[map]; if (opened[kind]) v.z[map] = opened[kind].img; else delete v.z[map]; }
  }
  if (changed.includes("reconstruction")) v.reconstruction = opened.reconstruction && unscale(opened.reconstruction);
  if (changed.includes("mask")) v.brain = opened.mask?.img;
  if (!v.z[state.map]) state.map = Object.keys(v.z)[0] ?? state.map; // Python hears it by `loaded`
  if (!v.reconstruction) {
    state.showing = "scan";
    state.swiping = false;
    v.tiles.swipe = null;
    if (state.view === "panes") state.view = "planes";
  }
  if (opened.base) {
    v.scan = unscale(opened.base); // before it is copied: labels have no scale
    const bands = await v.niivue.NVImage.zerosLike(opened.base, "uint8");
    v.tiles.forget();
    for (const image of [...v.nv.volumes]) v.nv.removeVolume(image);
    [v.base, v.overlay] = [opened.base, bands];
    v.tiles.once(() => {
      v.nv.addVolume(v.base);
      v.nv.addVolume(v.overlay);
      v.stale = new Set(["scan"]);
      freshen(v); // positions depend on it
      v.head = headOf(v);
      fit(v);
      v.nv.scene.crosshairPos = v.base.dimsRAS.slice(1, 4).map((n) => (Math.floor(n / 2) + 0.5) / n); // a voxel's middle
      v.stale = new Set(["reconstruction", "residual", "bands"]);
    });
  } else for (const name of ["reconstruction", "residual", "bands"]) v.stale.add(name);
  v.contours.clear();
  v.hashes = wanted;
  sync(v);
  v.nv.drawScene();
  v.ui.box.dataset.shown = Math.round(performance.now() - began); // ms, for benchmarks/frame_time.py
  say(v, "");
}

async function update(v, next) {
  v.component = next;
  if (v.telling) { clearTimeout(v.telling.timer); v.telling.next(); }
  const { state, data: old } = v;
  // Another case or model opens with the map that its table lists, as does the end of an unaided read; while one is open, the reader chooses.
  if (old.address !== next.data.address || old.blind !== next.data.blind) state.map = next.data.map || state.map;
  const before = [state.map, ...state.on].join();
  if (v.weakTold !== undefined) { if (next.data.weak === v.weakTold) v.weakTold = undefined; } // an older answer changes nothing
  else if (!next.data.blind && next.data.weak !== v.do.weak()) state.on[2] = state.on[3] = next.data.weak;
  const repaint = before !== [state.map, ...state.on].join() || old.address !== next.data.address;
  const late = old.address === next.data.address && next.data.pick < v.pick;
  v.data = { ...next.data, selected: late ? old.selected : next.data.selected };
  v.pick = Math.max(v.pick, v.data.pick);
  v.clock.turn(v.data.address, v.data.phase ?? "");
  fill(v);
  sync(v);
  try {
    await load(v);
    if (!v.base || v.ui.box.dataset.state !== "ready") return;
    if (repaint) for (const name of ["bands", "residual"]) v.stale.add(name);
    const { data } = v, chosen = v.drawn === undefined && (data.regions ?? []).find((region) => region.id === data.selected);
    if (chosen) { v.jumped = data.jump?.nonce; v.do.jump(chosen.mm); } // mounted again, for example after a name was asked for
    else if (data.jump && data.jump.nonce !== v.jumped) { v.jumped = data.jump.nonce; v.do.jump(data.jump.mm); }
    else if (v.drawn === v.generation && !repaint) drawMarks(v);
    else { v.nv.drawScene(); showValues(v, v.nv.scene.crosshairPos); }
    v.drawn = v.generation;
    reportLoaded(v);
  } catch (error) {
    v.hashes = {};
    reportLoaded(v); // nothing is: a verdict must wait
    say(v, `This case can't be shown: ${error.message}`, "error");
  }
}

function reportLoaded(v) {
  const now = JSON.stringify({ case: v.data.case, map: v.data.blind ? "" : v.state.map, hashes: v.hashes });
  if (now === v.report) return;
  v.report = now;
  v.ui.box.dataset.hash = v.hashes.base;
  v.component.setStateValue("loaded", JSON.parse(now));
}

function destroy(v) {
  v.end.abort();
  v.generation += 1;
  v.nv?.gl?.getExtension("WEBGL_lose_context")?.loseContext();
  v.nv?.cleanup?.();
  v.ui.box.remove();
}
