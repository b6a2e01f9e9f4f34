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
export type { DegreeStatistics, SizeAlert } from './degree-statistics.ts';
export type { CacheStats } from './node-reader.ts';
export type { QueryEvent, QueryStats } from './query-log.ts';
export type { SearchOptions } from './search.ts';
export type { SubgraphOptions } from './subgraph.ts';
export type { Traversal } from './traversal.ts';
export type { Direction, Strategy, TraverseOptions } from './traverse-options.ts';
