// The obvious graph: Maps, a queue, no cleverness. The oracle of the property tests.

export interface NaiveEdge {
  readonly source: string;
  readonly target: string;
  readonly type: string;
  readonly weight: number;
  readonly from: number;
  readonly to: number;
}

export interface NaiveWalk {
  readonly direction?: 'out' | 'in' | 'both';
  readonly edgeTypes?: readonly string[] | undefined;
  readonly validAtMs?: number | undefined;
}

export class NaiveGraph {
  readonly nodes = new Map<string, { type: string; confidence: number }>();
  readonly edges = new Map<string, NaiveEdge>();

  clone(): NaiveGraph {
    const copy = new NaiveGraph();
    for (const [id, node] of this.nodes) copy.nodes.set(id, node);
    for (const [key, edge] of this.edges) copy.edges.set(key, edge);
    return copy;
  }

  putNode(id: string, type: string, confidence = 1): void {
    this.nodes.set(id, { type, confidence });
  }

  putEdge(source: string, target: string, type: string, weight = 1, from = -Infinity, to = Infinity): void {
    for (const id of [source, target]) if (!this.nodes.has(id)) this.putNode(id, '');
    this.edges.set(JSON.stringify([source, target, type]), { source, target, type, weight, from, to });
  }

  deleteNode(id: string): boolean {
    for (const [key, edge] of this.edges)
      if (edge.source === id || edge.target === id) this.edges.delete(key);
    return this.nodes.delete(id);
  }

  deleteEdge(source: string, target: string, type?: string): boolean {
    let deleted = false;
    for (const [key, edge] of this.edges) {
      if (edge.source !== source || edge.target !== target) continue;
      if (type === undefined || edge.type === type) deleted = this.edges.delete(key) || deleted;
    }
    return deleted;
  }

  /** [neighbour, edge] of every edge the walk may take from `id`. */
  steps(id: string, walk: NaiveWalk): [string, NaiveEdge][] {
    const { direction = 'out', edgeTypes, validAtMs } = walk;
    const steps: [string, NaiveEdge][] = [];
    for (const edge of this.edges.values()) {
      if (edgeTypes !== undefined && !edgeTypes.includes(edge.type)) continue;
      if (validAtMs !== undefined && !(edge.from <= validAtMs && validAtMs < edge.to)) continue;
      if (direction !== 'in' && edge.source === id) steps.push([edge.target, edge]);
      if (direction !== 'out' && edge.target === id) steps.push([edge.source, edge]);
    }
    return steps;
  }

  /** Shortest distance of every node within `maxDepth`. */
  distances(starts: readonly string[], maxDepth: number, walk: NaiveWalk): Map<string, number> {
    const distances = new Map<string, number>();
    let frontier = starts.filter((id) => this.nodes.has(id));
    for (const id of frontier) distances.set(id, 0);
    for (let depth = 1; depth <= maxDepth && frontier.length > 0; depth++) {
      const next: string[] = [];
      for (const id of frontier) {
        for (const [neighbour] of this.steps(id, walk)) {
          if (distances.has(neighbour)) continue;
          distances.set(neighbour, depth);
          next.push(neighbour);
        }
      }
      frontier = next;
    }
    return distances;
  }

  /** Least sum of weights by Bellman and Ford; undefined when unreachable. */
  leastWeight(a: string, b: string, walk: NaiveWalk): number | undefined {
    if (!this.nodes.has(a) || !this.nodes.has(b)) return undefined;
    const best = new Map([[a, 0]]);
    for (let round = 0; round < this.nodes.size; round++) {
      for (const id of this.nodes.keys()) {
        const here = best.get(id);
        if (here === undefined) continue;
        for (const [neighbour, edge] of this.steps(id, walk)) {
          if (here + edge.weight < (best.get(neighbour) ?? Infinity)) best.set(neighbour, here + edge.weight);
        }
      }
    }
    return best.get(b);
  }
}
