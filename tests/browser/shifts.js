// Layout shifts, each with what moved: name and rectangle before and after.
globalThis.shifts = [];
new PerformanceObserver((list) => {
  const rect = (box) => [box.x, box.y, box.width, box.height].map(Math.round).join(' ');
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) globalThis.shifts.push([entry.value, entry.startTime,
    ...entry.sources.map(({ node, previousRect, currentRect }) => `${node?.dataset?.testid ?? node?.className ?? node?.nodeName} ${rect(previousRect)} > ${rect(currentRect)}`)]);
}).observe({ type: 'layout-shift', buffered: true });
