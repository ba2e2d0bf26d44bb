// Contrast of each visible piece of text against what lies behind it; what is disabled is exempt.
() => {
  const parse = (text) => { const n = text.match(/[\d.]+/g).map(Number); return [...n.slice(0, 3), n[3] ?? 1]; };
  const over = (top, under) => top.slice(0, 3).map((c, i) => c * top[3] + under[i] * (1 - top[3]));
  const up = (node) => node.assignedSlot ?? node.parentElement ?? node.getRootNode().host;
  const light = (rgb) => rgb.map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    const layers = [];
    for (let at = node; at; at = up(at)) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color[3] > 0) layers.unshift(color);
      if (color[3] === 1) break;
    }
    return layers.reduce((under, layer) => over(layer, under), [255, 255, 255]);
  };
  const found = [];
  const walk = (root) => {
    for (const node of root.querySelectorAll('*')) {
      if (node.shadowRoot) walk(node.shadowRoot);
      const text = [...node.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data.trim()).join(' ').trim();
      if (!text || ['STYLE', 'SCRIPT', 'NOSCRIPT', 'TITLE'].includes(node.tagName)) continue;
      const style = getComputedStyle(node), box = node.getBoundingClientRect();
      if (!node.checkVisibility({ opacityProperty: true, visibilityProperty: true }) || box.width < 2 || box.height < 2) continue;
      let opacity = 1, exempt = false;
      for (let at = node; at; at = up(at)) {
        opacity *= Number(getComputedStyle(at).opacity);
        exempt ||= at.disabled || at.getAttribute?.('aria-disabled') === 'true' || at.tagName === 'CANVAS' || at.getAttribute?.('aria-hidden') === 'true';
      }
      if (exempt || node.closest('label')?.querySelector(':disabled') || node.closest('svg, .katex, [data-testid=stIconMaterial]')) continue;
      const under = behind(node), color = parse(style.color);
      const shown = over([...color.slice(0, 3), color[3] * opacity], under);
      const [a, b] = [light(shown), light(under)].sort((x, y) => y - x);
      const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      found.push([text.slice(0, 40), Math.round(100 * (a + 0.05) / (b + 0.05)) / 100, large,
        `${style.color} at ${opacity} on ${under}`, `${node.tagName} ${node.className} in ${node.closest('[data-testid]')?.dataset.testid}`]);
    }
  };
  walk(document.body);
  return found;
}
