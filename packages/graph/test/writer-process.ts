// A process of its own that writes to a graph, for processes.test.ts. Acknowledges on stdout what has returned.

import { writeSync } from 'node:fs';
import { Graph } from '@perf/graph';

const [file = '', name = '', count = '0', mode = 'plain'] = process.argv.slice(2);
const graph = Graph.open({ path: file });
writeSync(1, 'ready\n');

async function work(): Promise<void> {
  for (let i = 0; i < Number(count); i++) {
    graph.putEdge({ source: `${name} ${i}`, target: `hub ${i % 7}`, type: name });
    if (mode === 'delete' && i % 3 === 2) graph.deleteNode(`${name} ${i - 1}`);
    writeSync(1, `${i}\n`);
    if (mode === 'compact' && i % 20 === 0) {
      void graph.compact();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

await work();
graph.close();
