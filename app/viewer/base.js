// What every viewer of Fontanelle shares: bands and their colours, volumes by HTTP, positions, words.
//
// Python joins the files (`script` in app/viewer/component.py), this one first, into one module: no bundler,
// no imports. Names here are known to all files of the same component.

const LETTER = "#ffd84d"; // of side letters and rings
const RULER = "#ff9df5"; // of a distance: no band, ring or mark has it
const PLANE = { axial: 0, coronal: 1, sagittal: 2, planes: 3, render: 4 };
// Display label, sign and |z| interval of the six bands, strongest dark first. Edges belong to the stronger band.
const BANDS = [["4+", -1, 4, 99], ["3–4", -1, 3, 4], ["2–3", -1, 2, 3], ["2–3", 1, 2, 3], ["3–4", 1, 3, 4], ["4+", 1, 4, 99]];
const WINDOWS = { Full: [0, 255], Tissue: [20, 175], Fluid: [90, 255], Narrow: [60, 150] };
const Z_STEP = 1 / 16; // of the int8 z volumes
const Z_LIMIT = 7.9; // where they clip
const DISCLAIMER = "Research software, not a medical device";

// ---- the page
// A component's default export: what `mount(root)` makes lives on its element under `name`, is updated at each
// rerun of Python, and destroyed with it.
function lasting(name, mount) {
  return (component) => {
    const { parentElement } = component;
    parentElement[name] ??= mount(parentElement);
    const mounted = parentElement[name];
    mounted.update(component);
    return () => { mounted.destroy(); delete parentElement[name]; };
  };
}

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

// True where a key belongs to what is being typed or chosen; a slider takes its arrows only.
function typing(event) {
  const target = event.composedPath()[0];
  if (target?.isContentEditable || ["TEXTAREA", "SELECT"].includes(target?.tagName)) return true;
  if (target?.tagName !== "INPUT" || ["checkbox", "radio", "button"].includes(target.type)) return false;
  return target.type !== "range" || /^(Arrow|Page|Home|End)/.test(event.key);
}

// 1, 2 or 3 where Shift and a digit were pressed, by the key's place: what Shift makes of it differs by layout.
// Where Shift makes the digit itself (AZERTY), it is a digit. A plain digit is the desk's.
const bandKey = (event) => (event.shiftKey && !/^\d$/.test(event.key) ? Number(/^Digit([123])$/.exec(event.code)?.[1]) || undefined : undefined);

// An id of its own; crypto.randomUUID exists on https and localhost only.
function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("")
    .replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, "$1-$2-4$3-8$4-$5");
}

const INSIST_MS = [3000, 30_000]; // first and longest wait

// Says a thing again, ever later, until Python has answered for it: what is sent while a connection comes up, or
// to a run that is cut off, may never be heard of. `left()`: whether anything waits; `say()` sends it so that it
// counts as new, and calls `told()`. `heard()` belongs after each update of Python.
function insisting(left, say) {
  let timer, wait = INSIST_MS[0];
  function told() {
    clearTimeout(timer);
    timer = setTimeout(() => {
      if (!left()) return;
      if (globalThis.fontanelleOnScreen?.()?.lost) { told(); return; }
      wait = Math.min(2 * wait, INSIST_MS[1]);
      say();
    }, wait);
  }
  function end() { clearTimeout(timer); }
  function heard() { if (!left()) { end(); wait = INSIST_MS[0]; } }
  return { told, heard, end };
}

// ---- NiiVue and volumes
function loadNiivue(url) {
  globalThis.fontanelleNiivue ??= new Promise((resolve, reject) => {
    document.head.append(el("script", {
      src: url,
      onload: () => resolve(globalThis.niivue),
      onerror: () => { globalThis.fontanelleNiivue = undefined; reject(new Error("the viewer's code could not be loaded")); },
    }));
  });
  return globalThis.fontanelleNiivue;
}

const hasWebgl2 = () => !!document.createElement("canvas").getContext("webgl2");

// A NiiVue that leaves keys, crosshair, side letters and drag-and-drop to us. `options` are NiiVue's own.
async function openNiivue(niivue, canvas, options = {}) {
  const nv = new niivue.Niivue({
    logLevel: "error", backColor: [0, 0, 0, 1], crosshairWidth: 0, fontColor: [1, 0.85, 0.3, 1], fontMinPx: 15, fontSizeScaling: 0.25,
    isRadiologicalConvention: true, isOrientationTextVisible: false, dragMode: 0, invertScrollDirection: true, isColorbar: false,
    isOrientCube: true, dragAndDropEnabled: false, loadingText: "", multiplanarShowRender: 0, renderOverlayBlend: 0.9,
    mouseEventConfig: { leftButton: { primary: 8, withShift: 0, withCtrl: 3 }, rightButton: 0, centerButton: 3 },
    ...options,
  });
  await nv.attachToCanvas(canvas);
  canvas.removeAttribute("tabindex"); // a canvas in focus would keep Streamlit's own keys from the page
  canvas.focus = () => {};
  return nv;
}

// Bytes of one volume; refuses any whose content is not what Python announced.
async function fetchVolume({ url, hash }) {
  const response = await fetch(url);
  if (!response.ok) {
    const body = await response.json().catch(() => ({}));
    throw new Error(body.error ?? `the server answered ${response.status}`);
  }
  const buffer = await response.arrayBuffer();
  // crypto.subtle exists on https and localhost only; elsewhere the server's own word has to do.
  const got = crypto.subtle
    ? Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", buffer)), (b) => b.toString(16).padStart(2, "0")).join("")
    : (response.headers.get("ETag") ?? "").replaceAll(/W\/|"/g, "");
  if (got !== hash) throw new Error("the volume received is not the one announced; reload the page");
  return buffer;
}

// What is inside a gzip file. The browser's own code unpacks several times faster than a script.
const unpack = (packed) => new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();

// Voxels of one of our volumes (single-file NIfTI-1, uint8 or int8, RAS+) and their scale.
async function openVoxels(volume) {
  const bytes = await unpack(await fetchVolume(volume)), header = new DataView(bytes);
  const Voxels = { 2: Uint8Array, 256: Int8Array }[header.getInt16(70, true)];
  if (!Voxels) throw new Error(`voxels of type ${header.getInt16(70, true)}, expected uint8 or int8`);
  return { img: new Voxels(bytes, header.getFloat32(108, true)), slope: header.getFloat32(112, true), inter: header.getFloat32(116, true), bytes };
}

// NiiVue's image of a volume. It is told the window, else it counts all voxels several times to find one.
const imageOf = (niivue, name, { bytes, slope, inter }) => niivue.NVImage.new(bytes, `${name}.nii`, "gray", 1, null, inter, inter + 255 * slope);
const openVolume = async (niivue, name, volume) => imageOf(niivue, name, await openVoxels(volume));

// The volume's own scale, and the image turned to raw steps, in which all windows are kept here.
function unscale(image) {
  const { scl_slope: slope, scl_inter: inter } = image.hdr;
  image.hdr.scl_slope = 1;
  image.hdr.scl_inter = 0;
  return { img: image.img, slope, inter };
}

// ---- bands
const bandOf = (raw) => BANDS.findIndex(([, sign, low, high]) => sign * raw > 0 && Math.abs(raw) * Z_STEP >= low && Math.abs(raw) * Z_STEP < high);

// Raw z as labels 1…255 for NiiVue: once a volume. Bands then come and go by `bandColors` alone.
function bandImage(raw) {
  const labels = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) labels[i] = raw[i] + 128;
  return labels;
}

// NiiVue's colormap for those labels: the bands switched `on` in six "#rrggbb", all else transparent.
function bandColors(colors, on) {
  const map = { R: [], G: [], B: [], A: [], I: [] };
  for (let label = 0; label < 256; label++) {
    const band = bandOf(label - 128), shown = label > 0 && band >= 0 && on[band];
    [map.R, map.G, map.B].forEach((channel, i) => channel.push(shown ? parseInt(colors[band].slice(1 + 2 * i, 3 + 2 * i), 16) : 0));
    map.A.push(shown ? 255 : 0);
    map.I.push(label);
  }
  return map;
}

// ---- positions
const toMM = (nv, frac) => [...nv.frac2mm(frac, 0, true)].slice(0, 3);

// RAS voxel of a position in fractions of `image`.
function voxelAt(image, frac) {
  const dims = image.dimsRAS;
  return [0, 1, 2].map((i) => Math.min(dims[i + 1] - 1, Math.max(0, Math.floor(frac[i] * dims[i + 1]))));
}

const indexOf = (image, [x, y, z]) => x + image.dimsRAS[1] * (y + image.dimsRAS[2] * z);

// RAS voxel to an index of the file as stored, for example with axes "LAS".
function storedVoxel(image, voxel, axes) {
  return [...axes].map((code) => {
    const axis = "RL".includes(code) ? 0 : "AP".includes(code) ? 1 : 2;
    return "LPI".includes(code) ? image.dimsRAS[axis + 1] - 1 - voxel[axis] : voxel[axis];
  });
}

// Canvas position of a point (fractions) in one tile of nv.screenSlices, and its distance from the slice shown, in mm.
function projectFrac(nv, tile, frac) {
  const [x, y, z] = nv.frac2mm(frac);
  const [u, v, depth] = [[x, y, z], [x, z, y], [y, z, x]][tile.axCorSag];
  let [left, top, width, height] = tile.leftTopWidthHeight;
  let across = (u - tile.leftTopMM[0]) / tile.fovMM[0];
  if (width < 0) { left += width; width = -width; across = 1 - across; }
  const down = 1 - (v - tile.leftTopMM[1]) / tile.fovMM[1];
  return {
    x: left + across * width, y: top + down * height, inside: across >= 0 && across <= 1 && down >= 0 && down <= 1,
    off: Math.abs(depth - tile.AxyzMxy[2]), scale: width / Math.abs(tile.fovMM[0]),
  };
}

// The same of a point in mm; null outside the tile.
function project(nv, tile, mm) {
  const at = projectFrac(nv, tile, nv.mm2frac(mm, 0, true));
  return at.inside ? at : null;
}

// Letters at the left, right, top and bottom edge of a slice.
function sideLetters(plane, radiological) {
  if (plane === PLANE.sagittal) return ["P", "A", "S", "I"];
  const sides = radiological ? ["R", "L"] : ["L", "R"];
  return plane === PLANE.axial ? [...sides, "A", "P"] : [...sides, "S", "I"];
}

// ---- words
const conventionText = (radiological) => (radiological ? "Radiological: image right = patient left" : "Neurological: image right = patient right");
const bandText = (band) => (BANDS[band] ? `${BANDS[band][1] > 0 ? "brighter" : "darker"} ${BANDS[band][0]}` : "–");

const zText = (value) => (value < 0 ? "−" : "+") + Math.abs(value).toFixed(1);

function formatZ(raw) {
  const value = raw * Z_STEP;
  if (Math.abs(value) >= Z_LIMIT) return (value < 0 ? "≤−" : "≥+") + Z_LIMIT;
  return value === 0 ? "0" : zText(value);
}
