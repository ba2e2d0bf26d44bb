// Slices of the volumes that Compare shows, for one 2D canvas without WebGL: one state draws all panes, so that
// crosshair, slice, window and zoom can't drift apart (NiiVue would need one context a pane and calls to sync
// them: niivue#693, niivue#1052).

// A gzipped NIfTI-1 as Python's `encode` writes it: RAS+ voxels in raw steps, scale, affine rows.
async function openNifti(volume) {
  if (!globalThis.DecompressionStream) throw new Error("this browser is too old to unpack volumes; please update it");
  const voxels = await openVoxels(volume), header = new DataView(voxels.bytes);
  const dims = [0, 1, 2].map((i) => header.getInt16(42 + 2 * i, true));
  const rows = [0, 1, 2].map((r) => [0, 1, 2, 3].map((c) => header.getFloat32(280 + 16 * r + 4 * c, true)));
  return { ...voxels, dims, rows, spacing: [0, 1, 2].map((c) => Math.hypot(...rows.map((row) => row[c]))) };
}

const voxelToMM = (image, voxel) => image.rows.map((row) => row[0] * voxel[0] + row[1] * voxel[1] + row[2] * voxel[2] + row[3]);

// Voxel, not rounded, of a position in mm: the inverse of a 3×3 by cofactors.
function mmToVoxel(image, mm) {
  const [a, b, c] = image.rows, d = mm.map((v, i) => v - image.rows[i][3]);
  const det = (p, q, r) => p[0] * (q[1] * r[2] - q[2] * r[1]) - p[1] * (q[0] * r[2] - q[2] * r[0]) + p[2] * (q[0] * r[1] - q[1] * r[0]);
  const column = (i) => [a, b, c].map((row, n) => row.slice(0, 3).map((v, j) => (j === i ? d[n] : v)));
  return [0, 1, 2].map((i) => det(...column(i)) / det(a, b, c));
}

// Axes of a plane: across, down (upside down on screen) and through.
const AXES = [[0, 1, 2], [0, 2, 1], [1, 2, 0]];
const mirrored = (plane, radiological) => radiological && plane !== PLANE.sagittal;

const rgba = (hex, alpha = 255) => ((alpha << 24) | (parseInt(hex.slice(5, 7), 16) << 16) | (parseInt(hex.slice(3, 5), 16) << 8) | parseInt(hex.slice(1, 3), 16)) >>> 0;

// Colour of each raw z + 128 in the bands switched `on`; 0 is clear.
function zColors(on, colors) {
  return Uint32Array.from({ length: 256 }, (_, i) => {
    const band = bandOf(i - 128);
    return i > 0 && band >= 0 && on[band] ? rgba(colors[band]) : 0;
  });
}

// Colour of each count 0…n, of those of `least` and more.
function countColors(models, colors, least) {
  return Uint32Array.from({ length: models + 1 }, (_, k) => (k >= Math.max(1, least) ? rgba(colors[Math.min(k, colors.length) - 1]) : 0));
}

// Colour of a difference of raw steps −254…254 (+ 254): clear below 0.5 SD, opaque from 1.5 SD, full at ±limit.
function differenceColors(colors, limit) {
  const mix = (at) => {
    const place = ((Math.max(-1, Math.min(1, at)) + 1) / 2) * (colors.length - 1), low = Math.min(colors.length - 2, Math.floor(place)), part = place - low;
    const [a, b] = [colors[low], colors[low + 1]].map((hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)));
    return `#${a.map((v, i) => Math.round(v + part * (b[i] - v)).toString(16).padStart(2, "0")).join("")}`;
  };
  return Uint32Array.from({ length: 509 }, (_, i) => {
    const size = ((i - 254) * Z_STEP) / limit;
    return rgba(mix(size), Math.round(255 * Math.max(0, Math.min(1, Math.abs(size) * limit - 0.5))));
  });
}

// How many of the maps reach the threshold (in raw steps) at a voxel on the side of `sign`.
function countAt(maps, at, steps, sign) {
  let count = 0;
  for (const map of maps) if (sign * map[at] >= steps) count += 1;
  return count;
}

// Pixels of one slice as on screen: `color(voxel index)` is a packed colour.
function slicePixels(dims, plane, index, flip, color) {
  const [u, v, w] = AXES[plane], strides = [1, dims[0], dims[0] * dims[1]], across = dims[u], down = dims[v];
  const pixels = new ImageData(across, down), out = new Uint32Array(pixels.data.buffer);
  for (let row = 0, n = 0; row < down; row++) {
    let at = index * strides[w] + (down - 1 - row) * strides[v] + (flip ? (across - 1) * strides[u] : 0);
    const step = flip ? -strides[u] : strides[u];
    for (let column = 0; column < across; column++, at += step) out[n++] = color(at);
  }
  return pixels;
}

// A box (first and last voxel by axis) around what is brighter than black.
function headBox({ img, dims }) {
  const low = [...dims], high = [0, 0, 0];
  for (let k = 0, at = 0; k < dims[2]; k++) for (let j = 0; j < dims[1]; j++) for (let i = 0; i < dims[0]; i++) {
    if (img[at++] < 16) continue;
    const voxel = [i, j, k];
    for (let d = 0; d < 3; d++) { if (voxel[d] < low[d]) low[d] = voxel[d]; if (voxel[d] > high[d]) high[d] = voxel[d]; }
  }
  return low[0] > high[0] ? { low: [0, 0, 0], high: dims.map((n) => n - 1) } : { low, high };
}

// Where a slice lies: screen position of a voxel coordinate, and back. `centre` in mm from voxel 0 along each axis.
function placement(view, image, centre, scale, radiological) {
  const [u, v, through] = AXES[view.plane], { spacing, dims } = image, sign = mirrored(view.plane, radiological) ? -1 : 1;
  const cx = view.x + view.w / 2, cy = view.y + view.h / 2;
  return {
    u, v, through,
    toScreen: (voxel) => [cx + sign * (voxel[u] * spacing[u] - centre[u]) * scale, cy - (voxel[v] * spacing[v] - centre[v]) * scale],
    toVoxel: (x, y, at) => {
      const voxel = [...at];
      voxel[u] = ((sign * (x - cx)) / scale + centre[u]) / spacing[u];
      voxel[v] = ((cy - y) / scale + centre[v]) / spacing[v];
      return voxel;
    },
    // Left, top, width and height of the whole slice: voxels are boxes around their centres.
    box: (() => {
      const edge = (n, axis) => (n * spacing[axis] - centre[axis]) * scale;
      const left = cx + (sign > 0 ? edge(-0.5, u) : -edge(dims[u] - 0.5, u));
      return [left, cy - edge(dims[v] - 0.5, v), dims[u] * spacing[u] * scale, dims[v] * spacing[v] * scale];
    })(),
  };
}
