// The line to the server: what happens comes as server-sent events, what is done goes by POST, in order.

// `on.state(lesson, clock)`, `on.pointer(pointer)`, `on.line(up)`; `prefix` is the follower's signed address, and
// `on.stale()` asks for another where a server that was started again no longer knows it.
function openLink(on) {
  let prefix = "", source, again, queue = Promise.resolve(), ended = false;

  function listen() {
    clearTimeout(again);
    again = undefined;
    source?.close();
    source = new EventSource(`${prefix}/events`);
    source.addEventListener("open", () => { clearTimeout(again); again = undefined; on.line(true); });
    source.addEventListener("state", (event) => {
      const { now, lesson } = JSON.parse(event.data);
      on.state(lesson, now - Date.now());
    });
    source.addEventListener("pointer", (event) => on.pointer(JSON.parse(event.data)));
    source.addEventListener("error", () => {
      // Between two streams the browser connects by itself; word of it only where that takes long.
      again ??= setTimeout(() => { again = undefined; if (source.readyState === EventSource.OPEN) return;
        on.line(false);
        if (source.readyState === EventSource.CLOSED) on.stale(); // the server is there and refused
        listen();
      }, 2500);
    });
  }

  async function post(action, content) {
    const response = await fetch(`${prefix}/${action}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });
    const answer = await response.json().catch(() => ({ error: `the server answered ${response.status}` }));
    if (response.status === 401) on.stale();
    if (!response.ok) throw Object.assign(new Error(answer.error), { refused: response.status !== 401 });
    return answer;
  }

  // A server that is not reached is asked again with the same id, so that nothing is lost or doubled.
  async function insist(action, content) {
    for (;;) {
      try { return await post(action, content); } catch (error) {
        if (error.refused || ended) throw error;
        on.line(false);
        await new Promise((done) => setTimeout(done, 1500));
      }
    }
  }

  return {
    to(next) { if (next !== prefix) { prefix = next; listen(); } },
    // One after the other: a mark is kept before it is changed, and changed before it is committed.
    send(action, content) { const sent = queue.then(() => insist(action, content)); queue = sent.catch(() => undefined); return sent; },
    // Without order and without a second try: the next one says more.
    tell: (action, content) => post(action, content),
    close() { ended = true; clearTimeout(again); source?.close(); },
  };
}
