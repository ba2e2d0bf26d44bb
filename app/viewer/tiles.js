// Tiles: one WebGL context in which every tile has its own base and overlay.
//
// NiiVue draws the same two textures in all tiles of a custom layout. Here several bases (scan, expected,
// residual) and overlays (one a z map or model) are kept as textures, and each tile binds its own just before
// it is drawn. So panes, a swipe, a blink and eight models side by side cost no second context and no upload.
//
//   const tiles = openTiles(nv);
//   tiles.describe([image, overlay]);
//   tiles.setBase("scan", voxels, image.dimsRAS, [0, 255]);  tiles.setOverlay("vae", labels, image.dimsRAS, colors);
//   tiles.layout = () => [{ plane: PLANE.axial, position: [0, 0, 0.5, 1], base: "scan", overlay: "vae", title: "VAE" }, …];
//   nv.drawScene();
//
// No tiles: the 3D render. A tile: `plane`; `position` left, top, width, height as shares of the canvas; `base` and `overlay`, names
// (null: none; left out: tiles.base, tiles.overlay); `depth`, fraction of its slice, else the crosshair's.

function openTiles(nv) {
  const { gl } = nv, bases = {}, overlays = {};
  const scene = nv.drawScene.bind(nv), slice = nv.draw2DMain.bind(nv), clear = nv.clearBounds.bind(nv);
  const field = nv.screenFieldOfViewExtendedVox.bind(nv);
  let specs = [], at = 0, paused = false, scratch;

  const nothing = gl.createTexture();
  gl.activeTexture(gl.TEXTURE2);
  gl.bindTexture(gl.TEXTURE_3D, nothing);
  gl.texImage3D(gl.TEXTURE_3D, 0, gl.RGBA8, 1, 1, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_3D, side, gl.NEAREST);

  const tiles = {
    base: "scan", overlay: null, layout: () => [], before: () => {}, after: () => {},
    swipe: null, // { share, base }: right of that share of each tile, another base
    smooth: true,

    // Lets NiiVue set its scene up for `images` (base, then overlay), with nothing filled or drawn yet.
    describe(images) {
      const held = {
        ...Object.fromEntries(["texStorage3D", "texSubImage3D", "framebufferTextureLayer", "drawArrays", "deleteTexture"].map((name) => [name, () => {}])),
        checkFramebufferStatus: () => gl.FRAMEBUFFER_COMPLETE,
      };
      Object.assign(gl, held);
      nv.rgbaTex = () => nothing;
      try { images.forEach((image, layer) => nv.refreshLayers(image, layer)); }
      finally { for (const name of Object.keys(held)) delete gl[name]; delete nv.rgbaTex; }
    },
    // Voxels (0…255, in RAS+ order) as greys of a window: bright and, for the 3D render, opaque by value.
    setBase(name, voxels, [, ...dims], [low, high]) {
      const greys = Uint16Array.from({ length: 256 }, (_, raw) => {
        const share = Math.min(1, Math.max(0, (raw - low) / (high - low)));
        return Math.round(255 * share) | (Math.round(128 * share) << 8);
      });
      if (scratch?.length !== voxels.length) scratch = new Uint16Array(voxels.length);
      for (let i = 0; i < voxels.length; i++) scratch[i] = greys[voxels[i]];
      bases[name] = fill(gl.TEXTURE0, bases[name], dims, gl.LUMINANCE_ALPHA, new Uint8Array(scratch.buffer));
      filter(gl.TEXTURE0, bases[name], tiles.smooth ? gl.LINEAR : gl.NEAREST);
    },
    // Labels (0…255, in RAS+ order) in their colours, 256 of "0xAABBGGRR".
    setOverlay(name, labels, [, ...dims], colors) {
      const pixels = new Uint32Array(labels.length);
      for (let i = 0; i < labels.length; i++) pixels[i] = colors[labels[i]];
      overlays[name] = fill(gl.TEXTURE2, overlays[name], dims, gl.RGBA, new Uint8Array(pixels.buffer));
      filter(gl.TEXTURE2, overlays[name], gl.NEAREST); // bands are labels: never blend two of them
    },
    setSmooth(on) {
      tiles.smooth = on;
      for (const texture of Object.values(bases)) filter(gl.TEXTURE0, texture, on ? gl.LINEAR : gl.NEAREST);
    },
    has: (name) => name in bases,
    // Before volumes of another size come.
    forget() {
      for (const kept of [bases, overlays]) for (const name of Object.keys(kept)) { gl.deleteTexture(kept[name]); delete kept[name]; }
      nv.volumeTexture = nv.overlayTexture = nothing;
    },
    // Many changes, one drawing: nothing is drawn until `work` is over.
    once(work) { paused = true; try { work(); } finally { paused = false; } nv.drawScene(); },
    // Slices on screen with their description, in drawing order; none in the 3D render.
    shown: () => nv.screenSlices.filter((tile) => tile.axCorSag <= PLANE.sagittal && tile.AxyzMxy.length >= 4),
  };

  // NiiVue fills its textures by a shader, slice by slice, and adds a gradient that only lit renders need: without
  // a GPU that takes seconds at 256³. Our volumes are in RAS+ order already and go to the GPU as they are.
  function fill(unit, texture = gl.createTexture(), [width, height, depth], format, bytes) {
    gl.activeTexture(unit);
    gl.bindTexture(gl.TEXTURE_3D, texture);
    gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
    gl.texImage3D(gl.TEXTURE_3D, 0, format, width, height, depth, 0, format, gl.UNSIGNED_BYTE, bytes);
    for (const side of [gl.TEXTURE_WRAP_S, gl.TEXTURE_WRAP_T, gl.TEXTURE_WRAP_R]) gl.texParameteri(gl.TEXTURE_3D, side, gl.CLAMP_TO_EDGE);
    return texture;
  }

  function filter(unit, texture, how) {
    gl.activeTexture(unit);
    gl.bindTexture(gl.TEXTURE_3D, texture);
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_3D, side, how);
  }

  function bind(base, overlay) {
    nv.volumeTexture = bases[base] ?? nothing;
    nv.overlayTexture = overlays[overlay] ?? nothing;
    gl.activeTexture(gl.TEXTURE0);
    gl.bindTexture(gl.TEXTURE_3D, nv.volumeTexture);
    gl.activeTexture(gl.TEXTURE2);
    gl.bindTexture(gl.TEXTURE_3D, nv.overlayTexture);
  }

  nv.updateGLVolume = () => {}; // textures are set above, when they change
  nv.drawScene = () => {
    if (paused) return;
    if (nv.volumes.length > 0) {
      tiles.before();
      specs = tiles.layout();
      nv.opts.sliceType = specs.length === 0 ? PLANE.render : PLANE.planes;
      nv.customLayout = specs.map((spec) => ({ sliceType: spec.plane, position: spec.position }));
      bind(tiles.base, tiles.overlay);
    }
    at = 0;
    scene();
    tiles.after();
  };

  // NiiVue cuts a tile to the scan's own shape; here the slice fills it, and what lies beyond is black.
  let shape; // width and height of the tile being drawn
  nv.screenFieldOfViewExtendedVox = (plane) => {
    const seen = field(plane);
    if (!shape) return seen;
    const scale = Math.min(shape[0] / seen.fovMM[0], shape[1] / seen.fovMM[1]);
    for (const i of [0, 1]) {
      const middle = (seen.mnMM[i] + seen.mxMM[i]) / 2, half = shape[i] / scale / 2;
      [seen.mnMM[i], seen.mxMM[i], seen.fovMM[i]] = [middle - half, middle + half, 2 * half];
    }
    return seen;
  };

  nv.draw2DMain = (_, plane, mm) => {
    const spec = specs[at++], { overlay = tiles.overlay, base = tiles.base } = spec;
    const cross = nv.scene.crosshairPos;
    if (spec.depth !== undefined) {
      const moved = [...cross];
      moved[2 - plane] = spec.depth;
      nv.scene.crosshairPos = moved;
    }
    const { width: across, height: down } = gl.canvas, [x, y, w, h] = spec.position;
    const rect = [Math.round(x * across), Math.round(y * down), Math.round(w * across), Math.round(h * down)];
    shape = rect.slice(2);
    bind(base, overlay);
    slice([...rect], plane, mm);
    const tile = nv.screenSlices.at(-1);
    tile.spec = spec;
    if (tiles.swipe && tiles.has(tiles.swipe.base)) {
      const [left, top, width, height] = tile.leftTopWidthHeight, edge = Math.round(width * tiles.swipe.share);
      bind(tiles.swipe.base, overlay);
      nv.clearBounds = () => {}; // it would end the scissor
      gl.enable(gl.SCISSOR_TEST);
      gl.scissor(left + edge, gl.canvas.height - top - height, width - edge, height);
      slice([...rect], plane, mm);
      gl.disable(gl.SCISSOR_TEST);
      nv.clearBounds = clear;
      nv.screenSlices.pop();
    }
    shape = undefined;
    nv.scene.crosshairPos = cross;
  };
  return tiles;
}
