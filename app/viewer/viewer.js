// The reading viewer: NiiVue inside a Streamlit component (Components v2). Read base.js and tiles.js first.
//
// Python sends the case's description as `data` at each rerun. Volumes come by HTTP, and everything that a
// reader does while looking stays here. Python hears of decisions only: `loaded` (what is on screen, by
// content hash, and which map), `selected` (a region), `missed` (a point overlooked), `map`, `weak` (bands 2–3
// on or off, which the region table follows), `active` (seconds at work), `unsupported`. Verdicts are not the
// viewer's: whoever hears them asks `fontanelleOnScreen` what they speak of. A viewer for looking (`data.look`,
// the question that is looked at) tells nothing but `unsupported`.

export default lasting("fontanelle", mount);

function mount(root) {
  // All that one viewer knows; the other files work on it.
  const v = {
    root, end: new AbortController(), data: {}, component: undefined, nv: undefined, niivue: undefined, tiles: undefined,
    state: {
      view: "planes", rows: "all", plane: PLANE.axial, map: "volume", showing: "scan", swiping: false, share: 0.5, smooth: true,
      on: [true, true, false, false, true, true], kept: {}, opacity: 0.7, palette: "paper", contours: false, hidden: false,
      window: [0, 255], radiological: true, crosshair: true, radius: RADIUS_MM.first, measuring: false,
    },
    base: undefined, // NVImage on screen
    scan: undefined, reconstruction: undefined, // { img, slope, inter }
    brain: undefined, z: {}, bands: {}, // voxels of the mask; by map name raw z in steps of 1/16, and z as labels
    stale: new Set(), contours: new Map(), head: undefined,
    hashes: {}, coming: {}, starting: undefined, asked: "", generation: 0, drawn: undefined, jumped: undefined, report: "",
    weakTold: undefined, // the last `weak` said, until Python's answer has it
    pick: 0, picked: undefined, // counts selections made here: what Python says of an earlier one is out of date
    marked: [], // missed findings on their way to Python
    spot: undefined, // a missed finding while its radius is drawn
    turning: false, // whether the page has turned to another case, which has yet to come
    line: undefined, // a distance measured on a slice, see ruler.js
    recalled: undefined, // of before a reload, yet to be asked for
  };
  v.do = actions(v);
  v.ui = build(v);
  root.append(v.ui.box);
  v.insists = insisting(() => !known(v) || unheard(v) || v.marked.length > 0, () => {
    tellMarked(v);
    if (unheard(v)) v.component.setTriggerValue("selected", v.picked);
    reportLoaded(v);
  });
  v.clock = activeClock((so) => v.component.setTriggerValue("active", so), v.end.signal);
  listen(v);
  watchAddress(v);
  window.addEventListener("pagehide", () => remember(v), { signal: v.end.signal });
  // What is on screen now, for whoever hears keys in the viewer's stead, as app/review/desk.js.
  const onScreen = () => ({
    address: v.data.address, case: v.data.case, region: v.data.selected ?? null, map: v.state.map, hash: v.hashes.base,
    blind: v.data.blind, active: v.clock.now(), ready: v.ui.box.dataset.state === "ready", lost: !v.ui.lost.hidden,
    marking: v.marked.length > 0,
  });
  globalThis.fontanelleOnScreen = onScreen;
  v.end.signal.addEventListener("abort", () => { if (globalThis.fontanelleOnScreen === onScreen) delete globalThis.fontanelleOnScreen; });
  return { update: (component) => update(v, component), destroy: () => destroy(v) };
}

// ---- another case is coming
const LOOK_MS = 100;

// The page's address names another case as soon as Python turns to it; what this viewer then still shows is covered
// until that comes, or the address is back. A page whose address never named what is shown is no concern of ours.
function watchAddress(v) {
  let own; // what the page's address named, of all that was shown
  const timer = setInterval(() => {
    const asked = new URLSearchParams(location.search).get("case"), { address } = v.data;
    if (!asked || !address || v.data.look) return;
    if (address.startsWith(asked)) {
      own = address;
      if (v.turning) { v.turning = false; say(v, "", "ready"); }
    } else if (own === address && v.base && v.ui.box.dataset.state === "ready") {
      v.turning = true;
      say(v, "Loading another case…", "loading");
    }
  }, LOOK_MS);
  v.end.signal.addEventListener("abort", () => clearInterval(timer));
}

// ---- values under a position
// The region whose peak voxel this is, of those that are listed: its row tells z more finely than the map here.
function peakAt(v, voxel) {
  if (v.state.map !== v.data.map) return undefined;
  return (v.data.regions ?? []).find(({ mm }) => voxelAt(v.base, v.nv.mm2frac(mm, 0, true)).every((one, i) => one === voxel[i]));
}

function showValues(v, frac) {
  if (!v.base) return;
  const { nv, base, ui } = v, voxel = voxelAt(base, frac), at = indexOf(base, voxel), mm = toMM(nv, frac);
  const raw = v.z[v.state.map]?.[at], value = (volume, digits) => (volume ? (volume.inter + volume.slope * volume.img[at]).toFixed(digits) : "–");
  const peak = raw === undefined ? undefined : peakAt(v, voxel);
  const cells = {
    T2: value(v.scan, v.scan.slope < 0.05 ? 2 : 0), expected: value(v.reconstruction, 2), z: raw === undefined ? "–" : peak ? zText(peak.z) : formatZ(raw),
    band: bandText(bandOf(raw ?? 0)), mm: mm.map((one) => one.toFixed(1)).join(", ").replaceAll("-", "−"), voxel: storedVoxel(base, voxel, v.data.stored).join(", "),
  };
  for (const [name, text] of Object.entries(cells)) ui.values[name].textContent = text;
  const cross = toMM(nv, nv.scene.crosshairPos), slice = voxelAt(base, nv.scene.crosshairPos);
  ui.values.slice.textContent = `${slice[2] + 1}/${base.dimsRAS[3]}`;
  ui.box.dataset.mm = cross.map((one) => one.toFixed(2)).join(",");
}

// ---- loading
async function start(v) {
  v.niivue = await loadNiivue(v.data.niivue);
  v.nv = await openNiivue(v.niivue, v.ui.canvas, { isRadiologicalConvention: v.state.radiological });
  v.tiles = openTiles(v.nv);
  v.tiles.setSmooth(v.state.smooth);
  v.tiles.before = () => freshen(v);
  v.tiles.layout = () => layoutOf(v);
  v.tiles.after = () => drawMarks(v);
  v.nv.onLocationChange = () => showValues(v, v.nv.scene.crosshairPos);
  if (!v.data.health) return;
  v.undialog = undialog(v.end.signal);
  watchServer(v.data.health, (there) => connection(v, there), v.end.signal);
}

function connection(v, there) {
  v.ui.lost.hidden = there;
  v.ui.lost.textContent = there ? "" : "The server does not answer. You can go on; answers by key wait here until it is back. Findings can't be marked till then.";
  if (!there && v.marked.length > 0) v.ui.lost.textContent += " The one marked just now waits here, too.";
  v.undialog(!there);
  if (there) tell(v, "The server is back");
}

// The scan first; reconstruction and the map that is read as they come; other maps when they are asked for.
async function load(v) {
  const { data, state } = v, hash = (kind) => data.volumes[kind]?.hash;
  if (!hash(`z-${state.map}`)) state.map = data.maps[0]?.name ?? state.map; // Python hears it by `loaded`
  const gone = Object.keys(v.hashes).filter((kind) => hash(kind) !== v.hashes[kind]);
  const [first, rest] = [["mask", "base"], [`z-${state.map}`, "reconstruction"]].map((kinds) => kinds.filter((kind) => hash(kind) && hash(kind) !== v.hashes[kind]));
  if (gone.length + first.length + rest.length === 0) return say(v, "", "ready");
  if (!v.nv && !hasWebgl2()) {
    v.component.setStateValue("unsupported", true);
    return say(v, "This browser offers no WebGL2, which the viewer needs. Slices drawn by the server are shown below instead.", "error");
  }
  const mine = ++v.generation, began = performance.now(), passed = () => Math.round(performance.now() - began);
  say(v, first.length > 0 ? "Loading…" : "", "loading");
  v.starting ??= start(v).catch((error) => { v.starting = undefined; throw error; });
  const voxels = await Promise.all([...first.map((kind) => fetched(v, kind)), v.starting]);
  if (mine !== v.generation) return; // another case was opened meanwhile
  for (const kind of gone) drop(v, kind);
  for (const [i, kind] of first.entries()) await put(v, kind, voxels[i]);
  settleViews(v);
  say(v, "", "loading"); // the scan can be read
  v.nv.drawScene();
  v.ui.box.dataset.scan = passed(); // ms, for benchmarks/frame_time.py
  await Promise.all(rest.map(async (kind) => {
    const came = await fetched(v, kind);
    if (mine !== v.generation) return;
    await put(v, kind, came);
    sync(v);
    v.nv.drawScene();
  }));
  if (mine !== v.generation) return;
  settleViews(v);
  sync(v);
  v.nv.drawScene();
  Object.assign(v.ui.box.dataset, { shown: passed(), began });
  say(v, "", "ready");
}

async function loadMap(v, { kind }) {
  const mine = v.generation, came = await fetched(v, kind);
  if (mine === v.generation) await put(v, kind, came);
}

// Python may send the same case again while it comes: each volume is fetched once.
function fetched(v, kind) {
  const volume = v.data.volumes[kind], forget = () => { if (v.coming[kind]?.hash === volume.hash) delete v.coming[kind]; };
  if (v.coming[kind]?.hash !== volume.hash) {
    v.coming[kind] = { hash: volume.hash, voxels: openVoxels(volume) };
    v.coming[kind].voxels.then(forget, forget);
  }
  return v.coming[kind].voxels;
}

// One volume that has come, into its place.
async function put(v, kind, voxels) {
  if (kind === "base") await putScan(v, voxels);
  else if (kind === "mask") v.brain = voxels.img;
  else if (kind === "reconstruction") v.reconstruction = voxels;
  else v.z[kind.slice(2)] = voxels.img;
  v.hashes[kind] = v.data.volumes[kind].hash;
  for (const name of ["reconstruction", "residual", "bands"]) v.stale.add(name);
}

function drop(v, kind) {
  delete v.hashes[kind];
  v.contours.clear();
  if (kind === "mask") v.brain = undefined;
  else if (kind === "reconstruction") v.reconstruction = undefined;
  else if (kind !== "base") { delete v.z[kind.slice(2)]; delete v.bands[kind.slice(2)]; }
}

async function putScan(v, voxels) {
  const base = await imageOf(v.niivue, "base", voxels);
  v.scan = unscale(base); // before it is copied: labels have no scale
  v.tiles.forget();
  for (const image of [...v.nv.volumes]) v.nv.removeVolume(image);
  v.line = undefined; // of another scan
  v.state.measuring = false;
  delete v.ui.box.dataset.length;
  const images = [v.base = base, base.clone()]; // NiiVue counts an overlay; its colours are ours
  v.tiles.once(() => {
    for (const image of images) v.nv.addVolume(image);
    v.tiles.describe(images); // positions depend on it
    v.stale = new Set(["scan"]);
    v.head = headOf(v);
    fit(v);
    v.nv.scene.crosshairPos = v.base.dimsRAS.slice(1, 4).map((n) => (Math.floor(n / 2) + 0.5) / n); // a voxel's middle
  });
}

// Views that need a reconstruction give way where none is announced.
function settleViews(v) {
  if (v.data.volumes.reconstruction) return;
  v.state.showing = "scan";
  v.state.swiping = false;
  v.tiles.swipe = null;
  if (v.state.view === "panes") v.state.view = "planes";
}

// For looking: Python hears nothing of what is seen or done.
const mute = (component) => ({
  setTriggerValue: () => {},
  setStateValue: (name, value) => { if (name === "unsupported") component.setStateValue(name, value); },
});

async function update(v, next) {
  v.component = next.data.look ? mute(next) : next;
  const { state, data: old } = v;
  const asked = !!next.data.look && next.data.look !== old.look; // another question
  // Another case or model opens with the map that its table lists, as does the end of an unaided read; while one is open, the reader chooses.
  if (asked || old.address !== next.data.address || old.blind !== next.data.blind) state.map = next.data.map || state.map;
  const before = [state.map, ...state.on].join();
  if (next.data.look) { if (asked) state.on = [true, true, next.data.weak, next.data.weak, true, true].map((on) => on && !!next.data.selected); } // no flag, no colours
  else if (v.weakTold !== undefined) { if (next.data.weak === v.weakTold) v.weakTold = undefined; } // an older answer changes nothing
  else if (!next.data.blind && next.data.weak !== v.do.weak()) state.on[2] = state.on[3] = next.data.weak;
  const repaint = asked || before !== [state.map, ...state.on].join() || old.address !== next.data.address;
  const late = old.address === next.data.address && next.data.pick < v.pick;
  v.data = { ...next.data, selected: late ? old.selected : next.data.selected };
  v.pick = Math.max(v.pick, v.data.pick);
  const told = v.marked[0];
  while (v.marked.length > 0 && v.data.marked.includes(v.marked[0].id)) v.marked.shift();
  if (v.marked[0] !== told) tellMarked(v);
  if (old.address !== v.data.address) v.turning = false; // what comes now says for itself how far it is
  v.clock.turn(v.data.address, v.data.phase ?? "");
  if (old.address === undefined) recall(v);
  if (!v.data.blind && !v.data.palettes[v.state.palette]) v.state.palette = "paper";
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
    resume(v);
  } catch (error) {
    for (const kind of Object.keys(v.hashes)) drop(v, kind);
    reportLoaded(v); // nothing is: a verdict must wait
    say(v, `This case can't be shown: ${error.message}`, "error");
  }
}

// Whether Python knows what is on screen: a server that was started anew does not, nor one that missed the word.
function known(v) {
  const { heard } = v.data;
  return heard === true || (!!heard && loadedText(heard) === v.report);
}

// Whether the region selected here last is still news to Python.
const unheard = ({ picked, data }) => picked !== undefined && picked.case === data.case && picked.pick > data.pick;

const loadedText = ({ case: name, map, hashes }) => JSON.stringify([name, map, Object.entries(hashes).sort()]);

function reportLoaded(v) {
  const now = { case: v.data.case, map: v.data.blind ? "" : v.state.map, hashes: v.hashes }, again = loadedText(now) === v.report;
  v.report = loadedText(now);
  v.insists.heard();
  if (again && v.data.heard) { // at once to a server that knows nothing, else when it had time to answer
    if (!known(v) || unheard(v) || v.marked.length > 0) v.insists.told();
    return;
  }
  v.ui.box.dataset.hash = v.hashes.base;
  // With the time where it is told again: Python hears of what differs only.
  v.component.setStateValue("loaded", { ...now, hashes: { ...v.hashes }, ...(again ? { told: Date.now() } : {}) });
  v.insists.told();
}

function destroy(v) {
  remember(v);
  v.end.abort();
  v.insists.end();
  v.generation += 1;
  v.nv?.gl?.getExtension("WEBGL_lose_context")?.loseContext();
  v.nv?.cleanup?.();
  v.ui.box.remove();
}
