// Contours: the outline of each band on one slice, with its digit, readable without colour.
//
// Brighter is a solid line and "+", darker a dashed line and "−"; the stronger the band, the wider the line.

const CONTOUR_AXES = [[0, 1, 2], [0, 2, 1], [1, 2, 0]]; // across, down (up on screen), depth of each plane
const CONTOUR_WIDTHS = { "2–3": 1.2, "3–4": 1.9, "4+": 2.7 };

// Band + 1 of each pixel of one slice (0: none), of the bands `on`.
function sliceBands(raw, image, plane, depth, on) {
  const dims = image.dimsRAS, [across, down, through] = CONTOUR_AXES[plane];
  const strides = [1, dims[1], dims[1] * dims[2]], width = dims[across + 1], height = dims[down + 1];
  const labels = new Uint8Array(width * height), start = depth * strides[through];
  for (let v = 0, to = 0; v < height; v++) {
    for (let u = 0, from = start + v * strides[down]; u < width; u++, from += strides[across]) {
      const value = raw[from];
      if (value > 31 || value < -31) { const band = bandOf(value); if (band >= 0 && on[band]) labels[to] = band + 1; }
      to++;
    }
  }
  return { labels, width, height };
}

const strengthOf = (label) => (label === 0 ? 0 : label <= 3 ? 4 - label : label - 3); // 1…3

// Six paths in voxel units, one a band: an edge between two bands belongs to the stronger.
function bandPaths({ labels, width, height }) {
  const paths = BANDS.map(() => new Path2D()), used = BANDS.map(() => false);
  const line = (a, b, x1, y1, x2, y2) => {
    if (a === b) return;
    const owner = strengthOf(a) >= strengthOf(b) ? a : b;
    used[owner - 1] = true;
    paths[owner - 1].moveTo(x1, y1);
    paths[owner - 1].lineTo(x2, y2);
  };
  for (let v = 0; v <= height; v++) for (let u = 0; u <= width; u++) {
    const here = u < width && v < height ? labels[u + v * width] : 0;
    if (v < height) line(u > 0 ? labels[u - 1 + v * width] : 0, here, u, v, u, v + 1);
    if (u < width) line(v > 0 ? labels[u + (v - 1) * width] : 0, here, u, v, u + 1, v);
  }
  return paths.map((path, i) => (used[i] ? path : null));
}

// Where the digits go: in each connected patch of one band, the pixel farthest from its edge.
function bandDigits({ labels, width, height }) {
  const depth = new Uint16Array(labels.length), seen = new Uint8Array(labels.length), found = [];
  const same = (i, j) => (labels[i] === labels[j] ? depth[j] : 0);
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] === 0) continue;
    const u = i % width;
    depth[i] = u === 0 || i < width ? 1 : 1 + Math.min(same(i, i - 1), same(i, i - width));
  }
  for (let i = labels.length - 1; i >= 0; i--) {
    if (labels[i] === 0) continue;
    const u = i % width;
    depth[i] = u === width - 1 || i >= labels.length - width ? 1 : Math.min(depth[i], 1 + same(i, i + 1), 1 + same(i, i + width));
  }
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] === 0 || seen[i]) continue;
    const patch = [i];
    seen[i] = 1;
    let best = i;
    for (let n = 0; n < patch.length; n++) {
      const p = patch[n], u = p % width;
      if (depth[p] > depth[best]) best = p;
      for (const q of [u > 0 ? p - 1 : -1, u < width - 1 ? p + 1 : -1, p - width, p + width]) {
        if (q >= 0 && q < labels.length && !seen[q] && labels[q] === labels[i]) { seen[q] = 1; patch.push(q); }
      }
    }
    found.push({ band: labels[i] - 1, u: (best % width) + 0.5, v: Math.floor(best / width) + 0.5, area: patch.length });
  }
  return found.sort((a, b) => b.area - a.area).slice(0, 40);
}

// Draws the contours of `raw` on one tile. `kept` is a Map that spares working the same slice out twice.
function drawContours(ctx, nv, image, tile, raw, { on, colors, dpr, kept, name }) {
  const plane = tile.axCorSag, [across, down, through] = CONTOUR_AXES[plane], dims = image.dimsRAS;
  const depth = Math.min(dims[through + 1] - 1, Math.max(0, Math.floor(tile.sliceFrac * dims[through + 1])));
  const key = [name, plane, depth, on].join();
  if (!kept.has(key)) {
    if (kept.size > 96) kept.clear();
    const bands = sliceBands(raw, image, plane, depth, on);
    kept.set(key, { paths: bandPaths(bands), digits: bandDigits(bands) });
  }
  const { paths, digits } = kept.get(key);
  const corner = (u, v) => {
    const frac = [0, 0, 0];
    [frac[across], frac[down], frac[through]] = [u, v, tile.sliceFrac];
    return projectFrac(nv, tile, frac);
  };
  const origin = corner(0, 0), right = corner(1, 0), up = corner(0, 1), w = dims[across + 1], h = dims[down + 1];
  const matrix = new DOMMatrix([(right.x - origin.x) / w, (right.y - origin.y) / w, (up.x - origin.x) / h, (up.y - origin.y) / h, origin.x, origin.y]);
  const pixel = Math.abs(right.x - origin.x) / w; // screen pixels a voxel
  ctx.save();
  ctx.beginPath();
  ctx.rect(...tile.leftTopWidthHeight);
  ctx.clip();
  paths.forEach((path, band) => {
    if (!path) return;
    const [label, sign] = BANDS[band], width = CONTOUR_WIDTHS[label] * dpr, onScreen = new Path2D();
    onScreen.addPath(path, matrix);
    ctx.setLineDash([]);
    ctx.lineWidth = width + 1.6 * dpr;
    ctx.strokeStyle = "rgb(0 0 0 / 65%)";
    ctx.stroke(onScreen);
    ctx.setLineDash(sign < 0 ? [3.5 * dpr, 2.5 * dpr] : []);
    ctx.lineWidth = width;
    ctx.strokeStyle = colors[band];
    ctx.stroke(onScreen);
  });
  ctx.font = `700 ${11 * dpr}px system-ui, sans-serif`;
  ctx.textAlign = "center";
  ctx.textBaseline = "middle";
  ctx.setLineDash([]);
  for (const { band, u, v, area } of digits) {
    if (area * pixel * pixel < 130 * dpr * dpr) continue; // too small to hold one
    const at = matrix.transformPoint(new DOMPoint(u, v)), [label, sign] = BANDS[band];
    outlined(ctx, `${sign < 0 ? "−" : "+"}${label[0]}`, at.x, at.y, "#fff", dpr);
  }
  ctx.restore();
}
