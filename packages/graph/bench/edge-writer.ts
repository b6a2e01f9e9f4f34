// A process of its own that adds edges, for writes.bench.ts.

import { Graph } from '@perf/graph';

const [path = '', name = '', count = '0', batch = '1'] = process.argv.slice(2);
using graph = Graph.open({ path, snapshot: false });
for (let at = 0; at < Number(count); at += Number(batch)) {
  const size = Math.min(Number(batch), Number(count) - at);
  graph.putEdges(
    Array.from({ length: size }, (_, i) => ({
      source: `${name} ${at + i}`,
      target: `n${at + i}`,
      type: name,
    })),
  );
}
