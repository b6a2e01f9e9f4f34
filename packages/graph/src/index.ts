export { Graph } from './graph.ts';
export type {
  GraphOptions,
  GraphStats,
  NeighborOptions,
  Path,
  PathOptions,
  StreamOptions,
  Subgraph,
  TraversePlan,
} from './graph.ts';
export { GraphError } from './errors.ts';
export type { GraphErrorCode } from './errors.ts';
export type { EdgeInput, GraphEdge, GraphNode, Json, NodeInput } from './inputs.ts';
export type { SearchOptions } from './search.ts';
export type { SubgraphOptions } from './subgraph.ts';
export type { Traversal } from './traversal.ts';
export type { Direction, Strategy, TraverseOptions } from './traverse-options.ts';
