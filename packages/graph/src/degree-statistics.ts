// What the shape of the graph says: how many edges nodes have, and when it is outgrowing one process.

import type { Adjacency } from './adjacency.ts';
import type { GraphImage } from './graph-image.ts';

export interface DegreeStatistics {
  /** Edges per node. */
  readonly mean: number;
  readonly maxOut: number;
  readonly maxIn: number;
  /** 99 % of the nodes have at most so many outgoing edges. */
  readonly p99Out: number;
  readonly p99In: number;
  /** Nodes without any edge. */
  readonly isolated: number;
}

export interface SizeAlert {
  readonly kind: 'nodes' | 'mean-degree';
  readonly value: number;
  readonly limit: number;
  readonly advice: string;
}

const ALERT_NODES = 500_000;
const ALERT_MEAN_DEGREE = 100;

/** O(nodes). */
export function degreeStatistics(image: GraphImage): DegreeStatistics {
  const out = degreesOf(image, image.out);
  const into = degreesOf(image, image.in);
  let isolated = 0;
  for (let ordinal = 0; ordinal < image.ordinals; ordinal++) {
    if (image.isAlive(ordinal) && image.out.degree(ordinal) + image.in.degree(ordinal) === 0) isolated++;
  }
  return {
    mean: image.nodes === 0 ? 0 : image.edges / image.nodes,
    maxOut: out.at(-1) ?? 0,
    maxIn: into.at(-1) ?? 0,
    p99Out: out[Math.floor((out.length - 1) * 0.99)] ?? 0,
    p99In: into[Math.floor((into.length - 1) * 0.99)] ?? 0,
    isolated,
  };
}

/** O(1). */
export function sizeAlerts({
  nodes,
  edges,
}: {
  readonly nodes: number;
  readonly edges: number;
}): SizeAlert[] {
  const alerts: SizeAlert[] = [];
  if (nodes > ALERT_NODES) {
    alerts.push({
      kind: 'nodes',
      value: nodes,
      limit: ALERT_NODES,
      advice:
        'Partition by what is never walked across (tenant, project, period): one graph file per part. ' +
        'Delete nodes below a confidence that no query asks for.',
    });
  }
  const meanDegree = nodes === 0 ? 0 : edges / nodes;
  if (meanDegree > ALERT_MEAN_DEGREE) {
    alerts.push({
      kind: 'mean-degree',
      value: meanDegree,
      limit: ALERT_MEAN_DEGREE,
      advice:
        'Three hops reach nearly everything. Name the edgeTypes that queries walk, give edges a validity and ask with ' +
        'validAtMs, or keep co-occurrence edges above a weight only.',
    });
  }
  return alerts;
}

function degreesOf(image: GraphImage, side: Adjacency): Uint32Array {
  const degrees = new Uint32Array(image.nodes);
  let at = 0;
  for (let ordinal = 0; ordinal < image.ordinals; ordinal++) {
    if (image.isAlive(ordinal)) degrees[at++] = side.degree(ordinal);
  }
  return degrees.sort();
}
